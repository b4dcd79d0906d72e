"""What people answer in a run in process: as its test says, else what the approval's timeout says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from glidepath.authoring.approvals import Approval
from glidepath.authoring.nodes import Node
from glidepath.authoring.params import default_params
from glidepath.errors import AuthoringError
from glidepath.testing.results import AttemptState

Answer = bool | Mapping[str, Any]
"""True approves with the form's defaults, a mapping with these values over them; False rejects."""

ANSWERED_BY = "test"


@dataclass(frozen=True)
class Answered:
    """How a question ends, and how long after it was asked."""

    state: AttemptState
    reason: str
    after: timedelta = timedelta(0)
    values: Mapping[str, Any] | None = None
    by: str | None = None

    def output(self, now: datetime) -> dict[str, Any]:
        return {
            "approved": True,
            "values": dict(self.values or {}),
            "by": self.by,
            "note": "",
            "time": now.isoformat(),
        }


def answer_of(node: Node, answers: Mapping[str, Answer]) -> Answered:
    """AuthoringError for values that do not fit, and for a question that nobody and no timeout answers."""
    asks = node.approval
    assert asks is not None
    if node.task_id in answers:
        return _decided(node, asks, answers[node.task_id], timedelta(0), ANSWERED_BY)
    if asks.timeout is None:
        raise AuthoringError(
            f"task '{node.task_id}' asks for approval, and nothing answers it; give run_dag(answers={{"
            f"{node.task_id!r}: True}})"
        )
    if asks.default is None:
        return Answered("timed_out", f"nobody answered within {asks.timeout.total_seconds():g} s", asks.timeout)
    return _decided(node, asks, asks.default == "approve", asks.timeout, None)


def _decided(node: Node, asks: Approval, answer: Answer, after: timedelta, by: str | None) -> Answered:
    who = f"by {by}" if by is not None else "by default, as nobody answered in time"
    if answer is False:
        return Answered("skipped" if asks.on_reject == "skip" else "failed", f"rejected {who}", after, by=by)
    given = answer if isinstance(answer, Mapping) else {}
    form = asks.form or {}
    known = form.get("properties", {})
    if form.get("additionalProperties", False) is False and (unknown := set(given) - set(known)):
        raise AuthoringError(
            f"task '{node.task_id}' takes no {sorted(unknown)}; its form: {', '.join(known) or 'none'}"
        )
    values = {**default_params(form), **given}
    if missing := set(form.get("required", ())) - set(values):
        raise AuthoringError(f"task '{node.task_id}' needs the values {sorted(missing)} to be approved")
    return Answered("success", f"approved {who}", after, values, by)
