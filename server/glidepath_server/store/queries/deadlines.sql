-- Deadlines: of DAGs (dag_deadline), and of runs (deadline).

-- name: dag_deadlines
-- Of these DAGs of a namespace.
select dag_id, deadline_name, content, origin, update_time, updated_by
from dag_deadline where namespace = $1 and dag_id = any($2::text[])
order by dag_id, deadline_name;

-- name: put_dag_deadlines
-- Create or replace. Those that are the same already stay as they are.
insert into dag_deadline as d (namespace, dag_id, deadline_name, content, origin, update_time, updated_by)
select $1, $2, w.name, w.content, $5, $6, $7
from unnest($3::text[], $4::text[]) as w (name, content)
order by w.name
on conflict (namespace, dag_id, deadline_name) do update
set content = excluded.content, origin = excluded.origin, update_time = excluded.update_time,
    updated_by = excluded.updated_by
where (d.content, d.origin) is distinct from (excluded.content, excluded.origin)
returning deadline_name;

-- name: delete_dag_deadline
delete from dag_deadline where namespace = $1 and dag_id = $2 and deadline_name = $3 returning origin;

-- name: delete_undeclared
-- What was declared with the DAG and no longer is.
delete from dag_deadline
where namespace = $1 and dag_id = $2 and origin = 'dag' and deadline_name <> all($3::text[])
returning deadline_name;

-- name: insert_deadlines
-- Of runs that are created in this transaction. What was promised for a run's key is its: with the state that it has.
insert into deadline as d (namespace, dag_id, run_key, deadline_name, dag_run_id, content, due_time, create_time,
                           state_time)
select w.namespace, w.dag_id, w.run_key, w.deadline_name, w.dag_run_id, w.content, w.due_time, $8, $8
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::timestamptz[])
     as w (namespace, dag_id, run_key, deadline_name, dag_run_id, content, due_time)
order by w.namespace, w.dag_id, w.run_key, w.deadline_name
on conflict (namespace, dag_id, run_key, deadline_name) do update set dag_run_id = excluded.dag_run_id
where d.dag_run_id is null;

-- name: promise_deadlines
-- Of runs that schedules owe. Not of one that exists: its creator has written what it has.
insert into deadline (namespace, dag_id, run_key, deadline_name, content, due_time, create_time, state_time)
select w.namespace, w.dag_id, w.run_key, w.deadline_name, w.content, w.due_time, $7, $7
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
     as w (namespace, dag_id, run_key, deadline_name, content, due_time)
where not exists (select from dag_run_key k
                  where (k.namespace, k.dag_id, k.run_key) = (w.namespace, w.dag_id, w.run_key))
order by w.namespace, w.dag_id, w.run_key, w.deadline_name
on conflict (namespace, dag_id, run_key, deadline_name) do nothing;

-- name: owing_schedules
-- Schedules of DAGs with deadlines that a run has whenever it is created, that have ticked since they were looked at, were
-- changed, or were never looked at.
select s.namespace, s.dag_id, s.schedule_name, s.spec, s.version_number, s.alias, s.runs_made, s.last_tick_time,
       s.update_time, p.promised_time
from (select distinct namespace, dag_id from dag_deadline
      where content::jsonb ->> 'anchor' in ('logical_date', 'interval_end', 'wall')) d
join schedule s on (s.namespace, s.dag_id) = (d.namespace, d.dag_id)
left join deadline_promise p on (p.namespace, p.dag_id, p.schedule_name) = (s.namespace, s.dag_id, s.schedule_name)
where not s.paused and not s.deleted
  and (p.promised_time is null or p.promised_time < s.update_time or p.next_time <= glidepath_now())
limit $1;

-- name: save_promises
insert into deadline_promise as p (namespace, dag_id, schedule_name, promised_time, next_time)
select w.namespace, w.dag_id, w.schedule_name, $5, w.next_time
from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) as w (namespace, dag_id, schedule_name, next_time)
order by w.namespace, w.dag_id, w.schedule_name
on conflict (namespace, dag_id, schedule_name) do update
set promised_time = excluded.promised_time, next_time = excluded.next_time
where p.promised_time < excluded.promised_time;

-- name: forget_promises
-- Of what was found due: promises of runs that were created by then, and do not have that deadline.
delete from deadline d
where d.deadline_id = any($1::bigint[]) and d.dag_run_id is null
  and exists (select from dag_run_key k where (k.namespace, k.dag_id, k.run_key) = (d.namespace, d.dag_id, d.run_key));

