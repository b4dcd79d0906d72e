"""Sessions over time: an older stream of one, echoes that the database did not take, ended ones that are forgotten."""

from __future__ import annotations

from runs_room import open_room
from test_worker_unary import pass_time
from worker_room import hello, open_workers, until_rows

from glidepath_server.loops.pruner import prune_sessions

SESSIONS = "select count(*) from worker_session"
DAY_SECONDS = 86_400.0


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
