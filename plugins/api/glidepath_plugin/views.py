"""What plugins are given: frozen copies. None of them leads back into the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that has happened.

    `kind` is a name such as "run_failed"; kinds that you do not know may come. `severity` is "problem", "warning" or
    "resolved". `summary` is one line for people, `task_id` is empty for a whole run, `details` what JSON can hold: of a
    run that failed its `tasks_failed`, the root causes, each with `task_id`, `reason` and how many `instances`.
    """

    kind: str
    severity: str
    summary: str
    fact_time: datetime
    task_id: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "severity": self.severity,
            "summary": self.summary,
            "time": self.fact_time.isoformat(),
            "task_id": self.task_id,
            "details": dict(self.details),
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Fact:
        return Fact(
            value["kind"],
            value["severity"],
            value["summary"],
            datetime.fromisoformat(value["time"]),
            value["task_id"],
            value["details"],
        )


@dataclass(frozen=True, slots=True)
class Alert:
    """Facts about one run (or, without a run, one DAG or the server) for one channel, in their order, at least one.

    `alert_id` is the same each time that this alert is sent: a receiver that knows it has had it already. `is_test`:
    somebody tries the channel. `dag_id` and `dag_run_id` may be empty.
    """

    alert_id: str
    namespace: str
    channel: str
    create_time: datetime
    dag_id: str = ""
    dag_run_id: str = ""
    facts: tuple[Fact, ...] = ()
    is_test: bool = False

    @property
    def title(self) -> str:
        """One line: what this is about, by the worst that the facts say."""
        order = ("problem", "warning", "resolved")
        worst = min(self.facts, key=lambda fact: order.index(fact.severity) if fact.severity in order else 3)
        return f"[glidepath] {'test: ' if self.is_test else ''}{worst.summary}"

    @property
    def text(self) -> str:
        """Plain text for people: each fact, and by which tasks runs have failed."""
        about = [("namespace", self.namespace), ("DAG", self.dag_id), ("run", self.dag_run_id)]
        lines = [f"{name}: {value}" for name, value in about if value]
        for fact in self.facts:
            lines += ["", f"{fact.fact_time.isoformat()} {fact.kind}: {fact.summary}"]
            causes = fact.details.get("tasks_failed", ())
            lines += [f"  {cause['task_id']}: {cause['reason']}" for cause in causes]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return {
            "alert_id": self.alert_id,
            "namespace": self.namespace,
            "channel": self.channel,
            "create_time": self.create_time.isoformat(),
            "dag_id": self.dag_id,
            "dag_run_id": self.dag_run_id,
            "facts": [fact.to_json() for fact in self.facts],
            "is_test": self.is_test,
        }

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Alert:
        return Alert(
            value["alert_id"],
            value["namespace"],
            value["channel"],
            datetime.fromisoformat(value["create_time"]),
            value["dag_id"],
            value["dag_run_id"],
            tuple(map(Fact.from_json, value["facts"])),
            value["is_test"],
        )

    def body(self) -> bytes:
        """The alert as JSON, for channels that carry data."""
        return json.dumps(self.to_json(), ensure_ascii=False, separators=(",", ":")).encode()