-- name: unsettled
-- Of runs whose locks the caller holds: deadlines that have no last outcome, held.
select deadline_id, namespace, dag_id, run_key, deadline_name, dag_run_id, content, state, due_time, told
from deadline
where dag_run_id = any($1::uuid[]) and state in ('on_track', 'at_risk', 'missed')
order by deadline_id
for no key update;

-- name: due
-- What is open, and was due. Nothing is held.
select d.deadline_id, d.dag_run_id, r.dag_run_id is not null as run_exists
from deadline d left join dag_run r on r.dag_run_id = d.dag_run_id
where d.state in ('on_track', 'at_risk') and d.due_time < glidepath_now()
order by d.due_time limit $1;

-- name: hold_runs
-- Runs that no step holds: none of them ends until the transaction does.
select dag_run_id, state from dag_run where dag_run_id = any($1::uuid[])
order by dag_run_id
for no key update skip locked;

-- name: hold_run_waiting
-- One that was held when it was last looked at (lock_timeout is set by the caller).
select dag_run_id, state from dag_run where dag_run_id = any($1::uuid[])
order by dag_run_id
for no key update;

-- name: hold_due
-- Of what was found due, what still is open; what another replica is at is left to it.
select deadline_id, namespace, dag_id, run_key, deadline_name, dag_run_id, content, state, due_time, told
from deadline
where deadline_id = any($1::bigint[]) and state in ('on_track', 'at_risk')
order by deadline_id
for no key update skip locked;

-- name: hold_for_risk
-- Of deadlines that the prediction speaks of, what is open and not yet due.
select deadline_id, namespace, dag_id, run_key, deadline_name, dag_run_id, content, state, due_time, told
from deadline
where deadline_id = any($1::bigint[]) and state in ('on_track', 'at_risk') and due_time >= glidepath_now()
order by deadline_id
for no key update;

-- name: foreseeable
-- Of runs under way, what is open and not yet due, the next first. Nothing is held.
select d.deadline_id, d.namespace, d.dag_id, d.run_key, d.deadline_name, d.dag_run_id, d.content, d.state, d.due_time,
       d.told
from deadline d join dag_run r on r.dag_run_id = d.dag_run_id
where d.state in ('on_track', 'at_risk') and d.due_time > glidepath_now() and r.state = 'running' and not r.quarantined
order by d.due_time, d.deadline_id limit $1;

-- name: next_of_run
-- By when a run as a whole has to be done.
select min(due_time) from deadline
where dag_run_id = $1 and state in ('on_track', 'at_risk')
  and not content::jsonb ? 'task_id' and not content::jsonb ? 'group_id';

-- name: write_deadlines
update deadline d
set state = w.state, due_time = w.due_time, told = string_to_array(w.told, ','),
    state_time = case when d.state = w.state then d.state_time else $5 end
from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[]) as w (deadline_id, state, due_time, told)
where d.deadline_id = w.deadline_id;

-- name: next_due
-- Seconds until the next that is open is due; null when there is none.
select extract(epoch from min(due_time) - glidepath_now())::double precision
from deadline where state in ('on_track', 'at_risk') and due_time is not null;

-- name: list_deadlines
-- Of a namespace, in these states, newest first: of each state as many as may be asked for, then of those.
select d.*
from unnest($3::text[]) as s (state)
cross join lateral (
    select deadline_id, dag_id, run_key, deadline_name, dag_run_id, content, state, due_time, create_time, state_time
    from deadline
    where namespace = $1 and deadline.state = s.state and deadline_id < $2
    order by deadline_id desc limit $4
) d
order by d.deadline_id desc limit $4;

-- name: list_of_dag
select deadline_id, dag_id, run_key, deadline_name, dag_run_id, content, state, due_time, create_time, state_time
from deadline
where namespace = $1 and dag_id = $5 and deadline_id < $2 and state = any($3::text[])
order by deadline_id desc limit $4;

-- name: list_of_run
select deadline_id, dag_id, run_key, deadline_name, dag_run_id, content, state, due_time, create_time, state_time
from deadline
where dag_run_id = $5 and namespace = $1 and deadline_id < $2 and state = any($3::text[])
order by deadline_id desc limit $4;

-- name: prune_promises
-- Missed long ago by runs that nobody has created. Those of runs go with their runs.
with gone as (
    delete from deadline where deadline_id = any(array(
        select deadline_id from deadline
        where dag_run_id is null and state = 'missed' and due_time < glidepath_now() - make_interval(days => $1)
        limit $2 for update skip locked))
    returning 1
)
select count(*)::integer from gone;
