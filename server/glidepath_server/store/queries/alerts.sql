-- Facts on their way out: routes, deliveries, channels.

-- name: hold_reader
-- The right to route; another replica's turn is left to it. A place beyond the newest transaction is that of another
-- cluster, which was dumped and restored here (`restored`).
select written::text as written, fact_id, written >= pg_snapshot_xmax(pg_current_snapshot()) as restored
from outbox_reader where reader = 'alerts' for update skip locked;

-- name: forget_restored
-- What the other cluster had routed, up to its place ($1, $2). What has a higher id than all of its facts was written here.
delete from outbox
where (written, fact_id) <= ($1::text::xid8, $2)
  and fact_id <= (select greatest($2, max(fact_id)) from outbox
                  where written >= pg_snapshot_xmax(pg_current_snapshot()));

-- name: renew_restored
-- What it had not routed is written now.
update outbox set written = pg_current_xact_id() where (written, fact_id) > ($1::text::xid8, $2);

-- name: read_facts
-- In commit order, and only below the oldest running transaction: what is above may yet get a neighbour before it.
select written::text as written, fact_id, namespace, kind, dag_id, dag_run_id, task_id, body, fact_time
from outbox
where (written, fact_id) > ($1::text::xid8, $2) and written < pg_snapshot_xmin(pg_current_snapshot())
order by outbox.written, outbox.fact_id limit $3;

-- name: move_reader
update outbox_reader set written = $1::text::xid8, fact_id = $2 where reader = 'alerts';

-- name: routes_of_namespaces
select namespace, kinds, dag_id, channel_name from alert_route where namespace = any($1::text[]);

-- name: routes_of_runs
-- What the versions of runs declare: JSON, or null. Each version is read once, and only what stands before its tasks: of
-- a DAG of thousands, the runs that fail together would take minutes.
with used as materialized (
    select dag_run_id, dag_version_id from dag_run where dag_run_id = any($1::uuid[])
), head as materialized (
    select v.dag_version_id, (split_part(v.spec, ',"tasks":[', 1) || '}')::jsonb -> 'alerts' as alerts
    from dag_version v where v.dag_version_id in (select dag_version_id from used)
)
select dag_run_id, alerts from used join head using (dag_version_id) where alerts is not null;

-- name: routes_of_dags
-- What the latest versions of DAGs declare, for facts without a run.
select d.namespace, d.dag_id, (split_part(v.spec, ',"tasks":[', 1) || '}')::jsonb -> 'alerts' as alerts
from unnest($1::text[], $2::text[]) as asked (namespace, dag_id)
join dag d using (namespace, dag_id)
join dag_version v on (v.namespace, v.dag_id, v.dag_version_number) = (d.namespace, d.dag_id, d.latest_version_number)
where v.layout_hash = '' and (split_part(v.spec, ',"tasks":[', 1) || '}')::jsonb ? 'alerts';

-- name: known_channels
select namespace, channel_name from alert_channel
where (namespace, channel_name) in (select * from unnest($1::text[], $2::text[]));

-- name: open_groups
-- Alerts that facts may join. Held: whoever sends them waits, or has claimed them and they are closed.
select alert_id, namespace, channel_name, group_key,
       (select count(*) from alert_fact f where f.alert_id = d.alert_id) as facts,
       (select coalesce(sum(octet_length(f.body)), 0)::integer from alert_fact f where f.alert_id = d.alert_id) as bytes
from alert_delivery d
where (namespace, channel_name, group_key) in (select * from unnest($1::text[], $2::text[], $3::text[]))
  and state = 'pending' and attempt_count = 0 and close_time > $4
order by alert_number
for update;

-- name: insert_deliveries
-- In the order given.
insert into alert_delivery (alert_id, namespace, channel_name, group_key, dag_id, dag_run_id, state, create_time,
                            close_time, first_time, next_attempt_time, end_time, last_error)
select n.alert_id, n.namespace, n.channel_name, n.group_key, n.dag_id, n.dag_run_id, n.state, $8,
       $9, $8, $9, case when n.state = 'dead' then $8::timestamptz end, n.last_error
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $10::text[])
     with ordinality as n (alert_id, namespace, channel_name, group_key, dag_id, dag_run_id, state, last_error, place)
