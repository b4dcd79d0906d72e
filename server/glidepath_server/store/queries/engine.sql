-- Statements of the step transaction, in the order in which a step runs them. All take arrays; all are prepared.

-- name: lock_runs
-- The runs of a batch that nobody else holds, ordered by id, with the step's one `now`.
select r.dag_run_id, r.dag_version_id, r.revision, r.state, r.intent, r.reason, r.board, r.quarantined, r.admitted,
       r.priorities, r.backfill_id,
       coalesce(r.timeout_time <= glidepath_now(), false) as overdue, r.run_type = 'child' as is_child,
       r.has_deadlines, glidepath_now() as now
from dag_run r
where r.dag_run_id = any($1::uuid[])
order by r.dag_run_id
for no key update skip locked;

-- name: lock_run_waiting
-- One run, waiting for whoever holds it (lock_timeout is set by the caller).
select r.dag_run_id, r.dag_version_id, r.revision, r.state, r.intent, r.reason, r.board, r.quarantined, r.admitted,
       r.priorities, r.backfill_id,
       coalesce(r.timeout_time <= glidepath_now(), false) as overdue, r.run_type = 'child' as is_child,
       r.has_deadlines, glidepath_now() as now
from dag_run r
where r.dag_run_id = any($1::uuid[])
order by r.dag_run_id
for no key update;

-- name: accept
-- The fence. Deletes the live rows that the reports name and appends them to the history; a report whose row is not
-- returned changed nothing. $5 and $6 are the session, and
-- its generation, that a verdict judged (null for a worker's own word). An attempt that calls goes on in child_run, unless
-- it was told to end before.
with gone as (
    delete from live_attempt l
    using unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::uuid[], $6::integer[])
          with ordinality as r (dag_run_id, task_index, map_index, attempt_number, judged, generation, ord)
    where l.dag_run_id = r.dag_run_id and l.task_index = r.task_index and l.map_index = r.map_index
      and l.attempt_number = r.attempt_number and (r.judged is null or r.judged = l.session_id)
      and (r.generation is null or exists (select from worker_session w where w.session_id = l.session_id
                                           and w.generation = r.generation))
    returning r.ord, l.*
), freed as (
    delete from limit_holder h using gone g
    where h.dag_run_id = g.dag_run_id and h.task_index = g.task_index and h.map_index = g.map_index
    returning h.limit_id, h.dag_run_id, h.task_index, h.map_index
), history as (
    insert into task_attempt (dag_run_id, task_index, map_index, attempt_number, state, session_id, queue_time,
                              start_time, end_time, failure, reason)
    select g.dag_run_id, g.task_index, g.map_index, g.attempt_number,
           case when s.state in ('cancelled', 'called') and g.timed_out then 'timed_out'
                when s.state = 'called' then 'cancelled' else s.state end,
           g.session_id, g.queue_time, g.start_time, $10::timestamptz, s.failure, s.reason
    from gone g
    join unnest($7::text[], $8::text[], $9::text[]) with ordinality as s (state, failure, reason, ord) using (ord)
    where s.state <> 'called' or g.cancel_requested_time is not null
    returning dag_run_id, task_index, map_index, attempt_number
), traced as (
    insert into trace_feed (dag_run_id, task_index, map_index, attempt_number)
    select dag_run_id, task_index, map_index, attempt_number from history
    where current_setting('glidepath.traced', true) = 'on'
)
select g.ord, g.session_id, g.class_id, g.tries, g.losses, g.redeliveries, g.deferrals, g.waiting_since,
       g.preemptions, g.queue_time, g.start_time, g.timeout_time,
       g.cancel_requested_time is not null as cancel_requested,
       g.timed_out,
       (select array_agg(f.limit_id) from freed f
        where f.dag_run_id = g.dag_run_id and f.task_index = g.task_index and f.map_index = g.map_index) as freed
from gone g;

