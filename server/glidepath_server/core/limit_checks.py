"""What is wrong with the limits that a task names: how many, how they are called, whether they are there and enough."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice

from .draft import DagDraft
from .errors import Violation
from .value_checks import ID_WORDS, check_id, shown

LIMITS_MAX = 8
SLOTS_MAX = 1_000_000
WEIGHT_MIN, WEIGHT_MAX = 0.001, 1_000.0
# Looking for a name that is near costs time with many names.
SUGGESTIONS_MAX = 5


def check_limits(at: str, limits: Mapping[str, int]) -> Iterator[Violation]:
    """Names and slots of the limits that a policy names."""
    if len(limits) > LIMITS_MAX:
        yield Violation(at, f"{len(limits)} limits", f"at most {LIMITS_MAX} limits")
    for name, slots in islice(sorted(limits.items()), LIMITS_MAX):
        if list(check_id(at, name)):
            yield Violation(at, shown(name), f"the name of a limit: {ID_WORDS}")
        elif not 1 <= slots <= SLOTS_MAX:
            yield Violation(f"{at}.{name}", str(slots), f"1 to {SLOTS_MAX} slots")


def check_weight(at: str, weight: float | None) -> Iterator[Violation]:
    if weight is not None and not WEIGHT_MIN <= weight <= WEIGHT_MAX:
        yield Violation(at, f"{weight:g}", f"{WEIGHT_MIN:g} to {WEIGHT_MAX:g}")


def limit_names(draft: DagDraft) -> set[str]:
    """Names of all limits that the DAG names."""
    policies = [draft.defaults, *(task.policy for task in draft.tasks)]
    return {name for policy in policies for name in policy.limits or {}}


def unknown_limits(draft: DagDraft, known: Mapping[str, int | None]) -> Iterator[Violation]:
    """Limits that are not there, and slots over a capacity. `known`: capacities by name, None for no cap."""
    near: dict[str, str] = {}
    yield from _unknown("defaults", draft.defaults.limits or {}, known, near)
    for task in draft.tasks:
        yield from _unknown(f"tasks.{task.task_id}.policy", task.policy.limits or {}, known, near)


def _unknown(
    at: str, limits: Mapping[str, int], known: Mapping[str, int | None], near: dict[str, str]
) -> Iterator[Violation]:
    """`near` keeps what is near to the first few names that are wrong."""
    for name, slots in sorted(limits.items()):
        if name not in known:
            if name not in near and len(near) < SUGGESTIONS_MAX:
                near[name] = "".join(difflib.get_close_matches(name[:200], sorted(known), n=1))
            close = near.get(name)
            hint = f"did you mean {close}?" if close else "make it first: SetLimit"
            yield Violation(f"{at}.limits", shown(name), f"a limit of this namespace; {hint}")
        elif (capacity := known[name]) is not None and slots > capacity:
            yield Violation(f"{at}.limits.{name}", str(slots), f"at most {capacity}, the slots of limit {name}")
