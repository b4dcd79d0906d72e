-- Tasks that depend on the same task in the run before.
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
create index dag_run_date on dag_run (namespace, dag_id, logical_date, dag_run_id) where run_type <> 'child';
