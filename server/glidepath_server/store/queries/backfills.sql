-- Backfills and the outcomes of their dates. Who gives a date its outcome holds the backfill's row.

-- name: insert_backfill
insert into backfill (backfill_id, namespace, dag_id, series, spec, existing, keeps_version, params, runs_active_max,
                      rate_runs, rate_seconds, weight, lane, date_count, create_time, created_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16);

-- name: insert_dates
-- What the schedule leaves out has its outcome at once: a reason.
insert into backfill_run (backfill_id, position, logical_date, data_interval_start, data_interval_end,
                          dag_version_number, outcome, reason)
select $1, d.n::integer - 1, d.logical_date, d.data_interval_start, d.data_interval_end, d.dag_version_number,
       case when d.reason = '' then 'waiting' else 'skipped' end, d.reason
from unnest($2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::integer[], $6::text[])
     with ordinality as d (logical_date, data_interval_start, data_interval_end, dag_version_number, reason, n);

-- name: get_backfill
select * from backfill where namespace = $1 and backfill_id = $2;

-- name: lock_backfill
-- For an operator: waits for whoever holds it.
select * from backfill where namespace = $1 and backfill_id = $2 for no key update;

-- name: list_backfills
-- Newest first, below an id.
select * from backfill
where namespace = $1 and ($2 = '' or dag_id = $2) and backfill_id < $3 and ($4 or state in ('running', 'paused'))
order by backfill_id desc limit $5;

-- name: set_state
-- Under the backfill's lock. Ended ones keep the time of their end.
update backfill
set state = $2, reason = $3, cancel_runs = $4 or (cancel_runs and $2 = 'cancelled'),
    end_time = case when $2 in ('ended', 'cancelled') then coalesce(end_time, glidepath_now()) end
where backfill_id = $1;

-- name: skip_waiting
-- What waits, under the backfill's lock.
update backfill_run set outcome = 'skipped', reason = $2 where backfill_id = $1 and outcome = 'waiting';

-- name: retry_failed
-- Dates whose run has failed or was cancelled wait again, under the backfill's lock.
with failed as (
    update backfill_run b set outcome = 'waiting', again = true
    from dag_run r
    where b.backfill_id = $1 and b.outcome in ('created', 'rerun') and r.dag_run_id = b.dag_run_id
      and r.state in ('failed', 'cancelled')
    returning 1
)
select count(*)::integer from failed;

-- name: counts
-- How many dates of each backfill are where: an outcome, or the state of the run.
select b.backfill_id, case when b.outcome in ('waiting', 'skipped') then b.outcome else coalesce(r.state, 'gone') end
       as place, count(*)::integer as dates
from backfill_run b
left join dag_run r on r.dag_run_id = b.dag_run_id and b.outcome in ('created', 'rerun')
where b.backfill_id = any($1::uuid[])
group by 1, 2;

-- name: run_seconds
-- The mean length of the newest runs of a backfill that have succeeded.
select avg(extract(epoch from n.end_time - n.start_time))::double precision
from (select r.start_time, r.end_time from backfill_run b join dag_run r using (dag_run_id)
      where b.backfill_id = $1 and b.start_time is not null and r.state = 'success'
      order by b.start_time desc limit 100) n;

-- name: dag_run_seconds
-- The same of the newest runs of a DAG. A run of some of its tasks says nothing of a whole one.
select avg(extract(epoch from n.end_time - n.start_time))::double precision
from (select r.start_time, r.end_time, r.state, v.layout
      from dag_run r join dag_version v using (dag_version_id) where r.namespace = $1 and r.dag_id = $2 order by r.dag_run_id desc limit 100) n
where n.state = 'success' and n.layout not like '{%';

-- name: list_dates
-- In the backfill's order, behind a position.
select b.*, r.state as run_state
from backfill_run b
left join dag_run r on r.dag_run_id = b.dag_run_id
where b.backfill_id = $1 and b.position > $2 and ($3::text[] = '{}' or b.outcome = any($3))
  and (not $4 or (b.outcome in ('created', 'rerun') and r.state in ('failed', 'cancelled')))
order by b.position limit $5;

-- name: versions
-- As they were registered, by number.
select dag_version_number, create_time from dag_version
where namespace = $1 and dag_id = $2 and layout = '' order by dag_version_number;

-- name: runs_of_keys
-- Who has these keys of a DAG. The state is null when the run is not kept any more.
select k.run_key, k.dag_run_id, r.state, coalesce(r.quarantined, false) as quarantined, v.dag_version_number
from dag_run_key k
left join dag_run r on r.dag_run_id = k.dag_run_id
left join dag_version v on v.dag_version_id = r.dag_version_id
where k.namespace = $1 and k.dag_id = $2 and k.run_key = any($3::text[]);

