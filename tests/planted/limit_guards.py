"""The guards of named limits, rates, limits of runs, priority and shared workers; see guards.py."""

from __future__ import annotations

from guards import CLAIMS, Guard, code, sql

NAMED = "tests/store/test_named_limits.py::test_"

LIMIT_GUARDS = (
    Guard(
        "note_starts: what starts is counted",
        (code(CLAIMS, "await store.note_starts(connection, starts, now)", "pass"),),
        NAMED + "two_claims_never_start_more_than_a_rate_allows",
    ),
    Guard(
        "note_starts: at a time of under the lock",
        (code(CLAIMS, "max(now, counted or now)", "now"),),
        NAMED + "a_start_is_counted_from_when_the_limit_was_held_and_not_from_before_the_wait",
    ),
    Guard(
        "limit_use: only starts of the window",
        (sql("limit_use", " and s.start_time > glidepath_now() - make_interval(secs => c.rate_seconds)"),),
        NAMED + "an_end_gives_back_the_slot_of_a_limit_and_not_a_start_of_its_rate",
    ),
    Guard(
        "lock_ended_runs: not what is being cleared",
        (sql("lock_ended_runs", "\nfor no key update skip locked", of="limits"),),
        NAMED + "the_limit_of_a_run_that_is_being_cleared_stays",
    ),
    Guard(
        "set_priority: of what a step is releasing, too",
        (sql("lock_run", " for no key update", of="priorities"),),
        NAMED + "a_word_on_priority_reaches_what_a_step_is_releasing",
    ),
    Guard(
        "shared workers: no namespace is gone by",
        (code(CLAIMS, "fits and not (placed[2].offer.others and busy & self._lines(placed[2]))", "fits"),),
        "tests/store/test_fair_shares.py::test_a_chain_that_is_handed_on_goes_by_no_other_namespace",
    ),
)
