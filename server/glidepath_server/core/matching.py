"""Which workers may run which task classes. Pure; says why not, for `explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker said in its hello. `others` are further namespaces that it serves beside its own."""

    namespace: str
    queue_names: frozenset[str]
    labels: Mapping[str, str]
    resources: Mapping[str, float]
    # (name or prefix ending in "*", versions; "*" for any)
    handlers: tuple[tuple[str, frozenset[str]], ...]
    others: frozenset[str] = frozenset()

    def serves(self, namespace: str) -> bool:
        return namespace == self.namespace or namespace in self.others

    def key(self) -> tuple[object, ...]:
        """Equal for workers that can run exactly the same."""
        return (
            self.namespace,
            self.queue_names,
            tuple(sorted(self.labels.items())),
            tuple(sorted(self.resources.items())),
            self.handlers,
            self.others,
        )


@dataclass(frozen=True, slots=True)
class TaskClass:
    """Tasks of equal needs, as stored in task_class. `limits` are further limits beside its DAG's and its pool's, with
    the slots that an attempt takes of each; `run_limited`: and one of its run's own limit."""

    class_id: int
    namespace: str
    dag_id: str
    queue_id: int
    queue_name: str
    handler_name: str
    handler_version: str
    worker_selector: Mapping[str, str]
    resources: Mapping[str, float]
    tasks_limit_id: int
    pool_limit_id: int | None = None
    pool_slots: int = 0
    limits: Mapping[int, int] = field(default_factory=dict)
    run_limited: bool = False

    def slots(self, run_limit_id: int = 0) -> dict[int, int]:
        """What an attempt takes, by limit."""
        found = {self.tasks_limit_id: 1}
        if self.pool_limit_id is not None:
            found[self.pool_limit_id] = self.pool_slots
        found.update(self.limits)
        if run_limit_id:
            found[run_limit_id] = 1
        return found

    @property
    def has_limits(self) -> bool:
        """Whether it has limits that hold whatever its DAG's says."""
        return self.pool_limit_id is not None or bool(self.limits) or self.run_limited


def mismatch(offer: Offer, needs: TaskClass) -> str:
    """Why the worker cannot run the class, "" when it can."""
    if not offer.serves(needs.namespace):
        return f"namespace {offer.namespace}"
    if needs.queue_name not in offer.queue_names:
        return f"serves queues {', '.join(sorted(offer.queue_names))}, not {needs.queue_name}"
    if reason := _handler_mismatch(offer, needs):
        return reason
    for name, value in needs.worker_selector.items():
        if offer.labels.get(name) != value:
            return f"label {name} is {offer.labels.get(name, 'not set')}, not {value}"
    for name, amount in needs.resources.items():
        if offer.resources.get(name, 0.0) < amount:
            return f"has {offer.resources.get(name, 0.0):g} {name}, {amount:g} needed"
    return ""


def _handler_mismatch(offer: Offer, needs: TaskClass) -> str:
    versions: set[str] = set()
    for name, offered in offer.handlers:
        if name == needs.handler_name or (name.endswith("*") and needs.handler_name.startswith(name[:-1])):
            if not needs.handler_version or "*" in offered or needs.handler_version in offered:
                return ""
            versions |= offered
    if versions:
        found = ", ".join(sorted(versions))
        return f"has handler {needs.handler_name} in versions {found}, not {needs.handler_version}"
    return f"does not offer handler {needs.handler_name}"
