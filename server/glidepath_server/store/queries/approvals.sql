-- Questions to people. Opened and closed by the step alone, under the run's lock: the board is what says that one is
-- open, and the row says the same.

-- name: open_approvals
insert into approval (dag_run_id, task_index, map_index, attempt_number, timeout_time, namespace, dag_id, task_id,
                      open_time)
select u.dag_run_id, u.task_index, u.map_index, u.attempt_number, $9::timestamptz + make_interval(secs => u.seconds),
       u.namespace, u.dag_id, u.task_id, $9
from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::double precision[], $6::text[], $7::text[],
            $8::text[])
     as u (dag_run_id, task_index, map_index, attempt_number, seconds, namespace, dag_id, task_id);

-- name: close_approvals
-- A question ends as an attempt of its task that no worker has made: with a place in the history, and an output if it
-- was approved. Returns how many were open.
with closed as (
    update approval a
    set state = u.state, close_time = greatest($13::timestamptz, a.open_time), answered_by = u.answered_by,
        note = u.note, answer = u.answer
    from unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::bytea[], $12::text[])
         as u (dag_run_id, task_index, map_index, attempt_number, state, answered_by, note, answer, outcome, reason,
               output, sha256)
    where a.dag_run_id = u.dag_run_id and a.task_index = u.task_index and a.map_index = u.map_index
      and a.attempt_number = u.attempt_number and a.state = 'open'
    returning a.*, u.outcome, u.reason, u.output, u.sha256
), history as (
    insert into task_attempt (dag_run_id, task_index, map_index, attempt_number, state, session_id, queue_time,
                              start_time, end_time, reason)
    select dag_run_id, task_index, map_index, attempt_number, outcome, '00000000-0000-0000-0000-000000000000',
           open_time, open_time, close_time, reason
    from closed
), outputs as (
    insert into task_output (dag_run_id, task_index, map_index, attempt_number, content_type, body, size_bytes, sha256)
    select dag_run_id, task_index, map_index, attempt_number, 'application/json', output, length(output), sha256
    from closed where output is not null
), traced as (
    insert into trace_feed (dag_run_id, task_index, map_index, attempt_number)
    select dag_run_id, task_index, map_index, attempt_number from closed
    where current_setting('glidepath.traced', true) = 'on'
)
select count(*) from closed;

-- name: expired_approvals
-- Open questions whose time is up, of runs that can be stepped.
select a.dag_run_id, a.task_index, a.map_index, a.attempt_number
from approval a join dag_run r using (dag_run_id)
where a.state = 'open' and a.timeout_time <= glidepath_now() and not r.quarantined
order by a.timeout_time limit $1;

-- name: next_approval_timeout
select extract(epoch from min(a.timeout_time) - glidepath_now())::double precision
from approval a join dag_run r using (dag_run_id)
where a.state = 'open' and a.timeout_time is not null and not r.quarantined;

-- name: list_approvals
-- Newest first, below the id $2. Null: all DAGs ($3), all runs ($4). $5: also those that are closed.
select a.*, r.dag_version_id, r.params, r.run_key, r.logical_date, r.data_interval_start, r.data_interval_end
from approval a join dag_run r using (dag_run_id)
where a.namespace = $1 and a.approval_id < $2 and ($3::text is null or a.dag_id = $3)
  and ($4::uuid is null or a.dag_run_id = $4) and ($5 or a.state = 'open')
order by a.approval_id desc limit $6;

-- name: newest_approval
-- What a task instance has asked last.
select a.*, r.dag_version_id, r.params, r.run_key, r.logical_date, r.data_interval_start, r.data_interval_end
from approval a join dag_run r using (dag_run_id)
where a.dag_run_id = $1 and a.task_index = $2 and a.map_index = $3
order by a.attempt_number desc limit 1;
