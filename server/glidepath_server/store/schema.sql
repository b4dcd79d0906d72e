-- The whole current schema. Migrations end at exactly this (tests/upgrade proves it).
--
-- Who writes what: boards (dag_run.board, revision, state) are written by operations/step_runs.py alone.
-- task_queue, live_attempt and child_run (waiting) are the places a released task instance can be: always in one alone.
-- Lock order, everywhere: schedule > dag_run (by id) > live_attempt > child_run > withdrawn task_queue rows >
-- cached_result (by key) > worker_session (by id) > candidate task_queue rows > concurrency_limit (those on active runs,
-- then those of DAGs on attempts, then by id) > limit_holder. Limits on active runs come directly behind dag_run in a step.
-- History (what a run leaves and nobody changes: task_attempt, dag_run_event, task_output, ...) is partitioned by the run's
-- id, which begins with its time; store/history.py closes and drops the partitions.
-- No foreign keys on hot tables: the step transaction is the integrity rule, and it is checked from outside.

-- The one clock. Tests move it by a row; nothing else in the product reads the time of the database.
create table clock (
    singleton boolean primary key default true check (singleton),
    shift     interval not null default '0'
);
insert into clock default values;

create function glidepath_now() returns timestamptz language sql stable
as $$ select clock_timestamp() + (select shift from clock) $$;

