"""How a lane forms its batches: bounded in rows and in bytes, nothing lost, a run's reports in their order."""

from __future__ import annotations

import uuid
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.calls import Call
from glidepath_server.core.events import AttemptKey
from glidepath_server.core.states import AttemptState
from glidepath_server.core.values import Values
from glidepath_server.loops.engine import Engine
from glidepath_server.loops.lanes import Lane
from glidepath_server.operations.step_types import Output, Report
from glidepath_server.settings import Settings

ROWS_MAX, BYTES_MAX = 5, 4096


def lane() -> Lane:
    settings = Settings.load({}, engine_lanes=1, step_events_max=ROWS_MAX, step_bytes_max=BYTES_MAX)
    return Engine(cast(Any, None), settings).lanes[0]


def report(run_id: uuid.UUID, task: int, size: int) -> Report:
    """One whose bytes are those of its output, a checkpoint, an XCom or the params of a call, in turn."""
    key = AttemptKey(run_id, task, -1, 1)
    match task % 4:
        case 0:
            return Report(key, AttemptState.SUCCESS, output=Output("text/plain", bytes(size), None, size, ""))
        case 1:
            return Report(key, AttemptState.DEFERRED, checkpoint=bytes(size))
        case 2:
            return Report(key, AttemptState.SUCCESS, values=Values((("", "x" * size),), ()))
        case _:
            return Report(key, AttemptState.CALLED, call=Call("dag", params="x" * size))


@given(st.lists(st.lists(st.integers(0, 3 * BYTES_MAX), min_size=1, max_size=20), min_size=1, max_size=6))
def test_batches_are_bounded_and_together_they_are_all_that_arrived_in_order(runs: list[list[int]]) -> None:
    waiting, arrived = lane(), {}
    for sizes in runs:
        run_id = uuid.uuid4()
        arrived[run_id] = [report(run_id, task, size) for task, size in enumerate(sizes)]
        waiting.work(run_id).reports.extend(arrived[run_id])
    taken: dict[uuid.UUID, list[Report]] = {run_id: [] for run_id in arrived}
    while waiting.pending:
        batch = waiting._take()
        reports = [each for work in batch.values() for each in work.reports]
        assert reports
        assert len(reports) <= ROWS_MAX
        # The report that crosses the bound closes the batch: without it, all fits.
        assert sum(work.bytes for work in batch.values()) - max(each.bytes for each in reports) <= BYTES_MAX
        for run_id, work in batch.items():
            taken[run_id] += work.reports
    assert taken == arrived
