-- Child runs: made by the step that accepts a call, told of by the step in which they end, ended by their caller's step.

-- name: author
-- Of a live attempt: its namespace, and who registered the version that it runs.
select r.namespace, v.created_by
from live_attempt l join dag_run r using (dag_run_id) join dag_version v using (dag_version_id)
where l.dag_run_id = $1 and l.task_index = $2 and l.map_index = $3 and l.attempt_number = $4;

-- name: callers
-- How deep each of these runs lies in a tree of calls, how many child runs it has called, and the version that it has now.
select r.dag_run_id, (select d.dag_version_id from dag_run d where d.dag_run_id = r.dag_run_id) as dag_version_id,
       coalesce((select c.depth from child_run c where c.child_run_id = r.dag_run_id), 0) as depth,
       (select count(*) from child_run c where c.parent_run_id = r.dag_run_id)::integer as children
from unnest($1::uuid[]) as r (dag_run_id);

-- name: take_keys
-- Run keys of child runs that were free; in one order by everybody, as `take_keys` of trigger.sql.
insert into dag_run_key (namespace, dag_id, run_key, dag_run_id)
select k.namespace, k.dag_id, k.run_key, k.dag_run_id
from unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) as k (namespace, dag_id, run_key, dag_run_id)
order by k.dag_id, k.run_key, k.dag_run_id
on conflict do nothing
returning dag_run_id;

-- name: insert_runs
-- A board of one zero byte per task: everything is scheduled.
insert into dag_run (dag_run_id, dag_version_id, admitted, run_type, board, namespace, dag_id, run_key, params,
                     logical_date, data_interval_start, data_interval_end, create_time, created_by, traceparent,
                     has_deadlines)
select r.dag_run_id, r.dag_version_id, r.admitted, 'child', decode(repeat('00', r.task_count), 'hex'), r.namespace,
       r.dag_id, r.run_key, r.params, r.logical_date, r.data_interval_start, r.data_interval_end, $13, r.created_by,
       r.traceparent, r.has_deadlines
from unnest($1::uuid[], $2::bigint[], $3::boolean[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::text[], $14::text[], $15::boolean[])
     as r (dag_run_id, dag_version_id, admitted, task_count, namespace, dag_id, run_key, params, logical_date,
           data_interval_start, data_interval_end, traceparent, created_by, has_deadlines);

-- name: insert_calls
insert into child_run (parent_run_id, task_index, map_index, attempt_number, parent_dag_id, task_id, child_run_id,
                       child_dag_id, depth, output_task_id, resume, session_id, tries, losses, redeliveries, queue_time,
                       start_time, timeout_time, deferrals, waiting_since, preemptions)
select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::uuid[],
                     $8::text[], $9::smallint[], $10::text[], $11::boolean[], $12::uuid[], $13::integer[],
                     $14::integer[], $15::integer[], $16::timestamptz[], $17::timestamptz[], $18::timestamptz[],
                     $19::integer[], $20::timestamptz[], $21::integer[]);

-- name: waited_for
-- Of these runs, which have ended, those that a caller waits for. Not locked: only the caller's step ends the wait, and
-- what it takes is looked at there again.
select c.parent_run_id, c.task_index, c.map_index, c.attempt_number, c.child_run_id, c.child_dag_id, c.output_task_id
from child_run c where c.child_run_id = any($1::uuid[]) and c.waiting;

-- name: outputs
-- The newest successful outputs of tasks of child runs. `bytes` is what all of a run's are inline; over $3 no body comes.
select f.*, case when f.bytes <= $3 then f.inline end as body
from (select s.dag_run_id, s.task_index, s.map_index, o.content_type, o.body as inline, o.uri, o.size_bytes, o.sha256,
             sum(coalesce(octet_length(o.body), 0)) over (partition by s.dag_run_id)::bigint as bytes
      from (select distinct on (a.dag_run_id, a.task_index, a.map_index)
                   a.dag_run_id, a.task_index, a.map_index, a.attempt_number
            from unnest($1::uuid[], $2::integer[]) as w (dag_run_id, task_index)
            -- The offset keeps the planner from joining the whole view.
            cross join lateral (select * from task_success s
                                where s.dag_run_id = w.dag_run_id and s.task_index = w.task_index offset 0) a
            order by a.dag_run_id, a.task_index, a.map_index, a.attempt_number desc) s
      join task_output o using (dag_run_id, task_index, map_index, attempt_number)) f;

