-- name: take
-- The oldest that nobody is at, for so many seconds ($2). Each statement here is a transaction of its own: whatever is
-- lost between two of them is sent again.
with due as (
    select feed_id from trace_feed where taken_until is null or taken_until <= glidepath_now()
    order by feed_id limit $1 for update skip locked
)
update trace_feed f set taken_until = glidepath_now() + make_interval(secs => $2)
from due where f.feed_id = due.feed_id
returning f.feed_id, f.dag_run_id, f.task_index, f.map_index, f.attempt_number;

-- name: give_back
update trace_feed set taken_until = null where feed_id = any($1::bigint[]);

-- name: forget
delete from trace_feed where feed_id = any($1::bigint[]);

-- name: cut
-- All but the newest $1, passing over what somebody holds; how many there were.
with over as (
    select feed_id from trace_feed
    where feed_id <= (select feed_id from trace_feed order by feed_id desc offset $1 limit 1)
    order by feed_id for update skip locked
), gone as (
    delete from trace_feed f using over where f.feed_id = over.feed_id returning 1
)
select count(*) from gone;

-- name: runs
select r.dag_run_id, r.dag_version_id, v.dag_version_number, r.namespace, r.dag_id, r.run_type, r.state, r.reason,
       r.traceparent, r.logical_date, r.create_time, r.start_time, r.end_time
from dag_run r join dag_version v using (dag_version_id)
where r.dag_run_id = any($1::uuid[]);

-- name: attempts
select a.dag_run_id, a.task_index, a.map_index, a.attempt_number, a.state, a.queue_time, a.start_time, a.end_time,
       a.failure, a.reason, s.worker_identity, s.host_name
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
     as w (dag_run_id, task_index, map_index, attempt_number)
join task_attempt a using (dag_run_id, task_index, map_index, attempt_number)
left join worker_session s using (session_id);
