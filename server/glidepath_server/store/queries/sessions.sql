-- name: lock_worker
-- Hellos of one worker come one after the other, until the commit. Its rows cannot see to that: a hello that waited for
-- one of them does not see the session that the other hello opened meanwhile, and would open a second one.
select pg_advisory_xact_lock(hashtext($1), hashtext($2));

-- name: lock_sessions_of_worker
-- FOR UPDATE: a claim that is giving this worker work finishes first, a later one waits for our verdict.
select session_id, incarnation, generation from worker_session
where namespace = $1 and worker_identity = $2 and state = 'open'
order by session_id
for update;

-- name: raise_generation
update worker_session
set generation = generation + 1, draining = false, heard_until = $2::timestamptz + make_interval(secs => $3),
    lease_expire_time = $2::timestamptz + make_interval(secs => $3), queue_names = $4, labels = $5, resources = $6, handlers = $7,
    other_namespaces = $8
where session_id = $1 and state = 'open'
returning generation;

-- name: close_sessions
update worker_session set state = 'closed', end_time = glidepath_now()
where session_id = any($1::uuid[]) and state = 'open'
returning session_id;

-- name: lock_session
select session_id from worker_session where session_id = any($1::uuid[]) and state = 'open' order by session_id for update;

-- name: open_session
insert into worker_session (session_id, namespace, worker_identity, incarnation, heard_until, lease_expire_time,
                            connect_time, queue_names, labels, resources, handlers, other_namespaces, sdk_name,
                            sdk_version, host_name, process_id)
values ($1, $2, $3, $4, $5::timestamptz + make_interval(secs => $6), $5::timestamptz + make_interval(secs => $6), $5, $7, $8, $9, $10, $11, $12,
        $13, $14, $15);

-- name: session
select session_id, namespace, worker_identity, generation, state from worker_session where session_id = $1;

-- name: set_draining
update worker_session set draining = true where session_id = $1 and generation = $2 and state = 'open';

-- name: runs_within
-- Of these runs those of the namespace $2.
select dag_run_id from dag_run where dag_run_id = any($1::uuid[]) and namespace = $2;

-- name: renew
-- One statement for all sessions heard on a replica, ordered by id; a session that left open stays as it is.
with heard as materialized (
    select s.session_id
    from worker_session s
    join unnest($1::uuid[], $2::integer[]) as w (session_id, generation) using (session_id, generation)
    where s.state = 'open'
    order by s.session_id
    for no key update of s
)
update worker_session s
set heard_until = glidepath_now() + make_interval(secs => $3),
    lease_expire_time = greatest(s.lease_expire_time, glidepath_now() + make_interval(secs => $3))
from heard where s.session_id = heard.session_id
returning s.session_id, s.lease_expire_time, glidepath_now() as now;

-- name: note_clocks
-- For people to see: of which state the session is does not matter.
update worker_session s set clock_offset_seconds = c.seconds, clock_bound_seconds = c.bound
from unnest($1::uuid[], $2::double precision[], $3::double precision[]) as c (session_id, seconds, bound)
where s.session_id = c.session_id;

-- name: lock_expired
-- FOR UPDATE: a session that a claim or a renewal holds is stepped over and judged in a later round, which then sees
-- what the claim gave it; a claim that comes after us waits, and finds the session lost.
select session_id from worker_session
where state = 'open' and lease_expire_time < glidepath_now()
order by session_id
limit $1
for update skip locked;

-- name: expire
update worker_session set state = 'lost', end_time = glidepath_now()
where session_id = any($1::uuid[]) and state = 'open' and lease_expire_time < glidepath_now()
returning session_id;

-- name: next_expiry
select extract(epoch from min(lease_expire_time) - glidepath_now())::double precision from worker_session
where state = 'open';

-- name: live_of_sessions
select l.dag_run_id, l.task_index, l.map_index, l.attempt_number, l.session_id, l.start_time
from live_attempt l where l.session_id = any($1::uuid[]);

