-- What readers see of runs. Statements that are put together into one view run in one repeatable-read transaction.

-- name: run
-- One run of a namespace, with its board.
select r.dag_run_id, r.namespace, r.dag_id, r.dag_version_id, v.dag_version_number, r.run_type, r.run_key, r.state,
       r.intent, r.admitted, r.quarantined, r.reason, r.logical_date, r.data_interval_start, r.data_interval_end,
       r.params, r.revision, r.create_time, r.start_time, r.end_time, r.created_by, r.traceparent, r.board,
       c.parent_run_id, c.parent_dag_id, c.task_id, c.map_index, c.attempt_number
from dag_run r join dag_version v on v.dag_version_id = r.dag_version_id
left join child_run c on c.child_run_id = r.dag_run_id
where r.namespace = $1 and r.dag_run_id = $2;

-- name: list_runs
-- Newest first, from the id $2 to below $3. $4: states, null for all.
select r.dag_run_id, r.namespace, r.dag_id, r.dag_version_id, v.dag_version_number, r.run_type, r.run_key, r.state,
       r.intent, r.admitted, r.quarantined, r.reason, r.logical_date, r.data_interval_start, r.data_interval_end,
       r.params, r.revision, r.create_time, r.start_time, r.end_time, r.created_by, r.traceparent, ''::bytea as board,
       c.parent_run_id, c.parent_dag_id, c.task_id, c.map_index, c.attempt_number
from dag_run r join dag_version v on v.dag_version_id = r.dag_version_id
left join child_run c on c.child_run_id = r.dag_run_id
where r.namespace = $1 and r.dag_run_id >= $2 and r.dag_run_id < $3 and ($4::text[] is null or r.state = any($4))
order by r.dag_run_id desc limit $5;

-- name: list_runs_of_dag
-- The same for one DAG ($6), by its own index.
select r.dag_run_id, r.namespace, r.dag_id, r.dag_version_id, v.dag_version_number, r.run_type, r.run_key, r.state,
       r.intent, r.admitted, r.quarantined, r.reason, r.logical_date, r.data_interval_start, r.data_interval_end,
       r.params, r.revision, r.create_time, r.start_time, r.end_time, r.created_by, r.traceparent, ''::bytea as board,
       c.parent_run_id, c.parent_dag_id, c.task_id, c.map_index, c.attempt_number
from dag_run r join dag_version v on v.dag_version_id = r.dag_version_id
left join child_run c on c.child_run_id = r.dag_run_id
where r.namespace = $1 and r.dag_id = $6 and r.dag_run_id >= $2 and r.dag_run_id < $3
  and ($4::text[] is null or r.state = any($4))
order by r.dag_run_id desc limit $5;

-- name: list_children
-- The same of the child runs of one run ($6).
select r.dag_run_id, r.namespace, r.dag_id, r.dag_version_id, v.dag_version_number, r.run_type, r.run_key, r.state,
       r.intent, r.admitted, r.quarantined, r.reason, r.logical_date, r.data_interval_start, r.data_interval_end,
       r.params, r.revision, r.create_time, r.start_time, r.end_time, r.created_by, r.traceparent, ''::bytea as board,
       c.parent_run_id, c.parent_dag_id, c.task_id, c.map_index, c.attempt_number
from dag_run r join dag_version v on v.dag_version_id = r.dag_version_id
join child_run c on c.child_run_id = r.dag_run_id
where r.namespace = $1 and c.parent_run_id = $6 and r.dag_run_id >= $2 and r.dag_run_id < $3
  and ($4::text[] is null or r.state = any($4))
order by r.dag_run_id desc limit $5;

-- name: dag_exists
select exists (select from dag where namespace = $1 and dag_id = $2);

-- name: released_counts
-- What tells `released` apart: tasks with attempts or child runs under way, retries and deferrals that are not due. A
-- mapped task is one.
select (select count(distinct u.task_index)
        from (select l.task_index from live_attempt l where l.dag_run_id = $1
              union all
              select c.task_index from child_run c where c.parent_run_id = $1 and c.waiting) u)::integer as live,
       count(*) filter (where a.state is distinct from 'deferred' and a.state is not null)::integer as up_for_retry,
       count(*) filter (where a.state = 'deferred')::integer as deferred
