-- Deferrals are counted apart from tries, losses and redeliveries; the whole wait has a timeout, counted from the end of
-- the attempt that deferred first. A server that does not know the columns takes no deferrals; it may claim the successor
-- of one, and then the wait is counted anew.
alter table task_queue
    add column deferrals integer not null default 0,
    add column waiting_since timestamptz;
alter table live_attempt
    add column deferrals integer not null default 0,
    add column waiting_since timestamptz;
