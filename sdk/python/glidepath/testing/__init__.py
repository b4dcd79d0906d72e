"""Testing DAGs without a server: `run_dag` runs one in this process on a virtual clock.

result = run_dag(training, params={"day": "2026-01-01"}, fail={"extract": 1})
assert result.check().outputs["train"] == 0.9
assert result["extract"].attempts[1].start_time - result["extract"].attempts[0].end_time == timedelta(minutes=5)
"""

from glidepath.testing.results import AttemptResult, FailureSeen, RunFailed, RunResult, TaskResult
from glidepath.testing.simulation import PlannedFailure, run_dag

__all__ = ["AttemptResult", "FailureSeen", "PlannedFailure", "RunFailed", "RunResult", "TaskResult", "run_dag"]