-- name: ended_before
-- What became of attempts that are not live: the stored outcome, if any; of one that has called, that it did.
select r.ord, case when c.child_run_id is not null then 'called' else a.state end as state
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
     with ordinality as r (dag_run_id, task_index, map_index, attempt_number, ord)
left join child_run c on c.parent_run_id = r.dag_run_id and c.task_index = r.task_index
     and c.map_index = r.map_index and c.attempt_number = r.attempt_number
left join task_attempt a on a.dag_run_id = r.dag_run_id and a.task_index = r.task_index
     and a.map_index = r.map_index and a.attempt_number = r.attempt_number
where c.child_run_id is not null or a.state is not null;

-- name: take_inbox
-- Events that waited for these runs.
delete from run_inbox where dag_run_id = any($1::uuid[]) returning inbox_id, dag_run_id, event;

-- name: put_inbox
insert into run_inbox (dag_run_id, event) select * from unnest($1::uuid[], $2::text[]);

-- name: attempts_made
-- Highest attempt number per task of one run, over history, live rows, those that wait for a child run, and reused results.
select task_index, max(attempt_number) as attempt_number
from (select task_index, attempt_number from task_attempt where dag_run_id = $1 and task_index = any($2::integer[])
      union all
      select task_index, attempt_number from live_attempt where dag_run_id = $1 and task_index = any($2::integer[])
      union all
      select task_index, attempt_number from child_run
      where parent_run_id = $1 and task_index = any($2::integer[]) and waiting
      union all
      select task_index, attempt_number from task_reuse where dag_run_id = $1 and task_index = any($2::integer[])) a
group by task_index;

-- name: withdraw
-- Take released rows back, of a mapped task all or one. WAITS for a claim that holds one: only a returned row was
-- withdrawn, the rest is live.
delete from task_queue q
using unnest($1::uuid[], $2::integer[], $3::integer[]) as w (dag_run_id, task_index, map_index)
where q.dag_run_id = w.dag_run_id and q.task_index = w.task_index and w.map_index in (-1, q.map_index)
returning q.dag_run_id, q.task_index, q.map_index, q.attempt_number, q.class_id, q.parked_on, q.run_limit_id,
          q.tries, q.losses, q.redeliveries, q.available_time, q.due, q.deferrals, q.waiting_since,
          q.preemptions;

-- name: request_cancel
-- A later statement than `withdraw`, so that it sees what a claim committed meanwhile. What goes on as a child run is told
-- by that run's inbox, whose row the step writes.
with live as (
    update live_attempt l
    set cancel_requested_time = coalesce(l.cancel_requested_time, $4), timed_out = false,
        cancel_reason = case when l.timed_out then w.reason else coalesce(l.cancel_reason, w.reason) end
    from unnest($1::uuid[], $2::integer[], $3::text[], $5::integer[]) as w (dag_run_id, task_index, reason, map_index)
    where l.dag_run_id = w.dag_run_id and l.task_index = w.task_index and w.map_index in (-1, l.map_index)
    returning l.dag_run_id, l.task_index, l.map_index, l.attempt_number, l.session_id, l.cancel_reason
), calling as (
    update child_run c
    set cancel_requested_time = coalesce(c.cancel_requested_time, $4), timed_out = false,
        cancel_reason = case when c.timed_out then w.reason else coalesce(c.cancel_reason, w.reason) end
    from unnest($1::uuid[], $2::integer[], $3::text[], $5::integer[]) as w (dag_run_id, task_index, reason, map_index)
    where c.parent_run_id = w.dag_run_id and c.task_index = w.task_index and w.map_index in (-1, c.map_index)
      and c.waiting
    returning c.parent_run_id, c.task_index, c.map_index, c.attempt_number, c.session_id, c.cancel_reason,
              c.child_run_id
)
select live.*, null::uuid as child_run_id from live
union all
select * from calling;

-- name: lock_sessions
-- Sessions that may get work now. FOR KEY SHARE: hello and expiry take FOR UPDATE and wait for us, or we for them.
select s.session_id
from worker_session s
join unnest($1::uuid[], $2::integer[]) as w (session_id, generation) using (session_id, generation)
where s.state = 'open' and not s.draining and s.heard_until > $3
order by s.session_id
for key share of s;

