-- Ticks come in the order of time, so that a small index finds what is old.
create index schedule_tick_decided on schedule_tick using brin (decide_time) with (autosummarize = on);