-- name: current
-- Of these sessions those that are open in this very generation.
select s.session_id
from worker_session s
join unnest($1::uuid[], $2::integer[]) as w (session_id, generation) using (session_id, generation)
where s.state = 'open';

-- name: settled_of_sessions
-- Live attempts that began at least $3 seconds ago: their assignment was sent by now, or never. A session that has
-- moved on to a newer generation is not judged by what is known of an older one.
select l.dag_run_id, l.task_index, l.map_index, l.attempt_number, l.session_id
from live_attempt l
join unnest($1::uuid[], $2::integer[]) as w (session_id, generation) using (session_id)
join worker_session s using (session_id, generation)
where s.state = 'open' and l.start_time < glidepath_now() - make_interval(secs => $3);

-- name: live_of_worker
-- Live attempts that a hello must judge: those of its own session ($3), and of every session that this worker had and
-- that has ended. In another session that is open they belong to a later hello.
select l.dag_run_id, l.task_index, l.map_index, l.attempt_number, l.session_id
from live_attempt l join worker_session s using (session_id)
where s.namespace = $1 and s.worker_identity = $2 and (s.session_id = $3 or s.state <> 'open');

-- name: orphans
-- Live attempts whose session is not open: what a replica that died between two transactions left to be judged.
select l.dag_run_id, l.task_index, l.map_index, l.attempt_number, l.session_id
from live_attempt l left join worker_session s using (session_id)
where s.session_id is null or s.state <> 'open'
limit $1;

-- name: lock_runs_waiting
select dag_run_id from dag_run where dag_run_id = any($1::uuid[]) order by dag_run_id for no key update;

-- name: rebind
-- Under the runs' locks: attempts that the same worker still holds go on in its new session. That is held as a claim
-- holds it: who has ended it meanwhile did not see them, so they stay where they are; who ends it later waits for us. So
-- it is with a later hello, which has a newer list: one that was overtaken binds nothing.
with own as materialized (
    select session_id from worker_session where session_id = $5 and state = 'open' and generation = $8 for key share
)
update live_attempt l set session_id = own.session_id
from own, unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[])
     as u (dag_run_id, task_index, map_index, attempt_number)
where l.dag_run_id = u.dag_run_id and l.task_index = u.task_index and l.map_index = u.map_index
  and l.attempt_number = u.attempt_number
  and exists (select from worker_session s where s.session_id = l.session_id and s.namespace = $6
              and s.worker_identity = $7)
returning l.dag_run_id, l.task_index, l.map_index, l.attempt_number;

-- name: wanted_cancels
-- Repeated until the attempt has ended.
select l.dag_run_id, l.task_index, l.map_index, l.attempt_number, l.session_id, l.cancel_reason
from live_attempt l where l.session_id = any($1::uuid[]) and l.cancel_requested_time is not null;

-- name: overdue_attempts
-- The server's own watch over execution timeouts, some seconds after the worker's: a cancel request, not a verdict.
update live_attempt l
set cancel_requested_time = glidepath_now(), cancel_reason = 'execution timeout', timed_out = true
where l.timeout_time is not null and l.timeout_time + make_interval(secs => $1) < glidepath_now()
  and l.cancel_requested_time is null
returning l.dag_run_id, l.task_index, l.map_index, l.attempt_number, l.session_id, l.cancel_reason;

-- name: next_overdue
select extract(epoch from min(timeout_time) + make_interval(secs => $1) - glidepath_now())::double precision
from live_attempt where timeout_time is not null and cancel_requested_time is null;

-- name: prune_sessions
-- Those that ended first, a bounded number, passing over what another replica deletes. One that still has something live
-- is to be judged yet.
delete from worker_session where ctid = any (array(
    select s.ctid from worker_session s
    where s.state <> 'open' and s.end_time < glidepath_now() - make_interval(days => $1)
      and not exists (select from live_attempt l where l.session_id = s.session_id)
    order by s.end_time limit $2 for update of s skip locked))
returning session_id;
