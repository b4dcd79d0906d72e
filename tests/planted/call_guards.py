"""The guards of equal calls: row locks, expiries, who is at a key; each with a test that notices its absence."""

from __future__ import annotations

from guards import Guard, code, sql

CALLS_FILE = "operations/equal_calls.py"
CALLS = "tests/store/test_equal_calls.py::test_"
_KEPT = "and c.expire_time > $8::timestamptz\n"
_YOUNG = "      and (u.seconds is null or c.store_time + make_interval(secs => u.seconds) > $8::timestamptz)\n"
_HELD = "do update set dag_id = cached_result.dag_id where false"
_NOBODY_AT_IT = """
      and not exists (select from cached_call k where k.namespace = c.namespace and k.cache_key = c.cache_key)"""

CALL_GUARDS = (
    Guard(
        "take_hits: not after the maker's expiry",
        (sql("take_hits", _KEPT, "\n", of="caching"),),
        CALLS + "a_result_is_not_taken_after_the_time_that_its_maker_gave",
    ),
    Guard(
        "take_hits: not older than the taker wants",
        (sql("take_hits", _YOUNG, of="caching"),),
        CALLS + "a_result_is_not_taken_that_is_older_than_its_taker_wants",
    ),
    Guard(
        "lock_keys: rows that are there are held",
        (sql("lock_keys", _HELD, "do nothing", of="caching"),),
        CALLS + "an_end_that_meets_who_begins_to_wait_sees_it",
    ),
    Guard(
        "settle: what is decided is decided under the keys' rows",
        (
            code(
                CALLS_FILE,
                "        await store.lock_keys(connection, ((*key, *names) for key, names in keys.items()), now)\n",
            ),
        ),
        CALLS + "of_two_replicas_that_begin_equal_calls_one_runs",
    ),
    Guard(
        "begin: looks again under the keys' rows",
        (code(CALLS_FILE, 'comes_again = state["kept"] or ', "comes_again = "),),
        CALLS + "who_begins_to_wait_while_the_call_ends_is_woken",
    ),
    Guard(
        "look_again: who waits is not at it",
        (sql("look_again", " and not k.waits", of="caching"),),
        CALLS + "when_the_call_fails_exactly_one_of_those_who_wait_goes_on",
    ),
    Guard(
        "wake_next: not one whose run is set aside",
        (sql("wake_next", " and k.waits and not r.quarantined", " and k.waits", of="caching"),),
        CALLS + "of_those_who_wait_one_whose_run_is_set_aside_is_passed_over",
    ),
    Guard(
        "settle: who waited and is cancelled leaves its turn",
        (code(CALLS_FILE, "for row in ended} - kept", 'for row in ended if not row["waits"]} - kept'),),
        CALLS + "who_is_cancelled_once_it_was_woken_leaves_its_turn_to_the_next",
    ),
    Guard(
        "park_calls: who waits is not in the claim index",
        (code("operations/step_runs.py", "        await self.equal_calls.park(connection)\n"),),
        CALLS + "of_equal_calls_at_once_one_runs_and_the_others_take_its_result",
    ),
    Guard(
        "sweep_calls: who is in a run that is set aside is not at it",
        (sql("sweep_calls", " and not x.quarantined", of="caching"),),
        CALLS + "a_call_whose_run_is_set_aside_lets_the_next_one_go_on",
    ),
    Guard(
        "prune: nothing that somebody is at",
        (sql("prune", _NOBODY_AT_IT, of="caching"),),
        CALLS + "results_that_are_pruned_leave_calls_alone",
    ),
    Guard(
        "advance: what was taken is not kept anew",
        (
            code(
                "core/advance.py", "if task in self.graph.cached and not event.cached:", "if task in self.graph.cached:"
            ),
        ),
        CALLS + "a_result_that_a_retried_run_takes_is_not_made_younger",
    ),
    Guard(
        "advance: what an operator has cleared runs",
        (
            code(
                CALLS_FILE,
                "anew = run_facts.refresh_cache or release.task in run.board.anew",
                "anew = run_facts.refresh_cache",
            ),
        ),
        CALLS + "what_is_cleared_runs_anew_and_its_result_takes_the_place_of_the_older",
    ),
    Guard(
        "attempts_made: counts reused results",
        (
            sql(
                "attempts_made",
                """
      union all
      select task_index, attempt_number from task_reuse where dag_run_id = $1 and task_index = any($2::integer[])""",
            ),
        ),
        CALLS + "what_is_cleared_runs_anew_and_its_result_takes_the_place_of_the_older",
    ),
)
