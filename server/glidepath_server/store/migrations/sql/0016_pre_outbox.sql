-- Facts that people may want to hear of, written in the transaction of the change (operations/facts.py). `written` orders
-- readers: only rows below the oldest running transaction are read, because neither id nor time is the order of commits.
create table outbox (
    fact_id    bigint generated always as identity primary key,
    written    xid8 not null default pg_current_xact_id(),
    namespace  text not null,
    kind       text not null,                        -- core/facts.py
    dag_id     text not null default '',
    dag_run_id uuid,
    task_id    text not null default '',
    body       text not null check (octet_length(body) <= 65536), -- JSON object with a `summary`
    fact_time  timestamptz not null
);
create index outbox_feed on outbox (written, fact_id);
