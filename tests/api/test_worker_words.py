"""What a worker says about an attempt, in values that no clock, database or reader could take as they are."""

from __future__ import annotations

import json

from runs_room import dag, open_room
from worker_room import failure, open_workers

CALM = {"lease_ttl_seconds": 60.0, "accept_timeout_seconds": 60.0}
DAYS_30 = 30 * 86_400


async def test_a_failure_asks_for_a_retry_within_30_days(database_url: str) -> None:
    async with (
        open_room(database_url, **CALM) as room,
        open_workers(room) as workers,
        workers.stream(credits=1) as stream,
    ):
        await room.register(dag("churn", {"only": []}))
        run_id = await room.start("churn")
        (assignment,) = await stream.take("assignments")
        result = failure(assignment.task_token)
        result.failed.retry_after.seconds = 2**62
        await stream.send(results=[result])
        await room.watch(run_id)
        (row,) = await room.rows("select failure from task_attempt")
        assert json.loads(row["failure"])["retry_after_seconds"] == DAYS_30
        answer = await room.call("ListAttempts", dag_run_id=run_id)
        assert answer.attempts[0].failure.retry_after.seconds == DAYS_30
