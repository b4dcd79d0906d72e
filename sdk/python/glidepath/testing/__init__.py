"""Testing DAGs without a server: `run_dag` runs one in this process on a virtual clock.

result = run_dag(training, params={"day": "2026-01-01"}, fail={"extract": 1})
assert result.check().outputs["train"] == 0.9
assert result["extract"].attempts[1].start_time - result["extract"].attempts[0].end_time == timedelta(minutes=5)

`verify_task` runs one of its tasks twice in a scratch folder and says what was not the same:

verify_task(training, "train", params={"day": "2026-01-01"}, inputs={"extract": {"rows": 3}}).check()
"""

from glidepath.testing.caching import Cache
from glidepath.testing.differences import Difference
from glidepath.testing.idempotency import (
    CannotVerify,
    NotIdempotent,
    UpstreamFailed,
    Verification,
    VerifiedAttempt,
    verify_task,
)
from glidepath.testing.planned import PlannedFailure
from glidepath.testing.results import AttemptResult, FailureSeen, RunFailed, RunResult, TaskResult
from glidepath.testing.simulation import run_dag

__all__ = [
    "AttemptResult",
    "Cache",
    "CannotVerify",
    "Difference",
    "FailureSeen",
    "NotIdempotent",
    "PlannedFailure",
    "RunFailed",
    "RunResult",
    "TaskResult",
    "UpstreamFailed",
    "Verification",
    "VerifiedAttempt",
    "run_dag",
    "verify_task",
]
