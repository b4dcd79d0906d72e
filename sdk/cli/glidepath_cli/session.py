"""What every command that talks to a server shares: its options, its client, its help with an example."""

from __future__ import annotations

import functools
import os
import shlex
import warnings
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import click

from . import exits
from .exits import Exit
from .home import Home
from .output import keep_options
from .words import ours

if TYPE_CHECKING:
    from glidepath.client import Client


class Session:
    """One invocation: where the server is, how to answer."""

    def __init__(self, address: str, namespace: str, output: str) -> None:
        self.address, self.namespace, self.output = address, namespace, output
        given = {"--address": address, "--namespace": namespace}
        keep_options("".join(f" {name} {shlex.quote(value)}" for name, value in given.items() if value))
        # For the top, which tells errors after this command's own context is gone.
        if (context := click.get_current_context(silent=True)) is not None:
            context.find_root().obj = self

    def verdict(self, error: BaseException) -> tuple[Exit, str]:
        """The exit code and the next step for an error of this command."""
        code, step = exits.verdict(error)
        if code in (Exit.UNREACHABLE, Exit.AUTH) and not (self.address or os.environ.get("GLIDEPATH_ADDRESS")):
            step = self._step_at_home(code) or step
        return code, ours(step)

    @staticmethod
    def _step_at_home(code: Exit) -> str:
        """What to do when nobody named a server: `glidepath up` is meant."""
        home, named = Home.nearest(), os.environ.get("GLIDEPATH_HOME")
        if home is None:
            missing = (
                f"GLIDEPATH_HOME is {named}, and there is no such folder"
                if named
                else "there is no .glidepath/ in this folder or above it"
            )
            return (
                f"{missing}: go where `glidepath up` runs, or start it here; "
                "for another server give --address and GLIDEPATH_TOKEN"
            )
        return (
            "" if code is Exit.AUTH or home.is_up() else f"nothing runs for {home.path}: start it again: glidepath up"
        )

    @property
    def json(self) -> bool:
        return self.output == "json"

    @functools.cached_property
    def client(self) -> Client:
        """The client, opened when first needed and closed with the command."""
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # what it knows of a connection comes with the error
        from glidepath.client import Client

        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            client = Client(self.address, namespace=self.namespace)
        for each in said:
            click.echo(f"warning: {each.message}", err=True)
        context = click.get_current_context(silent=True)
        if context is not None:
            context.call_on_close(client.close)
        return client


def _namespaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from .completion import namespaces

    return namespaces(ctx, param, incomplete)


class ExampleCommand(click.Command):
    """A command whose help ends with an example."""

    def __init__(self, *arguments: Any, example: str = "", **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.example:
            with formatter.section("Example"):
                for line in self.example.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


def local_command(group: click.Group, name: str, *, example: str, **attributes: Any) -> Callable[[Any], click.Command]:
    """A command that opens no client by itself."""
    return group.command(name, cls=ExampleCommand, example=example, **attributes)


def command(group: click.Group, name: str, *, example: str, **attributes: Any) -> Callable[[Any], click.Command]:
    """A command that talks to a server: its function takes a `Session` first, then its own parameters."""

    def decorate(function: Callable[..., None]) -> click.Command:
        @functools.wraps(function)
        def run(address: str, namespace: str, output: str, **parameters: Any) -> None:
            function(Session(address, namespace, output), **parameters)

        shared: list[Callable[[Any], Any]] = [
            click.option(
                "-o",
                "--output",
                type=click.Choice(["table", "json"]),
                default="table",
                help="How to print data; json is the protocol's own.",
            ),
            click.option(
                "--address",
                default="",
                metavar="HOST:PORT",
                help="The server (default: GLIDEPATH_ADDRESS, else what `glidepath up` wrote).",
            ),
            click.option(
                "--namespace",
                default="",
                shell_complete=_namespaces,
                help="Default: GLIDEPATH_NAMESPACE, else the connection's.",
            ),
        ]
        for option in reversed(shared):
            run = option(run)
        return local_command(group, name, example=example, **attributes)(run)

    return decorate


NUMBER = click.IntRange(1, 2**31 - 1)
"""A count or a version, as the protocol can carry it."""


class Moment(click.ParamType[str]):
    """ISO 8601 with a zone, or a date alone (midnight UTC)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            is_date = len(value) == len("2026-01-31") and date.fromisoformat(value)
            if is_date or datetime.fromisoformat(value).tzinfo is not None:
                return str(value)
        except ValueError:
            pass
        self.fail(
            f"{value!r} is no time with a zone; write 2026-01-31T06:00:00Z, or 2026-01-31 for midnight UTC", param, ctx
        )
