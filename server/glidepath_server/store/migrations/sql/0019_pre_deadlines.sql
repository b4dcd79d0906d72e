alter table dag_run add column has_deadlines boolean not null default false;

create table dag_deadline (
    namespace     text not null,
    dag_id        text not null,
    deadline_name text not null,
    content       text not null,                     -- JSON of core/deadlines.py
    origin        text not null check (origin in ('dag', 'api')),
    update_time   timestamptz not null,
    updated_by    text not null,
    primary key (namespace, dag_id, deadline_name)
);

create table deadline (
    deadline_id   bigint generated always as identity primary key,
    namespace     text not null,
    dag_id        text not null,
    run_key       text not null,
    deadline_name text not null,
    dag_run_id    uuid,
    content       text not null,
    state         text not null default 'on_track'
                  check (state in ('on_track', 'at_risk', 'missed', 'met', 'met_late')),
    due_time      timestamptz,
    told          text[] not null default '{}',
    create_time   timestamptz not null,
    state_time    timestamptz not null,
    unique (namespace, dag_id, run_key, deadline_name)
) with (fillfactor = 80);
create index deadline_due on deadline (due_time) where state in ('on_track', 'at_risk');
create index deadline_run on deadline (dag_run_id);
create index deadline_list on deadline (namespace, state, deadline_id);
create index deadline_dag on deadline (namespace, dag_id, deadline_id);
