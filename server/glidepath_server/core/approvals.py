"""Tasks that no worker runs: they ask people, and end with the answer, their timeout, or a command of an operator.

A question has an attempt number, like the attempts of other tasks: it rises each time that the task asks again, so an
answer or a timeout that comes late meets another number and changes nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from .params import ParamsSchema
from .templates import template_names


class Decision(StrEnum):
    """What an answer says."""

    APPROVE = "approve"
    REJECT = "reject"


class OnReject(StrEnum):
    FAIL = "fail"
    SKIP = "skip"


class ApprovalState(StrEnum):
    """What has become of a question. All but OPEN are final."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


DECIDED = {Decision.APPROVE: ApprovalState.APPROVED, Decision.REJECT: ApprovalState.REJECTED}


@dataclass(frozen=True, slots=True)
class ApprovalSpec:
    """What a task asks: see registry/v1/dag.proto. `form` is canonical JSON, "" for none; `approvers` are sorted.

    In a draft the enums may hold numbers that have no member.
    """

    message: str = ""
    form: str = ""
    timeout_seconds: float | None = None
    default: Decision | int | None = None
    approvers: tuple[str, ...] = ()
    on_reject: OnReject | int = OnReject.FAIL


def form_of(spec: ApprovalSpec) -> ParamsSchema:
    """What checks and completes the values of an answer. Raises InvalidParams from `complete`."""
    return ParamsSchema(spec.form, what="a value of this form", none="no values: this approval has no form")


class Answer(NamedTuple):
    """What was answered, by whom; `by` None: by the timeout. `values` is canonical JSON."""

    decision: Decision
    by: str | None = None
    values: str = "{}"
    note: str = ""

    @property
    def reason(self) -> str:
        """For people: who decided what, and why."""
        who = f"by {self.by}" if self.by is not None else "by default, as nobody answered in time"
        return f"{DECIDED[self.decision].value} {who}{': ' + self.note if self.note else ''}"

    def output(self, now: datetime) -> bytes:
        """What the task hands on."""
        value = {
            "approved": self.decision is Decision.APPROVE,
            "values": json.loads(self.values),
            "by": self.by,
            "note": self.note,
            "time": now.isoformat(),
        }
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def params_named(message: str) -> set[str]:
    """The params that a message of a registered DAG names."""
    return {name.split(".")[1] for name in template_names(message) if name.startswith("params.")}