-- name: hungry_backfills
-- Those for which there may be something to do: dates that wait and room for a run, an end to be told, runs to cancel.
-- What is found is looked at again under the backfill's lock.
select b.backfill_id, b.state
from backfill b
cross join lateral (select count(*) as active from dag_run r
                    where r.backfill_id = b.backfill_id and r.state in ('queued', 'running')) n
cross join lateral (select exists (select from backfill_run w
                                   where w.backfill_id = b.backfill_id and w.outcome = 'waiting') as waits) w
where (b.state = 'running' or b.cancel_runs)
  and case when b.cancel_runs then true when w.waits then n.active < b.runs_active_max else n.active = 0 end
order by b.backfill_id limit $1;

-- name: take_backfill
-- For the pacer: one that another replica holds is passed over.
select * from backfill where backfill_id = $1 and (state = 'running' or cancel_runs) for no key update skip locked;

-- name: hold_running
-- For the step that reruns a run, which holds the run: its backfill may still begin runs.
select * from backfill where backfill_id = $1 and state = 'running' for no key update;

-- name: active_runs
-- Runs of a backfill that have not ended. In a statement behind the one that took its lock.
select dag_run_id from dag_run where backfill_id = $1 and state in ('queued', 'running') order by dag_run_id limit $2;

-- name: count_active
select count(*)::integer from dag_run where backfill_id = $1 and state in ('queued', 'running');

-- name: active_ages
-- For how many seconds each active run of a backfill has gone; 0 for one that has not started.
select coalesce(extract(epoch from glidepath_now() - start_time), 0)::double precision as age
from dag_run where backfill_id = $1 and state in ('queued', 'running');

-- name: start_ages
-- Seconds since the latest starts, also those of dates that have begun again since: the latest are of as many dates.
select extract(epoch from glidepath_now() - s.start_time)::double precision as age
from (select start_time, earlier_starts from backfill_run where backfill_id = $1 and start_time is not null
      order by start_time desc limit $2) b
cross join lateral unnest(b.earlier_starts || b.start_time) as s (start_time)
order by s.start_time desc limit $2;

-- name: waiting_dates
select * from backfill_run where backfill_id = $1 and outcome = 'waiting' order by position limit $2;

-- name: write_outcomes
-- Of dates that wait, under the backfill's lock. Returns how many there were.
with written as (
    update backfill_run b
    set outcome = o.outcome, reason = o.reason, dag_run_id = coalesce(o.dag_run_id, b.dag_run_id),
        start_time = case when o.begins then $6::timestamptz else b.start_time end,
        earlier_starts = case when o.begins and b.start_time is not null then b.earlier_starts || b.start_time
                              else b.earlier_starts end
    from unnest($2::integer[], $3::text[], $4::text[], $5::uuid[], $7::boolean[])
         as o (position, outcome, reason, dag_run_id, begins)
    where b.backfill_id = $1 and b.position = o.position and b.outcome = 'waiting'
    returning 1
)
select count(*)::integer from written;

-- name: adopt_runs
-- Runs that have ended and are about to be rerun belong to the backfill from now on. What another holds is left for later.
update dag_run r set backfill_id = $1
where r.dag_run_id = any(array(
    select w.dag_run_id from dag_run w
    where w.dag_run_id = any($2::uuid[]) and w.state in ('success', 'failed', 'cancelled')
    order by w.dag_run_id for no key update skip locked))
returning r.dag_run_id;

-- name: cancels_told
update backfill set cancel_runs = false where backfill_id = $1;

-- name: weights
select backfill_id, weight from backfill where backfill_id = any($1::uuid[]);

-- name: queues
select queue_name, queue_id from queue where namespace = $1 order by queue_name limit 1000;

-- name: pool_names
select name from concurrency_limit where namespace = $1 and kind = 'pool' order by name limit 1000;

-- name: dag_is_full
-- Whether a DAG has as many active runs as it may.
select exists (
    select from concurrency_limit l
    where l.namespace = $1 and l.kind = 'dag_runs' and l.name = $2 and l.capacity is not null
      and l.capacity <= (select count(*) from dag_run r where r.namespace = $1 and r.dag_id = $2 and r.admitted
                         and r.state in ('queued', 'running')));

-- name: schedule
-- A schedule of a DAG, paused or not.
select spec, params, version_number, alias from schedule
where namespace = $1 and dag_id = $2 and schedule_name = $3 and not deleted;

-- name: schedule_names
select schedule_name from schedule where namespace = $1 and dag_id = $2 and not deleted order by schedule_name limit 1000;
