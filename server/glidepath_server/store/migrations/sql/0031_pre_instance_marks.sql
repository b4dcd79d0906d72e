-- The ends that operators gave single instances of mapped tasks.
create table instance_mark (
    dag_run_id uuid not null,
    task_index integer not null,
    map_index  integer not null,
    state      smallint not null check (state in (10, 11, 13, 14)),
    reason     text not null,
    base       integer not null,
    primary key (dag_run_id, task_index, map_index)
) partition by range (dag_run_id);
create table instance_mark_open partition of instance_mark for values from (minvalue) to (maxvalue);
