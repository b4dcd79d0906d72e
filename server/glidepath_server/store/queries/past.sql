-- Waits for the same task in the run before: see past_wait in schema.sql.

-- name: runs_before
-- The run before each of these runs, where there is one.
select r.dag_run_id, p.dag_run_id as previous_run_id, p.dag_version_id, p.logical_date, p.board
from unnest($1::uuid[]) as u (dag_run_id)
join dag_run r on r.dag_run_id = u.dag_run_id
cross join lateral (
    select p.dag_run_id, p.dag_version_id, p.logical_date, p.board from dag_run p
    where p.namespace = r.namespace and p.dag_id = r.dag_id and p.run_type <> 'child'
      and (p.logical_date, p.dag_run_id) < (r.logical_date, r.dag_run_id)
    order by p.logical_date desc, p.dag_run_id desc limit 1) p;

-- name: forget
-- Tasks that do not wait any more. Only the step of the waiting run touches its rows, but for `checked`.
delete from past_wait w using unnest($1::uuid[], $2::integer[]) as u (dag_run_id, task_index)
where w.dag_run_id = u.dag_run_id and w.task_index = u.task_index;

-- name: wait
insert into past_wait (dag_run_id, task_index, previous_run_id, previous_task_index)
select * from unnest($1::uuid[], $2::integer[], $3::uuid[], $4::integer[])
on conflict (dag_run_id, task_index) do update
set previous_run_id = excluded.previous_run_id, previous_task_index = excluded.previous_task_index, checked = false;

-- name: wake
-- Tell the runs that wait for these tasks, which have ended well. In a statement after the lock of the runs that have
-- ended them: who has committed his row since the lock is seen, or looks again under the lock (`check`).
insert into run_inbox (dag_run_id, event)
select w.dag_run_id, json_build_object('kind', 'PastChanged', 'task', w.task_index)::text
from past_wait w
join unnest($1::uuid[], $2::integer[]) as u (previous_run_id, previous_task_index)
  using (previous_run_id, previous_task_index)
returning dag_run_id;

-- name: unchecked
select distinct previous_run_id from past_wait where not checked limit $1;

-- name: hold_run
-- Waits for the step that is at the run; later steps wait for us, and see the rows that wait for it.
select from dag_run where dag_run_id = $1 for share;

-- name: check
-- Only while holding the run that is waited for, in a later statement. Rows that somebody holds are looked at by him, or
-- are new again when he has committed.
with seen as (
    update past_wait set checked = true
    where ctid = any(array(select w.ctid from past_wait w where w.previous_run_id = $1 and not w.checked
                           for update skip locked))
    returning dag_run_id, task_index, previous_task_index
)
insert into run_inbox (dag_run_id, event)
select s.dag_run_id, json_build_object('kind', 'PastChanged', 'task', s.task_index)::text
from seen s join dag_run p on p.dag_run_id = $1
where get_byte(p.board, s.previous_task_index) = any($2::integer[])
returning dag_run_id;

-- name: sweep
-- Who waits though the task has ended well, which the step of a version that knows of no such waits does not tell; and
-- who waits for a run that is not the run before any more. What has something in its inbox is stepped anyway.
insert into run_inbox (dag_run_id, event)
select w.dag_run_id, json_build_object('kind', 'PastChanged', 'task', w.task_index)::text
from (
    select w.dag_run_id, w.task_index
    from past_wait w join dag_run r on r.dag_run_id = w.dag_run_id
    left join lateral (
        select p.dag_run_id, p.board from dag_run p
        where p.namespace = r.namespace and p.dag_id = r.dag_id and p.run_type <> 'child'
          and (p.logical_date, p.dag_run_id) < (r.logical_date, r.dag_run_id)
        order by p.logical_date desc, p.dag_run_id desc limit 1) p on true
    where not r.quarantined and not exists (select from run_inbox i where i.dag_run_id = w.dag_run_id)
      and (p.dag_run_id is distinct from w.previous_run_id
           or get_byte(p.board, w.previous_task_index) = any($2::integer[]))
    order by w.dag_run_id, w.task_index limit $1) w
returning dag_run_id;
