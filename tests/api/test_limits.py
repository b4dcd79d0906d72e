"""Named limits, limits of a task over all runs and of one run, rates: over the wire, with a worker that is played."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.duration_pb2 import Duration
from runs_room import CHAIN, HANDLER, Hand, Room, dag, open_room, run_state
from serving import until

from glidepath_proto.admin.v1 import capacity_service_pb2 as pb
from glidepath_proto.admin.v1 import capacity_service_pb2_grpc
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_server.core.states import AttemptState

pytestmark = pytest.mark.asyncio
Code = grpc.StatusCode


class LimitsRoom(Room):
    """A room whose limits can be set."""

    def __init__(self, room: Room, channel: grpc.aio.Channel) -> None:
        self.__dict__.update(room.__dict__)
        self.capacity: Any = capacity_service_pb2_grpc.CapacityServiceStub(channel)

    async def ask(self, method: str, **fields: Any) -> Any:
        request = getattr(pb, f"{method}Request")(**fields)
        return await getattr(self.capacity, method)(request, metadata=self.metadata)

    async def limit(self, name: str, slots: int | None = None, rate: tuple[int, float] | None = None) -> pb.Limit:
        per = Duration()
        if rate is not None:
            per.FromTimedelta(timedelta(seconds=rate[1]))
        sent = pb.StartRate(starts=rate[0], per=per) if rate is not None else None
        answer: pb.SetLimitResponse = await self.ask("SetLimit", limit_name=name, slots=slots, rate=sent)
        return answer.limit

    async def refused(self, method: str, **fields: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.ask(method, **fields)
        return caught.value.code(), caught.value.details() or ""

    async def hand(self, slots: int) -> Hand:
        hand = Hand(self.server, slots)
        await hand.connect()
        return hand

    async def parked(self) -> dict[str, int]:
        """How many rows wait, by the name of the limit that they wait for."""
        rows = await self.rows(
            """select c.name, count(*) as n from task_queue q join concurrency_limit c on c.limit_id = q.parked_on
               group by c.name"""
        )
        return {row["name"]: row["n"] for row in rows}

    async def until_parked(self, **wanted: int) -> None:
        async def so() -> bool:
            return await self.parked() == wanted

        await until(so)

    async def why(self, run_id: str, task_id: str) -> tuple[str, str]:
        answer = await self.call("ExplainDagRun", dag_run_id=run_id, task_id=task_id)
        (found,) = answer.explanations
        return found.message, found.hint

    async def holders(self) -> dict[str, int]:
        """Slots in use by the limit's name, where there are any."""
        rows = await self.rows(
            """select c.name, sum(h.slots) as used from limit_holder h join concurrency_limit c using (limit_id)
               group by c.name"""
        )
        return {row["name"]: row["used"] for row in rows}


async def in_hand(hand: Hand, count: int) -> None:
    """Wait until the hand has so many attempts."""

    async def so() -> bool:
        return len(hand.taken) == count

    await until(so)


@pytest_asyncio.fixture
async def room(database_url: str) -> AsyncIterator[LimitsRoom]:
    async with open_room(database_url) as found:
        yield LimitsRoom(found, await found.api.channel())


def limited(dag_id: str, tasks: Mapping[str, Mapping[str, Any]], **fields: Any) -> dag_pb2.DagSpec:
    """A DAG of independent tasks: name -> fields of its policy."""
    return dag_pb2.DagSpec(
        dag_id=dag_id,
        tasks=[
            dag_pb2.TaskSpec(task_id=name, handler=dag_pb2.Handler(name=HANDLER), policy=dag_pb2.TaskPolicy(**policy))
            for name, policy in tasks.items()
        ],
        **fields,
    )


