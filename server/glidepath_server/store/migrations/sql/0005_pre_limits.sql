-- Named limits, limits of one task over all runs and of one run, rates. Until the last server that does not know them is
-- gone, what such a server claims is not counted by them.
alter table concurrency_limit drop constraint concurrency_limit_kind_check;
alter table concurrency_limit add constraint concurrency_limit_kind_check
    check (kind in ('pool', 'named', 'dag_tasks', 'dag_runs', 'task', 'run'));
alter table concurrency_limit
    add column rate_starts integer check (rate_starts >= 1),
    add column rate_seconds double precision check (rate_seconds > 0),
    add column dag_run_id uuid,
    add check ((rate_starts is null) = (rate_seconds is null)),
    add check (rate_starts is null or kind = 'named'),
    add check ((dag_run_id is null) = (kind <> 'run'));
create index concurrency_limit_rated on concurrency_limit (limit_id) where rate_starts is not null;
create index concurrency_limit_of_run on concurrency_limit (dag_run_id) where dag_run_id is not null;

create table limit_start (
    limit_id   bigint not null,
    start_time timestamptz not null,
    starts     integer not null check (starts >= 1)
);
create index limit_start_limit on limit_start (limit_id, start_time);

alter table task_class
    add column limit_ids bigint[] not null default '{}',
    add column limit_slots integer[] not null default '{}',
    add column run_limited boolean not null default false;
alter table task_queue add column run_limit_id bigint not null default 0;
