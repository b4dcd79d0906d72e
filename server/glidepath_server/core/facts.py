"""Facts that people may want to hear of: what kinds there are, and which the end of a run is.

A fact is written in the transaction of the change that it tells of (operations/facts.py), once, and read after the
commit by whoever alerts. A kind is a name that routes and plugins know: it is never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from .board import Board
from .states import RUN_FINAL, RunState


class Severity(StrEnum):
    """How bad news of a kind is; `resolved` is good news after bad."""

    PROBLEM = "problem"
    WARNING = "warning"
    RESOLVED = "resolved"


class FactKind(StrEnum):
    RUN_FAILED = "run_failed"
    RUN_RECOVERED = "run_recovered"
    INCIDENT = "incident"
    AT_RISK = "at_risk"
    MISSED = "missed"
    MET_LATE = "met_late"
    RECOVERED = "recovered"


class KindOfFact(NamedTuple):
    """`means`: for people who choose what they want to hear of."""

    severity: Severity
    means: str


KINDS: dict[FactKind, KindOfFact] = {
    FactKind.RUN_FAILED: KindOfFact(Severity.PROBLEM, "a run has failed; names the tasks that failed by themselves"),
    FactKind.RUN_RECOVERED: KindOfFact(Severity.RESOLVED, "a run that had failed was cleared and has succeeded"),
    FactKind.INCIDENT: KindOfFact(Severity.PROBLEM, "the server has set something aside: a run, a plugin"),
    FactKind.AT_RISK: KindOfFact(Severity.WARNING, "a deadline will probably be missed"),
    FactKind.MISSED: KindOfFact(Severity.PROBLEM, "a deadline has passed, and what it watches has not ended"),
    FactKind.MET_LATE: KindOfFact(Severity.RESOLVED, "what missed its deadline has ended well since"),
    FactKind.RECOVERED: KindOfFact(Severity.RESOLVED, "a deadline that was at risk will probably be met, or was"),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """What has happened, to what, when. `body` is a JSON object with a `summary` (one line for people) and details.

    `dag_id` is empty where no DAG is concerned, `dag_run_id` None where there is no run (yet), `task_id` empty for a
    whole run. `fact_time` is the database's.
    """

    kind: FactKind
    namespace: str
    fact_time: datetime
    dag_id: str = ""
    dag_run_id: UUID | None = None
    task_id: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)


def fact_of_end(was: RunState, board: Board) -> FactKind | None:
    """What a step that moved a run from `was` to the state of its board has to tell; nothing for an ordinary end.

    A run that failed and was only marked otherwise without running, and is failed still, has told it already.
    """
    if board.state not in RUN_FINAL or board.state is was:
        return None
    if board.state is RunState.FAILED:
        return FactKind.RUN_FAILED
    if board.state is RunState.SUCCESS and board.has_failed:
        return FactKind.RUN_RECOVERED
    return None
