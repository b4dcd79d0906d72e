-- Named limits, as operators see and change them.

-- name: insert
-- Returns no row when another call was first.
insert into concurrency_limit (namespace, kind, name, capacity, rate_starts, rate_seconds)
values ($1, 'named', $2, $3, $4, $5)
on conflict do nothing returning limit_id;

-- name: list
-- "<> 0" says nothing new, but lets the partial index of parked rows be used.
select l.limit_id, l.namespace, l.name, l.capacity, l.rate_starts, l.rate_seconds,
       (select coalesce(sum(h.slots), 0) from limit_holder h where h.limit_id = l.limit_id)::integer as used,
       (select count(*) from task_queue q where q.parked_on = l.limit_id and q.parked_on <> 0)::integer as waiting,
       (select coalesce(sum(s.starts), 0) from limit_start s
        where s.limit_id = l.limit_id and s.start_time > glidepath_now() - make_interval(secs => l.rate_seconds))::integer
       as started
from concurrency_limit l
where l.namespace = $1 and l.kind = 'named' and l.name > $2 and ($3::bigint is null or l.limit_id = $3)
order by l.name limit $4;

-- name: lock
-- Waits for claims that hold the row; those that come later wait for us.
select limit_id, capacity, rate_starts, rate_seconds
from concurrency_limit where namespace = $1 and kind = 'named' and name = $2 for update;

-- name: change
update concurrency_limit set capacity = $2, rate_starts = $3, rate_seconds = $4 where limit_id = $1;

-- name: users
-- DAG versions that name the limit (any of them can be run), a few of them.
select distinct v.dag_id, v.dag_version_number
from task_class c
join dag_version v on v.namespace = c.namespace and v.dag_id = c.dag_id
     and (c.class_id = any (v.class_ids) or c.class_id = any (v.reroute_class_ids))
where c.namespace = $1 and $2::bigint = any (c.limit_ids)
order by v.dag_id, v.dag_version_number desc limit 4;

-- name: delete
-- With the starts that nobody counts any more.
with gone as (delete from limit_start where limit_id = $1)
delete from concurrency_limit where limit_id = $1;
