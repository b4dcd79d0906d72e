-- An attempt that has called a child run, moved here from live_attempt in the transaction that made the run. While it is
-- waiting, the attempt goes on as that run and its task instance is in no queue and with no worker. The caller's step ends
-- it, once, by taking `waiting` away; the row stays, so that each of the two runs names the other.
create table child_run (
    parent_run_id         uuid not null,
    task_index            integer not null,
    map_index             integer not null,
    attempt_number        integer not null,
    parent_dag_id         text not null,             -- copies, so that a list of runs needs no plan of the version
    task_id               text not null,
    child_run_id          uuid not null unique,
    child_dag_id          text not null,
    depth                 smallint not null check (depth between 1 and 10),
    output_task_id        text not null,             -- empty: the outputs of the child run's last tasks
    resume                boolean not null,          -- a further attempt follows, however the child run ends
    waiting               boolean not null default true,
    child_state           text check (child_state in ('success', 'failed', 'cancelled')),
    child_reason          text not null default '',
    session_id            uuid not null,             -- from here on as in live_attempt
    tries                 integer not null,
    losses                integer not null,
    redeliveries          integer not null,
    queue_time            timestamptz not null,
    start_time            timestamptz not null,
    timeout_time          timestamptz,
    cancel_requested_time timestamptz,
    cancel_reason         text,
    timed_out             boolean not null default false,
    deferrals             integer not null,
    waiting_since         timestamptz,
    primary key (parent_run_id, task_index, map_index, attempt_number),
    check (waiting = (child_state is null))
);
create unique index child_run_waiting on child_run (parent_run_id, task_index, map_index) where waiting;
create index child_run_timeout on child_run (timeout_time) where waiting and timeout_time is not null;

alter table task_attempt drop constraint task_attempt_state_check;
alter table task_attempt add constraint task_attempt_state_check
    check (state in ('success', 'failed', 'timed_out', 'lost', 'deferred', 'skipped', 'cancelled', 'returned', 'called'));

create or replace view task_instance as
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
