-- Results of tasks are kept and used again; equal calls wait for one another. A server that does not know the tables keeps
-- nothing and lets every call run; it leaves a task alone that waits for an equal call.
alter table dag_run add column refresh_cache boolean not null default false;
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
);

create view task_success as
select dag_run_id, task_index, map_index, attempt_number from task_attempt where state = 'success'
union all
select dag_run_id, task_index, map_index, attempt_number from task_reuse;
