-- Attempts whose machines are taken away are counted apart from tries, losses and redeliveries.
alter table task_queue add column preemptions integer not null default 0;
alter table live_attempt add column preemptions integer not null default 0;
alter table child_run add column preemptions integer not null default 0;
alter table dead_letter drop constraint dead_letter_budget_check;
alter table dead_letter add constraint dead_letter_budget_check
    check (budget in ('tries', 'losses', 'redeliveries', 'none', 'preemptions'));
