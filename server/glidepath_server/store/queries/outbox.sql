-- Facts, written with the change that they tell of.

-- name: append
-- In the order given.
insert into outbox (namespace, kind, dag_id, dag_run_id, task_id, body, fact_time)
select f.namespace, f.kind, f.dag_id, f.dag_run_id, f.task_id, f.body, f.fact_time
from unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[])
     with ordinality as f (namespace, kind, dag_id, dag_run_id, task_id, body, fact_time, place)
order by f.place;

-- name: read_causes
-- Of each task that runs have given up: its first instance, how its last attempt ended, and how many instances.
select distinct on (d.dag_run_id, d.task_index)
       d.dag_run_id, d.task_index, d.map_index, d.attempt_number, d.reason, a.failure,
       count(*) over (partition by d.dag_run_id, d.task_index) as instances
from dead_letter d
left join task_attempt a
       on (a.dag_run_id, a.task_index, a.map_index, a.attempt_number)
        = (d.dag_run_id, d.task_index, d.map_index, d.attempt_number)
where d.dag_run_id = any($1::uuid[])
order by d.dag_run_id, d.task_index, d.map_index;