-- name: write_outputs
-- What ended child runs give their callers. One that was run again by hand before its caller was told has given already.
insert into task_output (dag_run_id, task_index, map_index, attempt_number, content_type, body, uri, size_bytes, sha256)
select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::bytea[], $7::text[],
                     $8::bigint[], $9::text[])
on conflict do nothing;

-- name: end_waits
-- The guard: only what is still waited for ends, once, and only by the step that holds the caller.
update child_run c set waiting = false, child_state = e.state, child_reason = e.reason
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[])
     as e (parent_run_id, child_run_id, state, reason)
where c.child_run_id = e.child_run_id and c.parent_run_id = e.parent_run_id and c.waiting
returning c.*, c.cancel_requested_time is not null as cancel_requested;

-- name: end_attempts
-- The history of attempts whose child runs have ended.
with history as (
    insert into task_attempt (dag_run_id, task_index, map_index, attempt_number, state, session_id, queue_time,
                              start_time, end_time, failure, reason)
    select c.parent_run_id, c.task_index, c.map_index, c.attempt_number, e.state, c.session_id, c.queue_time,
           c.start_time, $5::timestamptz, e.failure, e.reason
    from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as e (child_run_id, state, failure, reason)
    join child_run c using (child_run_id)
    returning dag_run_id, task_index, map_index, attempt_number
)
insert into trace_feed (dag_run_id, task_index, map_index, attempt_number)
select dag_run_id, task_index, map_index, attempt_number from history
where current_setting('glidepath.traced', true) = 'on';

-- name: outputs_of_calls
-- What child runs have given these attempts.
select o.dag_run_id, o.task_index, o.map_index, o.content_type, o.body, o.uri, o.size_bytes, o.sha256
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
     as w (dag_run_id, task_index, map_index, attempt_number)
join task_output o using (dag_run_id, task_index, map_index, attempt_number);

-- name: overdue
-- Attempts whose timeout has passed while they wait for a child run.
update child_run c
set cancel_requested_time = glidepath_now(), cancel_reason = 'execution timeout', timed_out = true
where c.ctid = any(array(select o.ctid from child_run o
                         where o.waiting and o.timeout_time <= glidepath_now() and o.cancel_requested_time is null
                         order by o.timeout_time limit $1 for update skip locked))
returning c.parent_run_id, c.parent_dag_id, c.child_run_id, c.cancel_reason;

-- name: next_overdue
select extract(epoch from min(timeout_time) - glidepath_now())::double precision
from child_run where waiting and timeout_time is not null and cancel_requested_time is null;

-- name: ends_for
-- Of attempts that are live now, how the child run ended that their generation has called last with `resume`. Not for one
-- that follows a failure of its own: it calls anew. See `read_checkpoints` for what is of its generation.
select distinct on (c.parent_run_id, c.task_index, c.map_index)
       c.parent_run_id as dag_run_id, c.task_index, c.map_index, c.child_run_id, c.child_dag_id, c.child_state,
       c.child_reason, o.content_type, o.body, o.uri, o.size_bytes, o.sha256
from unnest($1::uuid[], $2::integer[], $3::integer[]) as w (dag_run_id, task_index, map_index)
join live_attempt l using (dag_run_id, task_index, map_index)
join child_run c on c.parent_run_id = l.dag_run_id and c.task_index = l.task_index and c.map_index = l.map_index
left join task_output o on o.dag_run_id = c.parent_run_id and o.task_index = c.task_index
     and o.map_index = c.map_index and o.attempt_number = c.attempt_number
where c.resume and not c.waiting and c.tries = l.tries
  and c.attempt_number >= l.attempt_number - l.tries - l.losses - l.redeliveries - l.deferrals - l.preemptions
order by c.parent_run_id, c.task_index, c.map_index, c.attempt_number desc;
