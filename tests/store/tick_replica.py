"""A replica's scheduler as a process of its own, for tests that kill it: `python tick_replica.py DATABASE_URL`.

Its loops are those of the server; what they tell the engine is dropped, as if no engine were there.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from glidepath_server.loops.engine import Engine
from glidepath_server.loops.scheduler import Scheduler
from glidepath_server.settings import Settings
from glidepath_server.store.database import Database


class Idle(Engine):
    """Starts no run."""

    def runs_created(self, run_ids: Any) -> None:
        pass

    def add_inbox(self, run_id: Any) -> None:
        pass


async def main(url: str) -> None:
    database = await Database.open(url, engine_size=1, worker_size=2, api_size=1)
    scheduler = Scheduler(Idle(database, Settings.load({}, poll_interval_seconds=0.05)))
    scheduler.due_loop.start()
    scheduler.waiting_loop.start()
    print("ticking", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
