"""The guards of what is forgotten with time; see guards.py."""

from __future__ import annotations

from guards import Guard, sql

BACKFILLS = "tests/store/test_history_of_backfills.py::test_"

HISTORY_GUARDS = (
    Guard(
        "past_backfills: one whose runs are yet to be told to end stays",
        (sql("past_backfills", " and not b.cancel_runs", of="history"),),
        BACKFILLS + "one_whose_runs_are_yet_to_be_cancelled_stays",
    ),
    Guard(
        "past_backfills: one with a run that is there stays",
        (sql("past_backfills", "join dag_run r using (dag_run_id)", "join dag_run r on false", of="history"),),
        BACKFILLS + "what_goes_on_or_has_a_run_that_is_there_stays_whole",
    ),
    Guard(
        "delete_backfill: one that was retried since stays",
        (sql("delete_backfill", "and end_time < $2", "and $2::timestamptz is not null", of="history"),),
        BACKFILLS + "one_that_was_retried_after_it_was_found_stays",
    ),
)
