"""The guards of the engine's statements: expected states, row locks, fences; each with a test that notices its absence.

What the order of locks by id guards against is not here: a deadlock needs two sessions or limits in the wrong order at
the wrong moment, and what is left when `order by` is taken away is any order, the right one included.
"""

from __future__ import annotations

from typing import NamedTuple

from bugs import Edit
from planting import PACKAGE

FENCES = "tests/store/test_fences.py::test_"
MEETINGS = "tests/store/test_interleavings.py::test_"
HAND_OVER = "tests/store/test_hand_over.py::test_"
OLD_STREAMS = "tests/store/test_old_streams.py::test_"
PAIR = "tests/store/test_every_pair.py::test_every_pair"
STEERED = "tests/store/test_steered_runs.py::test_"
STEP, REPORTS = "operations/step_runs.py", "operations/reports.py"
CLAIMS, SESSIONS = "operations/claims.py", "operations/sessions.py"


class Guard(NamedTuple):
    """Where it stands, what is taken away, and the test that fails then."""

    name: str
    edits: tuple[Edit, ...]
    noticed_by: str


def sql(statement: str, old: str, new: str = "", *, of: str = "engine") -> Edit:
    """An edit within one statement of the store's queries."""
    file = f"store/queries/{of}.sql"
    _, mark, rest = (PACKAGE / file).read_text().partition(f"-- name: {statement}\n")
    text = mark + rest.partition("\n-- name: ")[0]
    if text.count(old) != 1:
        raise ValueError(f"{statement} has this {text.count(old)} times instead of once:\n{old}")
    return Edit(file, text, text.replace(old, new))


def code(file: str, old: str, new: str = "") -> Edit:
    return Edit(file, old, new)


_JUDGED_GENERATION = """
      and (r.generation is null or exists (select from worker_session w where w.session_id = l.session_id
                                           and w.generation = r.generation))"""
_WITHDRAWN = """using unnest($1::uuid[], $2::integer[], $3::integer[]) as w (dag_run_id, task_index, map_index)
where q.dag_run_id = w.dag_run_id and q.task_index = w.task_index and w.map_index in (-1, q.map_index)"""
_WITHDRAWN_OR_STEPPED_OVER = """where q.ctid = any(array(
    select t.ctid from task_queue t
    join unnest($1::uuid[], $2::integer[], $3::integer[]) as w (dag_run_id, task_index, map_index)
      on t.dag_run_id = w.dag_run_id and t.task_index = w.task_index and w.map_index in (-1, t.map_index)
    for update of t skip locked))"""
_NOT_HELD = """
  and not exists (select from limit_holder h where h.limit_id = $1 and h.dag_run_id = l.dag_run_id
                  and h.task_index = l.task_index and h.map_index = l.map_index)"""
_GONE_ON = """        for run_id, events in back.items():
            self._go_on(self.runs[run_id], events)
"""
_FITS = "fits = placed[1].queue_id not in busy and placed[2].session_id in open_sessions"

