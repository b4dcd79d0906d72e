-- Pools, workers and quarantined runs, as operators see and change them.

-- name: insert_pool
-- Returns no row when another call was first.
insert into concurrency_limit (namespace, kind, name, capacity) values ($1, 'pool', $2, $3)
on conflict do nothing returning limit_id;

-- name: list_pools
-- "<> 0" says nothing new, but lets the partial index of parked rows be used.
select l.limit_id, l.namespace, l.name, l.capacity,
       (select coalesce(sum(h.slots), 0) from limit_holder h where h.limit_id = l.limit_id)::integer as used,
       (select count(*) from task_queue q where q.parked_on = l.limit_id and q.parked_on <> 0)::integer as waiting
from concurrency_limit l
where l.namespace = $1 and l.kind = 'pool' and l.name > $2 and ($3::bigint is null or l.limit_id = $3)
order by l.name limit $4;

-- name: lock_pool
-- Waits for claims that hold the row; those that come later wait for us.
select limit_id, capacity from concurrency_limit where namespace = $1 and kind = 'pool' and name = $2 for update;

-- name: pool_users
-- DAG versions that name the pool (any of them can be run), a few of them.
select v.dag_id, v.dag_version_number
from task_class c join dag_version v on v.namespace = c.namespace and v.dag_id = c.dag_id and c.class_id = any (v.class_ids)
where c.pool_limit_id = $1
order by v.dag_id, v.dag_version_number desc limit 4;

-- name: pool_holders
select count(*) from limit_holder where limit_id = $1;

-- name: delete_pool
delete from concurrency_limit where limit_id = $1;

-- name: list_workers
-- Newest first (ids carry the time of connection), below the id $2; $3: also those gone within a day.
select s.session_id, s.namespace, s.worker_identity, s.incarnation, s.draining, s.state, s.queue_names, s.labels,
       s.connect_time, s.lease_expire_time, s.sdk_name, s.sdk_version, s.host_name,
       s.other_namespaces, s.clock_offset_seconds, s.clock_bound_seconds,
       (select count(*) from live_attempt l where l.session_id = s.session_id)::integer as attempts_live
from worker_session s
where (s.namespace = $1 or $1 = any(s.other_namespaces)) and ($2::uuid is null or s.session_id < $2)
  and (s.state = 'open' or ($3 and s.end_time > glidepath_now() - interval '1 day'))
order by s.session_id desc limit $4;

-- name: lock_run_for_release
select quarantined from dag_run where namespace = $1 and dag_run_id = $2 for no key update;

-- name: release_run
-- Its released rows come back into the claim index.
with released as (
    update dag_run set quarantined = false where namespace = $1 and dag_run_id = $2 and quarantined
    returning dag_run_id
)
update task_queue q set parked_on = 0 from released r where q.dag_run_id = r.dag_run_id and q.parked_on = -1;