-- ---------------------------------------------------------------- identity
create table namespace (
    namespace   text primary key check (namespace ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    weight      double precision not null default 1 check (weight > 0),
    create_time timestamptz not null default glidepath_now()
);
insert into namespace (namespace) values ('default');

-- Secrets shared by all replicas: the key of task tokens and nonces.
create table server_key (
    name        text primary key,
    secret      bytea not null,
    create_time timestamptz not null default glidepath_now()
);

create table api_token (
    token_id    text primary key,
    name        text not null,
    namespace   text not null,                       -- '*' for all
    role        text not null check (role in ('viewer', 'operator', 'author', 'admin', 'worker')),
    secret_hash bytea not null unique,               -- SHA-256: the secret has 256 bits of entropy
    create_time timestamptz not null,
    expire_time timestamptz,
    revoke_time timestamptz,
    created_by  text not null
);

-- Answers of mutating calls, so that a repeated request id has one effect and the same answer for 7 days.
create table request (
    namespace   text not null,
    request_id  text not null,
    method      text not null,
    body_hash   bytea not null,
    answer      bytea not null,
    create_time timestamptz not null,
    primary key (namespace, request_id)
);
create index request_create_time on request (create_time);

create table audit_event (
    audit_event_id bigint generated always as identity primary key,
    event_time     timestamptz not null,
    namespace      text not null,
    actor          text not null,
    action         text not null,
    target         text not null,
    detail         text not null default '{}'
);
create index audit_event_namespace on audit_event (namespace, audit_event_id);

create table incident (
    incident_id bigint generated always as identity primary key,
    event_time  timestamptz not null,
    namespace   text not null,
    dag_run_id  uuid,
    kind        text not null,
    message     text not null
);
create index incident_namespace on incident (namespace, incident_id);

-- ---------------------------------------------------------------- definitions
-- A named capacity: a pool or a named limit (a pool is a limit that a task names by itself), the live attempts of a DAG,
-- of a task over all runs, of a run; the active runs of a DAG. Names: pool, limit, dag id, "dag id/task id", run id.
-- capacity null = no cap; paused = 0 whatever the capacity says. A named limit may also have a rate: so many starts in
-- any rate_seconds, counted from limit_start. Setting a cap or pausing takes FOR UPDATE on the row, claims of uncapped
-- DAGs take FOR KEY SHARE on its limit, all other claims FOR NO KEY UPDATE.
create table concurrency_limit (
    limit_id   bigint generated always as identity primary key,
    namespace  text not null,
    kind       text not null check (kind in ('pool', 'named', 'dag_tasks', 'dag_runs', 'task', 'run')),
    name       text not null,
    capacity   integer check (capacity >= 0),
    paused     boolean not null default false,
    rate_starts  integer check (rate_starts >= 1),
    rate_seconds double precision check (rate_seconds > 0),
    dag_run_id uuid,                                 -- of kind run: made by its first release, swept after its end
    in_order   boolean not null default false,       -- of kind dag_runs: runs are admitted by their logical dates
    unique (namespace, kind, name),
    check ((rate_starts is null) = (rate_seconds is null)),
    check (rate_starts is null or kind = 'named'),
    check ((dag_run_id is null) = (kind <> 'run')),
    check (not in_order or kind = 'dag_runs')
);
create index concurrency_limit_rated on concurrency_limit (limit_id) where rate_starts is not null;
create index concurrency_limit_of_run on concurrency_limit (dag_run_id) where dag_run_id is not null;

-- What a rate counts: starts under a limit that has one, written by the claim that holds the limit's row, at a time read
-- under that lock. Rows that have left the limit's rate_seconds are deleted by the next claim.
create table limit_start (
    limit_id   bigint not null,
    start_time timestamptz not null,
    starts     integer not null check (starts >= 1)
);
create index limit_start_limit on limit_start (limit_id, start_time);

create table dag (
    namespace             text not null,
    dag_id                text not null,
    latest_version_number integer not null,
    paused                boolean not null default false,
    tasks_limit_id        bigint not null,
    runs_limit_id         bigint not null,
    create_time           timestamptz not null,
    primary key (namespace, dag_id)
);

-- Immutable. `spec` is the canonical JSON whose SHA-256 is `content_hash`; `class_ids` holds the task class of each
-- task, by task index (topological order).
create table dag_version (
    dag_version_id     bigint generated always as identity primary key,
    namespace          text not null,
    dag_id             text not null,
    dag_version_number integer not null check (dag_version_number >= 1),
    content_hash       text not null,
    spec               text not null,
    class_ids          bigint[] not null,
    create_time        timestamptz not null,
    created_by         text not null,
    reroute_class_ids  bigint[] not null default '{}', -- per task, 0: none; empty: of no task
    layout             text not null default '',     -- JSON: task ids by index, for moved runs (core/layouts.py)
    layout_hash        bytea not null default '',    -- empty: the version as it was registered
    unique (namespace, dag_id, dag_version_number, layout_hash),
    unique (namespace, dag_id, content_hash, layout_hash)
);

create table dag_alias (
    namespace          text not null,
    dag_id             text not null,
    alias              text not null,
    dag_version_number integer not null,
    primary key (namespace, dag_id, alias)
);

create table source_bundle (
    namespace    text not null,
    content_hash text not null,
    archive      bytea not null,
    create_time  timestamptz not null,
    primary key (namespace, content_hash)
);

create table queue (
    queue_id   integer generated always as identity primary key,
    namespace  text not null,
    queue_name text not null,
    unique (namespace, queue_name)
);

-- Tasks of equal needs. Every class names the task limit of its DAG, so a class belongs to one DAG.
create table task_class (
    class_id        bigint generated always as identity primary key,
    namespace       text not null,
    dag_id          text not null,
    queue_id        integer not null,
    handler_name    text not null,
    handler_version text not null,
    worker_selector jsonb not null,
    resources       jsonb not null,
    tasks_limit_id  bigint not null,                 -- takes one slot of the DAG's limit
    pool_limit_id   bigint,                          -- and pool_slots of its pool, if any
    pool_slots      integer not null default 0,
    class_hash      bytea not null unique,
    limit_ids       bigint[] not null default '{}',  -- further limits: named ones, its task's own
    limit_slots     integer[] not null default '{}', -- and the slots it takes of each
    run_limited     boolean not null default false   -- and one slot of its run's own limit: task_queue.run_limit_id
);
create index task_class_namespace on task_class (namespace, class_id);

-- ---------------------------------------------------------------- runs
-- state:  queued -- start --> running -- end --> success | failed | cancelled;  final -- clear --> running
-- intent: what the run has been told: run (default), cancel, fail (its timeout passed)
create table dag_run (
    dag_run_id          uuid primary key,
    dag_version_id      bigint not null,
    revision            bigint not null default 0,
    state               text not null default 'queued'
                        check (state in ('queued', 'running', 'success', 'failed', 'cancelled')),
    intent              text not null default 'run' check (intent in ('run', 'cancel', 'fail')),
    admitted            boolean not null default true,   -- false while the cap on runs of its DAG holds it back
    quarantined         boolean not null default false,
    run_type            text not null check (run_type in ('manual', 'scheduled', 'backfill', 'asset', 'child')),
    board               bytea not null,
    start_time          timestamptz,
    end_time            timestamptz,
    timeout_time        timestamptz,
    reason              text not null default '',
    namespace           text not null,
    dag_id              text not null,
    run_key             text not null,
    params              text not null,
    logical_date        timestamptz not null,
    data_interval_start timestamptz not null,
    data_interval_end   timestamptz not null,
    create_time         timestamptz not null,
    created_by          text not null,
    traceparent         text not null default '',
    priorities          text,                            -- what an operator said of them, core/priorities.py; null: nothing
    refresh_cache       boolean not null default false,  -- takes no kept result, but keeps its own
    has_deadlines       boolean not null default false,  -- there may be rows of deadline
    end_written         xid8,                            -- who wrote its end: orders those who learn from ended runs
    backfill_id         uuid,                            -- the last backfill that made it or had it rerun
    check ((end_time is not null) = (state in ('success', 'failed', 'cancelled')))
) with (fillfactor = 60);
create index dag_run_waiting on dag_run (dag_run_id) where state = 'queued';
create index dag_run_admission on dag_run (namespace, dag_id, admitted) where state in ('queued', 'running');
create index dag_run_timeout on dag_run (timeout_time) where timeout_time is not null and state = 'running';
create index dag_run_ended on dag_run (end_written, dag_run_id) where end_written is not null;
create index dag_run_list on dag_run (namespace, dag_id, dag_run_id);
create index dag_run_date on dag_run (namespace, dag_id, logical_date, dag_run_id) where run_type <> 'child';
create index dag_run_namespace on dag_run (namespace, dag_run_id);
create index dag_run_backfill on dag_run (backfill_id) where backfill_id is not null and state in ('queued', 'running');
create index dag_run_schedule on dag_run (namespace, dag_id, run_key text_pattern_ops)
    where run_type = 'scheduled' and state in ('queued', 'running');

-- An operator moved the run to another version, with this revision. Its tasks kept their indexes.
create table dag_run_move (
    dag_run_id      uuid not null,
    revision        bigint not null,
    from_version_id bigint not null,
    to_version_id   bigint not null,
    move_time       timestamptz not null,
    primary key (dag_run_id, revision)
);

-- What people noted of runs (empty task id) and task instances; append only.
create table note (
    note_id    bigint generated always as identity primary key,
    namespace  text not null,
    dag_run_id uuid not null,
    task_id    text not null default '',
    map_index  integer not null default -1,
    author     text not null,
    note_time  timestamptz not null,
    text       text not null
);
create index note_run on note (dag_run_id, note_id);

-- What keeps run keys unique; never purged.
create table dag_run_key (
    namespace  text not null,
    dag_id     text not null,
    run_key    text not null,
    dag_run_id uuid not null,
    primary key (namespace, dag_id, run_key)
);

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
    earlier_starts      timestamptz[] not null default '{}', -- the starts before the last one, the oldest first
    primary key (backfill_id, position),
    unique (backfill_id, logical_date),
    check (outcome not in ('created', 'rerun') or (dag_run_id is not null and start_time is not null))
);
create index backfill_run_waiting on backfill_run (backfill_id, position) where outcome = 'waiting';
create index backfill_run_start on backfill_run (backfill_id, start_time) where start_time is not null;

