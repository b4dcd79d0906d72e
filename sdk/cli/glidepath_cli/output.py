"""What a command says: data on stdout as a table or as proto JSON, talk on stderr.

JSON is the protocol's own: the names of the proto files in lowerCamelCase, every field present, 64-bit numbers as
text. A list is one array; what streams is one object per line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from .words import sent_to

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console
    from rich.text import Text

STYLES = {
    "success": "green",
    "failed": "bold red",
    "upstream_failed": "red",
    "cancelled": "magenta",
    "running": "cyan",
    "queued": "yellow",
    "scheduled": "dim",
    "skipped": "dim",
    "up_for_retry": "yellow",
    "deferred": "blue",
    "waiting": "bold yellow",
    "on track": "cyan",
    "at risk": "yellow",
    "missed": "bold red",
    "met": "green",
    "met late": "magenta",
    "approved": "green",
    "rejected": "red",
    "expired": "red",
    "withdrawn": "dim",
    "timed_out": "red",
    "lost": "red",
    "returned": "dim",
    "removed": "dim",
    "ok": "green",
    "warn": "yellow",
    "fail": "bold red",
    "open": "green",
    "draining": "yellow",
    "closed": "dim",
}
_WIDE = 10_000
"""Columns of a table that goes into a pipe: nothing is cut."""

_CUT = frozenset({"REASON", "DETAIL"})
"""Columns that a terminal shows in what is left of one line; a pipe, `-o json` and `show` have all of it."""
_WHOLE = ("ID", "RUN", "DAG", "TIME", "STATE", "AGE", "TOOK", "STARTED", "CONNECTED", "LEASE", "ACTION", "ACTOR")
"""Beginnings of headers whose cells stay in one piece."""

Column = tuple[str, Callable[[Any], object]]


_options = ""
"""With which options this invocation says where it goes."""


def keep_options(options: str) -> None:
    """Let every command that is named from now on have these options, as it is typed next."""
    global _options
    _options = options


def say(text: str) -> None:
    """Talk: never on stdout."""
    click.echo(sent_to(text, _options), err=True)


def console(*, err: bool = False) -> Console:
    """A console that respects NO_COLOR and cuts nothing when it is no terminal."""
    from rich.console import Console

    stream = sys.stderr if err else sys.stdout
    return Console(file=stream, highlight=False, markup=False, emoji=False, width=None if stream.isatty() else _WIDE)


def proto_json(message: Message) -> Any:
    """A message as plain values, every field present."""
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(message, always_print_fields_with_no_presence=True)


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_json_line(found: Message | dict[str, Any]) -> None:
    """An object per line: a message, or one that was made of messages by `proto_json`."""
    click.echo(json.dumps(found if isinstance(found, dict) else proto_json(found), ensure_ascii=False))
    sys.stdout.flush()


def print_list(output: str, messages: Iterable[Message], columns: Sequence[Column], nothing: str) -> None:
    """A list as a table or an array; `nothing` is said when it is empty."""
    items = list(messages)
    if output == "json":
        print_json([proto_json(each) for each in items])
    elif items:
        print_table([name for name, _ in columns], [[get(each) for _, get in columns] for each in items])
    else:
        say(nothing)


def print_one(output: str, message: Message, rows: Sequence[tuple[str, object]]) -> None:
    """One thing, as `name  value` lines or as an object."""
    if output == "json":
        print_json(proto_json(message))
    else:
        print_rows(rows)


def print_rows(rows: Sequence[tuple[str, object]]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        if cell(value):
            table.add_row(name, styled(cell(value)))
    _print(table)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        if header in _CUT:
            table.add_column(header, no_wrap=True, overflow="ellipsis")
        else:
            table.add_column(header, no_wrap=header.startswith(_WHOLE), overflow="fold")
    cuts = [header in _CUT and console().is_terminal for header in headers]
    for row in rows:
        cells = [cell(value) for value in row]
        table.add_row(
            *(styled(text.partition("\n")[0] if cut else text) for text, cut in zip(cells, cuts, strict=True))
        )
    _print(table)


def _print(table: Any) -> None:
    """Through a pipe without the spaces that fill up columns at the end of a line."""
    target = console()
    if target.is_terminal:
        target.print(table)
        return
    with target.capture() as captured:
        target.print(table)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def styled(text: str) -> Text:
    from rich.text import Text

    return Text(printable(text), style=STYLES.get(text, ""))


def printable(text: str) -> str:
    """Without control characters: what a task or a user wrote must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)


def cell(value: object) -> str:
    """A value as a person reads it: "" for nothing, UTC to the second, lists with commas."""
    match value:
        case None | "":
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
        case list() | tuple():
            return ", ".join(map(cell, value))
    return str(value)


def moment(message: Any, field: str) -> datetime | None:
    """A timestamp of a message, None when it is not set."""
    if not message.HasField(field):
        return None
    found: datetime = getattr(message, field).ToDatetime(tzinfo=UTC)
    return found


def span(seconds: float) -> str:
    """A duration for a person: "0.42s", "12s", "3m05s", "2h07m"."""
    seconds = max(0.0, seconds)
    if seconds < 9.995:
        return f"{seconds:.2f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def about(seconds: float) -> str:
    """An estimate, no finer than it is known: "less than a minute", "about 12m", "about 2h07m", "about 29 days"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes}m"
    hours, minutes = divmod(minutes, 60)
    return f"about {hours}h{minutes:02}m" if hours < 48 else f"about {round(seconds / 86_400)} days"


def enum_name(message: Any, field: str) -> str:
    """An enum's value as users write it: "failed" for RUN_STATE_FAILED; "" when it is not set."""
    descriptor = message.DESCRIPTOR.fields_by_name[field].enum_type
    prefix = descriptor.values_by_number[0].name.removesuffix("UNSPECIFIED")
    value = descriptor.values_by_number.get(getattr(message, field))
    if value is None or value.number == 0:
        return ""
    name: str = value.name
    return name.removeprefix(prefix).lower()
