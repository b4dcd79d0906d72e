"""The guards of tasks that depend on the past, of runs that go in order, of preempted attempts; see guards.py."""

from __future__ import annotations

from guards import Guard, code, sql

WAITS = "tests/store/test_past_waits.py::test_"
RUNS = "tests/api/test_depends_on_past.py::test_"
ORDER = "tests/api/test_runs_in_order.py::test_"
COUNTS = "tests/store/test_preemption_counts.py::test_"
RULES = "tests/unit/test_past.py::test_"
PAST = "operations/past.py"

PAST_GUARDS = (
    Guard(
        "check: waits for the step that is at the run before",
        (sql("hold_run", " for share", of="past"),),
        WAITS + "the_look_waits_for_the_step_that_is_at_the_run_before",
    ),
    Guard(
        "wait: who waits anew is looked at anew",
        (sql("wait", ", checked = false", of="past"),),
        WAITS + "a_wake_up_that_finds_another_end_waits_on",
    ),
    Guard(
        "runs_before: no child run is before another run",
        (sql("runs_before", " and p.run_type <> 'child'", of="past"),),
        WAITS + "child_runs_wait_for_nobody_and_hold_nobody_back",
    ),
    Guard(
        "answer: a child run waits for nobody",
        (code(PAST, " if not run.is_child]", "]"),),
        WAITS + "child_runs_wait_for_nobody_and_hold_nobody_back",
    ),
    Guard(
        "forget: what does not wait any more",
        (code(PAST, "await store.forget(connection, over)", "pass"),),
        WAITS + "a_wait_that_its_run_has_given_up_is_gone",
    ),
    Guard(
        "forget: what was told and does not wait again",
        (code(PAST, "(told | changed.keys())", "(set() | changed.keys())"),),
        WAITS + "a_wait_that_is_needed_no_more_is_gone_once_it_is_told",
    ),
    Guard(
        "wait: not what has ended in the rest of the step",
        (code(PAST, "run is not None and run.board.states[task] == TaskState.SCHEDULED", "run is not None"),),
        WAITS + "a_task_that_is_cancelled_in_the_step_in_which_it_asks_does_not_wait",
    ),
    Guard(
        "wake: only by an end that is well",
        (code(PAST, "if state in LETS_GO]", "]"),),
        WAITS + "an_end_that_is_not_well_wakes_nobody[failed]",
    ),
    Guard(
        "sweep: nobody who was told already",
        (sql("sweep", " and not exists (select from run_inbox i where i.dag_run_id = w.dag_run_id)", of="past"),),
        WAITS + "a_set_aside_run_is_not_swept",
    ),
    Guard(
        "sweep: nobody who is set aside",
        (sql("sweep", "not r.quarantined and ", of="past"),),
        WAITS + "a_set_aside_run_is_not_swept",
    ),
    Guard(
        "sweep: who waits for what is not the run before any more",
        (sql("sweep", "p.dag_run_id is distinct from w.previous_run_id\n           or ", of="past"),),
        RUNS + "a_run_that_comes_between_lets_go_what_waited_for_one_that_failed",
    ),
    Guard(
        "sweep: who waits for what has ended unseen",
        (
            sql(
                "sweep",
                "\n           or get_byte(p.board, w.previous_task_index) = any($2::integer[])",
                " and $2::integer[] is not null",
                of="past",
            ),
        ),
        RUNS + "a_version_that_knows_of_no_such_waits_is_found_by_the_sweep",
    ),
    Guard(
        "release: what has begun is not held back again",
        (code("core/moves.py", " or task in self.board.held\n", "\n"),),
        RULES + "a_pause_comes_before_the_past_and_what_has_begun_goes_on_after_it",
    ),
    Guard(
        "run_retried: what begins again was let go before",
        (code("core/advance.py", "self.past_free.update(event.tasks)", "pass"),),
        RULES + "a_retry_of_the_run_asks_for_what_has_not_started_and_keeps_its_delay",
    ),
    Guard(
        "hand_over: takes along how often machines were taken away",
        (sql("hand_over", "u.waiting_since, u.preemptions\nfrom", "u.waiting_since, 0\nfrom"),),
        COUNTS + "an_attempt_that_is_handed_over_knows_the_count",
    ),
    Guard(
        "claim: takes along how often machines were taken away",
        (sql("claim", "p.waiting_since, p.preemptions\n    from", "p.waiting_since, 0\n    from"),),
        COUNTS + "a_claim_knows_the_count[unlimited]",
    ),
    Guard(
        "read_checkpoints: also of what was preempted",
        (sql("read_checkpoints", " - l.preemptions"),),
        COUNTS + "a_preempted_attempt_leaves_its_checkpoint_to_the_next",
    ),
    Guard(
        "admit_next_run: not beside another",
        (
            sql(
                "admit_next_run",
                """
      and not exists (select from dag_run a where a.namespace = $1 and a.dag_id = $2 and a.admitted
                      and a.state in ('queued', 'running'))""",
            ),
        ),
        ORDER + "runs_go_by_logical_date_and_one_after_the_other",
    ),
    Guard(
        "admit_next_run: by logical date",
        (sql("admit_next_run", "order by w.logical_date, w.dag_run_id", "order by w.dag_run_id"),),
        ORDER + "runs_of_one_call_start_with_the_earliest",
    ),
)
