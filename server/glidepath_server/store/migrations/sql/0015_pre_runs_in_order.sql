-- Runs of a DAG that go one after the other, by their logical dates.
alter table concurrency_limit
    add column in_order boolean not null default false,
    add check (not in_order or kind = 'dag_runs');
