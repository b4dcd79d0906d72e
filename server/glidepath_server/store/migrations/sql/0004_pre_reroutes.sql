-- A task whose retry policy names another queue has a second class: its needs, with that queue. A server that does not
-- know the column leaves such tasks in their first queue.
alter table dag_version add column reroute_class_ids bigint[] not null default '{}';