-- One row per run and step. The k-th element of task_indexes got the k-th byte of states (codes of core/states.py).
create table dag_run_event (
    dag_run_id   uuid not null,
    revision     bigint not null,
    event_time   timestamptz not null,
    run_state    text not null,
    task_indexes integer[] not null,
    map_indexes  integer[],                          -- null: all -1
    states       bytea not null,
    note         text not null default '',
    primary key (dag_run_id, revision)
) partition by range (dag_run_id);
create table dag_run_event_open partition of dag_run_event for values from (minvalue) to (maxvalue);

-- Events that wait for a run's next step: facts of other runs, operator commands, whatever a quarantined run missed.
create table run_inbox (
    inbox_id   bigint generated always as identity primary key,
    dag_run_id uuid not null,
    event      text not null,                        -- JSON, see core/events.py
    create_time timestamptz not null default glidepath_now()
);
create index run_inbox_run on run_inbox (dag_run_id);

-- Tasks that may start but for the same task in the run before (core/past.py). Written by the step of the run that waits;
-- the step of the other run that ends the task well wakes it by its inbox. `checked`: since the row was committed the other
-- run was looked at under its lock; what it did before that it did without seeing the row.
create table past_wait (
    dag_run_id          uuid not null,
    task_index          integer not null,
    previous_run_id     uuid not null,
    previous_task_index integer not null,
    checked             boolean not null default false,
    primary key (dag_run_id, task_index)
);
create index past_wait_previous on past_wait (previous_run_id, previous_task_index);
create index past_wait_unchecked on past_wait (previous_run_id) where not checked;

-- ---------------------------------------------------------------- time
-- When a DAG runs by itself. The row is the lock under which its ticks get their outcomes, in their order. A deleted one
-- stays: last_tick_time only grows, so that no tick gets a second outcome. `planned` holds the next ticks, computed ahead
-- of time (operations/plan_schedules.py); next_due_time is the due time of the first, null while there is none.
create table schedule (
    namespace      text not null,
    dag_id         text not null,
    schedule_name  text not null,
    origin         text not null check (origin in ('dag', 'api')),
    spec           text not null,                    -- JSON, core/schedules.py
    params         text not null,                    -- JSON as a trigger takes it; empty: {}
    version_number integer,                          -- both null: the latest
    alias          text,
    paused         boolean not null default false,
    deleted        boolean not null default false,
    last_tick_time timestamptz not null,             -- ticks up to here have their outcomes
    resume_time    timestamptz,                      -- ticks up to here fell in a pause
    planned        text not null default '',
    next_due_time  timestamptz,
    plan_due       boolean not null default true,    -- what follows `planned` is to be computed
    waiting        integer not null default 0 check (waiting >= 0), -- of its ticks, those that wait for a run to end
    active_max     integer not null default 1,       -- with fewer active runs than this a waiting one goes
    in_sequence    boolean not null default false,   -- and only when the newest run has succeeded
    runs_made      integer not null default 0,
    create_time    timestamptz not null,
    update_time    timestamptz not null,
    updated_by     text not null,
    check (version_number is null or alias is null),
    primary key (namespace, dag_id, schedule_name)
) with (fillfactor = 70);
create index schedule_due on schedule (next_due_time) where next_due_time is not null;
create index schedule_plan_due on schedule (namespace, dag_id, schedule_name) where plan_due;
create index schedule_waiting on schedule (namespace, dag_id, schedule_name) where waiting > 0;

