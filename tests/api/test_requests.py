"""A repeated request id has one effect and the same answer; anything else under that id is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from serving import Api, running, until

from glidepath_server import clock
from glidepath_server.core.errors import AlreadyExists, InvalidInput
from glidepath_server.loops.pruner import prune_requests
from glidepath_server.operations.requests import once
from glidepath_server.store import identity
from glidepath_server.store.database import Connection, database_now, transaction

pytestmark = pytest.mark.asyncio


class Work:
    """An effect that can be counted: one namespace row per run."""

    def __init__(self, api: Api) -> None:
        self.api, self.runs = api, 0

    async def call(
        self,
        request_id: str,
        body: bytes = b"body",
        *,
        method: str = "Do",
        namespace: str = "default",
    ) -> bytes:
        async with transaction(self.api.database.api, "test") as connection:
            return await once(
                connection,
                namespace=namespace,
                request_id=request_id,
                method=method,
                body=body,
                run=lambda: self.run(connection),
            )

    async def run(self, connection: Connection) -> bytes:
        self.runs += 1
        await identity.insert_namespace(connection, f"effect-{self.runs}")
        return f"answer {self.runs}".encode()

    async def effects(self) -> int:
        async with self.api.database.api.acquire() as connection:
            return len(await identity.namespaces(connection)) - 1

    async def shift_clock(self, by: timedelta) -> None:
        async with self.api.database.api.acquire() as connection:
            await connection.execute("update clock set shift = $1", by)


@pytest.fixture
def work(api: Api) -> Work:
    return Work(api)


async def test_a_repetition_gets_the_first_answer_and_has_no_effect(work: Work) -> None:
    assert [await work.call("r1") for _ in range(3)] == [b"answer 1"] * 3
    assert await work.effects() == 1


async def test_random_digits_that_would_be_a_time_beyond_all_years_are_an_id_like_any_other(work: Work) -> None:
    assert [await work.call("ffffffffffff7000" + "8" * 16) for _ in range(2)] == [b"answer 1"] * 2


async def test_without_an_id_every_call_has_its_effect(work: Work) -> None:
    assert [await work.call(""), await work.call("")] == [b"answer 1", b"answer 2"]
    assert await work.effects() == 2


@pytest.mark.parametrize(("body", "method"), [(b"other", "Do"), (b"body", "Undo")])
async def test_the_same_id_for_something_else_is_refused_and_both_are_named(
    work: Work,
    body: bytes,
    method: str,
) -> None:
    await work.call("r1")
    with pytest.raises(AlreadyExists) as caught:
        await work.call("r1", body, method=method)
    assert f"for Do with body sha256:{'230d8358dc8e'}" in caught.value.message
    assert f"not for {method} with body sha256:" in caught.value.message
    assert await work.effects() == 1


async def test_ids_of_two_namespaces_do_not_meet(work: Work) -> None:
    assert await work.call("r1") == b"answer 1"
    assert await work.call("r1", b"other", namespace="red") == b"answer 2"


async def test_what_failed_may_be_tried_again_under_its_id(work: Work) -> None:
    async def fail() -> bytes:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        async with transaction(work.api.database.api, "test") as connection:
            await once(connection, namespace="default", request_id="r1", method="Do", body=b"body", run=fail)
    assert await work.call("r1") == b"answer 1"


async def test_of_two_calls_at_once_the_second_waits_and_gets_the_answer_of_the_first(work: Work) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> bytes:
        entered.set()
        await leave.wait()
        return b"slow"

    async def first() -> bytes:
        async with transaction(work.api.database.api, "test") as connection:
            return await once(connection, namespace="default", request_id="r1", method="Do", body=b"body", run=slow)

    async with asyncio.TaskGroup() as group:
        one = group.create_task(first())
        await entered.wait()
        two = group.create_task(work.call("r1"))
        await _until_somebody_waits(work)
        assert not two.done()
        leave.set()
    assert (one.result(), two.result(), work.runs) == (b"slow", b"slow", 0)


async def test_when_the_first_of_two_fails_the_second_takes_its_place(work: Work) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def fail() -> bytes:
        entered.set()
        await leave.wait()
        raise RuntimeError("no")

    async def first() -> None:
        with pytest.raises(RuntimeError):
            async with transaction(work.api.database.api, "test") as connection:
                await once(connection, namespace="default", request_id="r1", method="Do", body=b"body", run=fail)

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await entered.wait()
        two = group.create_task(work.call("r1"))
        await _until_somebody_waits(work)
        leave.set()
    assert two.result() == b"answer 1"


async def _until_somebody_waits(work: Work) -> None:
    async def waits() -> bool:
        async with work.api.database.worker.acquire() as connection:
            return await connection.fetchval("""
                select count(*) > 0 from pg_stat_activity
                where wait_event_type = 'Lock' and datname = current_database()""")

    await until(waits)


@pytest.mark.parametrize("bad", ["x" * 129, "a\nb", "a\x00b"])
async def test_a_bad_id_is_refused(work: Work, bad: str) -> None:
    with pytest.raises(InvalidInput, match="request_id: got"):
        await work.call(bad)
    assert await work.call("x" * 128) == b"answer 1"


async def test_an_id_older_than_answers_are_kept_is_refused(work: Work) -> None:
    async with work.api.database.api.acquire() as connection:
        now = await database_now(connection)
    fresh, old = (str(clock.uuid7(now - age)) for age in (timedelta(days=6), timedelta(days=7, seconds=1)))
    assert await work.call(fresh) == b"answer 1"
    with pytest.raises(InvalidInput, match="older answers are not kept"):
        await work.call(old)
    assert await work.effects() == 1


async def test_the_pruner_forgets_after_the_retention_and_not_before(work: Work) -> None:
    await work.call("r1")
    await work.shift_clock(timedelta(days=7) - timedelta(minutes=1))
    await work.call("r2")
    assert await prune_requests(work.api.database, 7, 1000) == 0
    assert await work.call("r1") == b"answer 1"
    await work.shift_clock(timedelta(days=7, minutes=1))
    assert await prune_requests(work.api.database, 7, 1000) == 1
    assert await work.call("r2") == b"answer 2"
    assert await work.call("r1") == b"answer 3"


async def test_the_pruner_deletes_a_bounded_number_oldest_first(work: Work) -> None:
    for number in range(5):
        await work.call(f"r{number}")
    await work.shift_clock(timedelta(days=8))
    assert await prune_requests(work.api.database, 7, 2) == 2
    async with work.api.database.api.acquire() as connection:
        left = await connection.fetch("select request_id from request order by request_id")
    assert [row[0] for row in left] == ["r2", "r3", "r4"]
    assert [await prune_requests(work.api.database, 7, 2) for _ in range(3)] == [2, 1, 0]


async def test_answers_survive_a_restart(work: Work, database_url: str) -> None:
    await work.call("r1")
    await work.api.server.stop()
    async with running(database_url) as again:
        assert await Work(again).call("r1") == b"answer 1"
        assert await Work(again).effects() == 1
