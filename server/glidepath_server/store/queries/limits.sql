-- name: lock_for_change
-- FOR UPDATE: waits for claims that hold the row FOR KEY SHARE, and makes later ones wait for our commit.
select limit_id, kind, capacity, paused from concurrency_limit where limit_id = $1 for update;

-- name: change
update concurrency_limit set capacity = $2, paused = $3 where limit_id = $1;

-- name: hold_what_runs
-- What was claimed while the limit had no cap holds its slot from now on. A later statement than the lock.
insert into limit_holder (limit_id, dag_run_id, task_index, map_index, slots)
select $1, l.dag_run_id, l.task_index, l.map_index, 1
from live_attempt l join task_class k using (class_id)
where k.tasks_limit_id = $1
on conflict do nothing;

-- name: waiting_on_limits
-- Limits on which rows wait although there may be room: what the sweeper looks at.
select distinct parked_on as limit_id from task_queue where parked_on <> 0;
