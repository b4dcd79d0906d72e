"""The group `glidepath run`, and how its commands take a run: by its id, by a part of it, or as the last one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from .completion import run_ids
from .output import cell, enum_name, moment
from .session import Session, command

if TYPE_CHECKING:
    from glidepath.client import Client

LAST = "last"
PREFIX_CHARACTERS_MIN = 6
CANDIDATES_SHOWN_MAX = 10
_ID_DIGITS = 32
ENDS_LOOKED_AT_MAX = 500
_EPILOG = (
    f"RUN_ID is a run's id, {PREFIX_CHARACTERS_MIN} or more of its first or last digits, or `{LAST}`: the newest run."
)


@click.group(epilog=_EPILOG)
def run() -> None:
    """Runs: what happened, what happens, what to do about it."""


def run_command(name: str, *, example: str, **attributes: Any) -> Callable[[Any], click.Command]:
    """A command about one run: its function takes the session, then the run's whole id, then its own parameters."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def found(session: Session, run_id: str, **parameters: Any) -> None:
            function(session, find_run(session.client, run_id), **parameters)

        return command(run, name, example=example, epilog=_EPILOG, **attributes)(
            click.argument("run_id", shell_complete=run_ids)(found)
        )

    return decorate


def find_run(client: Client, text: str) -> str:
    """The id of the run that a person means. Raises UsageError when that is no id or several, NotFound for none."""
    if text == LAST:
        return _newest(client)
    digits = text.replace("-", "").lower()
    if not PREFIX_CHARACTERS_MIN <= len(digits) <= _ID_DIGITS or set(digits) - set("0123456789abcdef"):
        raise click.UsageError(
            f"{text!r} is no run: expected a run's id, its first or last {PREFIX_CHARACTERS_MIN} characters or "
            f"more, or {LAST}; see glidepath run list"
        )
    return str(UUID(digits)) if len(digits) == _ID_DIGITS else _only(client, text)


def _newest(client: Client) -> str:
    from glidepath.errors import NotFound

    for each in client.list_dag_runs(page_size=1):
        return each.dag_run_id
    raise NotFound("there is no run yet, so there is no last one")


def _only(client: Client, prefix: str) -> str:
    from glidepath.errors import NotFound

    pages = client.list_dag_runs(run_id_prefix=prefix, page_size=CANDIDATES_SHOWN_MAX + 1)
    found = list(islice(pages, CANDIDATES_SHOWN_MAX + 1))
    if not found:  # ids begin with the time: it is their ends that differ
        newest = islice(client.list_dag_runs(page_size=ENDS_LOOKED_AT_MAX), ENDS_LOOKED_AT_MAX)
        found = [each for each in newest if each.dag_run_id.endswith(prefix.lower())]
    if not found:
        raise NotFound(
            f"there is no run whose id begins with {prefix}, and none of the newest {ENDS_LOOKED_AT_MAX} ends with it"
        )
    if len(found) > 1:
        raise click.UsageError(
            "\n".join([f"several runs begin with {prefix}; write more of the id, or its end:", *_lines(found)])
        )
    run_id: str = found[0].dag_run_id
    return run_id


def _lines(candidates: list[Any]) -> list[str]:
    shown = [
        f"  {each.dag_run_id}  {each.dag_id}  {enum_name(each, 'state')}  {cell(moment(each, 'create_time'))}"
        for each in candidates[:CANDIDATES_SHOWN_MAX]
    ]
    return [*shown, "  and more"] if len(candidates) > CANDIDATES_SHOWN_MAX else shown