GUARDS = (
    # ---- accept
    Guard(
        "accept: of this attempt number",
        (sql("accept", "l.attempt_number = r.attempt_number and "),),
        FENCES + "a_late_result_says_nothing_about_a_later_attempt",
    ),
    Guard(
        "accept: of the session that was judged",
        (sql("accept", " and (r.judged is null or r.judged = l.session_id)"),),
        FENCES + "a_verdict_on_a_session_spares_what_was_bound_to_another_one_since",
    ),
    Guard(
        "accept: of the generation that was judged",
        (sql("accept", _JUDGED_GENERATION),),
        OLD_STREAMS + "a_verdict_of_before_the_hello_changes_nothing_after_it",
    ),
    Guard(
        "accept: a worker's word before a verdict",
        (code("operations/reports.py", "if known.judged is not None and report.judged is None:", "if False:"),),
        FENCES + "of_two_ends_of_one_attempt_in_a_batch_the_workers_counts_once",
    ),
    # ---- lock and write the run
    Guard(
        "lock_runs: locks",
        (sql("lock_runs", "for no key update skip locked"),),
        MEETINGS + "a_run_that_another_replica_holds_is_missed_and_its_report_is_then_a_duplicate",
    ),
    Guard(
        "lock_runs: does not wait",
        (sql("lock_runs", " skip locked"),),
        MEETINGS + "a_run_that_another_replica_holds_is_missed_and_its_report_is_then_a_duplicate",
    ),
    Guard(
        "lock_run_waiting: locks",
        (sql("lock_run_waiting", "for no key update"),),
        PAIR + "[accept/withdraw@1-accept]",
    ),
    Guard(
        "write_step: at the revision that was read",
        (sql("write_step", " and r.revision = u.revision"),),
        FENCES + "a_board_that_somebody_else_has_written_is_not_overwritten",
    ),
    Guard(
        "write_step: all boards or none",
        (code(STEP, "if written != len(changed):", "if False:"),),
        FENCES + "a_board_that_somebody_else_has_written_is_not_overwritten",
    ),
    # ---- withdraw, clear
    Guard(
        "withdraw: waits for a claim",
        (sql("withdraw", _WITHDRAWN, _WITHDRAWN_OR_STEPPED_OVER),),
        MEETINGS + "what_is_claimed_before_a_cancel_is_told_to_end",
    ),
    Guard(
        "withdraw: what is live instead is told to end",
        (code(STEP, "        if live:\n            await self._cancel_live(connection, live)\n"),),
        MEETINGS + "what_is_claimed_before_a_cancel_is_told_to_end",
    ),
    Guard(
        "withdraw: a row that was let in leaves its place",
        (code(STEP, "            self.claims.freed_by(row)\n"),),
        PAIR + "[withdraw/claim@9-limit_use]",
    ),
    Guard(
        "clear: not what is live",
        (code(STEP, '            self._refuse_clear_of_live(row["dag_run_id"], each)\n'),),
        MEETINGS + "a_clear_that_meets_a_claim_is_refused",
    ),
    Guard(
        "clear: goes on from the highest attempt number",
        (
            code(
                "operations/complete_commands.py",
                "    attempts = await store.attempts_made(connection, run.dag_run_id, tasks)\n",
                "    attempts: dict[int, int] = {}\n",
            ),
        ),
        PAIR + "[claim/clear@0-now]",
    ),
    # ---- who may get work
    Guard(
        "lock_sessions: waits for hello, expiry and goodbye",
        (sql("lock_sessions", "for key share of s"),),
        FENCES + "leaving_waits_for_a_claim_and_judges_what_it_gave",
    ),
    Guard(
        "lock_sessions: open",
        (sql("lock_sessions", "s.state = 'open' and "),),
        MEETINGS + "a_session_that_is_being_judged_gets_no_work",
    ),
    Guard(
        "lock_sessions: of this generation",
        (sql("lock_sessions", "using (session_id, generation)", "using (session_id)"),),
        MEETINGS + "a_claim_waits_for_hello_and_gives_nothing_to_the_old_generation",
    ),
    Guard(
        "lock_sessions: heard",
        (sql("lock_sessions", "s.heard_until > $3", "$3::timestamptz is not null"),),
        FENCES + "a_worker_that_drains_or_was_not_heard_gets_no_work",
    ),
    Guard(
        "lock_sessions: not draining",
        (sql("lock_sessions", " and not s.draining"),),
        FENCES + "a_worker_that_drains_or_was_not_heard_gets_no_work",
    ),
    Guard(
        "hand_over: to sessions that were locked",
        (code(CLAIMS, _FITS, "fits = placed[1].queue_id not in busy"),),
        PAIR + "[accept/expire@0-lock_runs]",
    ),
    Guard(
        "hand_over: past nobody",
        (code(CLAIMS, _FITS, "fits = placed[2].session_id in open_sessions"),),
        HAND_OVER + "what_waits_goes_before_what_is_released_now",
    ),
    # ---- claims and limits
    Guard(
        "hand_over: who sets a cap waits",
        (sql("hand_over", "    for key share\n"),),
        HAND_OVER + "pausing_waits_for_a_hand_off_and_counts_it",
    ),
    Guard(
        "hand_over: no cap",
        (sql("hand_over", " and c.capacity is null and not c.paused"),),
        FENCES + "a_cap_that_a_replica_has_not_heard_of_holds",
    ),
    Guard(
        "claim: locks its rows",
        (sql("claim", "    for update of q skip locked\n"),),
        MEETINGS + "a_claim_steps_over_what_is_being_withdrawn",
    ),
    Guard(
        "claim: steps over what is locked",
        (sql("claim", "of q skip locked", "of q"),),
        MEETINGS + "a_claim_steps_over_what_is_being_withdrawn",
    ),
    Guard(
        "claim: who sets a cap waits",
        (sql("claim", "    for key share\n"),),
        MEETINGS + "pausing_waits_for_a_claim_and_counts_it",
    ),
    Guard(
        "claim: no cap",
        (sql("claim", " and c.capacity is null\n      and not c.paused"),),
        FENCES + "a_cap_that_a_replica_has_not_heard_of_holds",
    ),
    Guard(
        "claim: not parked",
        (sql("claim", " and q.parked_on = 0"),),
        FENCES + "work_of_a_run_in_quarantine_is_not_claimed[None]",
    ),
    Guard(
        "claim: due",
        (sql("claim", " and q.due"),),
        FENCES + "work_that_is_not_due_or_has_no_slot_is_not_claimed",
    ),
    Guard(
        "candidates: locks its rows",
        (sql("candidates", "\nfor update of q skip locked"),),
        MEETINGS + "two_claims_never_enter_a_pool_of_one_slot",
    ),
    Guard(
        "candidates: steps over what is locked",
        (sql("candidates", " skip locked"),),
        PAIR + "[park/withdraw@3-claim]",
    ),
    Guard(
        "candidates: not parked",
        (sql("candidates", " and q.parked_on = 0"),),
        FENCES + "work_of_a_run_in_quarantine_is_not_claimed[1]",
    ),
    Guard(
        "hold_uncapped: who sets a cap waits",
        (sql("hold_uncapped", "\nfor key share"),),
        FENCES + "pausing_waits_for_a_claim_that_takes_a_slot_of_a_pool",
    ),
    Guard(
        "hold_uncapped: no cap",
        (sql("hold_uncapped", " and c.capacity is null and not c.paused"),),
        FENCES + "a_pause_that_a_replica_has_not_heard_of_holds_beside_a_pool",
    ),
    Guard(
        "lock_limits: locks",
        (sql("lock_limits", "\nfor no key update"),),
        MEETINGS + "two_claims_never_enter_a_pool_of_one_slot",
    ),
    Guard(
        "lock_limits: apart from others that count",
        (sql("lock_limits", "\nfor no key update", "\nfor key share"),),
        MEETINGS + "two_claims_never_enter_a_pool_of_one_slot",
    ),
    Guard(
        "lock_limits: freed ones too",
        (
            code(CLAIMS, "locked = (self.freed | named) - uncapped", "locked = named - uncapped"),
            code(
                CLAIMS,
                "        use |= {limit_id: LimitUse(None) for limit_id in uncapped}\n",
                "        use |= {limit_id: LimitUse(None) for limit_id in uncapped}\n"
                "        use |= (await store.limit_use(connection, self.freed))[0]\n",
            ),
        ),
        MEETINGS + "a_slot_that_is_freed_reaches_the_row_that_is_being_parked",
    ),
    Guard(
        "limit_use: nothing while paused",
        (sql("limit_use", "case when c.paused then 0 else c.capacity end as capacity", "c.capacity"),),
        FENCES + "a_pause_that_a_replica_has_not_heard_of_holds_beside_a_pool",
    ),
    Guard(
        "take_limited: holders",
        (code(CLAIMS, "_holder_columns(held), now)", "_holder_columns([]), now)"),),
        MEETINGS + "two_claims_never_enter_a_pool_of_one_slot",
    ),
    Guard(
        "take_limited: takes over what was left behind",
        (
            sql(
                "take_limited",
                "\n    on conflict (limit_id, dag_run_id, task_index, map_index) do update set slots = excluded.slots",
            ),
        ),
        MEETINGS + "a_holder_that_was_left_behind_is_taken_over_by_the_next_attempt",
    ),
    Guard(
        "unpark: where a slot was freed",
        (code(CLAIMS, "self.freed | self._other_limits(parked)", "self._other_limits(parked)"),),
        MEETINGS + "a_slot_that_is_freed_reaches_the_row_that_is_being_parked",
    ),
    Guard(
        "unpark: where a parked row does not wait",
        (code(CLAIMS, "self.freed | self._other_limits(parked)", "self.freed"),),
        PAIR + "[park/park@11-commit]",
    ),
    Guard(
        "unpark: steps over what is being withdrawn",
        (sql("unpark", " for update skip locked"),),
        PAIR + "[withdraw/free_slot-other_run@3-request_cancel]",
    ),
    # ---- sessions
    Guard(
        "lock_worker: one hello of a worker at a time",
        (
            sql(
                "lock_worker",
                "pg_advisory_xact_lock(hashtext($1), hashtext($2))",
                "hashtext($1), hashtext($2)",
                of="sessions",
            ),
        ),
        PAIR + "[hello/restart@0-lock_worker]",
    ),
    Guard(
        "lock_sessions_of_worker: locks",
        (sql("lock_sessions_of_worker", "\nfor update", of="sessions"),),
        MEETINGS + "hello_waits_for_a_claim_and_judges_what_it_gave[1-returned]",
    ),
    Guard(
        "lock_sessions_of_worker: waits for a claim",
        (sql("lock_sessions_of_worker", "\nfor update", "\nfor no key update", of="sessions"),),
        MEETINGS + "hello_waits_for_a_claim_and_judges_what_it_gave[1-returned]",
    ),
    Guard(
        "lock_sessions_of_worker: open ones",
        (sql("lock_sessions_of_worker", " and state = 'open'", of="sessions"),),
        FENCES + "a_verdict_on_a_session_spares_what_was_bound_to_another_one_since",
    ),
    Guard(
        "raise_generation: raises it",
        (sql("raise_generation", "generation = generation + 1", "generation = generation", of="sessions"),),
        FENCES + "only_the_newest_stream_of_an_open_session_renews_it",
    ),
    Guard(
        "raise_generation: of an open session",
        (sql("raise_generation", " and state = 'open'", of="sessions"),),
        FENCES + "a_session_that_has_ended_stays_as_it_ended",
    ),
    Guard(
        "close_sessions: open ones",
        (sql("close_sessions", " and state = 'open'", of="sessions"),),
        FENCES + "a_session_that_has_ended_stays_as_it_ended",
    ),
    Guard(
        "lock_session: goodbye waits for a claim",
        (sql("lock_session", " for update", of="sessions"),),
        FENCES + "leaving_waits_for_a_claim_and_judges_what_it_gave",
    ),
    Guard(
        "renew: open sessions",
        (sql("renew", "where s.state = 'open'", "where true", of="sessions"),),
        FENCES + "only_the_newest_stream_of_an_open_session_renews_it",
    ),
    Guard(
        "renew: of this generation",
        (sql("renew", "using (session_id, generation)", "using (session_id)", of="sessions"),),
        FENCES + "only_the_newest_stream_of_an_open_session_renews_it",
    ),
    Guard(
        "renew: locks before it looks",
        (sql("renew", "    for no key update of s\n", of="sessions"),),
        FENCES + "a_renewal_that_waited_for_the_judge_renews_nothing",
    ),
    Guard(
        "lock_expired: locks",
        (sql("lock_expired", "\nfor update skip locked", of="sessions"),),
        MEETINGS + "a_session_that_is_getting_work_is_judged_with_that_work",
    ),
    Guard(
        "lock_expired: not what is getting work",
        (sql("lock_expired", "\nfor update skip locked", "\nfor no key update skip locked", of="sessions"),),
        MEETINGS + "a_session_that_is_getting_work_is_judged_with_that_work",
    ),
    Guard(
        "expire: looks at state and lease once more",
        (sql("expire", " and state = 'open' and lease_expire_time < glidepath_now()", of="sessions"),),
        FENCES + "a_session_that_has_ended_stays_as_it_ended",
    ),
    Guard(
        "rebind: in an open session",
        (sql("rebind", " and state = 'open' and generation", " and generation", of="sessions"),),
        FENCES + "a_session_that_has_ended_binds_nothing",
    ),
    Guard(
        "rebind: in the generation of its hello",
        (sql("rebind", " and generation = $8", " and $8::integer > 0", of="sessions"),),
        OLD_STREAMS + "a_hello_that_was_overtaken_binds_nothing",
    ),
    Guard(
        "rebind: who ends the session waits",
        (sql("rebind", " for key share", of="sessions"),),
        PAIR + "[hello/restart-lost@7-live_of_worker]",
    ),
    Guard(
        "rebind: of this attempt number",
        (sql("rebind", "\n  and l.attempt_number = u.attempt_number", of="sessions"),),
        FENCES + "a_worker_keeps_what_it_holds_and_nothing_else",
    ),
    Guard(
        "rebind: under the run's lock",
        (sql("lock_runs_waiting", " for no key update", of="sessions"),),
        FENCES + "hello_binds_under_the_locks_of_the_runs",
    ),
    Guard(
        "live_of_worker: not of another open session",
        (
            sql(
                "live_of_worker",
                " and (s.session_id = $3 or s.state <> 'open')",
                " and $3::uuid is not null",
                of="sessions",
            ),
        ),
        PAIR + "[restart/hello@6-live_of_worker]",
    ),
    Guard(
        "hello: names the generation of its list",
        (code(SESSIONS, "judged_generation=greeting.generation if same else None", "judged_generation=None"),),
        # The first stops with its list read and not yet judged by; stopped earlier, chance says which judges last.
        PAIR + "[hello/hello@5-lock_runs_waiting]",
    ),
    Guard(
        "orphans: of sessions that have ended",
        (sql("orphans", " or s.state <> 'open'", of="sessions"),),
        FENCES + "what_a_judge_that_died_left_unjudged_is_found_by_the_next_one",
    ),
    # ---- changing a limit
    Guard(
        "lock_for_change: locks",
        (sql("lock_for_change", " for update", of="limits"),),
        MEETINGS + "pausing_waits_for_a_claim_and_counts_it",
    ),
    Guard(
        "lock_for_change: waits for claims without a limit",
        (sql("lock_for_change", " for update", " for no key update", of="limits"),),
        MEETINGS + "pausing_waits_for_a_claim_and_counts_it",
    ),
    Guard(
        "hold_what_runs: counts what runs",
        (code("store/limits.py", 'await connection.execute(_SQL["hold_what_runs"], limit_id)', "pass"),),
        MEETINGS + "pausing_waits_for_a_claim_and_counts_it",
    ),
    Guard(
        "hold_what_runs: waits for no accept",
        (sql("hold_what_runs", _NOT_HELD, of="limits"),),
        MEETINGS + "a_cap_is_changed_while_attempts_end_without_deadlock",
    ),
    Guard(
        "drop_ended_holders: of what has ended",
        (code("store/limits.py", '    await connection.execute(_SQL["drop_ended_holders"], limit_id)\n'),),
        MEETINGS + "an_attempt_that_ends_while_a_cap_is_set_keeps_no_slot",
    ),
    Guard(
        "undo: credits of a step that failed",
        (code(CLAIMS, "            puller.free += count\n", "            pass\n"),),
        "tests/store/test_blame.py::test_work_of_a_version_that_cannot_be_read_is_its_own_runs_fault",
    ),
    # ---- what few runs have
    Guard(
        "hand_over: takes along how often the task has deferred",
        (sql("hand_over", "u.deferrals, u.waiting_since, u.preemptions\nfrom", "0, null, u.preemptions\nfrom"),),
        STEERED + "a_deferral_is_known_to_the_attempt_that_is_handed_over_after_it[lost]",
    ),
    Guard(
        "claim: takes along how often the task has deferred",
        (sql("claim", "p.deferrals, p.waiting_since, p.preemptions\n    from", "0, null, p.preemptions\n    from"),),
        STEERED + "a_deferral_is_known_to_the_attempt_that_is_claimed_after_it",
    ),
    Guard(
        "read_checkpoints: of attempts before a deferral, too",
        (sql("read_checkpoints", " - l.deferrals"),),
        STEERED + "a_deferral_is_known_to_the_attempt_that_is_claimed_after_it",
    ),
    Guard(
        "put_progress: not of what a step is ending",
        (sql("put_progress", "for key share of l skip locked\n", of="worker_feed"),),
        STEERED + "an_older_word_that_comes_while_an_attempt_ends_hides_nothing",
    ),
    Guard(
        "write_checkpoints: what an attempt that deferred leaves",
        (code(REPORTS, "    await write_checkpoints(connection, ended, now)\n"),),
        STEERED + "a_deferral_is_known_to_the_attempt_that_is_claimed_after_it",
    ),
    Guard(
        "withdraw: again, for what it has led to",
        (code(STEP, _GONE_ON, _GONE_ON + "            self.runs[run_id].effects.withdrawals = []\n"),),
        STEERED + "a_mark_that_fails_a_run_fast_takes_back_what_waits_beside_it",
    ),
    Guard(
        "write_step: a run that had ended keeps its end",
        (sql("write_step", "coalesce(r.end_time, $9::timestamptz) end", "$9::timestamptz end"),),
        STEERED + "a_mark_leaves_the_end_of_a_run_where_it_was",
    ),
    Guard(
        "reports: a branch that says nothing sensible has failed",
        (code("operations/reports.py", "    except NoChoice as error:", "    except ZeroDivisionError as error:"),),
        STEERED + "a_branch_that_says_nothing_sensible_fails_and_quarantines_nothing",
    ),
)