-- name: busy_queues
-- Queues in which something due stands before what is released now, for the classes at hand.
select q.queue_id
from unnest($1::integer[]) as q (queue_id)
where exists (select from task_queue t
              where t.queue_id = q.queue_id and t.due and t.parked_on = 0 and t.class_id = any($2::bigint[]));

-- name: hand_over
-- Direct hand-off: live at once, never queued. Only under a limit row that has no cap; what is not returned is queued.
with allowed as materialized (
    select c.limit_id from concurrency_limit c
    where c.limit_id = any($13::bigint[]) and c.capacity is null and not c.paused
    order by c.limit_id
    for key share
)
insert into live_attempt (dag_run_id, task_index, map_index, attempt_number, class_id, session_id, tries, losses,
                          redeliveries, queue_time, start_time, timeout_time, deferrals, waiting_since, preemptions)
select u.dag_run_id, u.task_index, u.map_index, u.attempt_number, u.class_id, u.session_id, u.tries, u.losses,
       u.redeliveries, $11::timestamptz, $11::timestamptz, $11::timestamptz + make_interval(secs => u.timeout_seconds),
       u.deferrals, u.waiting_since, u.preemptions
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::bigint[], $6::uuid[], $7::integer[],
            $8::integer[], $9::integer[], $10::double precision[], $12::bigint[], $14::integer[], $15::timestamptz[],
            $16::integer[])
     as u (dag_run_id, task_index, map_index, attempt_number, class_id, session_id, tries, losses, redeliveries,
           timeout_seconds, tasks_limit_id, deferrals, waiting_since, preemptions)
where u.tasks_limit_id in (select limit_id from allowed)
returning dag_run_id, task_index, map_index;

-- name: write_step
-- Boards (guarded by the revision read), one event row per run, released rows. Returns the runs written.
with boards as (
    update dag_run r
    set board = u.board, revision = r.revision + 1, state = u.state, intent = u.intent, reason = u.reason,
        start_time = case when r.end_time is not null and u.state = 'running' then $9::timestamptz  -- cleared
                          else coalesce(r.start_time, case when u.state <> 'queued' then $9::timestamptz end) end,
        -- A run that had ended and has an end again was marked: nothing of it ran.
        end_time = case when u.state in ('success', 'failed', 'cancelled') then coalesce(r.end_time, $9::timestamptz) end,
        end_written = case when u.state not in ('queued', 'running') then coalesce(r.end_written, pg_current_xact_id()) end,
        timeout_time = case when u.state = 'running' and r.timeout_time is null and u.timeout_seconds is not null
                            then $9::timestamptz + make_interval(secs => u.timeout_seconds)
                            when u.state = 'running' then r.timeout_time end
    from unnest($1::uuid[], $2::bigint[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::double precision[],
                $8::text[])
         as u (dag_run_id, revision, board, state, intent, reason, timeout_seconds, note)
    where r.dag_run_id = u.dag_run_id and r.revision = u.revision
    returning r.dag_run_id, r.revision, r.state, u.note, r.end_time
), traced as (
    insert into trace_feed (dag_run_id)
    select dag_run_id from boards
    where end_time = $9::timestamptz and current_setting('glidepath.traced', true) = 'on'
), events as (
    insert into dag_run_event (dag_run_id, revision, event_time, run_state, task_indexes, map_indexes, states, note)
    select b.dag_run_id, b.revision, $9::timestamptz, b.state, e.task_indexes::integer[], e.map_indexes::integer[],
           e.states, b.note
    from boards b
    join unnest($1::uuid[], $10::text[], $11::bytea[], $29::text[]) as e (dag_run_id, task_indexes, states, map_indexes)
         using (dag_run_id)
), released as (
    insert into task_queue (dag_run_id, task_index, map_index, attempt_number, class_id, queue_id, order_key, tries,
                            losses, redeliveries, queue_time, available_time, timeout_seconds, due, priority,
                            deferrals, waiting_since, run_limit_id, preemptions)
    select u.dag_run_id, u.task_index, u.map_index, u.attempt_number, u.class_id, u.queue_id, u.order_key, u.tries,
           u.losses, u.redeliveries, $9::timestamptz, coalesce(u.available_time, $9::timestamptz), u.timeout_seconds, u.available_time is null,
           u.priority, u.deferrals, u.waiting_since, u.run_limit_id, u.preemptions
    from unnest($12::uuid[], $13::integer[], $14::integer[], $15::integer[], $16::bigint[], $17::integer[],
                $18::double precision[], $19::integer[], $20::integer[], $21::integer[], $22::timestamptz[],
                $23::double precision[], $24::smallint[], $25::integer[], $26::timestamptz[],
                $27::bigint[], $28::integer[])
         as u (dag_run_id, task_index, map_index, attempt_number, class_id, queue_id, order_key, tries, losses,
               redeliveries, available_time, timeout_seconds, priority, deferrals, waiting_since, run_limit_id, preemptions)
)
select dag_run_id from boards;

-- name: answer_dead_letters
-- Of a mapped task of all instances (-1), or of one.
delete from dead_letter d using unnest($1::uuid[], $2::integer[], $3::integer[]) as c (dag_run_id, task_index, map_index)
where d.dag_run_id = c.dag_run_id and d.task_index = c.task_index and c.map_index in (-1, d.map_index);

-- name: write_dead_letters
insert into dead_letter (dag_run_id, task_index, map_index, attempt_number, budget, reason, namespace, dag_id, task_id,
                         dead_time)
select l.*, $10 from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[],
                            $8::text[], $9::text[]) as l;