from task_queue q
left join lateral (select t.state from task_attempt t
                   where t.dag_run_id = q.dag_run_id and t.task_index = q.task_index and t.map_index = q.map_index
                   order by t.attempt_number desc limit 1) a on true
where q.dag_run_id = $1 and not q.due and q.map_index < 0;

-- name: waiting_rows
select task_index, map_index, attempt_number, class_id, queue_id, order_key, queue_time, available_time, due, parked_on
from task_queue where dag_run_id = $1 and task_index = any($2::integer[]) and map_index between $3 and $4;

-- name: live_rows
select l.task_index, l.map_index, l.attempt_number, coalesce(s.worker_identity, '') as worker_identity, l.queue_time,
       l.start_time, l.cancel_requested_time, coalesce(p.progress_percent, 0) as progress_percent,
       coalesce(p.note, '') as progress_note, null::uuid as child_run_id, '' as child_dag_id
from live_attempt l
left join worker_session s on s.session_id = l.session_id
left join task_progress p on p.dag_run_id = l.dag_run_id and p.task_index = l.task_index
     and p.map_index = l.map_index and p.attempt_number = l.attempt_number
where l.dag_run_id = $1 and l.task_index = any($2::integer[]) and l.map_index between $3 and $4
union all
select c.task_index, c.map_index, c.attempt_number, '', c.queue_time, c.start_time, c.cancel_requested_time, 0, '',
       c.child_run_id, c.child_dag_id
from child_run c
where c.parent_run_id = $1 and c.task_index = any($2::integer[]) and c.map_index between $3 and $4 and c.waiting;

-- name: newest_attempts
-- The newest ended attempt of each task, or the result of another run that it has instead. Stack traces and causes are
-- left out: ListAttempts has them.
select distinct on (a.task_index, a.map_index)
       a.task_index, a.map_index, a.attempt_number, a.state, coalesce(s.worker_identity, '') as worker_identity,
       a.queue_time, a.start_time, a.end_time, (a.failure::jsonb - 'stack_trace' - 'causes')::text as failure, a.reason,
       false as has_output, null::uuid as child_run_id
