"""The verbs that run something here: `up`, `server`, `worker`, `db`.

Beside this module only `schedule_preview` imports glidepath_server.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from .exits import Exit
from .home import Home
from .output import print_json, print_rows, say
from .session import ExampleCommand, local_command
from .supervisor import Child, Signals, describe

if TYPE_CHECKING:
    from glidepath_server.store.embedded import EmbeddedPostgres

HAS_SERVER = importlib.util.find_spec("glidepath_server") is not None
LOOK_SECONDS = 1.0
READY_SECONDS = 120.0
WORKER_READY_SECONDS = 30.0
DRAIN_SECONDS = 10.0
NAMESPACE = "default"
# Of these `up --port 0` takes one. Linux gives those from 32,768 up to any connection: while a server is started again,
# its port could go to one of them, and would not come back.
PORTS = range(20_000, 32_000)
# Meant for other servers than the one on loopback that `up` runs.
_NOT_OURS = (
    "GLIDEPATH_TOKEN",
    "GLIDEPATH_CA_FILE",
    "GLIDEPATH_WORKER_ADDRESS",
    "GLIDEPATH_TLS_CERTIFICATE_FILE",
    "GLIDEPATH_TLS_KEY_FILE",
    "GLIDEPATH_TLS_CLIENT_CA_FILE",
)

_DATABASE_URL = click.option(
    "--database-url",
    default="",
    envvar="GLIDEPATH_DATABASE_URL",
    help="Default: GLIDEPATH_DATABASE_URL, else the Postgres of `glidepath up`.",
)


def _not_started(why: str, code: int) -> click.exceptions.Exit:
    """Say why a part of `up` cannot start; the end to raise."""
    say(f"error: {why}")
    return click.exceptions.Exit(code)


def need_server() -> None:
    if not HAS_SERVER:
        raise click.UsageError(
            "glidepath-server is not installed here.\nnext:  pip install 'glidepath-cli[server]', or use a server "
            "elsewhere: GLIDEPATH_ADDRESS"
        )


class PassThrough(ExampleCommand):
    """A command in front of a module: its help goes on with the module's own."""

    def __init__(self, *arguments: Any, module: str, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self.module = module
        self.context_settings = {"ignore_unknown_options": True, "allow_interspersed_args": False}

    def get_help(self, ctx: click.Context) -> str:
        own = subprocess.run([sys.executable, "-m", self.module, "--help"], capture_output=True, text=True, check=False)
        return f"{super().get_help(ctx)}\n\n{own.stdout or own.stderr}".rstrip()

    def run(self, arguments: tuple[str, ...]) -> None:
        """Become the module: signals and the exit code are its own."""
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", self.module, *arguments])


@click.command(cls=PassThrough, module="glidepath.worker", example="glidepath worker --slots 8 --queue gpu")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def worker(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run tasks for a server. Ctrl-C: finish what runs, hand back the rest, leave."""
    assert isinstance(ctx.command, PassThrough)
    ctx.command.run(arguments)


@click.command(
    cls=PassThrough,
    module="glidepath_server",
    hidden=not HAS_SERVER,
    example="glidepath server --database-url postgresql://glidepath@db/glidepath --address 0.0.0.0:7711",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def server(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run a control plane against a Postgres that is there already."""
    need_server()
    assert isinstance(ctx.command, PassThrough)
    ctx.command.run(arguments)


# ---- up -------------------------------------------------------------------------------------------------------------


@click.command(cls=ExampleCommand, hidden=not HAS_SERVER, example="glidepath up\nglidepath up --port 0 --slots 8")
@click.option("--port", type=click.IntRange(0, 65535), default=7711, show_default=True, help="0: any that is free.")
@click.option("--slots", type=click.IntRange(1), default=None, help="Attempts at a time. Default: CPUs.")
@click.option("--no-worker", is_flag=True, help="Start no worker; run `glidepath worker` yourself.")
def up(port: int, slots: int | None, no_worker: bool) -> None:
    """Everything on this machine: a Postgres, a server and a worker, until Ctrl-C.

    Its data is in .glidepath/ of the current folder (or GLIDEPATH_HOME). It prints where everything is; delete that
    to forget everything.

    Exit codes: 0 after Ctrl-C or SIGTERM; 2 for a wrong setting or a folder that cannot be written; 5 when Postgres
    does not start; 6 when the port is in use, or `up` runs already for the folder; 7 when the server does not answer
    in 120 s.
    """
    need_server()
    home = Home.here()
    home.make()
    with home.owned(), Signals().taken() as signals:
        _Up(home, signals).run(port, slots, worker_wanted=not no_worker)


class _Up:
    """One `glidepath up`: starts the parts in order, keeps them running, stops them in reverse order."""

    def __init__(self, home: Home, signals: Signals) -> None:
        self.home, self.signals = home, signals
        self.children: list[Child] = []

    def run(self, port: int, slots: int | None, *, worker_wanted: bool) -> None:
        from glidepath_server.store.embedded import EmbeddedPostgres

        address = f"127.0.0.1:{_free_port(port)}"
        say(f"starting Postgres in {self.home.postgres}")
        postgres = EmbeddedPostgres.start(self.home.postgres)
        try:
            self._start_server(address, postgres.url)
            if worker_wanted and not self.signals.stops:
                self._start_worker(address, slots)
            if not self.signals.stops:
                print_places(self.home, address, worker_wanted)
            while not self.signals.stops:
                self._look(postgres)
                self.signals.wait(LOOK_SECONDS)
        finally:
            self._stop(postgres)

    def _start(self, child: Child) -> None:
        self.children.append(child)
        child.start(time.monotonic())

    def _start_server(self, address: str, database_url: str) -> None:
        child = server_child(self.home, address, database_url)
        say(f"starting the server on {address}")
        self._start(child)
        deadline = time.monotonic() + READY_SECONDS
        while not self.signals.stops and not answers(address):
            status = child.ended()
            if status is not None or time.monotonic() > deadline:
                why = "does not answer" if status is None else f"ended ({describe(status)})"
                raise _not_started(
                    f"the server {why}; its log ends\n{child.tail()}\nnext:  read {child.log}",
                    Exit.TIMEOUT if status is None else status if status > 0 else Exit.FAILED,
                )
            self.signals.wait(0.1)
        if not self.signals.stops:
            self.home.write_connection(address, NAMESPACE)

    def _start_worker(self, address: str, slots: int | None) -> None:
        """Start it and wait until the server knows it; one that takes longer is not the end of the rest."""
        before = sessions(address, self.home)
        child = worker_child(self.home, address, slots)
        say("starting a worker")
        self._start(child)
        deadline = time.monotonic() + WORKER_READY_SECONDS
        while not self.signals.stops and not sessions(address, self.home) - before:
            status = child.ended()
            if status is not None or time.monotonic() > deadline:
                say(f"the worker is not connected yet, it is tried again; its log ends\n{child.tail()}")
                return
            self.signals.wait(0.1)

    def _look(self, postgres: EmbeddedPostgres) -> None:
        try:
            if postgres.ensure_running():
                say(f"Postgres had ended and runs again. Its log: {postgres.log}")
        except Exception as error:  # whatever it is, the next look tries again
            say(f"Postgres does not start: {error}")
        for child in self.children:
            child.look(time.monotonic(), say)

    def _stop(self, postgres: EmbeddedPostgres) -> None:
        say("stopping; a second Ctrl-C does not wait for tasks")
        first = self.signals.stops
        for child in reversed(self.children):
            child.stop(lambda: self.signals.stops > max(1, first))
        postgres.stop()
        self.home.connection.unlink(missing_ok=True)
        say(f"stopped; nothing runs any more. The data stays in {self.home.path}")


def server_child(home: Home, address: str, database_url: str) -> Child:
    """The control plane. The database's URL has a password, so it goes by the environment."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    environment["GLIDEPATH_DATABASE_URL"] = database_url
    command = [
        sys.executable,
        "-m",
        "glidepath_server",
        "--address",
        address,
        "--auto-upgrade",
        "--bootstrap-token-file",
        str(home.admin_token),
        "--bootstrap-worker-token-file",
        str(home.worker_token),
    ]
    return Child("the server", command, environment, home.log("server"))


def worker_child(home: Home, address: str, slots: int | None) -> Child:
    """One worker; it runs in the user's folder, so that relative paths in tasks are what they look like."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    environment |= {"GLIDEPATH_TOKEN_FILE": str(home.worker_token), "GLIDEPATH_HOME": str(home.path)}
    command = [
        sys.executable,
        "-m",
        "glidepath.worker",
        "--address",
        address,
        "--namespace",
        NAMESPACE,
        "--state-dir",
        str(home.path / "worker"),
        "--drain-grace",
        f"{DRAIN_SECONDS:g}",
    ]
    if slots is not None:
        command += ["--slots", str(slots)]
    return Child("the worker", command, environment, home.log("worker"), grace_seconds=DRAIN_SECONDS + 10)


def answers(address: str) -> bool:
    """Whether a server takes calls there."""
    from glidepath.client import Client
    from glidepath.errors import RpcError

    with Client(address, token="-", tls=False, timeout=2.0) as client:
        try:
            client.get_server_info()
        except RpcError:
            return False
    return True


def sessions(address: str, home: Home) -> set[str]:
    """Ids of the worker sessions that are open there."""
    from glidepath.client import Client
    from glidepath.errors import RpcError

    token = home.admin_token.read_text().strip()
    with Client(address, token=token, namespace=NAMESPACE, tls=False, timeout=5.0) as client:
        try:
            return {each.session_id for each in client.list_workers() if each.state == "open"}
        except RpcError:
            return set()


def print_places(home: Home, address: str, worker_wanted: bool) -> None:
    print_rows(
        [
            ("server", address),
            ("data", home.path),
            ("database", home.database),
            ("connection", home.connection),
            ("admin token", home.admin_token),
            ("worker token", home.worker_token),
            ("logs", home.path / "logs"),
            ("worker", "one, in this folder" if worker_wanted else "none; start one: glidepath worker"),
        ]
    )
    sys.stdout.flush()
    say("up. Try: glidepath dag register PATH, glidepath doctor. Ctrl-C stops everything.")


def _free_port(wanted: int) -> int:
    """A port that can be bound now. Chosen here and not by the server, which has to get the same one again."""
    for port in [wanted] if wanted else random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError as error:
                refused = error
    raise _not_started(
        f"port {wanted}: {refused.strerror}.\nnext:  --port 0 takes one that is free",
        Exit.CONFLICT if refused.errno == errno.EADDRINUSE else Exit.USAGE,
    )


# ---- db -------------------------------------------------------------------------------------------------------------


@click.group(hidden=not HAS_SERVER)
def db() -> None:
    """The server's database: its schema, its URL, a shell in it."""
    need_server()


@contextlib.contextmanager
def _database(url: str) -> Iterator[str]:
    """The URL that was given, or that of the embedded Postgres, which runs at least as long as this lasts."""
    if url:
        yield url
        return
    home = Home.nearest()
    if home is None or not home.postgres.is_dir():
        raise click.UsageError(
            "no database is named and no `.glidepath/` is here.\n"
            "next:  --database-url, GLIDEPATH_DATABASE_URL, or `glidepath up` first"
        )
    from glidepath_server.store.embedded import EmbeddedPostgres

    postgres = EmbeddedPostgres.start(home.postgres)
    if postgres.is_owner:
        say("`glidepath up` does not run here: its Postgres runs for the time of this command only")
    try:
        yield postgres.url
    finally:
        postgres.stop()


_OUTPUT = click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table")


@local_command(db, "upgrade", example="glidepath db upgrade")
@_DATABASE_URL
@click.option("--only-pre", is_flag=True, help="Only what is safe while servers of the release before still run.")
@_OUTPUT
def db_upgrade(database_url: str, only_pre: bool, output: str) -> None:
    """Bring the schema up to date."""
    from glidepath_server.store import migrate

    with _database(database_url) as url:
        applied = asyncio.run(migrate.upgrade(url, only_pre=only_pre))
    if output == "json":
        print_json({"applied": applied})
    else:
        for revision in applied:
            click.echo(revision)
    say(f"{len(applied)} revisions applied" if applied else "nothing to apply")


@local_command(db, "status", example="glidepath db status -o json")
@_DATABASE_URL
@_OUTPUT
def db_status(database_url: str, output: str) -> None:
    """Which revision the database has and which ones it lacks. Exit code 6 when this server cannot run on it."""
    from glidepath_server.store import migrate

    with _database(database_url) as url:
        found = asyncio.run(migrate.current(url))
    refused = migrate.refusal(found)
    pending = migrate.missing(found, only_pre=False) if found is None or found in migrate.revisions() else []
    status = {"revision": found or "", "head": migrate.head(), "pending": pending, "usable": refused is None}
    if output == "json":
        print_json(status)
    else:
        print_rows(list(status.items()))
    if refused is not None:
        raise refused


@local_command(db, "url", example='pg_dump "$(glidepath db url)" > backup.sql')
@_DATABASE_URL
def db_url(database_url: str) -> None:
    """Print the database's URL. It may have a password in it."""
    with _database(database_url) as url:
        click.echo(url)


@local_command(db, "shell", example="glidepath db shell -- -c 'select 1'")
@_DATABASE_URL
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def db_shell(database_url: str, arguments: tuple[str, ...]) -> None:
    """psql in the database; what follows -- goes to psql."""
    from glidepath_server.store import binaries

    with _database(database_url) as url:
        code = subprocess.run([binaries.psql(), url, *arguments], check=False).returncode
    raise click.exceptions.Exit(Exit.OK if code == 0 else Exit.FAILED)
