"""The guards of what operators say of single instances of mapped tasks, of the kind of guards.py."""

from __future__ import annotations

from guards import Guard, code, sql

STORE = "tests/store/test_instance_marks.py::test_"
UNIT = "tests/unit/test_map_marks.py::test_"
MARKS, MAPS = "core/map_marks.py", "core/maps.py"
_OTHER_END = """
  and not exists (select from instance_mark m where m.dag_run_id = $1 and m.task_index = $2
                  and m.map_index = a.map_index and (m.state <> 10 or m.base >= a.attempt_number))"""

INSTANCE_GUARDS = (
    Guard(
        "gathered: not of an instance that has another end than its attempt",
        (sql("gathered", _OTHER_END, of="maps"),),
        STORE + "instances_in_every_place_have_the_end_that_is_said_and_the_list_has_none_of_them",
    ),
    Guard(
        "gathered: not of an attempt over earlier lists",
        (sql("gathered", " or m.base >= a.attempt_number", of="maps"),),
        STORE + "a_map_that_begins_anew_knows_nothing_of_marks_before",
    ),
    Guard(
        "expand: marks of earlier lists are gone",
        (code("operations/map_tasks.py", "        await maps.drop_marks(connection, run.dag_run_id, task)\n"),),
        STORE + "a_map_that_begins_anew_knows_nothing_of_marks_before",
    ),
    Guard(
        "states_of: of those that were released in this life of the map",
        (
            code(
                "operations/map_tasks.py",
                "known = {index for index in indexes if index < counts.released or index in counts.ahead}",
                "known = {index for index in indexes if index in states}",
            ),
        ),
        STORE + "states_of_a_longer_life_of_a_map_are_not_those_of_instances_to_come",
    ),
    Guard(
        "completed: only instances that there are",
        (
            code(
                "operations/complete_commands.py",
                "        check_instances(run.plan.graph, run.board, {event.task: event.indexes})\n",
            ),
        ),
        STORE + "an_instance_that_is_not_there_is_refused_and_nothing_is_said_of_the_others",
    ),
    Guard(
        "release_again: what was said is gone",
        (code(MAPS, "        step.effects.instance_marks[task, index] = None\n        if index in counts.ahead:",
              "        if index in counts.ahead:"),),
        STORE + "an_instance_that_runs_again_has_the_end_that_it_comes_to_then",
    ),
    Guard(
        "ended: a mark that waits comes before what the attempt says",
        (code(MAPS, "    elif event.map_index in counts.marks:\n", "    elif False:\n"),),
        STORE + "a_mark_that_waits_for_an_attempt_is_kept_over_its_retries",
    ),
    Guard(
        "refill: what has its end is passed over",
        (code(MAPS, "        if index in counts.ahead:\n            counts.ahead.discard(index)\n        else:",
              "        if True:"),),
        UNIT + "an_instance_that_was_not_released_yet_is_passed_over",
    ),
    Guard(
        "moved: a map with instances to come has not ended",
        (code(MAPS, "if not counts.out and (stopping or not counts.left):", "if not counts.out:"),),
        UNIT + "a_map_under_a_pause_of_which_nothing_is_out_has_not_ended",
    ),
    Guard(
        "moved: a task ends once",
        (code(MAPS, "    if step.states[task] not in (_RELEASED, _RESTARTING):\n", "    if False:\n"),),
        UNIT + "the_last_instance_that_is_out_ends_its_task_once_when_that_ends_the_run",
    ),
    Guard(
        "marked: a cancel is no failure that ends a run",
        (code(MAPS, "    if state is TaskState.FAILED:\n        fail_fast(step, task)", "    fail_fast(step, task)"),),
        UNIT + "a_cancel_of_an_instance_is_no_failure_that_ends_a_run",
    ),
    Guard(
        "take_back: of what has nothing out nobody tells of an end",
        (code("core/moves.py", "        for task in idle:\n", "        for task in ():\n"),),
        UNIT + "a_map_under_a_pause_of_which_nothing_is_out_does_what_it_is_told",
    ),
    Guard(
        "stop: what is said of the whole takes the place of a mark that waits",
        (code(MAPS, "    counts.marks.clear()\n"),),
        UNIT + "what_is_said_of_the_whole_takes_the_place_of_a_mark_that_waits",
    ),
    Guard(
        "clear: takes the place of a mark that waits",
        (code(MAPS, "        del counts.marks[index]\n"),),
        UNIT + "a_clear_takes_the_place_of_a_mark_that_waits_for_an_attempt_to_end",
    ),
    Guard(
        "mark: takes the place of a clear that waits",
        (code(MARKS, "        counts.restarting.discard(index)\n"),),
        UNIT + "an_instance_that_was_to_run_again_does_not",
    ),
    Guard(
        "mark: not of what is being ended as a whole",
        (code(MARKS, "if not has_ended and maps.is_stopping(step, event.task):", "if False:"),),
        UNIT + "nothing_is_said_of_instances_of_what_is_being_ended_as_a_whole",
    ),
    Guard(
        "mark: a bound on what has its end before its turn",
        (code(MARKS, "if len(counts.ahead) > AHEAD_MAX:", "if False:"),),
        UNIT + "the_board_names_so_many_instances_that_have_their_end_before_their_turn",
    ),
    Guard(
        "judge_anew: a task that was marked as a whole stays so",
        (code(MARKS, "    if task not in step.board.said:\n", "    if True:\n"),),
        UNIT + "a_task_that_was_marked_as_a_whole_stays_as_marked",
    ),
    Guard(
        "judge_anew: what waits sees the instances anew",
        (code(MARKS, "    step.tally = step.board.tally = Tally(step.graph, step.board)\n"),),
        UNIT + "what_waits_for_one_good_instance_is_let_go_when_one_is_marked",
    ),
)  # fmt: skip
