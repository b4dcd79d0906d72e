"""The guards of backfills; see guards.py.

Not here is what only spares work and is asked again under the lock: `hungry_backfills`.
"""

from __future__ import annotations

from guards import Guard, code, sql

LIFE = "tests/api/test_backfills.py::test_"
HELD = "tests/api/test_backfill_guards.py::test_"
MET = "tests/api/test_backfill_meetings.py::test_"
PACE, STEER = "operations/pace_backfills.py", "operations/steer_backfills.py"
_FULL = "            if await self._may_pass(backfill, wanted):\n                return False\n"

BACKFILL_GUARDS = (
    # ---- who holds it
    Guard(
        "take_backfill: not what another holds",
        (sql("take_backfill", " for no key update skip locked", of="backfills"),),
        HELD + "a_backfill_that_another_replica_holds_is_passed_over",
    ),
    Guard(
        "take_backfill: nobody is waited for",
        (sql("take_backfill", " skip locked", of="backfills"),),
        HELD + "a_backfill_that_another_replica_holds_is_passed_over",
    ),
    Guard(
        "take_backfill: only one that runs",
        (sql("take_backfill", " and (state = 'running' or cancel_runs)", of="backfills"),),
        HELD + "a_backfill_that_was_paused_meanwhile_makes_nothing",
    ),
    Guard(
        "hold_running: only one that runs",
        (sql("hold_running", " and state = 'running'", of="backfills"),),
        HELD + "a_rerun_that_was_decided_is_not_done_after_a_pause",
    ),
    Guard(
        "hold_running: whoever counts is waited for",
        (sql("hold_running", " for no key update", of="backfills"),),
        MET + "a_rerun_waits_for_who_counts_the_active_runs",
    ),
    Guard(
        "lock_backfill: who steers goes by what it is under the lock",
        (sql("lock_backfill", " for no key update", of="backfills"),),
        MET + "who_steers_a_backfill_goes_by_what_it_is_when_its_row_is_free",
    ),
    # ---- the pace
    Guard(
        "pace: no more runs than there is room for",
        (code(PACE, "if len(self.makes) + len(self.chunk.reruns) >= room.runs:", "if False:"),),
        HELD + "replicas_that_pace_at_once_make_each_date_once_and_keep_the_cap",
    ),
    Guard(
        "pace: a rerun counts the active runs again",
        (code(PACE, "held is None or (await _room(connection, held)).runs == 0", "held is None"),),
        HELD + "reruns_keep_the_cap_too",
    ),
    Guard(
        "count_active: only what has not ended",
        (sql("count_active", " and state in ('queued', 'running')", of="backfills"),),
        MET + "a_backfill_has_not_ended_while_a_run_of_it_is_active",
    ),
    Guard(
        "pace: a rate counts the latest starts",
        (code(PACE, "if pace.rate_runs else []", "if False else []"),),
        LIFE + "a_rate_holds_whatever_the_cap_allows",
    ),
    Guard(
        "pace: what has begun is adopted, and counts",
        (code(PACE, "            await self._adopt()\n"),),
        MET + "reruns_of_a_backfill_keep_its_cap_while_they_run",
    ),
    # ---- a date has one outcome
    Guard(
        "write_outcomes: only of what waits",
        (sql("write_outcomes", " and b.outcome = 'waiting'", of="backfills"),),
        HELD + "a_date_that_has_its_outcome_gets_no_other",
    ),
    Guard(
        "pace: a rerun that was done is not done again",
        (
            code(
                PACE,
                "if await store.write_outcomes(connection, backfill.backfill_id, [outcome], now) == 0:",
                "if await store.write_outcomes(connection, backfill.backfill_id, [outcome], now) < 0:",
            ),
        ),
        MET + "a_rerun_that_was_done_is_not_done_again_when_its_run_fails_anew",
    ),
    Guard(
        "pace: a key that was just taken is not ours",
        (code(PACE, "                if run.created:\n", "                if True:\n"),),
        MET + "a_key_that_is_taken_after_the_look_leaves_its_date_for_the_next_round",
    ),
    Guard(
        "pace: a date whose run cannot be made is skipped",
        (
            code(
                PACE, "                self._refuse(error)\n                continue\n", "                raise error\n"
            ),
        ),
        LIFE + "a_date_that_no_version_can_run_is_skipped_and_the_others_go_on",
    ),
    Guard(
        "pace: a rerun that a full DAG refuses is tried again",
        (code(PACE, _FULL),),
        MET + "a_rerun_that_a_full_dag_refuses_is_tried_again",
    ),
    Guard(
        "adopt_runs: only what has ended",
        (sql("adopt_runs", " and w.state in ('success', 'failed', 'cancelled')", of="backfills"),),
        HELD + "a_run_that_began_again_is_not_taken_for_one_that_has_ended",
    ),
    Guard(
        "adopt_runs: nobody is waited for",
        (sql("adopt_runs", " for no key update skip locked", of="backfills"),),
        MET + "a_run_that_somebody_holds_is_left_for_later",
    ),
    Guard(
        "pace: it ends with the last of its runs",
        (code(PACE, "if await store.count_active(self.connection, self.backfill.backfill_id) == 0:", "if True:"),),
        MET + "a_backfill_has_not_ended_while_a_run_of_it_is_active",
    ),
    # ---- steering
    Guard(
        "skip_waiting of backfills: not what has its outcome",
        (sql("skip_waiting", " and outcome = 'waiting'", of="backfills"),),
        MET + "runs_of_a_cancelled_backfill_are_told_once_and_nothing_is_made",
    ),
    Guard(
        "cancel: what waits is skipped",
        (code(STEER, "if event is BackfillEvent.CANCEL:", "if False:"),),
        LIFE + "a_cancel_without_more_lets_active_runs_end",
    ),
    Guard(
        "cancels_told: once",
        (code(PACE, "    await store.cancels_told(connection, backfill.backfill_id)\n"),),
        MET + "runs_of_a_cancelled_backfill_are_told_once_and_nothing_is_made",
    ),
    Guard(
        "retry_failed: only of what has failed or was cancelled",
        (sql("retry_failed", "\n      and r.state in ('failed', 'cancelled')", of="backfills"),),
        LIFE + "a_retry_reruns_what_has_failed_and_nothing_else",
    ),
    Guard(
        "retry_failed: only of its own runs",
        (sql("retry_failed", " and b.outcome in ('created', 'rerun')", of="backfills"),),
        MET + "a_date_that_was_skipped_is_not_retried_for_the_run_of_another",
    ),
    Guard(
        "retry: there is something to retry",
        (code(STEER, "        if again == 0:\n", "        if again < 0:\n"),),
        MET + "a_date_that_was_skipped_is_not_retried_for_the_run_of_another",
    ),
    Guard(
        "steer: what changes nothing leaves no trace",
        (code(STEER, "if state is found.state and not again and not cancel_runs:", "if False:"),),
        MET + "a_word_that_changes_nothing_leaves_no_trace",
    ),
    Guard(
        "set_state: an end keeps its time",
        (sql("set_state", "coalesce(end_time, glidepath_now())", "glidepath_now()", of="backfills"),),
        MET + "a_cancel_that_comes_again_tells_the_runs_and_keeps_its_time",
    ),
    Guard(
        "set_state: runs that are yet to be told stay so",
        (sql("set_state", " or (cancel_runs and $2 = 'cancelled')", of="backfills"),),
        MET + "a_cancel_that_comes_again_tells_the_runs_and_keeps_its_time",
    ),
    # ---- creation
    Guard(
        "insert_dates: what the schedule leaves out has its outcome at once",
        (
            sql(
                "insert_dates", "case when d.reason = '' then 'waiting' else 'skipped' end", "'waiting'", of="backfills"
            ),
        ),
        MET + "dates_of_a_schedule_are_those_that_it_does_not_leave_out",
    ),
    Guard(
        "schedule: one that is deleted has no dates",
        (sql("schedule", " and not deleted", of="backfills"),),
        MET + "dates_of_a_schedule_are_those_that_it_does_not_leave_out",
    ),
)
