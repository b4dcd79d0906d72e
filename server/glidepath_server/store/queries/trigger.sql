-- Creating runs: a handful of statements for any number of runs of any DAGs.

-- name: resolve_versions
-- Which version each selector means: a number, an alias, or (both null) the latest. Answers every ordinal; a DAG, alias
-- or version that does not exist leaves its columns null.
select w.ord::integer as ord, d.dag_id is not null as dag_exists, v.dag_version_id, v.dag_version_number,
       d.latest_version_number, d.runs_limit_id,
       exists (select from dag_deadline l where l.namespace = $1 and l.dag_id = w.dag_id) as has_deadlines
from unnest($2::text[], $3::integer[], $4::text[], $5::bytea[]) with ordinality
     as w (dag_id, number, alias, layout_hash, ord)
left join dag d on d.namespace = $1 and d.dag_id = w.dag_id
left join dag_alias a on a.namespace = $1 and a.dag_id = w.dag_id and a.alias = w.alias
left join dag_version v on v.namespace = $1 and v.dag_id = w.dag_id and v.layout_hash = w.layout_hash
     and v.dag_version_number = case when w.number is not null then w.number
                                     when w.alias is not null then a.dag_version_number
                                     else d.latest_version_number end
order by w.ord;

-- name: capped_runs_limits
-- Of these limits on active runs the ones that have a cap. Held FOR KEY SHARE: who sets a cap meanwhile waits for us,
-- and then counts our runs.
select l.limit_id, l.capacity is not null as capped
from concurrency_limit l where l.limit_id = any($1::bigint[]) order by l.limit_id for key share;

-- name: names_like
-- For a hint: the DAGs of the namespace.
select dag_id from dag where namespace = $1 order by dag_id limit 1000;

-- name: aliases_of
select alias from dag_alias where namespace = $1 and dag_id = $2 order by alias limit 100;

-- name: take_keys
-- Run keys that were free. Taken in one order by everybody, so that two calls cannot wait for each other.
insert into dag_run_key (namespace, dag_id, run_key, dag_run_id)
select $1, k.dag_id, k.run_key, k.dag_run_id
from unnest($2::text[], $3::text[], $4::uuid[]) as k (dag_id, run_key, dag_run_id)
order by k.dag_id, k.run_key, k.dag_run_id
on conflict do nothing
returning dag_run_id;

-- name: insert_runs
-- A board of one zero byte per task: everything is scheduled; but for a run that was asked for with more than that.
insert into dag_run (dag_run_id, dag_version_id, admitted, run_type, board, namespace, dag_id, run_key, params,
                     logical_date, data_interval_start, data_interval_end, create_time, created_by, traceparent,
                     refresh_cache, has_deadlines, backfill_id)
select r.dag_run_id, r.dag_version_id, r.admitted, r.run_type, coalesce(r.board, decode(repeat('00', r.task_count), 'hex')), $1,
       r.dag_id, r.run_key, r.params, r.logical_date, r.data_interval_start, r.data_interval_end, $2, $3, r.traceparent,
       r.refresh_cache, r.has_deadlines, r.backfill_id
from unnest($4::uuid[], $5::bigint[], $6::boolean[], $7::integer[], $8::text[], $9::text[], $10::text[],
            $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::boolean[], $16::bytea[], $17::text[],
            $18::boolean[], $19::uuid[])
     as r (dag_run_id, dag_version_id, admitted, task_count, dag_id, run_key, params, logical_date,
           data_interval_start, data_interval_end, traceparent, refresh_cache, board, run_type, has_deadlines,
           backfill_id);

-- name: runs_by_key
-- Who has these keys. The run's own columns are null when the run is no longer kept.
select k.dag_id, k.run_key, k.dag_run_id, r.dag_version_id, v.dag_version_number, r.params, r.logical_date,
       r.data_interval_start, r.data_interval_end
from unnest($2::text[], $3::text[]) as w (dag_id, run_key)
join dag_run_key k on k.namespace = $1 and k.dag_id = w.dag_id and k.run_key = w.run_key
left join dag_run r on r.dag_run_id = k.dag_run_id
left join dag_version v on v.dag_version_id = r.dag_version_id;
