-- DAGs, their immutable versions, and what versions need: limits, queues, task classes, source.

-- name: load_version
select dag_version_id, namespace, dag_id, dag_version_number, spec, class_ids, reroute_class_ids, layout
from dag_version where dag_version_id = $1;

-- name: create_limits
-- Before the DAG's row, which names them. Returns no rows when the DAG exists.
insert into concurrency_limit (namespace, kind, name, capacity)
values ($1, 'dag_tasks', $2, $3), ($1, 'dag_runs', $2, $4)
on conflict do nothing;

-- name: create_dag
-- A concurrent registration of the same DAG waits here, or at its limits, for the first one.
insert into dag (namespace, dag_id, latest_version_number, tasks_limit_id, runs_limit_id, create_time)
select $1, $2, 0, t.limit_id, r.limit_id, $3
from concurrency_limit t, concurrency_limit r
where t.namespace = $1 and t.kind = 'dag_tasks' and t.name = $2
  and r.namespace = $1 and r.kind = 'dag_runs' and r.name = $2
on conflict do nothing;

-- name: lock_dag
-- Whoever registers, points an alias or pauses holds this row until the end; versions are numbered under it.
select latest_version_number, paused, tasks_limit_id, runs_limit_id
from dag where namespace = $1 and dag_id = $2 for update;

-- name: capacities
select limit_id, capacity, in_order from concurrency_limit where limit_id = any ($1::bigint[]);

-- name: hold_pools
-- Pools by name. FOR KEY SHARE: they cannot be deleted before the version that names them is stored.
select name, limit_id, capacity from concurrency_limit
where namespace = $1 and kind = 'pool' and name = any ($2::text[])
order by limit_id for key share;

-- name: hold_limits
-- Named limits, as pools: they cannot be deleted before the version that names them is stored.
select name, limit_id, capacity from concurrency_limit
where namespace = $1 and kind = 'named' and name = any ($2::text[])
order by limit_id for key share;

-- name: create_task_limits
insert into concurrency_limit (namespace, kind, name, capacity)
select $1, 'task', u.name, u.capacity from unnest($2::text[], $3::integer[]) as u (name, capacity) order by u.name
on conflict do nothing;

-- name: task_limits
-- Of a DAG, also those that no version but older ones name. An id has no "/".
select limit_id, substr(name, length($2::text) + 2) as task_id, capacity from concurrency_limit
where namespace = $1 and kind = 'task' and starts_with(name, $2 || '/');

-- name: create_queues
insert into queue (namespace, queue_name)
select $1, q.queue_name from unnest($2::text[]) as q (queue_name) order by q.queue_name
on conflict do nothing;

-- name: queue_ids
select queue_name, queue_id from queue where namespace = $1 and queue_name = any ($2::text[]);

-- name: order_classes
-- One registration at a time from here to its commit: class ids become visible in their order, and a replica that asks
-- for ids above the largest one that it knows misses none. The number is the product's name in ASCII, cut to 8 bytes.
select pg_advisory_xact_lock(7452447363310838132);

-- name: create_classes
insert into task_class (namespace, dag_id, queue_id, handler_name, handler_version, worker_selector, resources,
                        tasks_limit_id, pool_limit_id, pool_slots, limit_ids, limit_slots, run_limited, class_hash)
select $1, $2, c.queue_id, c.handler_name, c.handler_version, c.worker_selector::jsonb, c.resources::jsonb, $3,
       c.pool_limit_id, c.pool_slots, c.limit_ids::bigint[], c.limit_slots::integer[], c.run_limited, c.class_hash
from unnest($4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::integer[], $11::text[],
            $12::text[], $13::boolean[], $14::bytea[])
     as c (queue_id, handler_name, handler_version, worker_selector, resources, pool_limit_id, pool_slots, limit_ids,
           limit_slots, run_limited, class_hash)
on conflict (class_hash) do nothing;

-- name: class_ids
select class_hash, class_id from task_class where class_hash = any ($1::bytea[]);

-- name: create_version
insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids, create_time, created_by,
                         reroute_class_ids)
values ($1, $2, $3, $4, $5, $6::bigint[], $7, $8, $9::bigint[]);

