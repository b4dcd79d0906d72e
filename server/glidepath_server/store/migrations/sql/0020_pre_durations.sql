-- How long tasks take, learnt from runs that have ended.
alter table dag_run add column end_written xid8;
create index dag_run_ended on dag_run (end_written, dag_run_id) where end_written is not null;

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
    instances          double precision not null,
    update_time        timestamptz not null,
    primary key (namespace, dag_id, dag_version_number, task_id)
);

create table duration_cursor (
    singleton   boolean primary key default true check (singleton),
    end_written xid8 not null default '0',
    dag_run_id  uuid not null default '00000000-0000-0000-0000-000000000000'
);
insert into duration_cursor default values;