-- name: write_outputs
insert into task_output (dag_run_id, task_index, map_index, attempt_number, content_type, body, uri, size_bytes, sha256)
select * from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::bytea[], $7::text[],
                     $8::bigint[], $9::text[]);

-- name: write_checkpoints
-- Of attempts that have just ended with one. One that leaves nothing leaves what it had said before.
insert into task_progress as p (dag_run_id, task_index, map_index, attempt_number, progress_percent, note, checkpoint,
                                update_time)
select u.dag_run_id, u.task_index, u.map_index, u.attempt_number, 0, '', u.checkpoint, $6
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::bytea[])
     as u (dag_run_id, task_index, map_index, attempt_number, checkpoint)
order by 1, 2, 3
on conflict (dag_run_id, task_index, map_index) do update
set attempt_number = excluded.attempt_number, checkpoint = excluded.checkpoint, update_time = excluded.update_time;

-- name: read_outputs
-- The output of each task instance's newest success, if that had one: an older success may have left another. The offset
-- keeps the planner from joining the whole view: it would read all attempts there are.
select s.dag_run_id, s.task_index, s.map_index, o.content_type, o.body, o.uri, o.size_bytes, o.sha256
from (select distinct on (a.dag_run_id, a.task_index, a.map_index)
             a.dag_run_id, a.task_index, a.map_index, a.attempt_number
      from unnest($1::uuid[], $2::integer[]) as w (dag_run_id, task_index)
      cross join lateral (select * from task_success s
                          where s.dag_run_id = w.dag_run_id and s.task_index = w.task_index offset 0) a
      order by a.dag_run_id, a.task_index, a.map_index, a.attempt_number desc) s
join task_output o using (dag_run_id, task_index, map_index, attempt_number);

-- name: read_checkpoints
-- Of attempts that are live now, what their generation has left: a checkpoint from before a clear is not inherited. The
-- first attempt of a generation is as many before the live one as have ended since.
select p.dag_run_id, p.task_index, p.map_index, p.checkpoint
from unnest($1::uuid[], $2::integer[]) as w (dag_run_id, task_index)
join task_progress p using (dag_run_id, task_index)
join live_attempt l using (dag_run_id, task_index, map_index)
where p.checkpoint is not null
  and p.attempt_number >= l.attempt_number - l.tries - l.losses - l.redeliveries - l.deferrals - l.preemptions;