-- What became of a tick, once. state: waiting -- a run ends --> run | met | skip; the others are final. met: a run with
-- its key was there.
create table schedule_tick (
    namespace           text not null,
    dag_id              text not null,
    schedule_name       text not null,
    tick_time           timestamptz not null,
    logical_date        timestamptz not null,
    data_interval_start timestamptz not null,
    data_interval_end   timestamptz not null,
    state               text not null check (state in ('run', 'met', 'skip', 'waiting')),
    dag_run_id          uuid,
    reason              text not null default '',
    decide_time         timestamptz not null,
    check ((dag_run_id is not null) = (state in ('run', 'met'))),
    check ((reason <> '') = (state = 'skip')),
    primary key (namespace, dag_id, schedule_name, tick_time)
);
create index schedule_tick_decided on schedule_tick using brin (decide_time) with (autosummarize = on);
create index schedule_tick_waiting on schedule_tick (namespace, dag_id, schedule_name, tick_time)
    where state = 'waiting';

-- ---------------------------------------------------------------- released task instances
-- Released and unclaimed. The claim index holds what is due and not parked; a timer sets `due` when available_time has
-- come; parked_on names the full limit that a row waits for (0: none).
create table task_queue (
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null check (attempt_number >= 1),
    class_id       bigint not null,
    queue_id       integer not null,
    order_key      double precision not null,
    tries          integer not null,                 -- attempts that used a try before this one
    losses         integer not null,
    redeliveries   integer not null,
    queue_time     timestamptz not null,
    available_time timestamptz not null,
    timeout_seconds double precision,                -- execution timeout of the attempt, null: none
    due            boolean not null,
    parked_on      bigint not null default 0,        -- -1: its run is quarantined; -2: waits for an equal call
    priority       smallint not null default 0,      -- part of order_key, kept to know the key without it
    deferrals      integer not null default 0,
    waiting_since  timestamptz,                      -- end of the attempt that deferred first
    run_limit_id   bigint not null default 0,        -- the limit on live attempts of its run, 0: none
    preemptions    integer not null default 0,       -- attempts whose machine was taken away
    primary key (dag_run_id, task_index, map_index)
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);
create index task_queue_claim on task_queue (queue_id, order_key) include (class_id) where due and parked_on = 0;
create index task_queue_parked on task_queue (parked_on, class_id, order_key) where parked_on <> 0;
create index task_queue_timer on task_queue (available_time) where not due;

-- Now in a worker's hands. The primary key leaves no room for two live attempts of one task instance.
create table live_attempt (
    dag_run_id            uuid not null,
    task_index            integer not null,
    map_index             integer not null,
    attempt_number        integer not null,
    class_id              bigint not null,
    session_id            uuid not null,
    tries                 integer not null,
    losses                integer not null,
    redeliveries          integer not null,
    queue_time            timestamptz not null,
    start_time            timestamptz not null,
    timeout_time          timestamptz,
    cancel_requested_time timestamptz,
    cancel_reason         text,
    timed_out             boolean not null default false,  -- the cancel is the server's watch over the timeout
    deferrals             integer not null default 0,
    waiting_since         timestamptz,
    preemptions           integer not null default 0,
    primary key (dag_run_id, task_index, map_index)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 2000);
create index live_attempt_session on live_attempt (session_id);
create index live_attempt_cancel on live_attempt (session_id) where cancel_requested_time is not null;
create index live_attempt_timeout on live_attempt (timeout_time) where timeout_time is not null;

-- A live attempt's share of a limit. use of a limit = sum(slots) of its holders.
create table limit_holder (
    limit_id   bigint not null,
    dag_run_id uuid not null,
    task_index integer not null,
    map_index  integer not null,
    slots      integer not null check (slots >= 1),
    primary key (limit_id, dag_run_id, task_index, map_index)
);
create index limit_holder_attempt on limit_holder (dag_run_id, task_index, map_index);

-- An attempt that has called a child run, moved here from live_attempt in the transaction that made the run. While it is
-- waiting, the attempt goes on as that run and its task instance is in no queue and with no worker. The caller's step ends
-- it, once, by taking `waiting` away; the row stays, so that each of the two runs names the other.
create table child_run (
    parent_run_id         uuid not null,
    task_index            integer not null,
    map_index             integer not null,
    attempt_number        integer not null,
    parent_dag_id         text not null,             -- copies, so that a list of runs needs no plan of the version
    task_id               text not null,
    child_run_id          uuid not null unique,
    child_dag_id          text not null,
    depth                 smallint not null check (depth between 1 and 10),
    output_task_id        text not null,             -- empty: the outputs of the child run's last tasks
    resume                boolean not null,          -- a further attempt follows, however the child run ends
    waiting               boolean not null default true,
    child_state           text check (child_state in ('success', 'failed', 'cancelled')),
    child_reason          text not null default '',
    session_id            uuid not null,             -- from here on as in live_attempt
    tries                 integer not null,
    losses                integer not null,
    redeliveries          integer not null,
    queue_time            timestamptz not null,
    start_time            timestamptz not null,
    timeout_time          timestamptz,
    cancel_requested_time timestamptz,
    cancel_reason         text,
    timed_out             boolean not null default false,
    deferrals             integer not null,
    waiting_since         timestamptz,
    preemptions           integer not null default 0,
    primary key (parent_run_id, task_index, map_index, attempt_number),
    check (waiting = (child_state is null))
);
create unique index child_run_waiting on child_run (parent_run_id, task_index, map_index) where waiting;
create index child_run_timeout on child_run (timeout_time) where waiting and timeout_time is not null;

