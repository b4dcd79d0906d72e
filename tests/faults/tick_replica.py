"""A replica's scheduler as a process of its own, for tests that kill it.

Its loops are those of the server; what they tell the engine is dropped, as if no engine were there. The processes are
forked by one that has loaded the code: a test starts hundreds of them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from glidepath_server import crash_points
from glidepath_server.loops.engine import Engine
from glidepath_server.loops.scheduler import Scheduler
from glidepath_server.settings import Settings
from glidepath_server.store.database import Database

READY_SECONDS = 60.0
_context = multiprocessing.get_context("forkserver")
# Not this module: what forks does not know the folders that pytest adds to the path.
_context.set_forkserver_preload(["glidepath_server.loops.scheduler", "glidepath_server.settings"])


class Idle(Engine):
    """Starts no run."""

    def runs_created(self, run_ids: Any) -> None:
        pass

    def add_inbox(self, run_id: Any) -> None:
        pass


@contextmanager
def replica(url: str, armed: str) -> Iterator[ForkServerProcess]:
    """A scheduler that ticks, with these crash points; it is killed at the end, if it is there still."""
    ours, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_live, args=(url, armed, theirs))
    process.start()
    theirs.close()
    try:
        assert ours.poll(READY_SECONDS), "the replica has not begun"
        ours.recv()
        yield process
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def _live(url: str, armed: str, ready: Connection) -> None:
    crash_points.armed = crash_points.parse(armed)
    asyncio.run(_tick(url, ready))


async def _tick(url: str, ready: Connection) -> None:
    database = await Database.open(url, engine_size=1, worker_size=2, api_size=1)
    scheduler = Scheduler(Idle(database, Settings.load({}, poll_interval_seconds=0.05)))
    scheduler.due_loop.start()
    scheduler.waiting_loop.start()
    ready.send(True)
    await asyncio.Event().wait()
