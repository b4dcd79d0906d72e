-- Who may do what, and what they did: tokens, namespaces, request ids, audit, incidents, keys.

-- name: namespaces
select namespace from namespace;

-- name: insert_namespace
-- Returns no row when it exists.
insert into namespace (namespace) values ($1) on conflict do nothing returning namespace;

-- name: namespace_weights
-- By name, behind $2; $1: only this one, '*' for all.
select namespace, weight from namespace where ($1 = '*' or namespace = $1) and namespace > $2 order by namespace limit $3;

-- name: set_namespace_weight
-- Returns the weight that it had.
update namespace n set weight = $2
from (select namespace, weight from namespace where namespace = $1 for update) before
where n.namespace = before.namespace
returning before.weight;

-- name: list_namespaces
select namespace from namespace where namespace > $1 order by namespace limit $2;

-- name: lock_first_tokens
-- Replicas that start together make their first tokens one after the other, until the commit.
select pg_advisory_xact_lock(hashtext('first_tokens'), 0);

-- name: server_key
select secret from server_key where name = $1;

-- name: insert_server_key
-- The first replica to start makes the key; the others read it.
insert into server_key (name, secret) values ($1, $2) on conflict do nothing;

-- name: token_by_id
-- `valid` is judged by the database's clock.
select token_id, name, namespace, role, secret_hash,
       revoke_time is null and (expire_time is null or expire_time > glidepath_now()) as valid
from api_token where token_id = $1;

-- name: tokens_no_longer_valid
-- Of these ids, those that must not be used any more (a deleted row included).
select asked.token_id
from unnest($1::text[]) as asked (token_id)
left join api_token t using (token_id)
where t.token_id is null or t.revoke_time is not null or t.expire_time <= glidepath_now();

-- name: insert_token
insert into api_token (token_id, name, namespace, role, secret_hash, create_time, expire_time, created_by)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: lock_token
-- For revocation and reading back.
select token_id, name, namespace, role, create_time, expire_time, revoke_time, created_by
from api_token where token_id = $1 for update;

-- name: revoke_token
update api_token set revoke_time = $2 where token_id = $1 and revoke_time is null;

-- name: list_tokens
-- $1: namespace, '*' for all. Pages by creation, newest first; the id breaks ties.
select token_id, name, namespace, role, create_time, expire_time, revoke_time, created_by
from api_token
where ($1 = '*' or namespace = $1) and ($2::timestamptz is null or (create_time, token_id) < ($2, $3))
order by create_time desc, token_id desc limit $4;

-- name: claim_request
-- Returns a row for whoever is first. A second caller waits here until the first has committed or rolled back.
insert into request (namespace, request_id, method, body_hash, answer, create_time)
values ($1, $2, $3, $4, '', $5) on conflict do nothing returning true;

-- name: stored_request
select method, body_hash, answer, create_time from request where namespace = $1 and request_id = $2;

-- name: answer_request
update request set answer = $3 where namespace = $1 and request_id = $2;

-- name: prune_requests
-- Oldest first, a bounded number, passing over what another replica deletes.
delete from request where ctid = any (array(
    select ctid from request where create_time < glidepath_now() - make_interval(days => $1)
    order by create_time limit $2 for update skip locked));

-- name: append_audit
insert into audit_event (event_time, namespace, actor, action, target, detail) values ($1, $2, $3, $4, $5, $6);

-- name: list_audit_events
-- Newest first, below the id $2.
select audit_event_id, event_time, namespace, actor, action, target, detail
from audit_event where namespace = $1 and audit_event_id < $2
order by audit_event_id desc limit $3;

-- name: list_all_audit_events
-- Of every namespace: another index, hence another statement.
select audit_event_id, event_time, namespace, actor, action, target, detail
from audit_event where audit_event_id < $1
order by audit_event_id desc limit $2;

-- name: append_incident
insert into incident (event_time, namespace, dag_run_id, kind, message) values ($1, $2, $3, $4, $5);

-- name: list_incidents
-- Newest first, below the id $2.
select incident_id, event_time, namespace, dag_run_id, kind, message
from incident where namespace = $1 and incident_id < $2
order by incident_id desc limit $3;
