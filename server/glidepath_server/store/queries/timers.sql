-- name: wake_due
-- The timer: rows whose time has come join the claim index.
update task_queue q set due = true
where q.ctid = any(array(select t.ctid from task_queue t where not t.due and t.available_time <= glidepath_now()
                         order by t.available_time limit $1 for update skip locked))
returning q.queue_id;

-- name: next_due
-- Seconds until the earliest row that is not due, null when there is none.
select extract(epoch from min(available_time) - glidepath_now())::double precision from task_queue where not due;

-- name: timed_out_runs
select dag_run_id from dag_run
where timeout_time is not null and state = 'running' and intent = 'run' and not quarantined
  and timeout_time <= glidepath_now()
order by timeout_time limit $1;

-- name: next_run_timeout
select extract(epoch from min(timeout_time) - glidepath_now())::double precision from dag_run
where timeout_time is not null and state = 'running' and intent = 'run' and not quarantined;
