-- Values beside the output, pushed by key. Written by the step that accepts the success whose they are.
create table xcom (
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    xcom_key       text not null,
    value          text not null,                    -- JSON
    primary key (dag_run_id, task_index, map_index, attempt_number, xcom_key)
);

-- Which artifacts attempts that succeeded read and wrote; written like xcom. namespace and dag_id are copies.
create table artifact_use (
    dag_run_id     uuid not null,
    task_index     integer not null,
    map_index      integer not null,
    attempt_number integer not null,
    use_number     integer not null,
    direction      text not null check (direction in ('read', 'write')),
    uri            text not null,
    sha256         text not null,
    size_bytes     bigint not null,
    type           text not null,
    name           text not null,
    content_type   text not null,
    metadata       text not null,                    -- JSON object
    numbers        text not null,                    -- of metrics: JSON object of numbers
    use_time       timestamptz not null,
    namespace      text not null,
    dag_id         text not null,
    primary key (dag_run_id, task_index, map_index, attempt_number, use_number)
);
create index artifact_use_sha256 on artifact_use (namespace, sha256, use_time);
create index artifact_use_uri on artifact_use using hash (uri);