-- name: set_latest
update dag set latest_version_number = $3 where namespace = $1 and dag_id = $2;

-- name: create_bundles
insert into source_bundle (namespace, content_hash, archive, create_time)
select $1, b.content_hash, b.archive, $4 from unnest($2::text[], $3::bytea[]) as b (content_hash, archive)
order by b.content_hash
on conflict do nothing;

-- name: stored_sources
-- Of these hashes, those whose archives are stored.
select content_hash from source_bundle where namespace = $1 and content_hash = any ($2::text[]);

-- name: point_aliases
-- Returns the aliases that did not point there before.
insert into dag_alias as a (namespace, dag_id, alias, dag_version_number)
select $1, $2, n.alias, $4 from unnest($3::text[]) as n (alias) order by n.alias
on conflict (namespace, dag_id, alias) do update set dag_version_number = excluded.dag_version_number
where a.dag_version_number <> excluded.dag_version_number
returning alias;

-- name: set_paused
update dag set paused = $3 where namespace = $1 and dag_id = $2;

-- name: get_dag
-- `head` is the content before the tasks: keys of a canonical text are sorted, and no string holds a bare quote.
select d.namespace, d.dag_id, d.latest_version_number, d.paused, d.create_time,
       split_part(v.spec, ',"tasks":[', 1) || '}' as head,
       (select json_object_agg(a.alias, a.dag_version_number order by a.alias)::text
        from dag_alias a where a.namespace = d.namespace and a.dag_id = d.dag_id) as aliases
from dag d
join dag_version v on v.namespace = d.namespace and v.dag_id = d.dag_id
     and v.dag_version_number = d.latest_version_number and v.layout = ''
where d.namespace = $1 and d.dag_id = $2;

-- name: list_dags
-- By id, behind $2; $3: only those whose latest version carries the tag, "" for all.
select d.namespace, d.dag_id, d.latest_version_number, d.paused, d.create_time,
       split_part(v.spec, ',"tasks":[', 1) || '}' as head,
       (select json_object_agg(a.alias, a.dag_version_number order by a.alias)::text
        from dag_alias a where a.namespace = d.namespace and a.dag_id = d.dag_id) as aliases
from dag d
join dag_version v on v.namespace = d.namespace and v.dag_id = d.dag_id
     and v.dag_version_number = d.latest_version_number and v.layout = ''
where d.namespace = $1 and d.dag_id > $2
  and ($3 = '' or ((split_part(v.spec, ',"tasks":[', 1) || '}')::jsonb -> 'tags') ? $3)
order by d.dag_id limit $4;

-- name: version_by_number
select dag_id, dag_version_number, content_hash, create_time, created_by, cardinality(class_ids) as task_count, spec
from dag_version where namespace = $1 and dag_id = $2 and dag_version_number = $3 and layout = '';

-- name: version_by_hash
select dag_id, dag_version_number, content_hash, create_time, created_by, cardinality(class_ids) as task_count, spec
from dag_version where namespace = $1 and dag_id = $2 and content_hash = $3 and layout = '';

-- name: version_by_alias
select v.dag_id, v.dag_version_number, v.content_hash, v.create_time, v.created_by,
       cardinality(v.class_ids) as task_count, v.spec
from dag_alias a join dag_version v using (namespace, dag_id, dag_version_number)
where a.namespace = $1 and a.dag_id = $2 and a.alias = $3 and v.layout = '';

-- name: latest_version
select v.dag_id, v.dag_version_number, v.content_hash, v.create_time, v.created_by,
       cardinality(v.class_ids) as task_count, v.spec
from dag d
join dag_version v on v.namespace = d.namespace and v.dag_id = d.dag_id
     and v.dag_version_number = d.latest_version_number and v.layout = ''
where d.namespace = $1 and d.dag_id = $2;

-- name: list_versions
-- Newest first, below the number $3; without their content.
select dag_id, dag_version_number, content_hash, create_time, created_by, cardinality(class_ids) as task_count,
       '' as spec
from dag_version where namespace = $1 and dag_id = $2 and dag_version_number < $3 and layout = ''
order by dag_version_number desc limit $4;
