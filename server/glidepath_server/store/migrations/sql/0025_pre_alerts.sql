-- How far readers of the outbox have come: all facts up to this one are dealt with. The row's lock is the right to read on.
create table outbox_reader (
    reader  text primary key,
    written xid8 not null default '0',
    fact_id bigint not null default 0
);
insert into outbox_reader (reader) values ('alerts');

-- A configured way out of the house, by name. config: JSON object of text by option; those in secret_options are never
-- shown again.
create table alert_channel (
    namespace      text not null,
    channel_name   text not null,
    plugin         text not null,
    plugin_channel text not null,
    config         text not null,
    secret_options text[] not null,
    update_time    timestamptz not null,
    updated_by     text not null,
    primary key (namespace, channel_name)
);

-- Who hears of what, beside what DAGs themselves declare. dag_id empty: of every DAG of the namespace.
create table alert_route (
    namespace    text not null,
    route_name   text not null,
    kinds        text[] not null,
    dag_id       text not null default '',
    channel_name text not null,
    update_time  timestamptz not null,
    updated_by   text not null,
    primary key (namespace, route_name)
);

-- An alert on its way: facts about one run (group_key) for one channel, sent in the order of alert_number.
-- state: pending -- sent --> delivered; -- not now --> retrying; -- given up --> dead; dead -- resend --> pending
create table alert_delivery (
    alert_id          uuid primary key,
    alert_number      bigint generated always as identity,
    namespace         text not null,
    channel_name      text not null,
    group_key         text not null,
    dag_id            text not null,
    dag_run_id        uuid,
    state             text not null check (state in ('pending', 'retrying', 'delivered', 'dead')),
    create_time       timestamptz not null,
    close_time        timestamptz not null,          -- facts join until then; it is sent from then on
    first_time        timestamptz not null,          -- of its first try, or the first since its resend
    next_attempt_time timestamptz not null,
    attempt_count     integer not null default 0,    -- counted before each; the word of the newest attempt alone counts
    attempts_before   integer not null default 0,    -- those before its last resend
    claimed_until     timestamptz,
    end_time          timestamptz,
    delivery_id       text not null default '',
    last_error        text not null default '',
    check ((end_time is not null) = (state in ('delivered', 'dead')))
);
create index alert_delivery_due on alert_delivery (next_attempt_time) where state in ('pending', 'retrying');
create index alert_delivery_group on alert_delivery (namespace, channel_name, group_key, alert_number)
    where state in ('pending', 'retrying');
create index alert_delivery_list on alert_delivery (namespace, alert_number);
create index alert_delivery_ended on alert_delivery (end_time) where end_time is not null;

-- The facts of an alert: copies, because the outbox forgets sooner.
create table alert_fact (
    alert_id  uuid not null,
    fact_id   bigint not null,
    kind      text not null,
    task_id   text not null,
    body      text not null,
    fact_time timestamptz not null,
    primary key (alert_id, fact_id)
);
