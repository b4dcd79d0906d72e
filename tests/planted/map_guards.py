"""The guards of mapped tasks, of the kind of guards.py."""

from __future__ import annotations

from guards import CLAIMS, Guard, code, sql

MAPS = "tests/store/test_mapped_runs.py::test_"
UNIT = "tests/unit/test_maps.py::test_"
MAP_TASKS = "operations/map_tasks.py"
_ATTEMPTS_OF_IT = """from task_attempt
            where dag_run_id = $1 and task_index = $2 and map_index >= $4 and map_index < $3
"""

MAP_GUARDS = (
    Guard(
        "clear: only the instances that were chosen",
        (sql("withdraw", " and w.map_index in (-1, q.map_index)"),),
        MAPS + "an_instance_that_is_live_runs_again_when_it_has_ended_if_that_is_asked_for",
    ),
    Guard(
        "items: of the chunk that the instance is in",
        (
            code(MAP_TASKS, "wanted = {(run_id, task, index // CHUNK_ITEMS)", "wanted = {(run_id, task, 0)"),
            code(MAP_TASKS, "chunks[run_id, task, index // CHUNK_ITEMS]", "chunks[run_id, task, 0]"),
        ),
        MAPS + "an_instance_far_down_a_list_is_given_its_own_item",
    ),
    Guard(
        "items: with what is handed over",
        (code(CLAIMS, "await read_items(connection, mapped)", "pass"),),
        MAPS + "what_was_released_in_the_step_that_read_the_lists_is_handed_over_with_its_item",
    ),
    Guard(
        "gathered: of two attempts that succeeded the newer one",
        (sql("gathered", "t.map_index, t.attempt_number desc", "t.map_index, t.attempt_number", of="maps"),),
        MAPS + "what_an_instance_says_when_it_runs_again_takes_the_place_of_what_it_said",
    ),
    Guard(
        "gathered: not of an attempt before one that failed",
        (
            sql(
                "gathered",
                _ATTEMPTS_OF_IT,
                f"{_ATTEMPTS_OF_IT}            and state = 'success'\n",
                of="maps",
            ),
        ),
        MAPS + "an_instance_that_fails_when_it_runs_again_has_said_nothing",
    ),
    Guard(
        "refill: no more than the window",
        (
            code(
                "core/maps.py",
                "room = step.graph.maps[task].window - counts.out",
                "room = counts.length",
            ),
        ),
        UNIT + "instances_end_by_themselves_and_the_task_by_their_share",
    ),
)