# ---- administration
async def test_a_limit_is_made_changed_and_deleted_and_each_change_is_audited(room: LimitsRoom) -> None:
    made = await room.limit("gpu", 2)
    assert (made.namespace, made.limit_name, made.slots, made.slots_used, made.waiting) == ("default", "gpu", 2, 0, 0)
    assert not made.HasField("rate")
    changed = await room.limit("gpu", rate=(100, 60))
    assert not changed.HasField("slots") and (changed.rate.starts, changed.rate.per.seconds) == (100, 60)
    await room.limit("gpu", rate=(100, 60))
    assert [each.limit_name for each in (await room.ask("ListLimits")).limits] == ["gpu"]
    await room.ask("DeleteLimit", limit_name="gpu")
    await room.ask("DeleteLimit", limit_name="gpu")
    assert not (await room.ask("ListLimits")).limits
    audits = await room.rows("select action, detail from audit_event where target = 'limit/gpu' order by 1, 2")
    assert sorted(each["action"] for each in audits) == ["limit.delete", "limit.set", "limit.set"]
    details = [json.loads(each["detail"]) for each in audits if each["action"] == "limit.set"]
    assert {"capacity": 2, "rate_starts": None, "rate_seconds": None} in [each["before"] for each in details]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"limit_name": "a b", "slots": 1}, "limit_name: got 'a b'"),
        ({"limit_name": "x" * 129, "slots": 1}, "expected 1 to 128 letters"),
        ({"limit_name": "gpu", "slots": -1}, "slots: got -1, expected 0 to 1000000"),
        ({"limit_name": "gpu"}, "slots: got nothing, expected slots, or a rate"),
        ({"limit_name": "gpu", "rate": pb.StartRate(starts=0, per=Duration(seconds=1))}, "rate.starts: got 0"),
        ({"limit_name": "gpu", "rate": pb.StartRate(starts=1)}, "rate.per: got 0 s, expected 0.1 to 86400 s"),
    ],
)
async def test_a_bad_limit_is_refused_by_field_and_nothing_is_stored(
    room: LimitsRoom, fields: dict[str, Any], says: str
) -> None:
    code, message = await room.refused("SetLimit", **fields)
    assert code is Code.INVALID_ARGUMENT and says in message
    assert not (await room.ask("ListLimits")).limits


async def test_a_limit_that_a_version_names_can_not_be_deleted(room: LimitsRoom) -> None:
    await room.limit("gpu", 2)
    await room.register(dag("churn", CHAIN, defaults=dag_pb2.TaskPolicy(limits={"gpu": 2})))
    code, message = await room.refused("DeleteLimit", limit_name="gpu")
    assert code is Code.FAILED_PRECONDITION and message.startswith("limit 'gpu' is named by churn version 1")


