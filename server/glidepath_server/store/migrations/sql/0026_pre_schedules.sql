-- Schedules, and what becomes of their ticks.

create index dag_run_scheduled on dag_run (namespace, dag_id)
    where run_type = 'scheduled' and state in ('queued', 'running');

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
