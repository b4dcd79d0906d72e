-- Schedules and what becomes of their ticks. Who changes a schedule holds its row.

-- name: claim_due
-- Schedules that have something due, their rows held; rows that others hold are passed over. The longest due ones, and
-- beside them the latest due: whoever comes while many thousands are behind does not wait for all of these.
with oldest as materialized (
    select * from schedule where next_due_time <= glidepath_now()
    order by next_due_time limit $1 for update skip locked
), newest as materialized (
    select * from schedule where next_due_time <= glidepath_now()
    order by next_due_time desc limit $2 for update skip locked
)
select * from oldest union select * from newest;

-- name: claim_waiting
-- Schedules with ticks that wait and room for one, their rows held. Whether there is room is asked again under the lock.
-- Run keys of a schedule lie between NAME@ and NAMEA in the order of their bytes, where an index has them.
select s.* from schedule s
where s.waiting > 0 and not s.paused and not s.deleted
  and not exists (select from dag d where d.namespace = s.namespace and d.dag_id = s.dag_id and d.paused)
  and case
      when s.active_max <= (select count(*) from dag_run r
                            where r.namespace = s.namespace and r.dag_id = s.dag_id and r.run_type = 'scheduled'
                              and r.state in ('queued', 'running') and r.run_key ~>=~ (s.schedule_name || '@')
                              and r.run_key ~<~ (s.schedule_name || 'A')) then false
      when s.in_sequence then not coalesce((
          select r.state <> 'success' from schedule_tick t join dag_run r using (dag_run_id)
          where (t.namespace, t.dag_id, t.schedule_name) = (s.namespace, s.dag_id, s.schedule_name)
            and t.state in ('run', 'met')
          order by t.tick_time desc limit 1), false)
      else true end
limit $1 for update skip locked;

-- name: anything_waits
select exists (select from schedule where waiting > 0);

-- name: next_due
-- Seconds until the next tick; null without one.
select extract(epoch from min(next_due_time) - glidepath_now())::double precision
from schedule where next_due_time is not null;

-- name: how_late
-- How many schedules have something due now, and for how long the first of them has waited.
select count(*)::integer as behind, coalesce(extract(epoch from glidepath_now() - min(next_due_time)), 0)::double precision
       as seconds
from schedule where next_due_time <= glidepath_now();

-- name: claim_plan_due
-- Schedules whose next ticks are to be computed, their rows held.
select s.* from schedule s where s.plan_due limit $1 for update skip locked;

-- name: paused_dags
-- Of these DAGs the paused ones. In a statement of its own, behind the one that took the schedules' rows: who pauses a
-- DAG takes them, too.
select distinct d.namespace, d.dag_id
from unnest($1::text[], $2::text[]) as w (namespace, dag_id)
join dag d using (namespace, dag_id)
where d.paused;

-- name: save_plans
update schedule s
set planned = p.planned, next_due_time = p.next_due_time, plan_due = false
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
     as p (namespace, dag_id, schedule_name, planned, next_due_time)
where (s.namespace, s.dag_id, s.schedule_name) = (p.namespace, p.dag_id, p.schedule_name);

-- name: put_off
update schedule set next_due_time = $4 where namespace = $1 and dag_id = $2 and schedule_name = $3;

-- name: active_runs
-- Runs that these schedules have made and that have not ended, the oldest first.
select w.namespace, w.dag_id, w.schedule_name, array_agg(r.dag_run_id order by r.logical_date, r.dag_run_id) as run_ids
from unnest($1::text[], $2::text[], $3::text[]) as w (namespace, dag_id, schedule_name)
join dag_run r on r.namespace = w.namespace and r.dag_id = w.dag_id and r.run_type = 'scheduled'
     and r.state in ('queued', 'running') and r.run_key ~>=~ (w.schedule_name || '@')
     and r.run_key ~<~ (w.schedule_name || 'A')
group by 1, 2, 3;

-- name: blocked
-- Of these schedules those whose newest run, made or met, has not succeeded.
select w.namespace, w.dag_id, w.schedule_name
from unnest($1::text[], $2::text[], $3::text[]) as w (namespace, dag_id, schedule_name)
cross join lateral (
    select r.state from schedule_tick t join dag_run r using (dag_run_id)
    where (t.namespace, t.dag_id, t.schedule_name) = (w.namespace, w.dag_id, w.schedule_name)
      and t.state in ('run', 'met')
    order by t.tick_time desc limit 1) as newest
where newest.state <> 'success';

-- name: last_tick
-- The newest tick of a schedule, and when its run has ended: null while it has not, or when it is no longer kept.
select t.state, t.decide_time, r.end_time
from schedule_tick t left join dag_run r on r.dag_run_id = t.dag_run_id
where t.namespace = $1 and t.dag_id = $2 and t.schedule_name = $3
order by t.tick_time desc limit 1;

-- name: waiting_ticks
-- Ticks of these schedules that wait for a run to end, the oldest first, at most $4 of each.
select t.*
from unnest($1::text[], $2::text[], $3::text[]) as w (namespace, dag_id, schedule_name)
cross join lateral (
    select * from schedule_tick t
    where (t.namespace, t.dag_id, t.schedule_name) = (w.namespace, w.dag_id, w.schedule_name) and t.state = 'waiting'
    order by t.tick_time limit $4) as t;

-- name: insert_ticks
insert into schedule_tick (namespace, dag_id, schedule_name, tick_time, logical_date, data_interval_start,
                           data_interval_end, state, dag_run_id, reason, decide_time)
select *, glidepath_now()
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[],
            $7::timestamptz[], $8::text[], $9::uuid[], $10::text[]);