-- name: claim
-- Rows of classes without limits, in order, straight into live_attempt; the n-th row goes to the n-th session of $4.
-- The limit rows of their DAGs are held FOR KEY SHARE and must have no cap: who sets one waits for this commit.
with candidates as materialized (
    select q.ctid as place, k.tasks_limit_id
    from task_queue q join task_class k using (class_id)
    where q.queue_id = $1 and q.class_id = any($2::bigint[]) and q.due and q.parked_on = 0
    order by q.order_key
    limit $3
    for update of q skip locked
), allowed as materialized (
    select c.limit_id from concurrency_limit c
    where c.limit_id = any(array(select distinct tasks_limit_id from candidates)) and c.capacity is null
      and not c.paused
    order by c.limit_id
    for key share
), gone as (
    delete from task_queue q
    where q.ctid = any(array(select place from candidates where tasks_limit_id in (select limit_id from allowed)))
    returning q.*
), placed as (
    -- The row may have been released since this step asked for the time: it does not start before it was queued.
    select g.*, greatest($5::timestamptz, g.queue_time) as start_time, row_number() over (order by g.order_key) as n
    from gone g
), live as (
    insert into live_attempt (dag_run_id, task_index, map_index, attempt_number, class_id, session_id, tries, losses,
                              redeliveries, queue_time, start_time, timeout_time, deferrals, waiting_since, preemptions)
    select p.dag_run_id, p.task_index, p.map_index, p.attempt_number, p.class_id, ($4::uuid[])[p.n], p.tries, p.losses,
           p.redeliveries, p.queue_time, p.start_time, p.start_time + make_interval(secs => p.timeout_seconds),
           p.deferrals, p.waiting_since, p.preemptions
    from placed p
)
select p.dag_run_id, p.task_index, p.map_index, p.attempt_number, p.class_id, p.order_key, p.priority, p.n
from placed p order by p.n;

-- name: candidates
-- Rows in order, locked but not yet taken: for a claim in which limits or resources have a say.
select q.dag_run_id, q.task_index, q.map_index, q.class_id, q.attempt_number, q.order_key, q.priority, q.run_limit_id
from task_queue q
where q.queue_id = $1 and q.class_id = any($2::bigint[]) and q.due and q.parked_on = 0
order by q.order_key
limit $3
for update of q skip locked;

-- name: hold_uncapped
-- Limits without a cap that stay so until our commit: who sets one waits for us. A capped one is not returned.
select c.limit_id from concurrency_limit c
where c.limit_id = any($1::bigint[]) and c.capacity is null and not c.paused
order by c.limit_id
for key share;

-- name: queue_heads
-- The first row of each queue: how far the queue has come, whoever claims from it.
select q.queue_id, h.order_key, h.priority
from queue q
cross join lateral (select t.order_key, t.priority from task_queue t
                    where t.queue_id = q.queue_id and t.due and t.parked_on = 0 order by t.order_key limit 1) h;

-- name: lock_limits
-- All limit rows of the step, freed and wanted, once: DAGs' limits before all others, then by id. Counting comes in a
-- later statement: a count in this one would be taken from the snapshot of before the wait, and two attempts would enter
-- a pool of one slot. DAGs' first, because a claim that holds a DAG's limit FOR KEY SHARE may wait for a pool: who holds
-- the pool must not stand in line for that DAG's limit, behind a pause that waits for the claim.
select c.limit_id from concurrency_limit c
where c.limit_id = any($1::bigint[])
order by c.kind <> 'dag_tasks', c.limit_id
for no key update;

