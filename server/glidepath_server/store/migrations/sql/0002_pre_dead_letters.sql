-- Task instances that were given up and not cleared since: what a person must look at. Written by the step that gives
-- up, gone by the step that clears. task_id and dag_id are copies, so that the list needs no plan of the version.
create table dead_letter (
    dead_letter_id bigint generated always as identity,
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    budget         text not null check (budget in ('tries', 'losses', 'redeliveries', 'none')),
    reason         text not null,
    dead_time      timestamptz not null,
    namespace      text not null,
    dag_id         text not null,
    task_id        text not null,
    primary key (dag_run_id, task_index, map_index)
);
create index dead_letter_namespace on dead_letter (namespace, dead_letter_id);
create index dead_letter_dag on dead_letter (namespace, dag_id, dead_letter_id);
