-- How long tasks take, learnt from runs that have ended; and where the tasks of a run are, to say when it will end.

-- name: any_ended
-- Whether there is something to learn from.
select exists (select from dag_run r, duration_cursor c
               where (r.end_written, r.dag_run_id) > (c.end_written, c.dag_run_id)
                 and r.end_written < pg_snapshot_xmin(pg_current_snapshot()))
       or (select end_written > pg_snapshot_xmax(pg_current_snapshot()) from duration_cursor);

-- name: lock_cursor
-- One learner at a time: who finds the row held leaves it. A cursor beyond the newest transaction is that of another
-- cluster, which was dumped and restored here: it begins anew at now.
select case when end_written > pg_snapshot_xmax(pg_current_snapshot()) then pg_snapshot_xmin(pg_current_snapshot())
            else end_written end::text as end_written, dag_run_id
from duration_cursor for update skip locked;

-- name: ended_runs
-- Behind the cursor in the order of commits, as far as no transaction that began before can still add one.
select dag_run_id, dag_version_id, end_written::text as end_written
from dag_run
where (end_written, dag_run_id) > ($1::text::xid8, $2::uuid)
  and end_written < pg_snapshot_xmin(pg_current_snapshot())
order by dag_run.end_written, dag_run_id limit $3;

-- name: move_cursor
update duration_cursor set end_written = $1::text::xid8, dag_run_id = $2;

-- name: boards
select dag_run_id, dag_version_id, board from dag_run where dag_run_id = any($1::uuid[]);

-- name: measured
-- By run and task, over the instances that have succeeded since the run began, or was last cleared after its end: how
-- many; of the logarithm of their seconds the mean and the sum of squared distances from it. Work is from the first
-- start to the last end, retries and their delays included; the wait is that of the first attempt. Attempts up to a
-- number ($2, $3, $4: run, task, number) are of an earlier generation.
select m.dag_run_id, m.task_index, count(*)::integer as instances,
       avg(m.work) as work_mean, coalesce(var_pop(m.work), 0) * count(*) as work_squares,
       avg(m.wait) as wait_mean, coalesce(var_pop(m.wait), 0) * count(*) as wait_squares
from (select t.dag_run_id, t.task_index, t.map_index,
             ln(greatest(extract(epoch from max(t.end_time) - min(t.start_time)), 0.001))::double precision as work,
             ln(greatest(extract(epoch from min(t.start_time) - min(t.queue_time)), 0.001))::double precision as wait
      from dag_run r
      join task_attempt t using (dag_run_id)
      left join unnest($2::uuid[], $3::integer[], $4::integer[]) as b (dag_run_id, task_index, base)
           on b.dag_run_id = t.dag_run_id and b.task_index = t.task_index
      where r.dag_run_id = any($1::uuid[]) and t.attempt_number > coalesce(b.base, 0)
      group by t.dag_run_id, t.task_index, t.map_index, r.start_time
      having bool_or(t.state = 'success') and max(t.end_time) >= r.start_time) m
group by m.dag_run_id, m.task_index;

-- name: hold_durations
select d.namespace, d.dag_id, d.dag_version_number, d.task_id, d.handler, d.work_count, d.work_mean, d.work_squares,
       d.wait_count, d.wait_mean, d.wait_squares, d.instances
from task_duration d
join unnest($1::text[], $2::text[], $3::integer[], $4::text[]) as k (namespace, dag_id, dag_version_number, task_id)
     using (namespace, dag_id, dag_version_number, task_id)
for update of d;

-- name: write_durations
insert into task_duration (namespace, dag_id, dag_version_number, task_id, handler, work_count, work_mean, work_squares,
                           wait_count, wait_mean, wait_squares, instances, update_time)
select u.namespace, u.dag_id, u.dag_version_number, u.task_id, u.handler, u.work_count, u.work_mean, u.work_squares,
       u.wait_count, u.wait_mean, u.wait_squares, u.instances, glidepath_now()
from unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::double precision[],
            $7::double precision[], $8::double precision[], $9::double precision[], $10::double precision[],
            $11::double precision[], $12::double precision[])
     as u (namespace, dag_id, dag_version_number, task_id, handler, work_count, work_mean, work_squares, wait_count,
           wait_mean, wait_squares, instances)
on conflict (namespace, dag_id, dag_version_number, task_id) do update
set handler = excluded.handler, work_count = excluded.work_count, work_mean = excluded.work_mean,
    work_squares = excluded.work_squares, wait_count = excluded.wait_count, wait_mean = excluded.wait_mean,
    wait_squares = excluded.wait_squares, instances = excluded.instances, update_time = excluded.update_time;

-- name: durations
-- Of a version of a DAG and of those around it ($4 to each side), this one first, then the nearest.
select namespace, dag_id, dag_version_number, task_id, handler, work_count, work_mean, work_squares, wait_count,
       wait_mean, wait_squares, instances
from task_duration
where namespace = $1 and dag_id = $2 and dag_version_number between $3::integer - $4::integer and $3::integer + $4::integer
order by abs(dag_version_number - $3::integer), dag_version_number desc;

-- name: whereabouts
-- Of runs, by task: its instances that are running (a question to people among them) and that wait in the queue; the
-- mean seconds since they began, or could be claimed; the longest that one must still wait before it can be.
select dag_run_id, task_index, 'running' as phase, count(*)::integer as instances, avg(elapsed) as elapsed,
       0::double precision as delay, null::integer as queue_id, null::double precision as order_key
from (select dag_run_id, task_index, extract(epoch from glidepath_now() - coalesce(waiting_since, start_time))
             ::double precision as elapsed
      from live_attempt where dag_run_id = any($1::uuid[])
      union all
      select parent_run_id, task_index, extract(epoch from glidepath_now() - start_time)::double precision
      from child_run where parent_run_id = any($1::uuid[]) and waiting
      union all
      select dag_run_id, task_index, extract(epoch from glidepath_now() - open_time)::double precision
      from approval where dag_run_id = any($1::uuid[]) and state = 'open') l
group by dag_run_id, task_index
union all
select dag_run_id, task_index, 'queued', count(*)::integer,
       avg(greatest(extract(epoch from glidepath_now() - greatest(queue_time, available_time)), 0)::double precision),
       max(greatest(extract(epoch from available_time - glidepath_now()), 0)::double precision),
       min(queue_id) filter (where due and parked_on = 0), min(order_key) filter (where due and parked_on = 0)
from task_queue where dag_run_id = any($1::uuid[])
group by dag_run_id, task_index;

-- name: ahead
-- How many rows of a queue go before a key; counts no further than $3.
select count(*)::integer
from (select from task_queue where queue_id = $1 and due and parked_on = 0 and order_key < $2 limit $3) before;

-- name: pace
-- What is running of a queue: how many, and for how many seconds on average. Looks at $2 of them at most.
select count(*)::integer as live, coalesce(avg(extract(epoch from glidepath_now() - l.start_time)), 0)::double precision as age
from (select l.start_time from live_attempt l join task_class k using (class_id) where k.queue_id = $1 limit $2) l;
