-- Questions to people. A server that does not know them cannot read a version that has one, so such a DAG is registered
-- and run only once all servers are new.
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
    answered_by    text,
    note           text not null default '',
    answer         text,
    primary key (dag_run_id, task_index, map_index, attempt_number),
    check ((close_time is null) = (state = 'open'))
);
create index approval_list on approval (namespace, approval_id);
create index approval_open on approval (namespace, approval_id) where state = 'open';
create index approval_timeout on approval (timeout_time) where state = 'open' and timeout_time is not null;
