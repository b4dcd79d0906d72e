-- What people note of runs and task instances: append only.

-- name: count_notes
-- One writer of a run's notes at a time, so that none slips past the bound.
select count(*) from note where dag_run_id = $1;

-- name: queue_up
select pg_advisory_xact_lock(hashtextextended('note ' || $1::text, 0));

-- name: insert_note
insert into note (namespace, dag_run_id, task_id, map_index, author, note_time, text)
values ($1, $2, $3, $4, $5, $6, $7)
returning note_id;

-- name: list_notes
-- Oldest first, behind the id $3.
select note_id, task_id, map_index, author, note_time, text
from note where namespace = $1 and dag_run_id = $2 and note_id > $3
order by note_id limit $4;
