"""Every trigger rule against the table that was written down by hand."""

from __future__ import annotations

import itertools

import pytest

from glidepath_server.core.states import TaskEvent, TaskState
from glidepath_server.core.trigger_rules import NEED_UPSTREAM, SKIP_SPREADS, TriggerRule, admit
from tests.checker import machines
from tests.trigger_rule_table import KINDS, VERDICTS, verdict

MIXTURES = sorted({mixture for _, mixture in VERDICTS}, key=sorted)
EVENTS = {
    "run": TaskEvent.RELEASE,
    "skip": TaskEvent.SKIP,
    "fail": TaskEvent.UPSTREAM_FAIL,
    "wait": None,
}


def test_the_table_has_every_rule_mixture_and_state() -> None:
    kinds = sorted(set(KINDS.values()))
    mixtures = {frozenset(each) for size in range(1, 5) for each in itertools.combinations(kinds, size)}
    assert VERDICTS.keys() == set(itertools.product(list(TriggerRule), mixtures))
    assert KINDS.keys() == {state.name.lower() for state in TaskState}


@pytest.mark.parametrize("rule", TriggerRule)
@pytest.mark.parametrize("most", [1, 2, 5])
def test_a_rule_says_what_the_table_says(rule: TriggerRule, most: int) -> None:
    for mixture in MIXTURES:
        for counts in itertools.product(*(range(1, most + 1) if kind in mixture else [0] for kind in _ORDER)):
            still_open, good, bad, skipped = counts
            assert admit(rule, still_open, good, bad, skipped) is EVENTS[VERDICTS[rule, mixture]], (mixture, counts)


_ORDER = ("open", "good", "bad", "skip")


@pytest.mark.parametrize("rule", TriggerRule)
def test_what_a_rule_has_decided_no_later_end_would_change(rule: TriggerRule) -> None:
    for mixture in MIXTURES:
        decided = VERDICTS[rule, mixture]
        if "open" in mixture and decided != "wait":
            for later in MIXTURES:
                assert VERDICTS[rule, mixture | later] == decided, (mixture, later)
                if ended := (mixture | later) - {"open"}:
                    assert VERDICTS[rule, ended] == decided, ended


@pytest.mark.parametrize("rule", TriggerRule)
def test_the_checker_knows_the_same_rules(rule: TriggerRule) -> None:
    words = {"run": "released", "skip": "skipped", "fail": "upstream_failed", "wait": "scheduled"}
    for size in (1, 2, 3):
        for states in itertools.combinations_with_replacement(KINDS, size):
            assert machines.rule_says(rule.value, states) == words[verdict(rule, states)], states


@pytest.mark.parametrize("rule", TriggerRule)
def test_a_task_without_upstreams_runs_or_is_refused(rule: TriggerRule) -> None:
    assert (admit(rule, 0, 0, 0, 0) is TaskEvent.RELEASE) or rule in NEED_UPSTREAM


@pytest.mark.parametrize("rule", TriggerRule)
def test_a_skip_spreads_by_the_rules_that_say_so(rule: TriggerRule) -> None:
    spreads = verdict(rule, ["success", "skipped"]) == "skip" and verdict(rule, ["success"]) == "run"
    alone = verdict(rule, ["skipped"]) == "skip" and verdict(rule, ["success"]) == "run" and rule in SKIP_SPREADS
    assert (rule in SKIP_SPREADS) == (spreads or alone)
