-- name: write_xcoms
insert into xcom (dag_run_id, task_index, map_index, attempt_number, xcom_key, value)
select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::text[]);

-- name: write_uses
-- Namespace and DAG are copies of the run's, so that the lineage over runs needs no join.
insert into artifact_use (dag_run_id, task_index, map_index, attempt_number, use_number, direction, uri, sha256,
                          size_bytes, type, name, content_type, metadata, numbers, use_time, namespace, dag_id)
select u.*, $15, r.namespace, r.dag_id
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::integer[], $6::text[], $7::text[], $8::text[],
            $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])
     as u (dag_run_id, task_index, map_index, attempt_number, use_number, direction, uri, sha256, size_bytes, type, name,
           content_type, metadata, numbers)
join dag_run r using (dag_run_id);

-- name: read_xcoms
-- Of each task instance's newest success the value of that key; null when it pushed none. No row without a success.
select s.dag_run_id, s.task_index, s.xcom_key, x.value
from (select distinct on (w.dag_run_id, w.task_index, w.map_index, w.xcom_key)
             w.dag_run_id, w.task_index, w.map_index, w.xcom_key, a.attempt_number
      from unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[])
           as w (dag_run_id, task_index, map_index, xcom_key)
      join task_attempt a using (dag_run_id, task_index, map_index)
      where a.state = 'success'
      order by w.dag_run_id, w.task_index, w.map_index, w.xcom_key, a.attempt_number desc) s
left join xcom x using (dag_run_id, task_index, map_index, attempt_number, xcom_key);

-- name: list_xcoms
-- Of each task instance's newest success, behind the keys.
select x.task_index, x.map_index, x.attempt_number, x.xcom_key, x.value
from xcom x
where x.dag_run_id = $1 and (x.task_index, x.map_index, x.xcom_key) > ($2, $3, $4)
  and not exists (select from task_attempt a
                  where (a.dag_run_id, a.task_index, a.map_index) = (x.dag_run_id, x.task_index, x.map_index)
                    and a.state = 'success' and a.attempt_number > x.attempt_number)
order by x.task_index, x.map_index, x.xcom_key limit $5;

-- name: list_uses
-- Of one run, behind the keys.
select u.*, r.dag_version_id
from artifact_use u join dag_run r using (dag_run_id)
where u.dag_run_id = $1 and u.namespace = $2
  and (u.task_index, u.map_index, u.attempt_number, u.use_number) > ($3, $4, $5, $6)
order by u.task_index, u.map_index, u.attempt_number, u.use_number limit $7;

-- name: digests_of
-- Digests of what has lain at a URI.
select distinct sha256 from artifact_use where namespace = $1 and uri = $2 limit $3;

-- name: uses_of
-- Of artifacts, newest first.
select u.*, r.dag_version_id
from artifact_use u join dag_run r using (dag_run_id)
where u.namespace = $1 and u.sha256 = any($2::text[]) and u.direction = any($3::text[])
order by u.use_time desc, u.dag_run_id, u.task_index, u.map_index, u.attempt_number, u.use_number limit $4;

-- name: uses_by
-- By attempts.
select u.*, r.dag_version_id
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
     as w (dag_run_id, task_index, map_index, attempt_number)
join artifact_use u using (dag_run_id, task_index, map_index, attempt_number)
join dag_run r using (dag_run_id)
where u.direction = $5
order by u.use_time desc, u.dag_run_id, u.task_index, u.map_index, u.attempt_number, u.use_number limit $6;

-- name: list_metrics
-- What the newest $3 runs of a DAG wrote as metrics: of each task instance by its newest success.
select u.*, r.dag_version_id, v.dag_version_number
from (select dag_run_id, dag_version_id from dag_run
      where namespace = $1 and dag_id = $2 order by dag_run_id desc limit $3) r
join artifact_use u using (dag_run_id)
join dag_version v using (dag_version_id)
where u.type = 'metrics' and u.direction = 'write'
  and not exists (select from task_attempt a
                  where (a.dag_run_id, a.task_index, a.map_index) = (u.dag_run_id, u.task_index, u.map_index)
                    and a.state = 'success' and a.attempt_number > u.attempt_number)
order by u.dag_run_id desc, u.task_index, u.map_index, u.use_number limit $4;