order by n.place;

-- name: insert_facts
insert into alert_fact (alert_id, fact_id, kind, task_id, body, fact_time)
select f.alert_id, f.fact_id, o.kind, o.task_id, o.body, o.fact_time
from unnest($1::uuid[], $2::bigint[]) as f (alert_id, fact_id) join outbox o using (fact_id);

-- name: work_waits
-- Whether facts wait to be routed, seen or not yet; and the seconds until an alert is due. What is being sent wakes whoever
-- sends it; where he has died, the claim's end is found by coming again.
select exists (select from outbox o, outbox_reader r
               where r.reader = 'alerts' and (o.written, o.fact_id) > (r.written, r.fact_id))
       or exists (select from outbox_reader
                  where reader = 'alerts' and written >= pg_snapshot_xmax(pg_current_snapshot())) as facts,
       (select extract(epoch from next_attempt_time - glidepath_now())::double precision
        from alert_delivery d
        where state in ('pending', 'retrying') and (claimed_until is null or claimed_until <= glidepath_now())
          and not exists (select from alert_delivery e
                          where e.state in ('pending', 'retrying') and e.alert_number < d.alert_number
                            and (e.namespace, e.channel_name, e.group_key)
                              = (d.namespace, d.channel_name, d.group_key))
        order by next_attempt_time limit 1) as due_seconds;

-- name: due_channels
-- Channels with something that is due, nothing of its group before it, and nobody at it; not those of ($3, $4), which have
-- no place: they would keep the others out of the limit.
select d.namespace, d.channel_name
from alert_delivery d
where state in ('pending', 'retrying') and next_attempt_time <= $1 and (claimed_until is null or claimed_until <= $1)
  and (d.namespace, d.channel_name) not in (select * from unnest($3::text[], $4::text[]))
  and not exists (select from alert_delivery e
                  where e.state in ('pending', 'retrying') and e.alert_number < d.alert_number
                    and (e.namespace, e.channel_name, e.group_key) = (d.namespace, d.channel_name, d.group_key))
group by 1, 2 order by min(next_attempt_time) limit $2;

-- name: claim
-- The start is counted before the start. Of a group only what is first goes.
with due as (
    select alert_id from alert_delivery d
    where namespace = $1 and channel_name = $2
      and state in ('pending', 'retrying') and next_attempt_time <= $3 and (claimed_until is null or claimed_until <= $3)
      and not exists (select from alert_delivery e
                      where e.state in ('pending', 'retrying') and e.alert_number < d.alert_number
                        and (e.namespace, e.channel_name, e.group_key) = (d.namespace, d.channel_name, d.group_key))
    order by next_attempt_time, alert_number limit $4
    for update skip locked
)
update alert_delivery d
set claimed_until = $3 + make_interval(secs => $5), attempt_count = attempt_count + 1,
    first_time = case when attempt_count = attempts_before then $3 else first_time end
from due where d.alert_id = due.alert_id
returning d.alert_id, d.namespace, d.channel_name, d.group_key, d.dag_id, d.dag_run_id, d.create_time, d.first_time,
          d.attempt_count, d.attempts_before, d.alert_number;

-- name: facts_of
select alert_id, kind, task_id, body, fact_time from alert_fact
where alert_id = any($1::uuid[]) order by alert_id, fact_id;

-- name: settle
-- The word of an attempt counts while no later one has begun.
update alert_delivery
set state = $3, claimed_until = null, next_attempt_time = coalesce($4, next_attempt_time), delivery_id = $5,
    last_error = $6, end_time = case when $3 in ('delivered', 'dead') then $7::timestamptz end
where alert_id = $1 and attempt_count = $2 and state in ('pending', 'retrying') and claimed_until is not null
returning alert_id;

-- name: resend
-- Dead alerts are tried anew, as if they were new.
update alert_delivery
set state = 'pending', attempts_before = attempt_count, next_attempt_time = $3, end_time = null
where namespace = $1 and state = 'dead' and (alert_id = any($2::uuid[]))
returning alert_id;

-- name: dead_of_channel
select alert_id from alert_delivery
where namespace = $1 and channel_name = $2 and state = 'dead' order by alert_number limit $3;

