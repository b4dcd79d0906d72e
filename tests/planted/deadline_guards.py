"""The guards of deadlines; see guards.py."""

from __future__ import annotations

from guards import Guard, code, sql

FATES = "tests/store/test_deadline_fates.py::test_"
OWED = "tests/store/test_deadline_promises.py::test_"
NEW = "operations/new_deadlines.py"

DEADLINE_GUARDS = (
    Guard(
        "step: the time of a run with deadlines is read under its lock",
        (code("operations/step_runs.py", 'if any(row["has_deadlines"] for row in rows)', "if False"),),
        FATES + "a_step_that_comes_after_the_judge_reads_a_later_time",
    ),
    Guard(
        "hold_runs: not what a step holds",
        (sql("hold_runs", "\nfor no key update skip locked", of="deadlines"),),
        FATES + "a_step_that_holds_the_run_across_the_instant_was_in_time_however_late_it_commits",
    ),
    Guard(
        "judge: what stays held is waited for",
        (code("loops/deadlines.py", "LOCK_WAIT_SECONDS if held_rounds >= HELD_ROUNDS_MAX else None", "None"),),
        FATES + "a_run_that_stays_held_is_waited_for_and_keeps_no_other_waiting",
    ),
    Guard(
        "hold_for_risk: not what is due",
        (sql("hold_for_risk", " and due_time >= glidepath_now()", of="deadlines"),),
        FATES + "a_prediction_has_no_say_in_what_is_due_or_settled",
    ),
    Guard(
        "promise_deadlines: not of a run that exists",
        (
            sql(
                "promise_deadlines",
                "where not exists (select from dag_run_key k\n"
                "                  where (k.namespace, k.dag_id, k.run_key) = (w.namespace, w.dag_id, w.run_key))\n",
                of="deadlines",
            ),
        ),
        FATES + "nothing_is_promised_of_a_run_that_exists",
    ),
    Guard(
        "judge: a promise of a run that exists is none",
        (code("operations/judge_deadlines.py", "await store.forget_promises(connection, promised)", "pass"),),
        FATES + "nothing_is_promised_of_a_run_that_exists",
    ),
    Guard(
        "owing_schedules: not of a paused one",
        (sql("owing_schedules", "not s.paused and ", of="deadlines"),),
        OWED + "a_paused_schedule_owes_nothing_for_its_pause_and_a_paused_dag_does",
    ),
    Guard(
        "promises: from a change on",
        (
            code(
                "operations/promise_deadlines.py",
                "max(owing.promised_time, owing.update_time)",
                "owing.promised_time",
            ),
        ),
        OWED + "a_schedule_that_is_changed_owes_what_it_owes_from_then_on",
    ),
    Guard(
        "promises: not for ticks before the deadline was set",
        (code(NEW, " and owned.update_time <= each.tick_time", ""),),
        OWED + "a_deadline_is_not_owed_for_ticks_before_it_was_set",
    ),
    Guard(
        "delete_undeclared: not what was set by itself",
        (sql("delete_undeclared", " and origin = 'dag'", of="deadlines"),),
        "tests/api/test_dag_deadlines.py::test_what_a_dag_declares_is_no_part_of_its_version",
    ),
)
