"""Operating a server: pools, tokens, workers, the audit trail, incidents, dead letters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from . import clocks, completion, instances, tree
from .exits import Exit
from .output import Column, cell, enum_name, moment, print_json, print_list, print_one, print_table, proto_json, say
from .session import NUMBER, Moment, Session, command
from .words import ours

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def pool() -> None:
    """Shared capacity that tasks take slots of."""


@click.group()
def namespace() -> None:
    """Namespaces: what one holds is not seen from another."""


@click.group()
def token() -> None:
    """Tokens of people, programs and workers."""


_POOL: list[Column] = [
    ("POOL", lambda each: each.pool_name),
    ("SLOTS", lambda each: each.slots),
    ("USED", lambda each: each.slots_used),
    ("WAITING", lambda each: each.waiting),
]


@command(pool, "set", example="glidepath pool set gpu 4")
@click.argument("pool_name", shell_complete=completion.pool_names)
@click.argument("slots", type=click.IntRange(0, 2**31 - 1))
def pool_set(session: Session, pool_name: str, slots: int) -> None:
    """Create a pool or change its slots. Lowering ends nothing that runs; 0 admits nothing."""
    found = session.client.set_pool(pool_name, slots)
    print_one(session.output, found, [(name.lower(), get(found)) for name, get in _POOL])


@command(pool, "list", example="glidepath pool list")
def pool_list(session: Session) -> None:
    """Pools with the slots in use and what waits for one."""
    print_list(session.output, session.client.list_pools(), _POOL, "no pools; make one: glidepath pool set NAME SLOTS")


@command(pool, "delete", example="glidepath pool delete gpu")
@click.argument("pool_name", shell_complete=completion.pool_names)
def pool_delete(session: Session, pool_name: str) -> None:
    """Delete a pool that no DAG version names and no attempt uses."""
    known = [each.pool_name for each in session.client.list_pools()]
    answer = session.client.delete_pool(pool_name)
    if session.json:
        print_json(proto_json(answer))
    if pool_name in known:
        say(f"pool {pool_name} is deleted")
    else:
        say(f"there was no pool {pool_name} (there is: {', '.join(known) or 'none'}); nothing changed")


@command(namespace, "create", example="glidepath namespace create research")
@click.argument("name")
def namespace_create(session: Session, name: str) -> None:
    """Make a namespace. Needs a token of all namespaces."""
    answer = session.client.create_namespace(name)
    if session.json:
        print_json(proto_json(answer))
    say(f"namespace {name} is there; use it with --namespace {name} or GLIDEPATH_NAMESPACE={name}")


@command(namespace, "list", example="glidepath namespace list")
def namespace_list(session: Session) -> None:
    """Namespaces that the token may see."""
    names = list(session.client.list_namespaces())
    if session.json:
        print_json(names)
    else:
        print_table(["NAMESPACE"], [[each] for each in names])


@command(namespace, "weight", example="glidepath namespace weight research 4")
@click.argument("name", shell_complete=completion.namespaces)
@click.argument("weight", type=click.FloatRange(0.001, 1000))
def namespace_weight(session: Session, name: str, weight: float) -> None:
    """Set a namespace's share of the workers that serve several. Needs a token of all namespaces."""
    found = session.client.set_namespace_weight(name, weight)
    if session.json:
        print_json(proto_json(found))
    say(f"namespace {name} has weight {found.weight:g} on workers that serve it: --other-namespace {name}")


@command(namespace, "weights", example="glidepath namespace weights")
def namespace_weights(session: Session) -> None:
    """Namespaces with their shares of the workers that serve several."""
    columns = [("NAMESPACE", lambda each: each.namespace), ("WEIGHT", lambda each: f"{each.weight:g}")]
    print_list(session.output, session.client.list_namespace_weights(), columns, "no namespaces")


