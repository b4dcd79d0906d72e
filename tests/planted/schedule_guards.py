"""The guards of schedules; see guards.py.

Not here is what only spares work and is asked again under the lock: that `claim_due` takes what is due, that
`claim_waiting` takes what has room, that keys of runs are looked up before these are made. Nor what is kept twice: a
tick's second outcome is refused by the primary key, and that of what has waited by the count of `settle_ticks`,
whatever `advance` does to the cursor; a deleted schedule has nothing that waits.
"""

from __future__ import annotations

from guards import Guard, code, sql

TICKS = "tests/store/test_schedule_ticks.py::test_"
WORDS = "tests/store/test_schedule_guards.py::test_"
FAULTS = "tests/store/test_schedule_faults.py::test_"
KEPT = "tests/store/test_tick_retention.py::test_"
SET, PLAN, TICK = "operations/set_schedules.py", "operations/plan_schedules.py", "operations/tick_schedules.py"
RUNS = "operations/scheduled_runs.py"
_NOT_RESTING = "if not row.paused and not dag_paused:"
_HANDED_OVER = f"""        {_NOT_RESTING}
            row = await self._settle(row, now)
        if isinstance"""
_DELETED = f"""        {_NOT_RESTING}
            await self._settle(row, now)
        await store.skip_waiting"""
_FAR_BEHIND = """        raise StateConflict(
            f"schedule {row.schedule_name!r} of DAG {self.dag_id} is still"""
_PAUSED_DAG = (
    "  and not exists (select from dag d where d.namespace = s.namespace and d.dag_id = s.dag_id and d.paused)\n"
)
_KEPT_NEWEST = """
          and exists (select from schedule_tick n
                      where (n.namespace, n.dag_id, n.schedule_name) = (t.namespace, t.dag_id, t.schedule_name)
                        and n.tick_time > t.tick_time and (t.state = 'skip' or n.state in ('run', 'met')))"""