-- Ended attempts: append only. state: success failed timed_out lost deferred skipped cancelled returned called
create table task_attempt (
    dag_run_id      uuid not null,
    task_index      integer not null,
    map_index       integer not null,
    attempt_number  integer not null,
    state           text not null check (state in ('success', 'failed', 'timed_out', 'lost', 'deferred', 'skipped',
                                                   'cancelled', 'returned', 'called')),
    session_id      uuid not null,
    queue_time      timestamptz not null,
    start_time      timestamptz not null,
    end_time        timestamptz not null,
    failure         text,                            -- JSON of core/failure.py
    reason          text not null default '',
    primary key (dag_run_id, task_index, map_index, attempt_number)
) partition by range (dag_run_id);
create table task_attempt_open partition of task_attempt for values from (minvalue) to (maxvalue);

-- Task instances that were given up and not cleared since: what a person must look at. Written by the step that gives
-- up, gone by the step that clears. task_id and dag_id are copies, so that the list needs no plan of the version.
create table dead_letter (
    dead_letter_id bigint generated always as identity,
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    budget         text not null check (budget in ('tries', 'losses', 'redeliveries', 'none', 'preemptions')),
    reason         text not null,
    dead_time      timestamptz not null,
    namespace      text not null,
    dag_id         text not null,
    task_id        text not null,
    primary key (dag_run_id, task_index, map_index)
);
create index dead_letter_namespace on dead_letter (namespace, dead_letter_id);
create index dead_letter_dag on dead_letter (namespace, dag_id, dead_letter_id);

-- A question that a task asks people. state: open -- answer --> approved | rejected; open -- timeout --> approved |
-- rejected | expired; open -- cancel, clear, mark --> withdrawn. Opened and closed by the step, with the board's byte:
-- the task is waiting exactly while its newest question is open. A closed one is an attempt in task_attempt, too.
create table approval (
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    approval_id    bigint generated always as identity,
    namespace      text not null,
    dag_id         text not null,
    task_id        text not null,
    state          text not null default 'open'
                   check (state in ('open', 'approved', 'rejected', 'expired', 'withdrawn')),
    open_time      timestamptz not null,
    timeout_time   timestamptz,
    close_time     timestamptz,
    answered_by    text,                             -- null: nobody, its timeout
    note           text not null default '',
    answer         text,                             -- values, canonical JSON
    primary key (dag_run_id, task_index, map_index, attempt_number),
    check ((close_time is null) = (state = 'open'))
);
create index approval_list on approval (namespace, approval_id);
create index approval_open on approval (namespace, approval_id) where state = 'open';
create index approval_timeout on approval (timeout_time) where state = 'open' and timeout_time is not null;

-- Attempts and runs (task_index null) that have ended and whose spans are not sent yet. Written by the statements that end
-- them, only on connections that say `glidepath.traced` (settings: otlp_endpoint). Who sends some takes them until
-- taken_until; whoever comes after that sends them again: a span's id follows from what it is of.
create table trace_feed (
    feed_id        bigint generated always as identity primary key,
    dag_run_id     uuid not null,
    task_index     integer,
    map_index      integer,
    attempt_number integer,
    taken_until    timestamptz
);

create table task_output (
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    content_type   text not null,
    body           bytea,                            -- null: by reference
    uri            text,
    size_bytes     bigint not null,
    sha256         text not null default '',
    primary key (dag_run_id, task_index, map_index, attempt_number),
    check ((body is null) <> (uri is null))
) partition by range (dag_run_id);
create table task_output_open partition of task_output for values from (minvalue) to (maxvalue);

-- Values beside the output, pushed by key. Written by the step that accepts the success whose they are.
create table xcom (
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    xcom_key       text not null,
    value          text not null,                    -- JSON
    primary key (dag_run_id, task_index, map_index, attempt_number, xcom_key)
) partition by range (dag_run_id);
create table xcom_open partition of xcom for values from (minvalue) to (maxvalue);

-- Which artifacts attempts that succeeded read and wrote; written like xcom. namespace and dag_id are copies.
create table artifact_use (
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    use_number     integer not null,
    direction      text not null check (direction in ('read', 'write')),
    uri            text not null,
    sha256         text not null,
    size_bytes     bigint not null,
    type           text not null,
    name           text not null,
    content_type   text not null,
    metadata       text not null,                    -- JSON object
    numbers        text not null,                    -- of metrics: JSON object of numbers
    use_time       timestamptz not null,
    namespace      text not null,
    dag_id         text not null,
    primary key (dag_run_id, task_index, map_index, attempt_number, use_number)
) partition by range (dag_run_id);
create table artifact_use_open partition of artifact_use for values from (minvalue) to (maxvalue);
create index artifact_use_sha256 on artifact_use (namespace, sha256, use_time);
create index artifact_use_uri on artifact_use using hash (uri);

create table task_progress (
    dag_run_id       uuid not null,
    task_index       integer not null,
    map_index        integer not null,
    attempt_number   integer not null,
    progress_percent double precision not null,
    note             text not null,
    checkpoint       bytea,
    update_time      timestamptz not null,
    primary key (dag_run_id, task_index, map_index)
);

