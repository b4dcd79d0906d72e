-- name: put_logs
-- Chunks under their own attempt; one that is there already is dropped.
insert into task_log_chunk (dag_run_id, task_index, map_index, attempt_number, sequence_number, entries)
select u.*
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::text[])
     as u (dag_run_id, task_index, map_index, attempt_number, sequence_number, entries)
join dag_run r using (dag_run_id)
where $7 in ('*', r.namespace)
on conflict do nothing;

-- name: put_progress
-- Only of live attempts, so of one attempt of a task instance; one that a step is ending is stepped over, for the step
-- writes what it left. Rows are locked in the order of their keys, here as there. An empty checkpoint leaves the stored one as it is, unless
-- that is of a generation which was cleared: the first attempt of this one is as many before it as have ended since.
insert into task_progress as p (dag_run_id, task_index, map_index, attempt_number, progress_percent, note, checkpoint,
                                update_time)
select u.dag_run_id, u.task_index, u.map_index, u.attempt_number, u.percent, u.note, nullif(u.checkpoint, ''::bytea),
       glidepath_now()
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::double precision[], $6::text[], $7::bytea[])
     as u (dag_run_id, task_index, map_index, attempt_number, percent, note, checkpoint)
join live_attempt l using (dag_run_id, task_index, map_index, attempt_number)
join dag_run r using (dag_run_id)
where $8 in ('*', r.namespace)
order by 1, 2, 3
for key share of l skip locked
on conflict (dag_run_id, task_index, map_index) do update
set attempt_number = excluded.attempt_number, progress_percent = excluded.progress_percent, note = excluded.note,
    checkpoint = coalesce(excluded.checkpoint, case when p.attempt_number >= (
        select l.attempt_number - l.tries - l.losses - l.redeliveries - l.deferrals - l.preemptions
        from live_attempt l
        where l.dag_run_id = p.dag_run_id and l.task_index = p.task_index and l.map_index = p.map_index
    ) then p.checkpoint end), update_time = excluded.update_time
where p.attempt_number <= excluded.attempt_number;

-- name: is_live
select exists (select from live_attempt
               where dag_run_id = $1 and task_index = $2 and map_index = $3 and attempt_number = $4);

-- name: artifact
select content_type, size_bytes from artifact where namespace = $1 and sha256 = $2;

-- name: put_artifact
-- Whether it is new.
insert into artifact (namespace, sha256, content_type, size_bytes, create_time)
values ($1, $2, $3, $4, glidepath_now()) on conflict do nothing
returning true;

-- name: put_artifact_chunks
insert into artifact_chunk (namespace, sha256, chunk_index, body)
select $1, $2, * from unnest($3::integer[], $4::bytea[]) on conflict do nothing;

-- name: artifact_chunk
select body from artifact_chunk where namespace = $1 and sha256 = $2 and chunk_index = $3;

-- name: source_part
-- $4 bytes of the archive behind the first $3.
select substring(archive from $3::integer + 1 for $4::integer) from source_bundle
where namespace = $1 and content_hash = $2;

-- name: session
select session_id, namespace, worker_identity, incarnation, generation, state, queue_names, labels, resources, handlers,
       other_namespaces
from worker_session where session_id = $1;