from (select a.task_index, a.map_index, a.attempt_number, a.state, a.session_id, a.queue_time, a.start_time, a.end_time,
             a.failure, a.reason
      from task_attempt a
      where a.dag_run_id = $1 and a.task_index = any($2::integer[]) and a.map_index between $3 and $4
      union all
      select u.task_index, u.map_index, u.attempt_number, 'success', null, u.reuse_time, u.reuse_time, u.reuse_time, null,
             'cached: result of ' || u.source_run_id || ' of '
             || to_char(u.source_time at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
      from task_reuse u
      where u.dag_run_id = $1 and u.task_index = any($2::integer[]) and u.map_index between $3 and $4) a
left join worker_session s on s.session_id = a.session_id
order by a.task_index, a.map_index, a.attempt_number desc;

-- name: instance_counts
-- What of mapped tasks ($2) the board does not say: which of the released instances are queued, which run; and when the
-- first began. The end is looked for of tasks ($3) that have ended: it means a look at each attempt.
select t.task_index, w.queued, w.up_for_retry, w.deferred, l.running,
       (select min(a.start_time) from (select start_time from task_attempt where dag_run_id = $1
                                       and task_index = t.task_index and map_index = 0
                                       union all select start_time from live_attempt where dag_run_id = $1
                                       and task_index = t.task_index and map_index = 0
                                       union all select start_time from child_run where parent_run_id = $1
                                       and task_index = t.task_index and map_index = 0 and waiting) a) as start_time,
       case when t.task_index = any($3::integer[])
            then (select max(a.end_time) from task_attempt a where a.dag_run_id = $1 and a.task_index = t.task_index
                  and a.map_index >= 0) end as end_time
from unnest($2::integer[]) as t (task_index)
cross join lateral (
    select count(*) filter (where q.due or a.state is null)::integer as queued,
           count(*) filter (where not q.due and a.state <> 'deferred')::integer as up_for_retry,
           count(*) filter (where not q.due and a.state = 'deferred')::integer as deferred
    from task_queue q
    left join lateral (select e.state from task_attempt e
                       where not q.due and e.dag_run_id = q.dag_run_id and e.task_index = q.task_index
                         and e.map_index = q.map_index
                       order by e.attempt_number desc limit 1) a on true
    where q.dag_run_id = $1 and q.task_index = t.task_index and q.map_index >= 0) w
cross join lateral (
    select ((select count(*) from live_attempt v
             where v.dag_run_id = $1 and v.task_index = t.task_index and v.map_index >= 0)
            + (select count(*) from child_run c where c.parent_run_id = $1 and c.task_index = t.task_index
               and c.map_index >= 0 and c.waiting))::integer as running) l;

-- name: first_waiting_instances
-- Of each of these mapped tasks the instance that is first in its queue, or will be.
select distinct on (task_index)
       task_index, map_index, attempt_number, class_id, queue_id, order_key, queue_time, available_time, due, parked_on
from task_queue where dag_run_id = $1 and task_index = any($2::integer[]) and map_index >= 0
order by task_index, due desc, parked_on <> 0, order_key, map_index;

-- name: given_up
-- Instances of a mapped task that were given up and not cleared since.
select map_index from dead_letter
where dag_run_id = $1 and task_index = $2 and map_index between $3 and $4;

-- name: moving_rows
-- What a watcher holds against its last look, because no revision tells of it: live attempts with their progress, those
-- that wait for a child run, and rows that wait for their time.
select l.task_index, l.attempt_number, true as live, p.update_time as mark
from live_attempt l
left join task_progress p on p.dag_run_id = l.dag_run_id and p.task_index = l.task_index
     and p.map_index = l.map_index and p.attempt_number = l.attempt_number
where l.dag_run_id = $1 and l.map_index < 0
union all
select c.task_index, c.attempt_number, false, c.cancel_requested_time from child_run c
where c.parent_run_id = $1 and c.waiting and c.map_index < 0
union all
select q.task_index, q.attempt_number, false, q.available_time from task_queue q
where q.dag_run_id = $1 and not q.due and q.map_index < 0
union all
select l.task_index, count(*)::integer, true, max(l.start_time)
from (select task_index, start_time from live_attempt where dag_run_id = $1 and map_index >= 0
      union all
      select task_index, start_time from child_run where parent_run_id = $1 and map_index >= 0 and waiting) l
group by l.task_index
union all
select q.task_index, count(*)::integer, false, null from task_queue q
where q.dag_run_id = $1 and not q.due and q.map_index >= 0 group by q.task_index;

-- name: changed_tasks
-- Tasks that got a new state in a step after the revision $2.
select distinct unnest(e.task_indexes) as task_index from dag_run_event e where e.dag_run_id = $1 and e.revision > $2;

-- name: attempts
-- History, oldest first, what is live included; behind the keys ($3, $4, $5, $6). $2: a task index, -1 for all; $7: a map
-- index, null for all.
select * from (
    select a.task_index, a.map_index, a.attempt_number, a.state, coalesce(s.worker_identity, '') as worker_identity,
           a.queue_time, a.start_time, a.end_time, a.failure, a.reason,
           exists (select from task_output o where o.dag_run_id = a.dag_run_id and o.task_index = a.task_index
                   and o.map_index = a.map_index and o.attempt_number = a.attempt_number) as has_output, c.child_run_id
    from task_attempt a left join worker_session s on s.session_id = a.session_id
    left join child_run c on c.parent_run_id = a.dag_run_id and c.task_index = a.task_index
         and c.map_index = a.map_index and c.attempt_number = a.attempt_number
    where a.dag_run_id = $1 and ($2 = -1 or a.task_index = $2)
      and ($7::integer is null or a.map_index = $7)
      and (a.start_time, a.task_index, a.map_index, a.attempt_number) > ($3::timestamptz, $4, $5, $6)
    union all
    select l.task_index, l.map_index, l.attempt_number, 'running', coalesce(s.worker_identity, ''), l.queue_time,
           l.start_time, null, null, '', false, null
    from live_attempt l left join worker_session s on s.session_id = l.session_id
    where l.dag_run_id = $1 and ($2 = -1 or l.task_index = $2)
      and ($7::integer is null or l.map_index = $7)
      and (l.start_time, l.task_index, l.map_index, l.attempt_number) > ($3::timestamptz, $4, $5, $6)
    union all
    select w.task_index, w.map_index, w.attempt_number, 'running', coalesce(s.worker_identity, ''), w.queue_time,
           w.start_time, null, null, '', false, w.child_run_id
    from child_run w left join worker_session s on s.session_id = w.session_id
    where w.parent_run_id = $1 and ($2 = -1 or w.task_index = $2) and w.waiting
      and ($7::integer is null or w.map_index = $7)
      and (w.start_time, w.task_index, w.map_index, w.attempt_number) > ($3::timestamptz, $4, $5, $6)
) as history
order by start_time, task_index, map_index, attempt_number limit $8;

-- name: attempt_times
-- For the critical path: all attempts, and what waits now. Of a mapped task the instances count together.
select task_index, attempt_number, queue_time, start_time, end_time from task_attempt
where dag_run_id = $1 and map_index < 0
union all
select task_index, attempt_number, queue_time, start_time, null from live_attempt where dag_run_id = $1 and map_index < 0
union all
select task_index, attempt_number, queue_time, start_time, null from child_run
where parent_run_id = $1 and map_index < 0 and waiting
union all
select task_index, attempt_number, queue_time, null, null from task_queue where dag_run_id = $1 and map_index < 0
union all
select task_index, attempt_number, open_time, open_time, null from approval where dag_run_id = $1 and state = 'open'
union all
select task_index, max(attempt_number), min(queue_time), min(start_time),
       case when bool_and(end_time is not null) then max(end_time) end
from (select task_index, attempt_number, queue_time, start_time, end_time from task_attempt
      where dag_run_id = $1 and map_index >= 0
      union all
      select task_index, attempt_number, queue_time, start_time, null from live_attempt
      where dag_run_id = $1 and map_index >= 0
      union all
      select task_index, attempt_number, queue_time, start_time, null from child_run
      where parent_run_id = $1 and map_index >= 0 and waiting) m
group by task_index;

-- name: output
-- The newest successful attempt with its output, if it returned one.
select a.attempt_number, o.content_type, o.body, o.uri, o.size_bytes, o.sha256
from task_success a
left join task_output o on o.dag_run_id = a.dag_run_id and o.task_index = a.task_index
     and o.map_index = a.map_index and o.attempt_number = a.attempt_number
where a.dag_run_id = $1 and a.task_index = $2 and a.map_index = $3
order by a.attempt_number desc limit 1;

-- name: log_chunks
-- Behind the position ($2, $3), in the order in which they were received. Only below the oldest running transaction:
-- above it a chunk may still appear before one that is visible.
select c.task_index, c.map_index, c.attempt_number, c.written::text as written_text, c.log_id, c.entries
from task_log_chunk c
where c.dag_run_id = $1 and (c.written, c.log_id) >= ($2::text::xid8, $3::bigint)
  and c.written < pg_snapshot_xmin(pg_current_snapshot())
  and ($4 = -1 or c.task_index = $4) and ($5 = 0 or c.attempt_number = $5)
  and ($6::integer is null or c.map_index = $6)
order by c.written, c.log_id limit $7;

-- name: logs_to_come
-- Whether chunks are visible that log_chunks does not give out yet.
select exists (
    select from task_log_chunk
    where dag_run_id = $1 and written >= pg_snapshot_xmin(pg_current_snapshot())
      and ($2 = -1 or task_index = $2) and ($3 = 0 or attempt_number = $3)
      and ($4::integer is null or map_index = $4));

-- name: run_limits
-- The pause of a run's DAG and the use of its limit on active runs.
select d.paused, l.capacity as runs_active_max, l.in_order,
       (select count(*) from dag_run r where r.namespace = $1 and r.dag_id = $2 and r.admitted
        and r.state in ('queued', 'running'))::integer as runs_active
from dag d join concurrency_limit l on l.limit_id = d.runs_limit_id
where d.namespace = $1 and d.dag_id = $2;

-- name: first_in_order
-- Whom the runs of a DAG wait for that go in order: the one that is active, or else the first by logical date.
select r.dag_run_id, r.logical_date, r.admitted, r.quarantined from dag_run r
where r.namespace = $1 and r.dag_id = $2 and r.state in ('queued', 'running')
order by r.admitted desc, r.logical_date, r.dag_run_id limit 1;

-- name: dead_letters
-- Newest first, below the id $2.
select dead_letter_id, dag_run_id, dag_id, task_id, map_index, attempt_number, budget, reason, dead_time
from dead_letter where namespace = $1 and dead_letter_id < $2
order by dead_letter_id desc limit $3;

-- name: dead_letters_of_dag
select dead_letter_id, dag_run_id, dag_id, task_id, map_index, attempt_number, budget, reason, dead_time
from dead_letter where namespace = $1 and dead_letter_id < $2 and dag_id = $4
order by dead_letter_id desc limit $3;

-- name: run_incident
select message from incident where dag_run_id = $1 order by incident_id desc limit 1;

-- name: limits
-- Limits that something is parked on, and how much of them is in use.
select l.limit_id, l.kind, l.name, l.capacity, l.paused,
       coalesce((select sum(h.slots) from limit_holder h where h.limit_id = l.limit_id), 0)::integer as used,
       l.rate_starts, coalesce(l.rate_seconds, 0) as rate_seconds, w.started,
       w.oldest + make_interval(secs => l.rate_seconds) as free_time
from concurrency_limit l
cross join lateral (select coalesce(sum(s.starts), 0)::integer as started, min(s.start_time) as oldest
                    from limit_start s
                    where s.limit_id = l.limit_id
                      and s.start_time > glidepath_now() - make_interval(secs => l.rate_seconds)) w
where l.limit_id = any($1::bigint[]);

-- name: limit_holders
-- The three largest holders of each of these limits.
select h.limit_id, h.dag_run_id, h.task_index, r.dag_id, r.dag_version_id
from unnest($1::bigint[]) as w (limit_id)
cross join lateral (select * from limit_holder x where x.limit_id = w.limit_id
                    order by x.slots desc, x.dag_run_id limit 3) h
join dag_run r on r.dag_run_id = h.dag_run_id;

-- name: classes
select k.*, q.queue_name from task_class k join queue q using (queue_id) where k.class_id = any($1::bigint[]);

-- name: sessions
-- Workers that may get work now.
select worker_identity, namespace, queue_names, labels, resources, handlers, other_namespaces, draining
from worker_session
where (namespace = $1 or $1 = any(other_namespaces)) and state = 'open' and heard_until > glidepath_now()
order by worker_identity limit 1000;

-- name: rows_ahead
-- How many rows of its queue go before the first row of each task of the run. Looks at the first 100,000 of each queue.
select ranked.task_index, min(ranked.place)::integer - 1 as ahead
from (select distinct queue_id from task_queue where dag_run_id = $1 and due and parked_on = 0) mine
cross join lateral (
    select q.dag_run_id, q.task_index, row_number() over (order by q.order_key) as place
    from task_queue q where q.queue_id = mine.queue_id and q.due and q.parked_on = 0
    order by q.order_key limit 100000) ranked
where ranked.dag_run_id = $1
group by ranked.task_index;