-- What the instances of mapped tasks are given: chunks of 256 JSON objects (core/map_items.py), written when the task is
-- admitted. No rows: its lists were not read. How far the instances are is said by the board (counts) and by their rows.
create table map_items (
    dag_run_id  uuid not null,
    task_index  integer not null,
    chunk_index integer not null,
    length      integer not null,                    -- of all chunks together
    items       text not null,
    primary key (dag_run_id, task_index, chunk_index)
) partition by range (dag_run_id);
create table map_items_open partition of map_items for values from (minvalue) to (maxvalue);

-- The ends that operators gave single instances of mapped tasks. While an instance is queued or live, the row is the end
-- that it is to have. Gone when the instance runs again.
create table instance_mark (
    dag_run_id uuid not null,
    task_index integer not null,
    map_index  integer not null,
    state      smallint not null check (state in (10, 11, 13, 14)), -- success, failed, skipped, cancelled
    reason     text not null,
    base       integer not null,                     -- attempts up to this one are of earlier lists
    primary key (dag_run_id, task_index, map_index)
) partition by range (dag_run_id);
create table instance_mark_open partition of instance_mark for values from (minvalue) to (maxvalue);

-- Lines as a JSON array of [time, stream, text]. `written` orders readers: only rows below the oldest running
-- transaction are read, because neither log_id nor time follows the order of commits.
create sequence task_log_chunk_log_id_seq;
create table task_log_chunk (
    dag_run_id      uuid not null,
    task_index      integer not null,
    map_index       integer not null,
    attempt_number  integer not null,
    sequence_number bigint not null,
    log_id          bigint not null default nextval('task_log_chunk_log_id_seq'),
    written         xid8 not null default pg_current_xact_id(),
    entries         text not null,
    primary key (dag_run_id, task_index, map_index, attempt_number, sequence_number)
) partition by range (dag_run_id);
create table task_log_chunk_open partition of task_log_chunk for values from (minvalue) to (maxvalue);
create index task_log_chunk_feed on task_log_chunk (dag_run_id, written, log_id);

-- ---------------------------------------------------------------- how long things take
-- Of the tasks of a version, by core/durations.py: counts (older observations have faded), means and sums of squares of
-- log seconds; work from the first start to the last end, and the wait before it. `handler` is the task's code.
-- Written by loops/durations.py in one transaction with its cursor, so the end of a run counts once.
create table task_duration (
    namespace          text not null,
    dag_id             text not null,
    dag_version_number integer not null,
    task_id            text not null,
    handler            text not null,
    work_count         double precision not null,
    work_mean          double precision not null,
    work_squares       double precision not null,
    wait_count         double precision not null,
    wait_mean          double precision not null,
    wait_squares       double precision not null,
    instances          double precision not null,    -- of it in a run, on average; 1 when it is not mapped
    update_time        timestamptz not null,
    primary key (namespace, dag_id, dag_version_number, task_id)
);

-- How far runs that have ended were learnt from, in the order in which their ends were committed.
create table duration_cursor (
    singleton   boolean primary key default true check (singleton),
    end_written xid8 not null default '0',
    dag_run_id  uuid not null default '00000000-0000-0000-0000-000000000000'
);
insert into duration_cursor default values;

-- ---------------------------------------------------------------- kept results
-- Per key of a call (core/caching.py): its newest result, if it has a store_time, with a copy of the output; who made it.
-- The row is also the lock under which it is decided who of equal calls runs: a step holds the rows of all calls that
-- begin or end in it (ordered by key) and then reads, in a later statement, what is kept and who is at it.
create table cached_result (
    namespace      text not null,
    cache_key      bytea not null,
    dag_id         text not null,
    task_id        text not null,
    expire_time    timestamptz not null,
    store_time     timestamptz,
    dag_run_id     uuid,
    task_index     integer,
    map_index      integer,
    attempt_number integer,
    content_type   text,                             -- null: no output
    body           bytea,                            -- null: by reference
    uri            text,
    size_bytes     bigint,
    sha256         text,
    primary key (namespace, cache_key)
);
create index cached_result_task on cached_result (namespace, dag_id, task_id, cache_key);
create index cached_result_expiry on cached_result (expire_time);

-- A released task instance that is cached, until it has ended: it runs (with its retries), or waits for an equal call.
-- Written by the step of its own run; read by the step in which an equal call ends, which wakes it by its inbox.
create table cached_call (
    call_id              bigint generated always as identity,
    namespace            text not null,
    cache_key            bytea not null,
    dag_run_id           uuid not null,
    task_index           integer not null,
    map_index            integer not null,
    attempt_number       integer not null,
    expire_after_seconds double precision,           -- how old a result may be that it takes, null: any
    waits                boolean not null,
    primary key (dag_run_id, task_index, map_index)
);
create index cached_call_key on cached_call (namespace, cache_key, call_id);
create index cached_call_waits on cached_call (call_id) where waits;