-- name: settle_ticks
-- What has waited gets its outcome. Returns the number of ticks that had waited.
with settled as (
    update schedule_tick t set state = o.state, dag_run_id = o.dag_run_id, reason = o.reason, decide_time = glidepath_now()
    from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::uuid[], $7::text[])
         as o (namespace, dag_id, schedule_name, tick_time, state, dag_run_id, reason)
    where (t.namespace, t.dag_id, t.schedule_name, t.tick_time) = (o.namespace, o.dag_id, o.schedule_name, o.tick_time)
      and t.state = 'waiting'
    returning 1
)
select count(*)::integer from settled;

-- name: skip_waiting
-- The schedule is gone: what waited is skipped.
update schedule_tick set state = 'skip', reason = $4, decide_time = glidepath_now()
where namespace = $1 and dag_id = $2 and schedule_name = $3 and state = 'waiting';

-- name: advance
-- The cursor of a schedule and what goes with it, in the transaction of its ticks' outcomes.
update schedule s
set last_tick_time = greatest(s.last_tick_time, p.last_tick_time), planned = p.planned, next_due_time = p.next_due_time,
    plan_due = s.plan_due or p.plan_due, waiting = p.waiting, runs_made = p.runs_made
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::timestamptz[], $7::boolean[],
            $8::integer[], $9::integer[])
     as p (namespace, dag_id, schedule_name, last_tick_time, planned, next_due_time, plan_due, waiting, runs_made)
where (s.namespace, s.dag_id, s.schedule_name) = (p.namespace, p.dag_id, p.schedule_name);

-- name: lock_of_dag
-- All schedules that the DAG has or had, held, in one order.
select * from schedule where namespace = $1 and dag_id = $2 order by schedule_name for update;

-- name: lock
select * from schedule where namespace = $1 and dag_id = $2 and schedule_name = $3 for update;

-- name: save
-- A schedule as it was set now. Ticks up to now stay as they are: they have their outcomes, or never get one. Those of a
-- pause ($14) are missed ticks for when it goes on.
insert into schedule as s (namespace, dag_id, schedule_name, origin, spec, params, version_number, alias, waiting,
                           active_max, in_sequence, last_tick_time, create_time, update_time, updated_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $12, $13)
on conflict (namespace, dag_id, schedule_name) do update
set origin = excluded.origin, spec = excluded.spec, params = excluded.params, version_number = excluded.version_number,
    alias = excluded.alias, waiting = excluded.waiting, active_max = excluded.active_max,
    in_sequence = excluded.in_sequence,
    last_tick_time = case when $14 and not s.deleted then s.last_tick_time
                     else greatest(s.last_tick_time, excluded.last_tick_time) end,
    paused = s.paused and not s.deleted, deleted = false, planned = '', next_due_time = null, plan_due = true,
    runs_made = case when s.deleted then 0 else s.runs_made end,
    resume_time = case when s.deleted then null else s.resume_time end,
    create_time = case when s.deleted then excluded.create_time else s.create_time end,
    update_time = excluded.update_time, updated_by = excluded.updated_by;

-- name: delete
update schedule
set deleted = true, paused = false, last_tick_time = greatest(last_tick_time, $4), planned = '', next_due_time = null,
    plan_due = false, waiting = 0, update_time = $4, updated_by = $5
where namespace = $1 and dag_id = $2 and schedule_name = $3 and not deleted;

-- name: set_paused
-- Ticks of a pause are told apart from missed ones by resume_time.
update schedule
set paused = $4, planned = '', next_due_time = null, plan_due = not $4,
    resume_time = case when $4 then resume_time else $5 end, update_time = $5, updated_by = $6
where namespace = $1 and dag_id = $2 and schedule_name = $3 and not deleted and paused <> $4;

-- name: set_dag_paused
-- All schedules of a DAG that is paused now, or goes on.
update schedule
set planned = '', next_due_time = null, plan_due = not $3, resume_time = case when $3 or paused then resume_time else $4 end
where namespace = $1 and dag_id = $2 and not deleted;

-- name: list
-- By DAG and name, behind ($4, $5); those of one DAG when $2 is not empty, only one with $3.
select s.*, d.paused as dag_paused
from schedule s join dag d on d.namespace = s.namespace and d.dag_id = s.dag_id
where s.namespace = $1 and not s.deleted and ($2 = '' or s.dag_id = $2) and ($3 = '' or s.schedule_name = $3)
  and (s.dag_id, s.schedule_name) > ($4, $5)
order by s.dag_id, s.schedule_name limit $6;

-- name: exists
-- Also one that was deleted: its ticks can still be read.
select exists (select from schedule where namespace = $1 and dag_id = $2 and schedule_name = $3);

-- name: list_ticks
-- The newest first, below $4.
select * from schedule_tick
where namespace = $1 and dag_id = $2 and schedule_name = $3 and ($4::timestamptz is null or tick_time < $4)
order by tick_time desc limit $5;

-- name: prune_ticks
-- What became of ticks long ago: last_tick_time keeps them from a second outcome. Of a schedule the newest tick stays, and
-- the newest with a run; and what still waits.
with gone as (
    delete from schedule_tick d where d.ctid = any(array(
        select t.ctid from schedule_tick t
        where t.decide_time < glidepath_now() - make_interval(days => $1) and t.state <> 'waiting'
          and exists (select from schedule_tick n
                      where (n.namespace, n.dag_id, n.schedule_name) = (t.namespace, t.dag_id, t.schedule_name)
                        and n.tick_time > t.tick_time and (t.state = 'skip' or n.state in ('run', 'met')))
        limit $2 for update skip locked))
    returning 1
)
select count(*)::integer from gone;
