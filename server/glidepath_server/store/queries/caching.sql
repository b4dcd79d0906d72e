-- Kept results of equal calls, and the calls under way: see cached_result in schema.sql. All statements take arrays.

-- name: take_hits
-- Calls whose result is kept and young enough: it becomes theirs, in this one statement, so that it cannot go away
-- between look and copy. $7: how old it may be in seconds, null for any. Returns the ordinals of those.
with found as (
    select u.dag_run_id as to_run, u.task_index as to_task, u.map_index as to_map, u.attempt_number as to_attempt,
           u.ord, c.*
    from unnest($1::text[], $2::bytea[], $3::uuid[], $4::integer[], $5::integer[], $6::integer[],
                $7::double precision[])
         with ordinality as u (namespace, cache_key, dag_run_id, task_index, map_index, attempt_number, seconds, ord)
    join cached_result c using (namespace, cache_key)
    where c.store_time is not null and c.expire_time > $8::timestamptz
      and (u.seconds is null or c.store_time + make_interval(secs => u.seconds) > $8::timestamptz)
), outputs as (
    insert into task_output (dag_run_id, task_index, map_index, attempt_number, content_type, body, uri, size_bytes,
                             sha256)
    select to_run, to_task, to_map, to_attempt, content_type, body, uri, size_bytes, sha256
    from found where content_type is not null
), reuses as (
    insert into task_reuse (dag_run_id, task_index, map_index, attempt_number, reuse_time, namespace, cache_key,
                            source_run_id, source_task_id, source_map_index, source_time)
    select to_run, to_task, to_map, to_attempt, $8::timestamptz, namespace, cache_key, dag_run_id, task_id, map_index,
           store_time
    from found
)
select ord from found;

-- name: lock_keys
-- The rows of these keys, made where there are none, held until our commit; in one order by everybody. What is decided
-- under them is read in a later statement. A new row says of itself that it is worth nothing.
insert into cached_result (namespace, cache_key, dag_id, task_id, expire_time)
select u.namespace, u.cache_key, u.dag_id, u.task_id, $5::timestamptz
from unnest($1::text[], $2::bytea[], $3::text[], $4::text[]) as u (namespace, cache_key, dag_id, task_id)
order by u.namespace, u.cache_key
on conflict (namespace, cache_key) do update set dag_id = cached_result.dag_id where false;

-- name: end_calls
-- Calls that have ended, whoever ended them; with the map index -1 all of a task's. Only the step of a run touches the
-- rows of its calls.
delete from cached_call k
using unnest($1::uuid[], $2::integer[], $3::integer[]) as u (dag_run_id, task_index, map_index)
where k.dag_run_id = u.dag_run_id and k.task_index = u.task_index and (u.map_index = -1 or k.map_index = u.map_index)
returning k.namespace, k.cache_key, k.dag_run_id, k.task_index, k.map_index, k.waits;

-- name: keep_results
-- Only while holding the keys' rows. The output is copied: the run that made it may be gone one day.
update cached_result c
set dag_id = u.dag_id, task_id = u.task_id, dag_run_id = u.dag_run_id, task_index = u.task_index,
    map_index = u.map_index, attempt_number = u.attempt_number, store_time = $9::timestamptz,
    expire_time = coalesce($9::timestamptz + make_interval(secs => u.seconds), 'infinity'),
    content_type = o.content_type, body = o.body, uri = o.uri, size_bytes = o.size_bytes, sha256 = o.sha256
from unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::uuid[], $6::integer[], $7::integer[], $8::integer[],
            $10::double precision[])
     as u (namespace, cache_key, dag_id, task_id, dag_run_id, task_index, map_index, attempt_number, seconds)
left join task_output o on o.dag_run_id = u.dag_run_id and o.task_index = u.task_index
     and o.map_index = u.map_index and o.attempt_number = u.attempt_number
where c.namespace = u.namespace and c.cache_key = u.cache_key;

-- name: look_again
-- Only while holding the keys' rows, in a later statement: whether a result is kept now, whether somebody is at it. Who
-- is in a quarantined run, or in one that is gone, is not.
select u.ord,
       exists (select from cached_result c
               where c.namespace = u.namespace and c.cache_key = u.cache_key and c.store_time is not null
                 and c.expire_time > $4::timestamptz
                 and (u.seconds is null or c.store_time + make_interval(secs => u.seconds) > $4::timestamptz)) as kept,
       exists (select from cached_call k join dag_run r on r.dag_run_id = k.dag_run_id
               where k.namespace = u.namespace and k.cache_key = u.cache_key and not k.waits
                 and not r.quarantined) as runs
from unnest($1::text[], $2::bytea[], $3::double precision[]) with ordinality as u (namespace, cache_key, seconds, ord);

-- name: begin_calls
insert into cached_call (namespace, cache_key, dag_run_id, task_index, map_index, attempt_number, expire_after_seconds,
                         waits)
select * from unnest($1::text[], $2::bytea[], $3::uuid[], $4::integer[], $5::integer[], $6::integer[],
                     $7::double precision[], $8::boolean[]);

-- name: wake_all
-- A result is kept now: up to $3 of those who wait for each key may take it. The sweep wakes the others.
insert into run_inbox (dag_run_id, event)
select w.dag_run_id, json_build_object('kind', 'EqualCallEnded', 'task', w.task_index, 'map_index', w.map_index,
                                       'attempt_number', w.attempt_number)::text