-- Successes without an attempt: the attempt that there would have been, and whose result it has.
create table task_reuse (
    dag_run_id       uuid not null,
    task_index       integer not null,
    map_index        integer not null,
    attempt_number   integer not null,
    reuse_time       timestamptz not null,
    namespace        text not null,
    cache_key        bytea not null,
    source_run_id    uuid not null,
    source_task_id   text not null,
    source_map_index integer not null,
    source_time      timestamptz not null,
    primary key (dag_run_id, task_index, map_index, attempt_number)
) partition by range (dag_run_id);
create table task_reuse_open partition of task_reuse for values from (minvalue) to (maxvalue);

-- What an output may belong to: attempts that have succeeded, and results that were taken instead.
create view task_success as
select dag_run_id, task_index, map_index, attempt_number from task_attempt where state = 'success'
union all
select dag_run_id, task_index, map_index, attempt_number from task_reuse;

create table artifact (
    namespace    text not null,
    sha256       text not null,
    content_type text not null,
    size_bytes   bigint not null,
    create_time  timestamptz not null,
    primary key (namespace, sha256)
);
create table artifact_chunk (
    namespace   text not null,
    sha256      text not null,
    chunk_index integer not null,
    body        bytea not null,
    primary key (namespace, sha256, chunk_index)
);

-- ---------------------------------------------------------------- facts and alerts
-- Facts that people may want to hear of, written in the transaction of the change (operations/facts.py). `written` orders
-- readers: only rows below the oldest running transaction are read, because neither id nor time is the order of commits.
create table outbox (
    fact_id    bigint generated always as identity primary key,
    written    xid8 not null default pg_current_xact_id(),
    namespace  text not null,
    kind       text not null,                        -- core/facts.py
    dag_id     text not null default '',
    dag_run_id uuid,
    task_id    text not null default '',
    body       text not null check (octet_length(body) <= 65536), -- JSON object with a `summary`
    fact_time  timestamptz not null
);
create index outbox_feed on outbox (written, fact_id);
-- ---------------------------------------------------------------- deadlines
-- What runs of a DAG have to be done by: live, as a DAG's pause is, and no part of its versions. origin: declared with the
-- DAG, and replaced by each registration; or set by itself.
create table dag_deadline (
    namespace     text not null,
    dag_id        text not null,
    deadline_name text not null,
    content       text not null,                     -- JSON of core/deadlines.py
    origin        text not null check (origin in ('dag', 'api')),
    update_time   timestamptz not null,
    updated_by    text not null,
    primary key (namespace, dag_id, deadline_name)
);

-- A deadline of a run, as it was when the run was created, in that transaction. State machine in core/deadlines.py. Steps
-- write what is done, loops/deadlines.py what is past, both under the lock of the run's row; the first outcome stays.
-- dag_run_id null: a schedule has promised a run with this key, and there is none. Rows are held by id, and whoever holds
-- one waits for nothing else but limits and holders.
create table deadline (
    deadline_id   bigint generated always as identity primary key,
    namespace     text not null,
    dag_id        text not null,
    run_key       text not null,
    deadline_name text not null,
    dag_run_id    uuid,
    content       text not null,
    state         text not null default 'on_track'
                  check (state in ('on_track', 'at_risk', 'missed', 'met', 'met_late')),
    due_time      timestamptz,                       -- null: counts from a start that has not been
    told          text[] not null default '{}',      -- kinds of facts (core/facts.py) that were written, each once
    create_time   timestamptz not null,
    state_time    timestamptz not null,              -- since when it is in its state
    unique (namespace, dag_id, run_key, deadline_name)
) with (fillfactor = 80);
create index deadline_due on deadline (due_time) where state in ('on_track', 'at_risk');
create index deadline_run on deadline (dag_run_id);
create index deadline_list on deadline (namespace, state, deadline_id);
create index deadline_dag on deadline (namespace, dag_id, deadline_id);

-- How far the ticks of schedules are watched whose DAGs have deadlines: a run is owed for each up to promised_time.
create table deadline_promise (
    namespace     text not null,
    dag_id        text not null,
    schedule_name text not null,
    promised_time timestamptz not null,
    next_time     timestamptz not null,              -- when there is something to look at, at the latest
    primary key (namespace, dag_id, schedule_name)
);

-- How far readers of the outbox have come: all facts up to this one are dealt with. The row's lock is the right to read on.
create table outbox_reader (
    reader  text primary key,
    written xid8 not null default '0',
    fact_id bigint not null default 0
);
insert into outbox_reader (reader) values ('alerts');

-- A configured way out of the house, by name. config: JSON object of text by option; those in secret_options are never
-- shown again.
create table alert_channel (
    namespace      text not null,
    channel_name   text not null,
    plugin         text not null,
    plugin_channel text not null,
    config         text not null,
    secret_options text[] not null,
    update_time    timestamptz not null,
    updated_by     text not null,
    primary key (namespace, channel_name)
);

-- Who hears of what, beside what DAGs themselves declare. dag_id empty: of every DAG of the namespace.
create table alert_route (
    namespace    text not null,
    route_name   text not null,
    kinds        text[] not null,
    dag_id       text not null default '',
    channel_name text not null,
    update_time  timestamptz not null,
    updated_by   text not null,
    primary key (namespace, route_name)
);