-- name: limit_use
-- `started`: what of a rate the last rate_seconds have used up, by a clock read now, under the limits' locks: `now`.
select c.limit_id, case when c.paused then 0 else c.capacity end as capacity,
       coalesce((select sum(h.slots) from limit_holder h where h.limit_id = c.limit_id), 0)::bigint as used,
       c.rate_starts as rate, case when c.rate_starts is not null then glidepath_now() end as now,
       case when c.rate_starts is null then 0 else coalesce((
           select sum(s.starts) from limit_start s
           where s.limit_id = c.limit_id and s.start_time > glidepath_now() - make_interval(secs => c.rate_seconds)), 0)
       end::bigint as started
from concurrency_limit c
where c.limit_id = any($1::bigint[]);

-- name: take_limited
-- The candidates that were admitted, with the slots that they hold from now on.
with gone as (
    delete from task_queue q
    using unnest($1::uuid[], $2::integer[], $3::integer[], $4::uuid[])
          as u (dag_run_id, task_index, map_index, session_id)
    where q.dag_run_id = u.dag_run_id and q.task_index = u.task_index and q.map_index = u.map_index
    returning q.*, u.session_id, greatest($5::timestamptz, q.queue_time) as start_time  -- see `claim`
), live as (
    insert into live_attempt (dag_run_id, task_index, map_index, attempt_number, class_id, session_id, tries, losses,
                              redeliveries, queue_time, start_time, timeout_time, deferrals, waiting_since, preemptions)
    select dag_run_id, task_index, map_index, attempt_number, class_id, session_id, tries, losses, redeliveries,
           queue_time, start_time, start_time + make_interval(secs => timeout_seconds), deferrals, waiting_since,
           preemptions
    from gone
), holders as (
    insert into limit_holder (limit_id, dag_run_id, task_index, map_index, slots)
    select * from unnest($6::bigint[], $7::uuid[], $8::integer[], $9::integer[], $10::integer[])
    -- A holder that an ended attempt of the same instance has left (see drop_ended_holders) is taken over.
    on conflict (limit_id, dag_run_id, task_index, map_index) do update set slots = excluded.slots
)
select count(*) from gone;

-- name: note_starts
-- What the limits with a rate have to count; what has left their windows goes.
with old as (
    delete from limit_start s using concurrency_limit c
    where c.limit_id = any($1::bigint[]) and s.limit_id = c.limit_id
      and s.start_time <= $3::timestamptz - make_interval(secs => c.rate_seconds)
)
insert into limit_start (limit_id, start_time, starts)
select u.limit_id, $3, u.starts from unnest($1::bigint[], $2::integer[]) as u (limit_id, starts);

-- name: ensure_run_limits
-- The limits on live attempts of runs; the caller holds the runs, so nobody else makes them.
insert into concurrency_limit (namespace, kind, name, capacity, dag_run_id)
select u.namespace, 'run', u.dag_run_id::text, u.capacity, u.dag_run_id
from unnest($1::uuid[], $2::text[], $3::integer[]) as u (dag_run_id, namespace, capacity)
order by u.dag_run_id
on conflict (namespace, kind, name) do nothing;

-- name: run_limits
select c.dag_run_id, c.limit_id from concurrency_limit c where c.dag_run_id = any($1::uuid[]);

-- name: park
-- Out of the claim index until a slot of the named limit is given back. Only while holding the limit's row.
update task_queue q set parked_on = u.limit_id
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[]) as u (dag_run_id, task_index, map_index, limit_id)
where q.dag_run_id = u.dag_run_id and q.task_index = u.task_index and q.map_index = u.map_index;

-- name: unpark
-- The best rows of each class that waits for a limit, up to $2 per class (null: no bound).
-- Only while holding the limit's row, in a statement of its own after the lock. Returns the queues that got rows.
with classes as (
    select distinct q.class_id from task_queue q where q.parked_on = $1
), best as materialized (
    select b.ctid as place
    from classes c
    cross join lateral (select q.ctid from task_queue q where q.parked_on = $1 and q.class_id = c.class_id
                        order by q.order_key limit $2 for update skip locked) b
)
update task_queue q set parked_on = 0 where q.ctid = any(array(select place from best)) returning q.queue_id;