from unnest($1::text[], $2::bytea[]) as u (namespace, cache_key)
cross join lateral (select k.* from cached_call k
                    where k.namespace = u.namespace and k.cache_key = u.cache_key and k.waits
                    order by k.call_id limit $3) w
returning dag_run_id;

-- name: wake_next
-- Nothing came of the call: the first of those who wait goes on, if nobody else is at it.
insert into run_inbox (dag_run_id, event)
select w.dag_run_id, json_build_object('kind', 'EqualCallEnded', 'task', w.task_index, 'map_index', w.map_index,
                                       'attempt_number', w.attempt_number)::text
from unnest($1::text[], $2::bytea[]) as u (namespace, cache_key)
cross join lateral (select k.* from cached_call k join dag_run r on r.dag_run_id = k.dag_run_id
                    where k.namespace = u.namespace and k.cache_key = u.cache_key and k.waits and not r.quarantined
                    order by k.call_id limit 1) w
where not exists (select from cached_call k join dag_run r on r.dag_run_id = k.dag_run_id
                  where k.namespace = u.namespace and k.cache_key = u.cache_key and not k.waits
                    and not r.quarantined)
returning dag_run_id;

-- name: drop_empty
-- Rows that hold no result and that nobody is at. Only while holding them.
delete from cached_result c
using unnest($1::text[], $2::bytea[]) as u (namespace, cache_key)
where c.namespace = u.namespace and c.cache_key = u.cache_key and c.store_time is null
  and not exists (select from cached_call k where k.namespace = u.namespace and k.cache_key = u.cache_key);

-- name: park_calls
-- Out of the claim index until the equal call has ended.
update task_queue q set parked_on = -2
from unnest($1::uuid[], $2::integer[], $3::integer[]) as u (dag_run_id, task_index, map_index)
where q.dag_run_id = u.dag_run_id and q.task_index = u.task_index and q.map_index = u.map_index;

-- name: take_back_calls
-- The rows of task instances that waited for an equal call: what is not returned does not wait any more.
delete from task_queue q
using unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
      as u (dag_run_id, task_index, map_index, attempt_number)
where q.dag_run_id = u.dag_run_id and q.task_index = u.task_index and q.map_index = u.map_index
  and q.attempt_number = u.attempt_number and q.parked_on = -2
returning q.dag_run_id, q.task_index, q.map_index, q.attempt_number,
          case when not q.due then q.available_time end as at;

-- name: sweep_calls
-- Who waits though a result is kept, or though nobody is at it: as when the run that was is quarantined, or gone. What
-- has something in its inbox is stepped anyway.
insert into run_inbox (dag_run_id, event)
select w.dag_run_id, json_build_object('kind', 'EqualCallEnded', 'task', w.task_index, 'map_index', w.map_index,
                                       'attempt_number', w.attempt_number)::text
from (
    select k.*
    from cached_call k join dag_run r on r.dag_run_id = k.dag_run_id
    where k.waits and not r.quarantined
      and not exists (select from run_inbox i where i.dag_run_id = k.dag_run_id)
      and (exists (select from cached_result c
                   where c.namespace = k.namespace and c.cache_key = k.cache_key and c.store_time is not null
                     and c.expire_time > glidepath_now()
                     and (k.expire_after_seconds is null
                          or c.store_time + make_interval(secs => k.expire_after_seconds) > glidepath_now()))
           or not exists (select from cached_call o join dag_run x on x.dag_run_id = o.dag_run_id
                          where o.namespace = k.namespace and o.cache_key = k.cache_key and not x.quarantined
                            and (not o.waits or o.call_id < k.call_id)))
    order by k.call_id limit $1) w
returning dag_run_id;

-- name: prune
-- Expired results that nobody is at, the oldest first, a bounded number, passing over what a step or another replica
-- holds. A call that begins unseen loses nothing by it: whoever comes to the key makes its row anew.
delete from cached_result where ctid = any (array(
    select c.ctid from cached_result c
    where c.expire_time <= glidepath_now()
      and not exists (select from cached_call k where k.namespace = c.namespace and k.cache_key = c.cache_key)
    order by c.expire_time limit $1 for update of c skip locked));

-- name: forget_results
-- Up to $4 results of a DAG, or of a task of it ($3 not null), in the order in which steps hold the rows. What runs now
-- keeps its place: its result is kept when it ends.
with chosen as materialized (
    select namespace, cache_key from cached_result
    where namespace = $1 and dag_id = $2 and ($3::text is null or task_id = $3) and store_time is not null
    order by namespace, cache_key limit $4 for update
)
update cached_result c
set store_time = null, expire_time = glidepath_now(), content_type = null, body = null, uri = null, size_bytes = null,
    sha256 = null
from chosen where c.namespace = chosen.namespace and c.cache_key = chosen.cache_key;

-- name: waited_for
-- Per task instance of a run that waits for an equal call, the run that is at it.
select k.task_index, k.map_index,
       (select o.dag_run_id from cached_call o
        where o.namespace = k.namespace and o.cache_key = k.cache_key and not o.waits
        order by o.call_id limit 1) as other_run_id
from cached_call k where k.dag_run_id = $1 and k.waits;
