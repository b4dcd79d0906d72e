-- What the instances of mapped tasks are given. A server that does not know the table takes no DAGs with mapped tasks.
create table map_items (
    dag_run_id  uuid not null,
    task_index  integer not null,
    chunk_index integer not null,
    length      integer not null,
    items       text not null,
    primary key (dag_run_id, task_index, chunk_index)
);