-- An alert on its way: facts about one run (group_key) for one channel, sent in the order of alert_number.
-- state: pending -- sent --> delivered; -- not now --> retrying; -- given up --> dead; dead -- resend --> pending
create table alert_delivery (
    alert_id          uuid primary key,
    alert_number      bigint generated always as identity,
    namespace         text not null,
    channel_name      text not null,
    group_key         text not null,
    dag_id            text not null,
    dag_run_id        uuid,
    state             text not null check (state in ('pending', 'retrying', 'delivered', 'dead')),
    create_time       timestamptz not null,
    close_time        timestamptz not null,          -- facts join until then; it is sent from then on
    first_time        timestamptz not null,          -- of its first try, or the first since its resend
    next_attempt_time timestamptz not null,
    attempt_count     integer not null default 0,    -- counted before each; the word of the newest attempt alone counts
    attempts_before   integer not null default 0,    -- those before its last resend
    claimed_until     timestamptz,
    end_time          timestamptz,
    delivery_id       text not null default '',
    last_error        text not null default '',
    check ((end_time is not null) = (state in ('delivered', 'dead')))
);
create index alert_delivery_due on alert_delivery (next_attempt_time) where state in ('pending', 'retrying');
create index alert_delivery_group on alert_delivery (namespace, channel_name, group_key, alert_number)
    where state in ('pending', 'retrying');
create index alert_delivery_list on alert_delivery (namespace, alert_number);
create index alert_delivery_ended on alert_delivery (end_time) where end_time is not null;
create index alert_delivery_states on alert_delivery (namespace, state, alert_number);
create index alert_delivery_channel on alert_delivery (namespace, channel_name, state, alert_number);
create index alert_delivery_run on alert_delivery (dag_run_id, alert_number) where dag_run_id is not null;

-- The facts of an alert: copies, because the outbox forgets sooner.
create table alert_fact (
    alert_id  uuid not null,
    fact_id   bigint not null,
    kind      text not null,
    task_id   text not null,
    body      text not null,
    fact_time timestamptz not null,
    primary key (alert_id, fact_id)
);

-- ---------------------------------------------------------------- workers
-- state: open -- leave --> closed;  open -- lease ended --> lost. A session that left open never opens again.
-- heard_until: may get work until then. lease_expire_time: its attempts are judged after that.
create table worker_session (
    session_id        uuid primary key,
    namespace         text not null,
    worker_identity   text not null,
    incarnation       text not null,
    generation        integer not null default 1,
    state             text not null default 'open' check (state in ('open', 'closed', 'lost')),
    draining          boolean not null default false,
    heard_until       timestamptz not null,
    lease_expire_time timestamptz not null,
    connect_time      timestamptz not null,
    end_time          timestamptz,
    queue_names       text[] not null,
    labels            jsonb not null,
    resources         jsonb not null,
    handlers          jsonb not null,                -- [[name, [version, ...]], ...]
    sdk_name          text not null,
    sdk_version       text not null,
    host_name         text not null,
    process_id        integer not null,
    other_namespaces  text[] not null default '{}',  -- that it serves beside its own; only with a token for all of them
    clock_offset_seconds double precision,           -- the database's clock minus its host's; null: it has not said
    clock_bound_seconds  double precision,           -- within which that is known
    check ((end_time is not null) = (state <> 'open'))
) with (fillfactor = 50);
create unique index worker_session_open on worker_session (namespace, worker_identity, incarnation) where state = 'open';
create index worker_session_lease on worker_session (lease_expire_time) where state = 'open';
create index worker_session_list on worker_session (namespace, session_id);

-- ---------------------------------------------------------------- upkeep
-- What is done once per tick of its own schedule, by whichever replica comes first.
create table maintenance (
    name      text primary key,
    last_time timestamptz not null
);
insert into maintenance (name, last_time) values ('history', glidepath_now()); -- what is new has nothing to drop

-- ---------------------------------------------------------------- for people and tools
-- The task instances of one run that have been released at least once; always filter by dag_run_id.
create view task_instance as
select q.dag_run_id, q.task_index, q.map_index, q.attempt_number,
       case when q.due then 'queued' when q.attempt_number > 1 then 'up_for_retry' else 'queued' end as state,
       q.queue_time, null::timestamptz as start_time, null::timestamptz as end_time
from task_queue q
union all
select l.dag_run_id, l.task_index, l.map_index, l.attempt_number, 'running', l.queue_time, l.start_time, null
from live_attempt l
union all
select c.parent_run_id, c.task_index, c.map_index, c.attempt_number, 'running', c.queue_time, c.start_time, null
from child_run c where c.waiting
union all
(select distinct on (a.dag_run_id, a.task_index, a.map_index)
        a.dag_run_id, a.task_index, a.map_index, a.attempt_number, a.state, a.queue_time, a.start_time, a.end_time
 from task_attempt a
 where not exists (select from task_queue q where (q.dag_run_id, q.task_index, q.map_index) = (a.dag_run_id, a.task_index, a.map_index))
   and not exists (select from live_attempt l where (l.dag_run_id, l.task_index, l.map_index) = (a.dag_run_id, a.task_index, a.map_index))
   and not exists (select from child_run c where c.waiting and (c.parent_run_id, c.task_index, c.map_index) = (a.dag_run_id, a.task_index, a.map_index))
 order by a.dag_run_id, a.task_index, a.map_index, a.attempt_number desc);
