-- name: lock_for_change
-- FOR UPDATE: waits for claims that hold the row FOR KEY SHARE, and makes later ones wait for our commit.
select limit_id, kind, capacity, paused from concurrency_limit where limit_id = $1 for update;

-- name: change
update concurrency_limit set capacity = $2, paused = $3 where limit_id = $1;

-- name: set_in_order
update concurrency_limit set in_order = $2 where limit_id = $1;

-- name: hold_what_runs
-- What was claimed while the limit had no cap holds its slot from now on. A later statement than the lock. What has a
-- holder is left out by looking, not by the conflict: an insert would wait for an accept that is deleting the holder,
-- and that accept waits for our limit.
insert into limit_holder (limit_id, dag_run_id, task_index, map_index, slots)
select $1, l.dag_run_id, l.task_index, l.map_index, 1
from live_attempt l join task_class k using (class_id)
where k.tasks_limit_id = $1
  and not exists (select from limit_holder h where h.limit_id = $1 and h.dag_run_id = l.dag_run_id
                  and h.task_index = l.task_index and h.map_index = l.map_index)
on conflict do nothing;

-- name: stale_limits
-- What the sweeper looks at: limits on which rows wait although there may be room, and limits held by what has ended.
select parked_on as limit_id from task_queue where parked_on > 0
union
select h.limit_id from limit_holder h
where not exists (select from live_attempt l where l.dag_run_id = h.dag_run_id and l.task_index = h.task_index
                  and l.map_index = h.map_index);

-- name: drop_ended_holders
-- An attempt that ended while its limit was being set may leave the holder that it got then: its accept did not see it.
-- Only while holding the limit's row, in a later statement: a holder and its live row are committed together.
delete from limit_holder h
where h.limit_id = $1
  and not exists (select from live_attempt l where l.dag_run_id = h.dag_run_id and l.task_index = h.task_index
                  and l.map_index = h.map_index);

-- name: rates_waited_for
-- Seconds until a limit on which rows wait may start another: when the oldest start that counts has left the window.
select l.limit_id,
       case when w.started < l.rate_starts then 0
            else extract(epoch from w.oldest - glidepath_now()) + l.rate_seconds end::double precision as seconds
from concurrency_limit l
cross join lateral (select coalesce(sum(s.starts), 0) as started, min(s.start_time) as oldest from limit_start s
                    where s.limit_id = l.limit_id
                      and s.start_time > glidepath_now() - make_interval(secs => l.rate_seconds)) w
where l.rate_starts is not null
  and exists (select from task_queue q where q.parked_on = l.limit_id and q.parked_on <> 0);

-- name: lock_ended_runs
-- Runs that have ended and still have a limit. Held, so that a clear does not meanwhile release rows that name it.
select r.dag_run_id from dag_run r
where r.dag_run_id in (select c.dag_run_id from concurrency_limit c where c.dag_run_id is not null)
  and r.state in ('success', 'failed', 'cancelled')
order by r.dag_run_id limit $1
for no key update skip locked;

-- name: drop_run_limits
-- In a later statement than the lock. What an end has left running keeps its limit until that has ended, too.
delete from concurrency_limit c
where c.dag_run_id = any($1::uuid[])
  and not exists (select from limit_holder h where h.limit_id = c.limit_id)
  and not exists (select from task_queue q where q.dag_run_id = c.dag_run_id);
