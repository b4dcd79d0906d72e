"""The guards of child runs, as guards.py has those of the engine."""

from __future__ import annotations

from guards import Guard, code, sql

CHILDREN = "tests/store/test_child_runs.py::test_"
CANCELLED_CHILDREN = "tests/store/test_child_run_cancels.py::test_"
_CALLS_UNLESS_TOLD = """        if row["cancel_requested"] or row["timed_out"]:
            report.outcome, report.called, report.checkpoint = AttemptState.CANCELLED, None, b\"\"
        else:
            begun.append((report, row))"""
_OF_ITS_GENERATION = """
  and c.attempt_number >= l.attempt_number - l.tries - l.losses - l.redeliveries - l.deferrals - l.preemptions"""

CHILD_RUN_GUARDS = (
    Guard(
        "calls: not of an attempt that was told to end",
        (code("operations/calls.py", _CALLS_UNLESS_TOLD, "        begun.append((report, row))"),),
        CANCELLED_CHILDREN + "a_call_of_an_attempt_that_was_told_to_end_makes_no_child_run",
    ),
    Guard(
        "calls: an attempt that was told to end has ended when it calls",
        (sql("accept", "s.state <> 'called' or g.cancel_requested_time is not null", "s.state <> 'called'"),),
        CANCELLED_CHILDREN + "a_call_of_an_attempt_that_was_told_to_end_makes_no_child_run",
    ),
    Guard(
        "calls: what has called is no duplicate of nothing",
        (sql("ended_before", "case when c.child_run_id is not null then 'called' else a.state end", "a.state"),),
        CHILDREN + "a_call_that_is_told_twice_makes_one_child_run",
    ),
    Guard(
        "calls: of the ends of a child run the first one counts",
        (sql("end_waits", " and c.waiting", of="calls"),),
        CHILDREN + "a_second_end_that_is_told_while_the_first_is_being_taken_changes_nothing",
    ),
    Guard(
        "calls: of what a child run gives the first counts",
        (sql("write_outputs", "\non conflict do nothing", of="calls"),),
        CHILDREN + "a_child_run_that_is_run_again_before_its_caller_was_told_has_given_what_it_gave_first",
    ),
    Guard(
        "calls: only what waits is told to end",
        (sql("request_cancel", "\n      and c.waiting"),),
        CHILDREN + "a_cancel_spares_a_child_run_of_an_earlier_attempt_that_somebody_has_begun_again",
    ),
    Guard(
        "calls: what follows a failure calls anew",
        (sql("ends_for", " and c.tries = l.tries", of="calls"),),
        CHILDREN + "an_attempt_that_was_lost_is_told_of_the_child_run_again_and_one_after_a_failure_is_not",
    ),
    Guard(
        "calls: what is told is of the attempt's generation",
        (sql("ends_for", _OF_ITS_GENERATION, of="calls"),),
        CHILDREN + "a_task_that_was_cleared_is_not_told_of_child_runs_from_before",
    ),
    Guard(
        "calls: a run that was told to end before it began does not begin",
        (
            code(
                "core/advance.py",
                " or self.board.intent is not RunIntent.RUN:\n            return  # two",
                ":\n            return  # two",
            ),
        ),
        "tests/unit/test_advance.py::test_a_run_that_was_told_to_end_before_it_began_does_not_begin",
    ),
    Guard(
        "calls: a run key that is taken is left to whom it is",
        (code("store/calls.py", "run if run.dag_run_id in free else run._replace", "run if True else run._replace"),),
        CHILDREN + "a_run_key_that_somebody_else_has_taken_is_left_to_him",
    ),
)
