"""Who shares a worker gets of it by weight; priority goes first and starves nobody; a full limit delays nobody else."""

from __future__ import annotations

from fair_world import FairWorld
from step_room import StepRoom

from glidepath_server.core.draft import PolicyDraft
from glidepath_server.core.order import PRIORITY_UNITS
from glidepath_server.operations.named_limits import set_limit
from glidepath_server.store.database import transaction
from glidepath_server.store.named_limits import Terms

WEIGHTS = {"default": 1.0, "blue": 2.0, "red": 4.0}
FIVE_MINUTES = 300


def in_proportion(counts: dict[str, int]) -> bool:
    """Within a fifth of what the weights say."""
    whole = sum(counts.values())
    shares = {name: whole * weight / sum(WEIGHTS.values()) for name, weight in WEIGHTS.items()}
    return all(0.8 * shares[name] <= counts[name] <= 1.2 * shares[name] for name in WEIGHTS)


async def test_namespaces_share_a_worker_by_their_weights(room: StepRoom) -> None:
    world = FairWorld(room)
    for namespace in WEIGHTS:
        await world.register(namespace, "load", 100)
    await world.weigh(WEIGHTS)
    await world.open(slots=3, others=frozenset({"blue", "red"}))
    for _ in range(FIVE_MINUTES):
        await world.keep_busy(10)
        await world.second()
    counts = {namespace: world.started[namespace, "load"] for namespace in WEIGHTS}
    assert sum(counts.values()) == 3 * FIVE_MINUTES and in_proportion(counts), counts


async def test_dags_share_a_queue_by_their_weights(room: StepRoom) -> None:
    world = FairWorld(room)
    for dag_id, weight in WEIGHTS.items():
        await world.register("default", dag_id, 100, weight=weight)
    await world.open(slots=3)
    for _ in range(FIVE_MINUTES):
        await world.keep_busy(10)
        await world.second()
    counts = {dag_id: world.started["default", dag_id] for dag_id in WEIGHTS}
    assert sum(counts.values()) == 3 * FIVE_MINUTES and in_proportion(counts), counts


async def test_a_namespace_with_many_dags_gets_no_more_than_its_weight(room: StepRoom) -> None:
    world = FairWorld(room)
    for number in range(5):
        await world.register("default", f"load{number}", 30)
    await world.register("blue", "load", 30)
    await world.open(slots=2, others=frozenset({"blue"}))
    for _ in range(40):
        await world.keep_busy(10)
        await world.second()
    blue = world.started["blue", "load"]
    assert 32 <= blue <= 48, world.started


async def test_what_was_idle_has_saved_nothing_up(room: StepRoom) -> None:
    world = FairWorld(room)
    for namespace in ("default", "blue"):
        await world.register(namespace, "load", 200)
    await world.open(slots=2, others=frozenset({"blue"}))
    await world.start_run("default", "load")
    for _ in range(30):
        await world.second()
    await world.start_run("blue", "load")
    world.started.clear()
    for _ in range(20):
        await world.second()
    assert 16 <= world.started["blue", "load"] <= 24, world.started


async def test_a_chain_that_is_handed_on_goes_by_no_other_namespace(room: StepRoom) -> None:
    world = FairWorld(room)
    await world.register("default", "chain", 60, chain=True)
    await world.register("blue", "load", 60)
    await world.open(slots=1, others=frozenset({"blue"}))
    await world.start_run("default", "chain")
    await world.start_run("blue", "load")
    for _ in range(40):
        await world.second()
    assert 16 <= world.started["blue", "load"] <= 24, world.started


async def test_one_point_of_priority_is_passed_by_at_most_sixty_starts(room: StepRoom) -> None:
    world = FairWorld(room)
    await world.register("default", "stream", 20, policy=PolicyDraft(priority=2))
    await world.register("default", "patient", 1, policy=PolicyDraft(priority=1))
    await world.open(slots=2)
    await world.start_run("default", "stream")
    await world.second()
    await world.start_run("default", "patient")
    waiting = await room.watcher.fetchval("select count(*) from task_queue")
    begun: list[tuple[str, str]] = []
    for _ in range(80):
        if len(begun) % 10 == 0:
            await world.keep_busy(10)
        begun += await world.second()
        if ("default", "patient") in begun:
            break
    passed = begun.index(("default", "patient"))
    assert PRIORITY_UNITS - 25 <= passed <= PRIORITY_UNITS + waiting, "it is passed by, and not for ever"


async def test_a_thousand_on_a_full_limit_do_not_delay_a_hundred_on_an_empty_one(room: StepRoom) -> None:
    world = FairWorld(room)
    for name, slots in (("full", 1), ("empty", 100)):
        async with transaction(room.database.api, "set_limit") as connection:
            await set_limit(connection, namespace="default", name=name, terms=Terms(slots), actor="test")
    await world.register("default", "crowd", 1_000, policy=PolicyDraft(limits={"full": 1}))
    await world.register("default", "few", 100, policy=PolicyDraft(limits={"empty": 1}))
    await world.open(slots=101)
    await world.start_run("default", "crowd")
    await world.start_run("default", "few")
    before = world.engine.steps_committed
    begun = await world.second()
    assert begun.count(("default", "few")) == 100 and begun.count(("default", "crowd")) == 1
    # Those that wait before the hundred are out of the way after a few looks, each of which goes further than the last.
    assert world.engine.steps_committed - before <= 20


async def test_one_free_slot_is_enough_to_get_past_a_thousand_that_wait_for_a_full_limit(room: StepRoom) -> None:
    world = FairWorld(room)
    async with transaction(room.database.api, "set_limit") as connection:
        await set_limit(connection, namespace="default", name="full", terms=Terms(1), actor="test")
    await world.register("default", "crowd", 1_000, policy=PolicyDraft(limits={"full": 1}, priority=1))
    async with transaction(room.database.api, "set_limit") as connection:
        await set_limit(connection, namespace="default", name="full", terms=Terms(0), actor="test")
    await world.register("default", "few", 1)
    await world.open(slots=1)
    await world.start_run("default", "crowd")
    await world.start_run("default", "few")
    before = world.engine.steps_committed
    assert await world.second() == [("default", "few")]
    assert world.engine.steps_committed - before <= 20
