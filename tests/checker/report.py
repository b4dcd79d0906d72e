"""Verdicts and the report that they make."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PASS, FAIL, NOT_TESTED = "PASS", "FAIL", "NOT TESTED"


@dataclass(frozen=True, slots=True)
class Break:
    """One way in which an invariant does not hold: what is wrong, and the facts that show it.

    `order` is the transaction of the newest of these facts, 0 for what only journals say.
    """

    says: str
    facts: tuple[str, ...]
    order: int = 0

    @staticmethod
    def of(says: str, *facts: object) -> Break:
        """A break shown by these facts."""
        order = max((getattr(fact, "transaction", 0) for fact in facts), default=0)
        return Break(says, tuple(map(str, facts)), order)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one invariant. `premise` is what had to occur for it to be tried, and did `occurred` times."""

    invariant: str
    premise: str
    occurred: int
    breaks: int = 0
    smallest: Break | None = None

    @property
    def outcome(self) -> str:
        if self.breaks:
            return FAIL
        return PASS if self.occurred else NOT_TESTED


def judged(invariant: str, premise: str, occurred: int, breaks: Iterable[Break]) -> Verdict:
    """The verdict with its smallest counter-example: fewest facts, and of those the first in commit order."""
    found = list(breaks)
    smallest = min(found, key=lambda each: (len(each.facts), each.order)) if found else None
    return Verdict(invariant, premise, occurred, len(found), smallest)


@dataclass(frozen=True, slots=True)
class Report:
    """All verdicts. `expected` says how often each premise has to occur at least; what is not named there may stay
    untested."""

    verdicts: tuple[Verdict, ...]
    expected: Mapping[str, int]

    def __getitem__(self, invariant: str) -> Verdict:
        return next(verdict for verdict in self.verdicts if verdict.invariant == invariant)

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """What is broken, and what was expected to be tried and was not, or not often enough."""
        return tuple(
            each
            for each in self.verdicts
            if each.outcome == FAIL or each.occurred < self.expected.get(each.invariant, 0)
        )

    @property
    def ok(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        return "\n".join(line for verdict in self.verdicts for line in self._lines(verdict))

    def _lines(self, verdict: Verdict) -> Sequence[str]:
        wanted = self.expected.get(verdict.invariant, 0)
        few = f", expected {wanted}" if 0 < verdict.occurred < wanted else ""
        lines = [f"{verdict.outcome:10} {verdict.invariant:4} {verdict.premise}: {verdict.occurred} times{few}"]
        if verdict.smallest:
            lines.append(f"           {verdict.smallest.says} ({verdict.breaks} in all)")
            lines += [f"             {fact}" for fact in verdict.smallest.facts]
        return lines

    def to_json(self) -> str:
        return json.dumps({"ok": self.ok, "verdicts": [self._fields(each) for each in self.verdicts]}, indent=2)

    def _fields(self, verdict: Verdict) -> dict[str, Any]:
        smallest = verdict.smallest
        return {
            "invariant": verdict.invariant,
            "outcome": verdict.outcome,
            "premise": verdict.premise,
            "occurred": verdict.occurred,
            "expected": self.expected.get(verdict.invariant, 0),
            "breaks": verdict.breaks,
            "counter_example": {"says": smallest.says, "facts": smallest.facts} if smallest else None,
        }


def expectation(expect: Mapping[str, int] | Collection[str] | None, known: Collection[str]) -> dict[str, int]:
    """How often each premise must occur: once for each invariant unless the caller names fewer, or counts.

    Raises ValueError for an invariant that nobody judges.
    """
    wanted = dict.fromkeys(known, 1) if expect is None else _counts(expect)
    if unknown := sorted(wanted.keys() - set(known)):
        raise ValueError(f"expect names {', '.join(unknown)}; expected some of {', '.join(known)}")
    return wanted


def _counts(expect: Mapping[str, int] | Collection[str]) -> dict[str, int]:
    return dict(expect) if isinstance(expect, Mapping) else dict.fromkeys(expect, 1)