class Expiry(click.ParamType[datetime | str]):
    """A time, or how long from now ("12h", "30d")."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime | str:
        if match := re.fullmatch(r"(\d{1,6})([smhd])", value):
            return datetime.now(UTC) + timedelta(seconds=int(match[1]) * _SECONDS[match[2]])
        return Moment().convert(value, param, ctx)


@command(token, "create", example="glidepath token create ci --role author --expires 30d > ci.token")
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(["viewer", "operator", "author", "admin", "worker"]))
@click.option("--expires", type=Expiry(), default=None, help="A time, or how long from now: 12h, 30d. Default: never.")
@click.option("--all-namespaces", is_flag=True, help="A token for all namespaces; needs one.")
def token_create(session: Session, name: str, role: str, expires: datetime | str | None, all_namespaces: bool) -> None:
    """Make a token. Its secret is printed now, on stdout, and never again."""
    made = session.client.create_token(name, role, namespace="*" if all_namespaces else "", expire_time=expires)
    if session.json:
        print_json(proto_json(made))
    else:
        click.echo(made.secret)
    say(
        f"token {made.token.token_id} for {name}: {role} of namespace {made.token.namespace}; "
        "keep the secret where only its owner reads it"
    )


def _token_state(each: Any) -> str:
    if each.HasField("revoke_time"):
        return "revoked"
    expire = moment(each, "expire_time")
    return "expired" if expire is not None and expire <= datetime.now(UTC) else "valid"


_TOKEN: list[Column] = [
    ("ID", lambda each: each.token_id),
    ("NAME", lambda each: each.name),
    ("ROLE", lambda each: enum_name(each, "role")),
    ("NAMESPACE", lambda each: each.namespace),
    ("STATE", _token_state),
    ("EXPIRES", lambda each: moment(each, "expire_time")),
    ("CREATED", lambda each: moment(each, "create_time")),
    ("BY", lambda each: each.created_by),
]


@command(token, "list", example="glidepath token list -o json")
def token_list(session: Session) -> None:
    """Tokens that yours may end, without their secrets; with --namespace those that hold this one."""
    found = [
        each
        for each in session.client.list_tokens()
        if session.namespace in ("", each.namespace) or each.namespace == "*"
    ]
    print_list(session.output, found, _TOKEN, "no tokens")


@command(token, "revoke", example="glidepath token revoke TOKEN_ID")
@click.argument("token_id")
def token_revoke(session: Session, token_id: str) -> None:
    """End a token; it works nowhere after 10 s."""
    found = session.client.revoke_token(token_id)
    print_one(session.output, found, [(name.lower(), get(found)) for name, get in _TOKEN])


@click.group(hidden=True)
def _top() -> None:
    """Holds the commands without a noun until the root takes them."""


@command(_top, "workers", example="glidepath workers --all")
@click.option("--all", "include_gone", is_flag=True, help="Also those that left, up to a day back.")
def workers(session: Session, include_gone: bool) -> None:
    """Workers that are connected, and what they serve."""
    columns = [
        ("WORKER", lambda each: each.worker_identity),
        ("STATE", lambda each: each.state),
        ("LIVE", lambda each: each.attempts_live),
        ("QUEUES", lambda each: list(each.queue_names)),
        ("NAMESPACES", lambda each: [each.namespace, *each.other_namespaces]),
        ("LABELS", lambda each: [f"{name}={value}" for name, value in sorted(each.labels.items())]),
        ("HOST", lambda each: each.host_name),
        ("CLOCK", clocks.told),
        ("SDK", lambda each: f"{each.sdk_name} {each.sdk_version}".strip()),
        ("CONNECTED", lambda each: moment(each, "connect_time")),
        ("LEASE UNTIL", lambda each: moment(each, "lease_expire_time")),
    ]
    print_list(
        session.output,
        session.client.list_workers(include_gone=include_gone),
        columns,
        "no workers; start one: glidepath worker",
    )


def _first(items: Any, limit: int) -> list[Any]:
    return [each for _, each in zip(range(limit), items, strict=False)]


_LIMIT = click.option("--limit", type=NUMBER, default=50, show_default=True, help="Newest ones to print.")


@command(_top, "audit", example="glidepath audit --limit 20")
@_LIMIT
@click.option("--all-namespaces", is_flag=True)
def audit(session: Session, limit: int, all_namespaces: bool) -> None:
    """Who did what, newest first."""
    columns = [
        ("TIME", lambda each: moment(each, "time")),
        ("ACTOR", lambda each: each.actor),
        ("ACTION", lambda each: each.action),
        ("TARGET", lambda each: each.target),
        ("DETAIL", lambda each: cell(each.detail)),
    ]
    events = session.client.list_audit_events(namespace="*" if all_namespaces else "", page_size=min(limit, 500))
    print_list(session.output, _first(events, limit), columns, "nothing in the audit trail")


@command(_top, "incidents", example="glidepath incidents")
@_LIMIT
def incidents(session: Session, limit: int) -> None:
    """What the server could not do by itself, newest first."""
    columns = [
        ("TIME", lambda each: moment(each, "time")),
        ("KIND", lambda each: each.kind),
        ("RUN", lambda each: each.dag_run_id),
        ("MESSAGE", lambda each: each.message),
    ]
    print_list(
        session.output, _first(session.client.list_incidents(page_size=min(limit, 500)), limit), columns, "no incidents"
    )


@command(_top, "dead-letters", example="glidepath dead-letters --dag churn")
@click.option("--dag", "dag_id", default="", shell_complete=completion.dag_ids, help="Only of this DAG.")
@click.option("--replay", is_flag=True, help="Let these tasks run again, with all that follows from them.")
@_LIMIT
def dead_letters(session: Session, dag_id: str, replay: bool, limit: int) -> None:
    """Tasks that were given up and not run again since, newest first; with --replay they run again."""
    columns = [
        ("TIME", lambda each: moment(each, "time")),
        ("DAG", lambda each: each.dag_id),
        ("RUN", lambda each: each.dag_run_id),
        ("TASK", tree.label),
        ("ATTEMPT", lambda each: each.attempt_number),
        ("USED UP", lambda each: enum_name(each, "budget")),
        ("REASON", lambda each: each.reason),
    ]
    found = _first(session.client.list_dead_letters(dag_id, page_size=min(limit, 500)), limit)
    if replay:
        _replay(session, found)
        return
    print_list(session.output, found, columns, "no dead letters")
    if found and not session.json:
        say(f"what is mended runs again with: glidepath run rerun {found[0].dag_run_id}, or all of it with --replay")


def _replay(session: Session, letters: Sequence[Any]) -> None:
    """One clear per run, and one for each of its mapped tasks, of which only instances that were given up run again.

    A run that cannot be cleared now says why, and stops none of the others.
    """
    from glidepath.errors import LimitExceeded, NotFound, StateConflict

    clears: dict[tuple[str, str], list[instances.Name]] = {}
    for letter in letters:
        name = instances.name_of(letter)
        clears.setdefault((letter.dag_run_id, "" if name.map_index is None else name.task_id), []).append(name)
    done = []
    for (run_id, _), names in clears.items():
        given_up, (task_ids, map_indexes) = [str(each) for each in names], instances.of_one_task(names)
        try:
            answer = session.client.clear_task_instances(
                run_id, task_ids, map_indexes=map_indexes, downstream=True, reason="replay"
            )
            done.append((run_id, given_up, list(answer.cleared_task_ids), ""))
        except (LimitExceeded, NotFound, StateConflict) as error:
            done.append((run_id, given_up, [], ours(str(error))))
    if session.json:
        print_json([dict(zip(("dagRunId", "givenUp", "cleared", "error"), each, strict=True)) for each in done])
    elif done:
        print_table(["RUN", "GIVEN UP", "CLEARED", "NOT, BECAUSE"], done)
    else:
        say("no dead letters: nothing to replay")
    if any(error for *_, error in done):
        raise click.exceptions.Exit(Exit.CONFLICT)
