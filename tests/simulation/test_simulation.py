"""Lives of the pure core, each from a seed that the failure names; and that the judge can say no."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from glidepath_server.core import moves
from glidepath_server.core.states import TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule
from tests.simulation.__main__ import report
from tests.simulation.bugs import BUGS, Bug, found_by, plant
from tests.simulation.life import Life, live, replay
from tests.simulation.shrink import Shrinker

SHORT = range(150)
BLOCK, BLOCKS = 250, 24
BUG_SEEDS = 2_000
# What a promise is about must happen, or nothing is shown about it.
PREMISES = {
    *("duplicate", "fenced", "lost", "returned", "timed_out", "cancelled", "retried", "withdrawn", "parked", "refused"),
    *("clear", "rerun", "cancel", "cancel_run", "pause", "pool", "kill", "restart", "copy", "lose", "shelve"),
}


def check(seeds: range) -> Counter[str]:
    """Live these seeds; the first that breaks a promise fails the test, with its shrunk history."""
    counts: Counter[str] = Counter()
    for seed in seeds:
        life = live(seed)
        counts += life.counts
        if life.failure is not None:
            pytest.fail(report(life), pytrace=False)
    return counts


def test_lives_keep_their_promises_and_hold_what_these_are_about() -> None:
    counts = check(SHORT)
    missing = sorted(premise for premise in PREMISES if not counts[premise])
    assert not missing, f"these never happened in seeds {SHORT}: {missing}"


@pytest.mark.prove
@pytest.mark.parametrize("block", range(BLOCKS))
def test_many_lives_keep_their_promises(block: int) -> None:
    first = SHORT.stop + block * BLOCK
    check(range(first, first + BLOCK))


def test_a_seed_is_one_life() -> None:
    first, again = live(7), live(7)
    assert first.actions == again.actions and first.counts == again.counts
    assert len(first.actions) > 20
    assert replay(first.scenario, first.actions).failure is None


def test_a_failing_life_is_shrunk_to_a_short_history(monkeypatch: pytest.MonkeyPatch) -> None:
    right = moves.admit

    def hasty(rule: TriggerRule, still_open: int, good: int, bad: int, skipped: int) -> TaskEvent | None:
        """Does not wait for the last upstream."""
        return right(rule, max(still_open - 1, 0), good, bad, skipped)

    monkeypatch.setattr(moves, "admit", hasty)
    life = _first_failure()
    short = Shrinker(life).shrink()
    assert short.kind == life.kind == "I11"
    assert len(short.actions) <= 6, short.actions
    assert sum(len(dag.tasks) for dag in short.scenario.dags) <= 4
    text = report(life)
    assert "trigger r" in text and f"--seed {life.scenario.seed} -v" in text


def _first_failure() -> Life:
    return next(life for life in map(live, SHORT) if life.failure is not None)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_bug_can_be_planted(bug: Bug, tmp_path: Path) -> None:
    plant(bug, tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_found(bug: Bug) -> None:
    assert found_by(bug, BUG_SEEDS, enough=1), f"{bug.name}: none of {BUG_SEEDS} seeds broke a promise"
