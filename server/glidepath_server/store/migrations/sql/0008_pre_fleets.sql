-- A worker may serve several namespaces. A server that does not know the column gives it work of its own namespace only.
alter table worker_session add column other_namespaces text[] not null default '{}';
