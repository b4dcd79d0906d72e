"""Sessions over time: an older stream of one, echoes that the database did not take, ended ones that are forgotten."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from runs_room import SOON_SECONDS, Room, open_room
from serving import until
from test_worker_feed import progress
from test_worker_permits import TIMES
from test_worker_unary import pass_time, start
from worker_room import LIVE, hello, line, open_stream, open_workers, slots, success, until_rows

from glidepath_proto.worker.v1 import worker_service_pb2 as pb
from glidepath_server import crash_points
from glidepath_server.loops.pruner import prune_sessions
from glidepath_server.operations.namespaces import create_namespace
from glidepath_server.store.database import transaction

CALM = {"lease_ttl_seconds": 60.0, "accept_timeout_seconds": 60.0}

SESSIONS = "select count(*) from worker_session"
DAY_SECONDS = 86_400.0


def sessions_here(room: Room) -> list[Any]:
    """The sessions that are connected."""
    return list(room.server.engine.replica.pullers.by_session.values())


async def holds(condition: bool) -> bool:
    return condition


async def test_an_ended_session_is_forgotten_after_its_retention_and_an_open_one_is_not(database_url: str) -> None:
    times = {"lease_ttl_seconds": 10 * DAY_SECONDS, "session_retention_days": 2, "prune_interval_seconds": 0.1}
    async with open_room(database_url, **times) as room, open_workers(room) as workers:
        async with workers.stream() as stream:
            await stream.send(draining=True)
            await stream.half_close()
            await stream.ended()
        await workers.call("Claim", hello=hello("other"))
        await pass_time(room, 1.9 * DAY_SECONDS)
        assert await prune_sessions(room.database, 2, 1000) == 0
        await pass_time(room, 0.2 * DAY_SECONDS)
        await until_rows(room, SESSIONS, 1)
        await until_rows(room, "select worker_identity from worker_session", "other")


async def test_an_echo_that_the_database_did_not_take_is_taken_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash_points, "armed", crash_points.parse("renewal.before_commit=fail"))
    times = {"lease_ttl_seconds": 600.0, "heartbeat_interval_seconds": 60.0}
    async with open_room(database_url, **times) as room, open_workers(room) as workers, workers.stream():
        await until(lambda: holds(bool(sessions_here(room))), SOON_SECONDS)
        (session,) = sessions_here(room)
        await until(lambda: holds(bool(session.confirmed)), SOON_SECONDS)


async def test_a_goodbye_on_an_older_stream_ends_and_drains_nothing(database_url: str) -> None:
    # Nobody looks after sessions meanwhile, so that the older stream, at another replica, stays open.
    calm = {"lease_ttl_seconds": 600.0, "poll_interval_seconds": 60.0}
    async with (
        open_room(database_url, **calm) as room,
        open_room(database_url, **calm) as other_room,
        open_workers(room) as workers,
        open_workers(other_room) as others,
        others.stream() as old,
    ):
        old.echoes = False
        async with workers.stream() as new:
            assert (old.welcome.session_id, new.welcome.generation) == (new.welcome.session_id, 2)
            await old.send(draining=True)
            await old.half_close()
            assert await old.ended() == grpc.StatusCode.OK
            (row,) = await room.rows("select state, draining from worker_session")
            assert (row["state"], row["draining"]) == ("open", False)


async def test_what_was_taken_back_is_granted_anew_by_the_worker_alone(database_url: str) -> None:
    async with open_stream(database_url, credits=1, **TIMES) as (room, stream):
        stream.echoes = False
        await start(room)
        (lost,) = await stream.take("assignments")
        await until_rows(room, LIVE, 0)
        await stream.send(accepted_task_tokens=[lost.task_token])
        await stream.take("result_acks")  # fenced; its slot is taken until the worker has ended it
        assert [session.free for session in sessions_here(room)] == [0]
        await stream.send(credits=slots(1))
        await stream.take("assignments")
        assert [session.free for session in sessions_here(room)] == [0]


async def test_credits_of_a_worker_that_drains_are_ignored(database_url: str) -> None:
    async with open_stream(database_url, credits=1, **CALM) as (room, stream):
        await stream.send(draining=True)
        await stream.send(credits=slots(1), accepted_task_tokens=[b"nobody's"])
        await stream.take("result_acks")
        assert [session.free for session in sessions_here(room)] == [0]


async def test_a_token_is_worth_nothing_in_another_namespace(database_url: str) -> None:
    async with open_room(database_url, **CALM) as room, open_workers(room) as workers:
        async with transaction(room.database.api, "create_namespace") as connection:
            await create_namespace(connection, name="red", actor="test")
        await start(room)
        async with (
            workers.stream(credits=1) as stream,
            open_workers(room, namespace="red") as strangers,
            strangers.stream() as stranger,
        ):
            (assignment,) = await stream.take("assignments")
            token = assignment.task_token
            said = {"progress": [progress(token, 50, b"not yours")], "log_chunks": [line(token, 0)]}
            await stranger.send(results=[success(token)], **said)
            (ack,) = await stranger.take("result_acks")
            assert (ack.verdict, ack.reason) == (pb.VERDICT_FENCED, "no attempt of this namespace has the token")
            await stranger.take("log_acks")
            nobody = pb.SessionRef(session_id="00000000-0000-0000-0000-000000000000")
            answer = await strangers.call("Report", session=nobody, results=[success(token)], **said)
            assert [each.verdict for each in answer.result_acks] == [pb.VERDICT_FENCED]
            for table in ("task_log_chunk", "task_progress", "task_attempt"):
                assert (await room.rows(f"select count(*) from {table}"))[0][0] == 0
            await stream.send(results=[success(token)])
            (ack,) = await stream.take("result_acks")
            assert ack.verdict == pb.VERDICT_ACCEPTED
