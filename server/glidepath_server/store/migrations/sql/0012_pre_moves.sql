-- Runs may be moved to other versions: a version laid out for a run is a row of its own, beside the one that was
-- registered. A server that does not know layouts may take one for the version; so runs are moved only once all servers
-- are new.
alter table dag_version
    add column layout text not null default '',
    add column layout_hash bytea not null default '',
    drop constraint dag_version_namespace_dag_id_dag_version_number_key,
    drop constraint dag_version_namespace_dag_id_content_hash_key,
    add unique (namespace, dag_id, dag_version_number, layout_hash),
    add unique (namespace, dag_id, content_hash, layout_hash);

create table dag_run_move (
    dag_run_id      uuid not null,
    revision        bigint not null,
    from_version_id bigint not null,
    to_version_id   bigint not null,
    move_time       timestamptz not null,
    primary key (dag_run_id, revision)
);
