-- Mapped tasks: what their instances are given, and what they have come to.

-- name: drop_items
delete from map_items where dag_run_id = $1 and task_index = $2;

-- name: drop_marks
delete from instance_mark where dag_run_id = $1 and task_index = $2;

-- name: forget_marks
delete from instance_mark m using unnest($1::uuid[], $2::integer[], $3::integer[]) as u (dag_run_id, task_index, map_index)
where m.dag_run_id = u.dag_run_id and m.task_index = u.task_index and m.map_index = u.map_index;

-- name: put_marks
-- Under the runs' locks.
insert into instance_mark (dag_run_id, task_index, map_index, state, reason, base)
select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::smallint[], $5::text[], $6::integer[])
on conflict (dag_run_id, task_index, map_index)
do update set state = excluded.state, reason = excluded.reason, base = excluded.base;

-- name: instance_marks
select map_index, state, reason from instance_mark
where dag_run_id = $1 and task_index = $2 and map_index between $3 and $4;

-- name: put_items
-- The chunks of one mapped task, in order. Under the run's lock.
insert into map_items (dag_run_id, task_index, chunk_index, length, items)
select $1, $2, c.ord - 1, $3, c.items from unnest($4::text[]) with ordinality as c (items, ord);

-- name: read_items
select m.dag_run_id, m.task_index, m.chunk_index, m.items
from unnest($1::uuid[], $2::integer[], $3::integer[]) as w (dag_run_id, task_index, chunk_index)
join map_items m using (dag_run_id, task_index, chunk_index);

-- name: lengths
-- Instances of mapped tasks whose lists were read.
select m.dag_run_id, m.task_index, m.length
from unnest($1::uuid[], $2::integer[]) as w (dag_run_id, task_index)
join map_items m using (dag_run_id, task_index)
where m.chunk_index = 0;

-- name: gathered
-- Outputs of the instances below $3 whose newest attempt has succeeded, from the map index $4 on; not of those that an
-- operator has given another end than success (10), or one without an attempt since the lists were read.
select a.map_index, o.content_type, o.body, o.uri, o.size_bytes, o.sha256
from (select distinct on (t.map_index) t.map_index, t.attempt_number, t.state
      from (select map_index, attempt_number, state from task_attempt
            where dag_run_id = $1 and task_index = $2 and map_index >= $4 and map_index < $3
            union all
            select map_index, attempt_number, 'success' from task_reuse
            where dag_run_id = $1 and task_index = $2 and map_index >= $4 and map_index < $3) t
      order by t.map_index, t.attempt_number desc) a
join task_output o on o.dag_run_id = $1 and o.task_index = $2 and o.map_index = a.map_index
     and o.attempt_number = a.attempt_number
where a.state = 'success'
  and not exists (select from instance_mark m where m.dag_run_id = $1 and m.task_index = $2
                  and m.map_index = a.map_index and (m.state <> 10 or m.base >= a.attempt_number))
order by a.map_index;

-- name: instance_states
-- The newest state (a code) of each instance, by the history of the run's steps.
select distinct on (u.map_index) u.map_index, get_byte(e.states, (u.ord - 1)::integer) as state
from dag_run_event e
cross join lateral unnest(e.task_indexes, e.map_indexes) with ordinality as u (task_index, map_index, ord)
where e.dag_run_id = $1 and e.map_indexes is not null and u.task_index = $2 and u.map_index >= 0
order by u.map_index, e.revision desc, u.ord desc;

-- name: instance_attempts
-- The highest attempt number of each of these instances, of those that had one.
select a.map_index, max(a.attempt_number) as attempt_number
from (select map_index, attempt_number from task_attempt
      where dag_run_id = $1 and task_index = $2 and map_index = any($3::integer[])
      union all
      select map_index, attempt_number from task_reuse
      where dag_run_id = $1 and task_index = $2 and map_index = any($3::integer[])) a
group by a.map_index;
