-- Dropping history by months. The statements that make and drop partitions are in store/history.py: they have names in
-- them that no parameter can be.

-- name: partitions
-- Every partition of every table of history, the open one last; bounds as Postgres prints them.
select p.relname as parent, c.relname as partition, pg_get_expr(c.relpartbound, c.oid) as bounds
from pg_inherits i
join pg_class p on p.oid = i.inhparent
join pg_class c on c.oid = i.inhrelid
where p.relname = any($1::text[]) and p.relnamespace = current_schema()::regnamespace
order by 1, 2;

-- name: take_turn
select pg_try_advisory_lock(hashtext('glidepath history'));

-- name: give_turn
select pg_advisory_unlock(hashtext('glidepath history'));

-- name: left_over
select conrelid::regclass::text as name from pg_constraint
where conname = 'closing' and connamespace = current_schema()::regnamespace;

-- name: is_due
select last_time < $2 from maintenance where name = $1;

-- name: note_round
-- Only for whoever has the turn: nobody else is in a round.
update maintenance set last_time = $2 where name = $1 and last_time < $2;

-- name: delete_runs
-- Runs of a span of ids that ended before a time, the oldest first, with all that lies beside history; run keys stay.
with gone as (
    delete from dag_run r where r.dag_run_id = any(array(
        select dag_run_id from dag_run
        where dag_run_id >= $1 and dag_run_id < $2 and end_time < $3
        order by dag_run_id limit $4 for update skip locked))
    returning r.dag_run_id
), moves as (delete from dag_run_move using gone where gone.dag_run_id = dag_run_move.dag_run_id)
, notes as (delete from note using gone where gone.dag_run_id = note.dag_run_id)
, inbox as (delete from run_inbox using gone where gone.dag_run_id = run_inbox.dag_run_id)
, called as (delete from child_run using gone where gone.dag_run_id = child_run.parent_run_id)
, dead as (delete from dead_letter using gone where gone.dag_run_id = dead_letter.dag_run_id)
, asked as (delete from approval using gone where gone.dag_run_id = approval.dag_run_id)
, due as (delete from deadline using gone where gone.dag_run_id = deadline.dag_run_id)
, told as (delete from task_progress using gone where gone.dag_run_id = task_progress.dag_run_id)
select count(*) from gone;

-- name: stragglers
-- Runs of a span of ids that are still there: open, or ended too lately.
select dag_run_id from dag_run where dag_run_id >= $1 and dag_run_id < $2 order by dag_run_id;

-- name: past_backfills
-- Backfills, by id behind $2, that ended before a time and none of whose runs is there any more.
select backfill_id from backfill b
where b.backfill_id > $2 and b.end_time < $1 and not b.cancel_runs
  and not exists (select from backfill_run d join dag_run r using (dag_run_id)
                  where d.backfill_id = b.backfill_id and d.outcome in ('created', 'rerun'))
order by backfill_id limit $3;

-- name: delete_backfill
-- With its dates. Not one that somebody has retried since it was found: it has no end then.
with gone as (
    delete from backfill where backfill_id = $1 and end_time < $2 returning backfill_id
), dates as (delete from backfill_run d using gone where gone.backfill_id = d.backfill_id)
select count(*)::integer from gone;