-- name: list_deliveries
-- Newest first, below the number $2.
select d.*, (select count(*) from alert_fact f where f.alert_id = d.alert_id) as fact_count
from alert_delivery d
where namespace = $1 and alert_number < $2
order by alert_number desc limit $3;

-- name: list_deliveries_of_states
-- The same of these states: of each the newest, from an index that has them in order.
select d.*, (select count(*) from alert_fact f where f.alert_id = d.alert_id) as fact_count
from unnest($4::text[]) as w (state)
cross join lateral (
    select * from alert_delivery e
    where e.namespace = $1 and e.state = w.state and e.alert_number < $2
    order by e.alert_number desc limit $3) as d
order by d.alert_number desc limit $3;

-- name: list_deliveries_of_channel
-- The same of these states of one channel ($5).
select d.*, (select count(*) from alert_fact f where f.alert_id = d.alert_id) as fact_count
from unnest($4::text[]) as w (state)
cross join lateral (
    select * from alert_delivery e
    where e.namespace = $1 and e.channel_name = $5 and e.state = w.state and e.alert_number < $2
    order by e.alert_number desc limit $3) as d
order by d.alert_number desc limit $3;

-- name: list_deliveries_of_run
-- The same of one run ($6), which has few; of one channel where $5 is not empty.
select d.*, (select count(*) from alert_fact f where f.alert_id = d.alert_id) as fact_count
from alert_delivery d
where dag_run_id = $6 and namespace = $1 and alert_number < $2 and state = any($4) and ($5 = '' or channel_name = $5)
order by alert_number desc limit $3;

-- name: get_channel
select * from alert_channel where namespace = $1 and channel_name = $2;

-- name: hold_channel
select * from alert_channel where namespace = $1 and channel_name = $2 for update;

-- name: set_channel
insert into alert_channel (namespace, channel_name, plugin, plugin_channel, config, secret_options, update_time, updated_by)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (namespace, channel_name) do update
set plugin = excluded.plugin, plugin_channel = excluded.plugin_channel, config = excluded.config,
    secret_options = excluded.secret_options, update_time = excluded.update_time, updated_by = excluded.updated_by;

-- name: delete_channel
delete from alert_channel where namespace = $1 and channel_name = $2 returning channel_name;

-- name: list_channels
select * from alert_channel where namespace = $1 and channel_name > $2 order by channel_name limit $3;

-- name: routes_to_channel
select route_name from alert_route where namespace = $1 and channel_name = $2 order by route_name limit 5;

-- name: namespaces_of_plugin
select distinct namespace from alert_channel where plugin = $1 order by namespace;

-- name: insert_incident
insert into incident (event_time, namespace, kind, message) values ($1, $2, $3, $4);

-- name: set_route
insert into alert_route (namespace, route_name, kinds, dag_id, channel_name, update_time, updated_by)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (namespace, route_name) do update
set kinds = excluded.kinds, dag_id = excluded.dag_id, channel_name = excluded.channel_name,
    update_time = excluded.update_time, updated_by = excluded.updated_by;

-- name: count_other_routes
select count(*) from alert_route where namespace = $1 and route_name <> $2;

-- name: delete_route
delete from alert_route where namespace = $1 and route_name = $2 returning route_name;

-- name: list_routes
select * from alert_route where namespace = $1 and route_name > $2 order by route_name limit $3;

-- name: prune_facts
-- Of the outbox only what every reader has dealt with.
delete from outbox where fact_id in (
    select o.fact_id from outbox o
    where o.fact_time < glidepath_now() - make_interval(days => $1)
      and (o.written, o.fact_id) <= all (select r.written, r.fact_id from outbox_reader r)
    order by o.written, o.fact_id limit $2
    for update skip locked);

-- name: prune_deliveries
with old as (
    delete from alert_delivery where alert_id in (
        select alert_id from alert_delivery
        where end_time < glidepath_now() - make_interval(days => $1) order by end_time limit $2
        for update skip locked)
    returning alert_id
), facts as (
    delete from alert_fact f using old where f.alert_id = old.alert_id
)
select count(*) from old;
