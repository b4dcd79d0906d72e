-- Of a schedule its own active runs are read, and its own ticks that wait; not those of its DAG, not those that are over.
create index dag_run_schedule on dag_run (namespace, dag_id, run_key text_pattern_ops)
    where run_type = 'scheduled' and state in ('queued', 'running');
drop index dag_run_scheduled;
create index schedule_tick_waiting on schedule_tick (namespace, dag_id, schedule_name, tick_time)
    where state = 'waiting';