-- name: run_facts
-- What of a run never changes.
select r.dag_run_id, r.dag_version_id, r.namespace, r.dag_id, r.run_key, r.params, r.logical_date,
       r.data_interval_start, r.data_interval_end, r.traceparent, r.refresh_cache
from dag_run r where r.dag_run_id = any($1::uuid[]);

-- name: quarantine
-- The run's released rows leave the claim index too, and the limits that they are parked on, which would let them into it
-- again: they may be what is wrong with the run. Also those of a run that is quarantined already: whoever blames it has
-- found one of its rows in the index.
with marked as (
    update dag_run set quarantined = true where dag_run_id = $1 and not quarantined
    returning dag_run_id, namespace, dag_id
), parked as (
    update task_queue q set parked_on = -1 where q.dag_run_id = $1 and q.parked_on >= 0
), noted as (
    insert into incident (event_time, namespace, dag_run_id, kind, message)
    select glidepath_now(), namespace, dag_run_id, 'run_quarantined', $2 from marked
    returning event_time
)
select m.namespace, m.dag_id, n.event_time from marked m, noted n;

-- name: waiting_runs
-- Admitted runs that nobody has started: the durable fact behind a lost wake-up.
select dag_run_id from dag_run where state = 'queued' and admitted and not quarantined order by dag_run_id limit $1;

-- name: inbox_runs
select distinct i.dag_run_id from run_inbox i join dag_run r using (dag_run_id) where not r.quarantined limit $1;

-- name: capped_dags
-- DAGs whose runs wait for admission.
select distinct r.namespace, r.dag_id, d.runs_limit_id
from dag_run r join dag d using (namespace, dag_id)
where r.state = 'queued' and not r.admitted limit $1;

-- name: lock_limit
select capacity, in_order from concurrency_limit where limit_id = $1 for no key update;

-- name: admit_runs
-- The oldest waiting runs of a DAG up to its cap, counted under the limit's row lock, which the caller holds.
update dag_run r set admitted = true
where r.dag_run_id = any(array(
    select w.dag_run_id from dag_run w
    where w.namespace = $1 and w.dag_id = $2 and w.state = 'queued' and not w.admitted
    order by w.dag_run_id
    limit coalesce(greatest($3::integer - (select count(*) from dag_run a where a.namespace = $1 and a.dag_id = $2
                                  and a.admitted and a.state in ('queued', 'running')), 0), 1000)
    for update skip locked))
returning r.dag_run_id;

-- name: admit_next_run
-- Of a DAG whose runs go in order: the first one by logical date, once none is active; looked for under the limit's row
-- lock. One that somebody holds is waited for by coming again: no later one may go before it.
with free as (
    select r.dag_run_id from dag_run r
    where r.dag_run_id = (select w.dag_run_id from dag_run w
                          where w.namespace = $1 and w.dag_id = $2 and w.state = 'queued' and not w.admitted
                          order by w.logical_date, w.dag_run_id limit 1)
      and not exists (select from dag_run a where a.namespace = $1 and a.dag_id = $2 and a.admitted
                      and a.state in ('queued', 'running'))
    for update skip locked
)
update dag_run r set admitted = true from free where r.dag_run_id = free.dag_run_id and r.state = 'queued'
returning r.dag_run_id;

-- name: task_classes
select k.*, q.queue_name from task_class k join queue q using (queue_id) where k.class_id > $1 order by k.class_id;

-- name: namespace_weights
select namespace, weight from namespace where weight <> 1;

-- name: capped_limits
select limit_id from concurrency_limit where kind = 'dag_tasks' and (paused or capacity is not null);

-- name: classes_of_session
select class_id from live_attempt where session_id = $1;

-- name: lock_runs_limit
select capacity from concurrency_limit
where namespace = $1 and kind = 'dag_runs' and name = $2
for no key update;

-- name: count_active_runs
-- In a statement after the lock.
select count(*) from dag_run
where namespace = $1 and dag_id = $2 and admitted and state in ('queued', 'running');
