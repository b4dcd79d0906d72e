-- All starts of a date count by a backfill's rate, not its last one alone.
alter table backfill_run add column earlier_starts timestamptz[] not null default '{}';