SCHEDULE_GUARDS = (
    # ---- who holds it
    Guard(
        "claim_due: not what another holds",
        (sql("claim_due", " limit $1 for update skip locked", " limit $1", of="schedules"),),
        WORDS + "what_another_replica_holds_is_passed_over_and_not_waited_for",
    ),
    Guard(
        "claim_due: with a share for what has just become due",
        (code(TICK, "max(1, int(schedules_max * NEWEST_SHARE))", "0"),),
        TICKS + "who_comes_while_many_are_behind_is_served_beside_them",
    ),
    Guard(
        "paused_dags: asked behind the lock on the schedules",
        (
            code(
                PLAN, "row.paused or row.deleted or (row.namespace, row.dag_id) in paused", "row.paused or row.deleted"
            ),
        ),
        TICKS + "plan_that_was_made_while_a_dag_was_being_paused_does_not_let_it_tick",
    ),
    # ---- paused
    Guard(
        "claim_waiting: not of a paused schedule",
        (sql("claim_waiting", " and not s.paused", of="schedules"),),
        WORDS + "what_waits_does_not_go_in_a_pause[False]",
    ),
    Guard(
        "claim_waiting: not of a paused DAG",
        (sql("claim_waiting", _PAUSED_DAG, of="schedules"),),
        WORDS + "what_waits_does_not_go_in_a_pause[True]",
    ),
    Guard(
        "set_paused: what was planned is not due any more",
        (
            sql(
                "set_paused",
                "planned = '', next_due_time = null, plan_due = not $4",
                "plan_due = not $4",
                of="schedules",
            ),
        ),
        TICKS + "unpausing_a_year_old_daily_dag_makes_at_most_one_run[none-0-False]",
    ),
    Guard(
        "set_dag_paused: what was planned is not due any more",
        (sql("set_dag_paused", "planned = '', next_due_time = null, ", of="schedules"),),
        TICKS + "unpausing_a_year_old_daily_dag_makes_at_most_one_run[none-0-True]",
    ),
    Guard(
        "set_paused: the ticks of a pause are missed",
        (sql("set_paused", "case when $4 then resume_time else $5 end", "resume_time", of="schedules"),),
        WORDS + "a_tick_of_a_short_pause_is_missed[False]",
    ),
    Guard(
        "set_dag_paused: the ticks of a pause are missed",
        (sql("set_dag_paused", "case when $3 or paused then resume_time else $4 end", "resume_time", of="schedules"),),
        WORDS + "a_tick_of_a_short_pause_is_missed[True]",
    ),
    Guard(
        "plan: not of a paused schedule",
        (code(PLAN, "row.paused or row.deleted or ", "row.deleted or "),),
        WORDS + "a_schedule_that_is_paused_in_a_dag_that_goes_on_stays_paused",
    ),
    Guard(
        "set: what fell into a pause is left as it is",
        (code(SET, _HANDED_OVER, _HANDED_OVER.replace(_NOT_RESTING, "if True:")),),
        WORDS + "a_paused_schedule_that_is_edited_stays_at_rest[False]",
    ),
    Guard(
        "set: one that rests is not planned",
        (code(SET, "if not saved.paused and not dag_paused:", "if not dag_paused:"),),
        WORDS + "a_paused_schedule_that_is_edited_stays_at_rest[False]",
    ),
    Guard(
        "set: one whose DAG rests is not planned",
        (code(SET, "if not saved.paused and not dag_paused:", "if not saved.paused:"),),
        WORDS + "a_paused_schedule_that_is_edited_stays_at_rest[True]",
    ),
    # ---- deleted
    Guard(
        "delete: what is due has its outcome first",
        (code(SET, _DELETED, _DELETED.replace(_NOT_RESTING, "if False:")),),
        WORDS + "what_was_due_before_a_deletion_has_its_outcome_and_nothing_follows",
    ),
    Guard(
        "delete: what fell into a pause has none",
        (code(SET, _DELETED, _DELETED.replace(_NOT_RESTING, "if True:")),),
        WORDS + "what_fell_into_a_pause_has_no_outcome_when_the_schedule_is_deleted[False]",
    ),
    Guard(
        "delete: nothing is due any more",
        (sql("delete", "planned = '', next_due_time = null,", "", of="schedules"),),
        WORDS + "what_was_due_before_a_deletion_has_its_outcome_and_nothing_follows",
    ),
    Guard(
        "delete: what waits is skipped",
        (
            code(
                SET,
                'await store.skip_waiting(self.connection, row.key, "the schedule was deleted while it waited")',
                "pass",
            ),
        ),
        TICKS + "deleting_skips_what_waited",
    ),
    Guard(
        "skip_waiting: not what has its outcome",
        (sql("skip_waiting", " and state = 'waiting'", of="schedules"),),
        TICKS + "deleting_skips_what_waited",
    ),
    Guard(
        "plan, set_dag_paused: not of a deleted schedule",
        (
            sql("set_dag_paused", " and not deleted", of="schedules"),
            code(PLAN, "row.paused or row.deleted or ", "row.paused or "),
        ),
        WORDS + "a_deleted_schedule_stays_silent_when_its_dag_goes_on",
    ),
    Guard(
        "delete, save: one that is made again is not paused",
        (
            sql("delete", "deleted = true, paused = false,", "deleted = true,", of="schedules"),
            sql("save", "s.paused and not s.deleted", "s.paused", of="schedules"),
        ),
        WORDS + "a_schedule_that_is_made_again_is_not_paused_and_counts_its_runs_anew",
    ),
    Guard(
        "save: an edit leaves a pause alone",
        (sql("save", "paused = s.paused and not s.deleted", "paused = false", of="schedules"),),
        WORDS + "a_paused_schedule_that_is_edited_stays_at_rest[False]",
    ),
    Guard(
        "save: one that is made again counts its runs anew",
        (sql("save", "case when s.deleted then 0 else s.runs_made end", "s.runs_made", of="schedules"),),
        WORDS + "a_schedule_that_is_made_again_is_not_paused_and_counts_its_runs_anew",
    ),
    # ---- changed
    Guard(
        "save: the cursor never moves back",
        (
            sql(
                "save", "greatest(s.last_tick_time, excluded.last_tick_time)", "excluded.last_tick_time", of="schedules"
            ),
        ),
        TICKS + "schedule_that_is_made_again_goes_on_where_it_stopped",
    ),
    Guard(
        "save: the ticks of a pause are yet to be decided",
        (sql("save", "case when $14 and not s.deleted", "case when $14 and false", of="schedules"),),
        WORDS + "a_paused_schedule_that_is_edited_stays_at_rest[False]",
    ),
    Guard(
        "set: what is due goes by what was said until then",
        (code(SET, _HANDED_OVER, _HANDED_OVER.replace(_NOT_RESTING, "if False:")),),
        TICKS + "edit_lets_what_was_due_before_go_by_what_was_said_then",
    ),
    Guard(
        "set: not while it is far behind",
        (code(SET, _FAR_BEHIND, "        return row\n" + _FAR_BEHIND),),
        TICKS + "edit_of_a_schedule_that_is_far_behind_waits_for_it",
    ),
    Guard(
        "set: the same again is no change",
        (code(SET, "if row is not None and not row.deleted and all(", "if row is not None and False and all("),),
        TICKS + "the_same_again_changes_nothing",
    ),
    Guard(
        "set: what waits is skipped when it becomes continuous",
        (code(SET, "if isinstance(new.rule, ContinuousRule) and row.waiting:", "if False:"),),
        WORDS + "what_waits_for_a_cron_schedule_is_skipped_when_it_becomes_continuous",
    ),
    Guard(
        "set: a continuous one has no ticks that wait",
        (
            code(
                SET,
                "        if isinstance(schedule_of(row.spec).rule, ContinuousRule):\n            return 0\n",
            ),
        ),
        WORDS + "a_continuous_schedule_leaves_nothing_that_waits_when_it_changes",
    ),
    Guard(
        "set: not what a DAG declares",
        (code(SET, 'elif row.origin == "dag":', "elif False:"),),
        WORDS + "a_schedule_that_a_dag_declares_is_not_set_by_hand",
    ),
    Guard(
        "delete: not what a DAG declares",
        (code(SET, '        if row.origin == "dag":\n            raise', "        if False:\n            raise"),),
        TICKS + "missing_schedules_and_dags_are_told",
    ),
    Guard(
        "declare: not what somebody has set by hand",
        (code(SET, "if each.schedule_name in taken\n", "if False\n"),),
        "tests/api/test_schedule_calls.py::test_registration_makes_and_removes_the_schedules_that_it_declares",
    ),
    # ---- runs
    Guard(
        "active_runs: from its whole name on",
        (sql("active_runs", "w.schedule_name || '@'", "w.schedule_name", of="schedules"),),
        TICKS + "runs_of_one_schedule_do_not_count_for_another_whose_name_begins_alike[main2]",
    ),
    Guard(
        "active_runs: to the end of its name",
        (sql("active_runs", "w.schedule_name || 'A'", "w.schedule_name || 'z'", of="schedules"),),
        TICKS + "runs_of_one_schedule_do_not_count_for_another_whose_name_begins_alike[maintenance]",
    ),
    Guard(
        "claim_waiting: from its whole name on",
        (sql("claim_waiting", "s.schedule_name || '@'", "s.schedule_name", of="schedules"),),
        WORDS + "what_waits_beside_a_schedule_whose_name_begins_alike_goes[main2]",
    ),
    Guard(
        "claim_waiting: to the end of its name",
        (sql("claim_waiting", "s.schedule_name || 'A'", "s.schedule_name || 'z'", of="schedules"),),
        WORDS + "what_waits_beside_a_schedule_whose_name_begins_alike_goes[maintenance]",
    ),
    Guard(
        "active_runs: made by a schedule",
        (sql("active_runs", " and r.run_type = 'scheduled'", of="schedules"),),
        WORDS + "a_run_that_somebody_triggered_is_not_one_of_the_schedule",
    ),
    Guard(
        "active_runs: that have not ended",
        (sql("active_runs", "and r.state in ('queued', 'running') ", of="schedules"),),
        TICKS + "skip_leaves_out_the_ticks_of_a_run_that_takes_long",
    ),
    Guard(
        "blocked: by the newest run",
        (sql("blocked", "order by t.tick_time desc", "order by t.tick_time", of="schedules"),),
        WORDS + "a_sequence_goes_on_behind_a_run_that_succeeded_after_one_that_failed",
    ),
    Guard(
        "settle_ticks: only what waits",
        (sql("settle_ticks", "\n      and t.state = 'waiting'", of="schedules"),),
        WORDS + "a_tick_that_has_its_outcome_is_not_settled_again",
    ),
    Guard(
        "runs: one that took the key since is met",
        (code(RUNS, "if isinstance(error, AlreadyExists):", "if False:"),),
        WORDS + "a_key_that_is_taken_after_the_look_is_met",
    ),
    Guard(
        "runs: one that cannot be made undoes no other",
        (code(RUNS, "            async with self.connection.transaction():\n", "            if True:\n"),),
        WORDS + "a_key_that_is_taken_after_the_look_is_met",
    ),
    # ---- faults
    Guard(
        "tick: one that cannot be decided keeps no other from it",
        (
            code(
                TICK,
                "            await _give_alone(connection, plans, row, ticked)",
                "            raise StateConflict('all')",
            ),
        ),
        FAULTS + "schedule_whose_plan_cannot_be_read_keeps_no_other_from_its_run",
    ),
    Guard(
        "tick: one that cannot be decided is put off",
        (code(TICK, "            await put_off(connection, row, error, now)", "            pass"),),
        FAULTS + "schedule_whose_plan_cannot_be_read_keeps_no_other_from_its_run",
    ),
    Guard(
        "plan: one that cannot be planned is put off",
        (code(PLAN, "row.next_due_time or now + PUT_OFF", "row.next_due_time"),),
        FAULTS + "schedule_of_a_zone_that_is_not_known_here_is_late_and_loses_no_tick",
    ),
    # ---- retention
    Guard(
        "prune_ticks: not before its time",
        (
            sql(
                "prune_ticks",
                "t.decide_time < glidepath_now() - make_interval(days => $1) and ",
                "$1 > 0 and ",
                of="schedules",
            ),
        ),
        KEPT + "old_outcomes_are_forgotten_in_batches_and_come_to_nothing_again",
    ),
    Guard(
        "prune_ticks: not the newest",
        (sql("prune_ticks", _KEPT_NEWEST, of="schedules"),),
        KEPT + "of_a_schedule_the_newest_tick_and_the_newest_run_stay",
    ),
    Guard(
        "prune_ticks: not the newest run",
        (sql("prune_ticks", " and (t.state = 'skip' or n.state in ('run', 'met'))", of="schedules"),),
        KEPT + "of_a_schedule_the_newest_tick_and_the_newest_run_stay",
    ),
    Guard(
        "prune_ticks: not what waits",
        (sql("prune_ticks", " and t.state <> 'waiting'", of="schedules"),),
        KEPT + "what_waits_is_not_forgotten",
    ),
)
