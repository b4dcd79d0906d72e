-- Versions laid out for runs that were moved to them (see core/layouts.py).

-- name: version_id
-- $3: a number, 0 for the latest.
select v.dag_version_id from dag d join dag_version v using (namespace, dag_id)
where d.namespace = $1 and d.dag_id = $2 and v.layout = ''
  and v.dag_version_number = case when $3::integer = 0 then d.latest_version_number else $3 end;

-- name: layout_id
select l.dag_version_id from dag_version b
join dag_version l on l.namespace = b.namespace and l.dag_id = b.dag_id
     and l.dag_version_number = b.dag_version_number and l.layout_hash = $2
where b.dag_version_id = $1;

-- name: copy_classes
-- The classes of a version, each once more for the layout: of equal needs, and known apart.
insert into task_class (namespace, dag_id, queue_id, handler_name, handler_version, worker_selector, resources,
                        tasks_limit_id, pool_limit_id, pool_slots, class_hash, limit_ids, limit_slots, run_limited)
select k.namespace, k.dag_id, k.queue_id, k.handler_name, k.handler_version, k.worker_selector, k.resources,
       k.tasks_limit_id, k.pool_limit_id, k.pool_slots, sha256(k.class_hash || $2::bytea), k.limit_ids, k.limit_slots,
       k.run_limited
from dag_version b join task_class k on k.class_id = any(b.class_ids || b.reroute_class_ids)
where b.dag_version_id = $1
order by k.class_id
on conflict (class_hash) do nothing;

-- name: copied_classes
select k.class_id as class_id, c.class_id as copy_id
from dag_version b join task_class k on k.class_id = any(b.class_ids || b.reroute_class_ids)
join task_class c on c.class_hash = sha256(k.class_hash || $2::bytea)
where b.dag_version_id = $1;

-- name: base_classes
select class_ids, reroute_class_ids, spec from dag_version where dag_version_id = $1;

-- name: insert_layout
insert into dag_version (namespace, dag_id, dag_version_number, content_hash, spec, class_ids, create_time, created_by,
                         reroute_class_ids, layout, layout_hash)
select namespace, dag_id, dag_version_number, content_hash, spec, $2::bigint[], glidepath_now(), created_by,
       $3::bigint[], $4, $5
from dag_version where dag_version_id = $1
on conflict (namespace, dag_id, dag_version_number, layout_hash) do nothing;

-- name: move_run
-- Under the run's lock, in its step.
with moved as (
    update dag_run set dag_version_id = $2 where dag_run_id = $1 returning dag_run_id
)
insert into dag_run_move (dag_run_id, revision, from_version_id, to_version_id, move_time)
select m.dag_run_id, $3, $4, $2, $5 from moved m;

-- name: first_number
-- The version that a run was created with, if it was moved since.
select v.dag_version_number from dag_run_move m join dag_version v on v.dag_version_id = m.from_version_id
where m.dag_run_id = $1 order by m.revision limit 1;

-- name: copy_classes_for_lane
-- The classes of a version, each once more for a lane: in queue $3, if that is one, and with a slot of pool $4, if that is
-- one, beside what they take anyway.
insert into task_class (namespace, dag_id, queue_id, handler_name, handler_version, worker_selector, resources,
                        tasks_limit_id, pool_limit_id, pool_slots, class_hash, limit_ids, limit_slots, run_limited)
select k.namespace, k.dag_id, coalesce($3::integer, k.queue_id), k.handler_name, k.handler_version, k.worker_selector,
       k.resources, k.tasks_limit_id, coalesce($4::bigint, k.pool_limit_id),
       case when $4 is null or k.pool_limit_id = $4 then k.pool_slots else 1 end, sha256(k.class_hash || $2::bytea),
       case when k.pool_limit_id <> $4 then k.limit_ids || k.pool_limit_id else k.limit_ids end,
       case when k.pool_limit_id <> $4 then k.limit_slots || k.pool_slots else k.limit_slots end, k.run_limited
from dag_version b join task_class k on k.class_id = any(b.class_ids || b.reroute_class_ids)
where b.dag_version_id = $1
order by k.class_id
on conflict (class_hash) do nothing;
