-- History by months: what runs leave is in partitions by the run's id, which carries its time.

drop view task_instance;
drop view task_success;

alter table task_log_chunk alter column log_id drop identity;
create sequence task_log_chunk_log_id_seq;
select setval('task_log_chunk_log_id_seq', (select coalesce(max(log_id), 0) + 1 from task_log_chunk), false);
alter table task_log_chunk alter column log_id set default nextval('task_log_chunk_log_id_seq');

alter table dag_run_event rename to dag_run_event_open;
alter index dag_run_event_pkey rename to dag_run_event_open_pkey;
create table dag_run_event (like dag_run_event_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table dag_run_event add primary key (dag_run_id, revision);
alter table dag_run_event attach partition dag_run_event_open for values from (minvalue) to (maxvalue);

alter table task_attempt rename to task_attempt_open;
alter index task_attempt_pkey rename to task_attempt_open_pkey;
create table task_attempt (like task_attempt_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table task_attempt add primary key (dag_run_id, task_index, map_index, attempt_number);
alter table task_attempt attach partition task_attempt_open for values from (minvalue) to (maxvalue);

alter table task_output rename to task_output_open;
alter index task_output_pkey rename to task_output_open_pkey;
create table task_output (like task_output_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table task_output add primary key (dag_run_id, task_index, map_index, attempt_number);
alter table task_output attach partition task_output_open for values from (minvalue) to (maxvalue);

alter table xcom rename to xcom_open;
alter index xcom_pkey rename to xcom_open_pkey;
create table xcom (like xcom_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table xcom add primary key (dag_run_id, task_index, map_index, attempt_number, xcom_key);
alter table xcom attach partition xcom_open for values from (minvalue) to (maxvalue);

alter table artifact_use rename to artifact_use_open;
alter index artifact_use_pkey rename to artifact_use_open_pkey;
alter index artifact_use_sha256 rename to artifact_use_open_namespace_sha256_use_time_idx;
alter index artifact_use_uri rename to artifact_use_open_uri_idx;
create table artifact_use (like artifact_use_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table artifact_use add primary key (dag_run_id, task_index, map_index, attempt_number, use_number);
create index artifact_use_sha256 on artifact_use (namespace, sha256, use_time);
create index artifact_use_uri on artifact_use using hash (uri);
alter table artifact_use attach partition artifact_use_open for values from (minvalue) to (maxvalue);

alter table map_items rename to map_items_open;
alter index map_items_pkey rename to map_items_open_pkey;
create table map_items (like map_items_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table map_items add primary key (dag_run_id, task_index, chunk_index);
alter table map_items attach partition map_items_open for values from (minvalue) to (maxvalue);

alter table task_log_chunk rename to task_log_chunk_open;
alter index task_log_chunk_pkey rename to task_log_chunk_open_pkey;
alter index task_log_chunk_feed rename to task_log_chunk_open_dag_run_id_written_log_id_idx;
create table task_log_chunk (like task_log_chunk_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table task_log_chunk add primary key (dag_run_id, task_index, map_index, attempt_number, sequence_number);
create index task_log_chunk_feed on task_log_chunk (dag_run_id, written, log_id);
alter table task_log_chunk attach partition task_log_chunk_open for values from (minvalue) to (maxvalue);

alter table task_reuse rename to task_reuse_open;
alter index task_reuse_pkey rename to task_reuse_open_pkey;
create table task_reuse (like task_reuse_open including defaults including constraints including storage)
    partition by range (dag_run_id);
alter table task_reuse add primary key (dag_run_id, task_index, map_index, attempt_number);
alter table task_reuse attach partition task_reuse_open for values from (minvalue) to (maxvalue);

create view task_success as
select dag_run_id, task_index, map_index, attempt_number from task_attempt where state = 'success'
union all
select dag_run_id, task_index, map_index, attempt_number from task_reuse;
create view task_instance as
select q.dag_run_id, q.task_index, q.map_index, q.attempt_number,
       case when q.due then 'queued' when q.attempt_number > 1 then 'up_for_retry' else 'queued' end as state,
       q.queue_time, null::timestamptz as start_time, null::timestamptz as end_time
from task_queue q
union all
select l.dag_run_id, l.task_index, l.map_index, l.attempt_number, 'running', l.queue_time, l.start_time, null
from live_attempt l
union all
select c.parent_run_id, c.task_index, c.map_index, c.attempt_number, 'running', c.queue_time, c.start_time, null
from child_run c where c.waiting
union all
(select distinct on (a.dag_run_id, a.task_index, a.map_index)
        a.dag_run_id, a.task_index, a.map_index, a.attempt_number, a.state, a.queue_time, a.start_time, a.end_time
 from task_attempt a
 where not exists (select from task_queue q where (q.dag_run_id, q.task_index, q.map_index) = (a.dag_run_id, a.task_index, a.map_index))
   and not exists (select from live_attempt l where (l.dag_run_id, l.task_index, l.map_index) = (a.dag_run_id, a.task_index, a.map_index))
   and not exists (select from child_run c where c.waiting and (c.parent_run_id, c.task_index, c.map_index) = (a.dag_run_id, a.task_index, a.map_index))
 order by a.dag_run_id, a.task_index, a.map_index, a.attempt_number desc);

create table maintenance (
    name      text primary key,
    last_time timestamptz not null
);
insert into maintenance (name, last_time) values ('history', glidepath_now()); -- what is new has nothing to drop
