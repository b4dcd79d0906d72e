"""Who gets how much: named limits."""

from __future__ import annotations

import re
from typing import Any

import click

from . import completion
from .output import Column, print_json, print_list, print_one, proto_json, say
from .session import Session, command

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@click.group()
def limit() -> None:
    """Named limits: how many attempts at once, how many starts in a while."""


class Rate(click.ParamType[tuple[int, float]]):
    """Starts per span: "100/60s", "5/m"."""

    name = "starts/span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, float]:
        match = re.fullmatch(r"(\d{1,9})/(\d{0,9}(?:\.\d{1,9})?)([smhd])", value)
        if match is None:
            self.fail(f"{value!r} is no rate; write starts per span, as in 100/60s or 5/m", param, ctx)
        return int(match[1]), float(match[2] or 1) * _SECONDS[match[3]]


def _rate(each: Any) -> str:
    if not each.HasField("rate"):
        return ""
    per = each.rate.per.seconds + each.rate.per.nanos / 1e9
    return f"{each.starts_counted} of {each.rate.starts} in {per:g} s"


_LIMIT: list[Column] = [
    ("LIMIT", lambda each: each.limit_name),
    ("SLOTS", lambda each: each.slots if each.HasField("slots") else ""),
    ("USED", lambda each: each.slots_used),
    ("STARTS", _rate),
    ("WAITING", lambda each: each.waiting),
]


@command(limit, "set", example="glidepath limit set gpu-training 4")
@click.argument("limit_name", shell_complete=completion.limit_names)
@click.argument("slots", type=click.IntRange(0, 2**31 - 1), required=False)
@click.option("--rate", type=Rate(), default=None, help="Starts per span: 100/60s, 5/m. Default: any number.")
def limit_set(session: Session, limit_name: str, slots: int | None, rate: tuple[int, float] | None) -> None:
    """Create a limit, or replace its slots and its rate. Ends nothing that runs; 0 slots admit nothing."""
    found = session.client.set_limit(limit_name, slots, rate=rate)
    print_one(session.output, found, [(name.lower(), get(found)) for name, get in _LIMIT])


@command(limit, "list", example="glidepath limit list")
def limit_list(session: Session) -> None:
    """Limits with what is in use and what waits for them."""
    print_list(
        session.output, session.client.list_limits(), _LIMIT, "no limits; make one: glidepath limit set NAME SLOTS"
    )


@command(limit, "delete", example="glidepath limit delete gpu-training")
@click.argument("limit_name", shell_complete=completion.limit_names)
def limit_delete(session: Session, limit_name: str) -> None:
    """Delete a limit that no DAG version names and no attempt holds."""
    known = [each.limit_name for each in session.client.list_limits()]
    answer = session.client.delete_limit(limit_name)
    if session.json:
        print_json(proto_json(answer))
    if limit_name in known:
        say(f"limit {limit_name} is deleted")
    else:
        say(f"there was no limit {limit_name} (there is: {', '.join(known) or 'none'}); nothing changed")
