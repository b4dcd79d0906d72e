-- Attempts and runs (task_index null) that have ended and whose spans are not sent yet. Written by the statements that end
-- them, only on connections that say `glidepath.traced` (settings: otlp_endpoint). Who sends some takes them until
-- taken_until; whoever comes after that sends them again: a span's id follows from what it is of.
create table trace_feed (
    feed_id        bigint generated always as identity primary key,
    dag_run_id     uuid not null,
    task_index     integer,
    map_index      integer,
    attempt_number integer,
    taken_until    timestamptz
);
