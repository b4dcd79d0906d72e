"""What operators said of single instances of mapped tasks: marks and cancels, by the audit trail."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.checker.facts import Audit
from tests.checker.instances import named_instances
from tests.checker.machines import MARK
from tests.checker.replay import NAMED_MAX

CANCEL = "task_instance.cancel"


@dataclass(frozen=True)
class Word:
    """That these instances of a task are to have a state. `more`: others too, the audit trail names the first ones."""

    indexes: frozenset[int]
    state: str
    more: bool

    def names(self, index: int) -> bool:
        return index in self.indexes or self.more


@dataclass
class Words:
    """Those of one run. `now` are the words of the step that is looked at, by task; `whole` the tasks that were marked
    as such since they were cleared."""

    audits: Iterable[Audit]
    now: dict[str, Word] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._by_transaction: dict[int, Audit] = {
            audit.transaction: audit for audit in self.audits if audit.action in (MARK, CANCEL)
        }
        self._known: dict[str, list[Word]] = {}
        self._forgotten: dict[tuple[str, int], int] = {}

    def hear(self, transaction: int) -> None:
        """A step begins."""
        self.now = {}
        audit = self._by_transaction.get(transaction)
        if audit is None:
            return
        state = str(audit.detail.get("state", "cancelled")) if audit.action == MARK else "cancelled"
        instances = named_instances(audit)
        for task_id, indexes in instances.items():
            self.now[task_id] = Word(frozenset(indexes), state, len(indexes) >= NAMED_MAX)
            self._known.setdefault(task_id, []).append(self.now[task_id])
        named = audit.detail.get("task_ids", ())
        if not instances and audit.action == MARK and isinstance(named, list):
            self.whole |= set(named)

    def forget(self, task_id: str, index: int) -> None:
        """The instance runs again: what was said before is of no account."""
        self._forgotten[task_id, index] = len(self._known.get(task_id, ()))

    def says_now(self, task_id: str, index: int, state: str) -> bool:
        """Whether the step of this very word gives the instance that end."""
        word = self.now.get(task_id)
        return word is not None and word.names(index) and word.state == state

    def said(self, task_id: str, index: int, state: str) -> bool:
        """Whether somebody has said so, also before."""
        return any(word.names(index) and word.state == state for word in self._since(task_id, index))

    def marked(self, task_id: str, index: int) -> str:
        """The end that the instance is to have by the latest word that names it; "": none, or it was cancelled."""
        for word in reversed(self._since(task_id, index)):
            if index in word.indexes:
                return word.state if word.state != "cancelled" else ""
        return ""

    def _since(self, task_id: str, index: int) -> list[Word]:
        return self._known.get(task_id, [])[self._forgotten.get((task_id, index), 0) :]
