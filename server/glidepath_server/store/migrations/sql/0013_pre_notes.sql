-- Notes of people on runs and task instances.
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
