create table deadline_promise (
    namespace     text not null,
    dag_id        text not null,
    schedule_name text not null,
    promised_time timestamptz not null,
    next_time     timestamptz not null,
    primary key (namespace, dag_id, schedule_name)
);
