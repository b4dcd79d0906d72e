-- Backfills.
alter table dag_run add column backfill_id uuid;
create index dag_run_backfill on dag_run (backfill_id) where backfill_id is not null and state in ('queued', 'running');

-- Runs of a DAG for many dates, made at a pace. state: running -- pause --> paused -- resume --> running; running -- end -->
-- ended -- retry --> running; running | paused -- cancel --> cancelled. Its row is the lock under which its dates get
-- their outcomes; its active runs are counted, in dag_run_backfill, in a statement after that lock.
create table backfill (
    backfill_id     uuid primary key,
    namespace       text not null,
    dag_id          text not null,
    series          text not null,                   -- run keys are series@date
    state           text not null default 'running' check (state in ('running', 'paused', 'ended', 'cancelled')),
    reason          text not null default '',
    spec            text not null,                   -- JSON: what was asked for, without the list of dates
    existing        text not null check (existing in ('skip', 'rerun_failed', 'rerun_all')),
    keeps_version   boolean not null,                -- a run that is rerun stays on its version
    params          text not null,
    runs_active_max integer not null check (runs_active_max >= 1),
    rate_runs       integer check (rate_runs >= 1),
    rate_seconds    double precision check (rate_seconds > 0),
    weight          double precision not null check (weight > 0),
    lane            bytea not null default '',       -- layout_hash of the versions whose tasks use its pool and queue
    date_count      integer not null check (date_count >= 1),
    cancel_runs     boolean not null default false,  -- its active runs are yet to be told to end
    create_time     timestamptz not null,
    created_by      text not null,
    end_time        timestamptz,
    check ((end_time is not null) = (state in ('ended', 'cancelled'))),
    check ((rate_runs is null) = (rate_seconds is null)),
    check (not cancel_runs or state = 'cancelled')
);
create index backfill_list on backfill (namespace, backfill_id);
create index backfill_dag on backfill (namespace, dag_id, backfill_id);
create index backfill_active on backfill (backfill_id) where state = 'running' or cancel_runs;

-- One row per date of a backfill, in its order: what is not waiting has its outcome. The rows are the backfill's cursor:
-- an outcome is written in the transaction that makes the run, or has it rerun.
create table backfill_run (
    backfill_id         uuid not null,
    position            integer not null,
    logical_date        timestamptz not null,
    data_interval_start timestamptz not null,
    data_interval_end   timestamptz not null,
    dag_version_number  integer not null,
    outcome             text not null default 'waiting' check (outcome in ('waiting', 'created', 'rerun', 'skipped')),
    reason              text not null default '',    -- of a skip
    dag_run_id          uuid,
    start_time          timestamptz,                 -- when the run was made or rerun last; what a rate counts
    again               boolean not null default false,  -- an operator retries what has failed
    primary key (backfill_id, position),
    unique (backfill_id, logical_date),
    check (outcome not in ('created', 'rerun') or (dag_run_id is not null and start_time is not null))
);
create index backfill_run_waiting on backfill_run (backfill_id, position) where outcome = 'waiting';
create index backfill_run_start on backfill_run (backfill_id, start_time) where start_time is not null;