async def test_a_dag_is_refused_whose_limits_are_not_there_or_too_small(room: LimitsRoom) -> None:
    await room.limit("training", 2)
    for limits, says in (
        ({"trainin": 1}, "tasks.a.policy.limits: got 'trainin', expected a limit of this namespace; make it first"),
        (
            {"training": 3},
            "tasks.a.policy.limits.training: got 3, expected at most 2, the slots of limit training",
        ),
        ({f"limit-{n}": 1 for n in range(9)}, "tasks.a.policy.limits: got 9 limits, expected at most 8 limits"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await room.register(limited("churn", {"a": {"limits": limits}}))
        assert (caught.value.details() or "").startswith(says)
    assert not await room.rows("select from dag_version")


# ---- what they hold back
async def test_a_limit_holds_across_dags_and_runs_and_explain_says_who_has_it(room: LimitsRoom) -> None:
    await room.limit("gpu", 2)
    for name in ("one", "two"):
        await room.register(limited(name, {f"train-{name}": {"limits": {"gpu": 1}}, f"free-{name}": {}}))
    hand = await room.hand(20)
    first, second = await room.start("one"), await room.start("two")
    await hand.take("train-one")
    await hand.take("train-two")
    third = await room.start("one")
    await room.until_parked(gpu=1)
    message, hint = await room.why(third, "train-one")
    assert message.startswith("limit gpu is full: 2 of 2 in use; held by ")
    assert f"one train-one (run {first})" in message and f"two train-two (run {second})" in message
    assert hint == "glidepath limit set gpu 3  # or wait for a holder"
    assert await room.holders() == {"gpu": 2}
    held = hand.taken["train-one"].key
    await hand.end("train-two")
    await hand.end("free-two")
    assert (await hand.take("train-one")).key != held or await room.parked() == {}
    await room.until_parked()
    (listed,) = (await room.ask("ListLimits")).limits
    assert (listed.slots_used, listed.waiting) == (2, 0)


async def test_raising_a_limit_lets_what_waits_go(room: LimitsRoom) -> None:
    await room.limit("gpu", 1)
    await room.register(limited("one", {"train": {"limits": {"gpu": 1}}, "free": {}}, weight=2.0))
    await room.limit("gpu", 0)
    hand = await room.hand(5)
    await room.start("one")
    await room.until_parked(gpu=1)
    await room.limit("gpu", 1)
    await hand.end("train")
    assert await room.holders() == {}


async def test_a_task_that_needs_several_limits_waits_for_each_of_them(room: LimitsRoom) -> None:
    await room.limit("a", 1)
    await room.limit("b", 1)
    await room.register(
        limited(
            "one",
            {"only-a": {"limits": {"a": 1}}, "only-b": {"limits": {"b": 1}}, "both": {"limits": {"a": 1, "b": 1}}},
        )
    )
    hand = await room.hand(5)
    run_id = await room.start("one")
    for _ in range(3):

        async def somebody() -> bool:
            return bool(hand.taken) and await room.rows("select from task_queue where parked_on = 0") == []

        await until(somebody)
        assert set(hand.taken) in ({"only-a", "only-b"}, {"both"}, {"only-a"}, {"only-b"})
        for name in list(hand.taken):
            await hand.end(name)
        if run_state(await room.run(run_id)) == "success":
            break
    assert run_state(await room.watch(run_id)) == "success"
    assert await room.holders() == {} and await room.parked() == {}


async def test_a_task_has_so_many_live_attempts_over_all_runs(room: LimitsRoom) -> None:
    await room.register(limited("one", {"train": {"active_max": 1}, "free": {}}))
    hand = await room.hand(20)
    await room.start("one")
    held = (await hand.take("train")).key
    second = await room.start("one")
    await room.until_parked(**{"one/train": 1})
    message, hint = await room.why(second, "train")
    assert message.startswith("the limit on live attempts of one/train is full: 1 of 1 in use; held by one train")
    assert hint.endswith("raise active_max of the task")
    await hand.end("train", AttemptState.FAILED)
    assert (await hand.take("train")).key.dag_run_id != held.dag_run_id
    assert await room.holders() == {"one/train": 1}


async def test_the_latest_version_says_how_many_of_a_task_may_be_live(room: LimitsRoom) -> None:
    await room.register(limited("one", {"train": {"active_max": 1}}))
    hand = await room.hand(20)
    await room.start("one")
    first = (await hand.take("train")).key
    await room.start("one")
    await room.until_parked(**{"one/train": 1})
    await room.register(limited("one", {"train": {}}))  # says none: what waits may go
    await room.until_parked()

    async def another() -> bool:
        return hand.taken["train"].key != first

    await until(another)


async def test_a_run_has_so_many_live_attempts_and_each_run_its_own(room: LimitsRoom) -> None:
    await room.register(limited("one", {f"t{n}": {} for n in range(5)}, run_tasks_active_max=2))
    await room.hand(20)
    one, two = await room.start("one"), await room.start("one")
    await room.until_parked(**{one: 3, two: 3})
    assert await room.holders() == {one: 2, two: 2}
    live = {
        row["task_index"] for row in await room.rows("select task_index from live_attempt where dag_run_id = $1", one)
    }
    waits = min({0, 1, 2, 3, 4} - live)
    message, hint = await room.why(one, f"t{waits}")
    assert message.startswith(f"the limit on live attempts of run {one} is full: 2 of 2 in use")
    assert hint == f"glidepath run show {one}  # wait for a holder, or raise run_tasks_active_max"
    await room.call("CancelDagRun", dag_run_id=two, reason="enough")
    await room.until_parked(**{one: 3})


async def test_the_limit_of_a_run_goes_with_it_and_comes_again_with_a_clear(room: LimitsRoom) -> None:
    await room.register(limited("one", {"a": {}, "b": {}}, run_tasks_active_max=1))
    hand = await room.hand(20)
    run_id = await room.start("one")
    for _ in range(2):
        await in_hand(hand, 1)
        (name,) = hand.taken
        await hand.end(name)
    assert run_state(await room.watch(run_id)) == "success"
    limits = "select from concurrency_limit where kind = 'run'"
    assert len(await room.rows(limits)) == 1
    sweeper = next(each for each in room.server._loops if each.name == "limit_sweeper")
    await sweeper.once()
    assert await room.rows(limits) == []
    await room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["a", "b"])
    await room.until_parked(**{run_id: 1})
    assert await room.holders() == {run_id: 1}
    await sweeper.once()
    assert len(await room.rows(limits)) == 1


# ---- rates
async def shift(room: LimitsRoom, seconds: float) -> None:
    await room.rows("update clock set shift = make_interval(secs => $1)", seconds)
    room.server.engine.on_timers()


async def test_a_rate_lets_so_many_start_in_any_span_and_a_timer_wakes_the_others(room: LimitsRoom) -> None:
    await room.limit("api", rate=(2, 600))
    await room.register(limited("one", {f"t{n}": {"limits": {"api": 1}} for n in range(5)}))
    hand = await room.hand(20)
    run_id = await room.start("one")
    await room.until_parked(api=3)
    await in_hand(hand, 2)
    for name in list(hand.taken):
        await hand.end(name)  # what has started counts although it has ended
    assert await room.parked() == {"api": 3} and hand.taken == {}
    waits = next(name for name, state in (await room.states(run_id)).items() if state == "queued")
    message, hint = await room.why(run_id, waits)
    assert message.startswith("limit api has made 2 of 2 starts in 600 s; another may start at ")
    assert hint == "glidepath limit set api --rate 3/600s  # or wait"
    await shift(room, 500)
    assert await room.parked() == {"api": 3}
    await shift(room, 601)
    await in_hand(hand, 2)
    await room.until_parked(api=1)
    (listed,) = (await room.ask("ListLimits")).limits
    assert (listed.starts_counted, listed.waiting) == (2, 1)
    assert len(await room.rows("select from limit_start")) <= 2, "starts that have left the window are forgotten"


async def test_no_span_of_the_rate_has_more_starts_than_it_allows(room: LimitsRoom) -> None:
    await room.limit("api", rate=(5, 0.4))
    await room.register(limited("one", {f"t{n}": {"limits": {"api": 1}} for n in range(23)}))
    await room.hand(50)
    run_id = await room.start("one")

    async def all_started() -> bool:
        return len(await room.rows("select from live_attempt where dag_run_id = $1", run_id)) == 23

    await until(all_started, 15.0)
    starts = sorted(row["start_time"] for row in await room.rows("select start_time from live_attempt"))
    spans = [(late - early).total_seconds() for early, late in zip(starts, starts[5:], strict=False)]
    assert min(spans) >= 0.4, spans


async def test_a_higher_rate_lets_what_waits_go_at_once(room: LimitsRoom) -> None:
    await room.limit("api", rate=(1, 600))
    await room.register(limited("one", {f"t{n}": {"limits": {"api": 1}} for n in range(3)}))
    hand = await room.hand(20)
    await room.start("one")
    await room.until_parked(api=2)
    await room.limit("api", rate=(3, 600))
    await in_hand(hand, 3)
