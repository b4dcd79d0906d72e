"""The system of an episode: a Postgres of its own, three replicas, eight workers, and a link to harm for each of them.

Every worker dials a link that spreads its connections over the replicas, as a balancer before them would. A Python
worker has a relay behind its link as well, which can lose or repeat frames.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from asyncio import StreamReader, StreamWriter, open_connection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import asyncpg

from glidepath.client import Client
from glidepath.errors import GlidepathError
from glidepath_server.core.errors import Unavailable
from glidepath_server.store.embedded import EmbeddedPostgres
from tests.chaos.plan import CLIENTS, JOURNALLING, LEASE_SECONDS, PYTHONS, SERVERS, WORKERS
from tests.checker.journal_client import JournalClient
from tests.checker.journals import note_fault
from tests.checker.read_database import AWAY
from tests.checker.tests.scenes import wait_until
from tests.faults.fault_link import FaultLink
from tests.faults.fault_relay import FaultRelay
from tests.free_address import free_address

ROOT = Path(__file__).parents[2]
BOOT_SECONDS = 60.0
CALL_SECONDS = 3.0
ACTOR = "first-admin"
SETTINGS = {"lease_ttl_seconds": LEASE_SECONDS, "heartbeat_interval_seconds": 0.4, "accept_timeout_seconds": 1.0}
# How the journalling workers behave, whatever else happens to them.
MANNERS = {"twice": 0.1, "lost": 0.01, "stubborn": 0.5}
# By what else than a fault of the plan a process may end: a replica that finds no Postgres at its start says so.
NO_POSTGRES = 5


class Balancer(FaultLink):
    """A link whose connections go to one replica after the other, past those that refuse."""

    def __init__(self, targets: list[str], first: int = 0) -> None:
        self._targets, self._next = [each.rpartition(":") for each in targets], first
        super().__init__(targets[0])

    async def _dial(self) -> tuple[StreamReader, StreamWriter]:
        for _ in self._targets:
            host, _, port = self._targets[self._next % len(self._targets)]
            self._next += 1
            try:
                return await open_connection(host, int(port))
            except OSError as error:
                refused = error
        raise refused


@dataclass
class Member:
    """A replica or a worker: how it is started, and its present process. `away`: it is not to be started again now."""

    name: str
    module: str
    options: dict[str, object]
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    away: bool = False
    stopped: bool = False
    logs: list[Path] = field(default_factory=list)

    def log(self, characters: int = 2000) -> str:
        return self.logs[-1].read_text(errors="replace")[-characters:] if self.logs else ""


class System:
    """`with System(folder) as system`: everything runs; `tend` starts again what has died."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.journals = folder, folder / "journals"
        self.members: dict[str, Member] = {}
        self.links: dict[str, FaultLink] = {}
        self.relays: dict[str, FaultRelay] = {}
        self.addresses = [free_address() for _ in SERVERS]
        self.odd_ends: list[str] = []
        """Processes that ended though nobody had killed them."""
        self.versions = dict[str, int]()
        """By DAG, the number of the newest version that was acknowledged."""
        self.poisoned = 0
        """How many ends of Python workers are owed to poison."""
        self._parts = ExitStack()
        self._started = 0

    # ---- start and end
    def __enter__(self) -> Self:
        try:
            self.journals.mkdir(parents=True)
            self._start_postgres()
            for name, address in zip(SERVERS, self.addresses, strict=True):
                self._add_server(name, address)
            self.start(SERVERS[0])  # the first one writes the tokens
            wait_until((self.folder / "worker").exists, "the worker's token", BOOT_SECONDS)
            for name in SERVERS[1:]:
                self.start(name)
            self._add_links()
            for name in WORKERS:
                self._add_worker(name)
                self.start(name)
            wait_until(lambda: self.sessions() == set(WORKERS), "every worker has a session", BOOT_SECONDS)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for member in self.members.values():
            if member.process is not None:
                member.process.kill()
                member.process.wait()
        self._parts.close()

    def _start_postgres(self) -> None:
        # Not under pytest's own directory, which only its user may enter: as root, Postgres runs as somebody else.
        directory = Path(tempfile.mkdtemp(prefix="glidepath-chaos-"))
        directory.chmod(0o711)
        self._parts.callback(shutil.rmtree, directory, ignore_errors=True)
        # It commits as in production; only a loss of power would cost it something.
        self.postgres = EmbeddedPostgres.start(directory, max_connections=120, settings={"fsync": "off"})
        self._parts.callback(self.postgres.stop)
        self.database_url = self.postgres.url

    def _add_server(self, name: str, address: str) -> None:
        options = {
            "database_url": self.database_url,
            "address": address,
            "bootstrap_token_file": self.folder / "admin",
            "bootstrap_worker_token_file": self.folder / "worker",
        }
        environment = {f"GLIDEPATH_{key.upper()}": str(value) for key, value in SETTINGS.items()}
        environment["GLIDEPATH_AUTO_UPGRADE"] = "on"
        self.members[name] = Member(name, "glidepath_server", options, environment)

    def _add_links(self) -> None:
        for number, name in enumerate((*WORKERS, CLIENTS)):
            balancer = Balancer(self.addresses, number)
            self._parts.callback(balancer.close)
            self.links[name] = balancer
            if name in PYTHONS:
                self.relays[name] = FaultRelay(balancer.address)
                self._parts.callback(self.relays[name].close)
                self.links[name] = FaultLink(self.relays[name].address)
                self._parts.callback(self.links[name].close)

    def _add_worker(self, name: str) -> None:
        options: dict[str, object] = {"address": self.links[name].address, "identity": name}
        if name in JOURNALLING:
            options |= {"token_file": self.folder / "worker", "journals": self.journals, "slots": 32, **MANNERS}
            options |= {"queue": "default", "seed": JOURNALLING.index(name)}
            self.members[name] = Member(name, "tests.checker.journal_worker", options, {})
        else:
            options |= {"slots": 4, "queue": "sdk", "state_dir": self.folder / name}
            environment = {"GLIDEPATH_TOKEN_FILE": str(self.folder / "worker")}
            self.members[name] = Member(name, "glidepath.worker", options, environment)

    # ---- members
    def start(self, name: str, **environment: str) -> None:
        """Start a member's process anew."""
        member = self.members[name]
        member.away = member.stopped = False
        words = [word for key, value in member.options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("GLIDEPATH_")}
        self._started += 1
        member.logs.append(self.folder / f"{self._started:03}-{name}.log")
        with member.logs[-1].open("wb") as log:
            member.process = subprocess.Popen(
                [sys.executable, "-m", member.module, *words],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**kept, **member.environment, **environment},
            )

    def kill(self, name: str) -> bool:
        """kill -9, noted before it is done; the member stays away until it is started. False when it was dead."""
        member = self.members[name]
        assert member.process is not None
        member.away = True
        if member.process.poll() is not None:
            return False
        self.note(f"kill {name}")
        member.process.kill()
        member.process.wait()
        return True

    def stop(self, name: str) -> bool:
        """SIGSTOP, noted before it is done."""
        member = self.members[name]
        assert member.process is not None
        if member.process.poll() is not None:
            return False
        self.note(f"stop {name}")
        member.process.send_signal(signal.SIGSTOP)
        member.stopped = True
        return True

    def go_on(self, name: str) -> None:
        """SIGCONT, noted when it is done."""
        member = self.members[name]
        assert member.process is not None
        if member.stopped:
            member.stopped = False
            member.process.send_signal(signal.SIGCONT)
            self.note(f"continue {name}")

    def tend(self) -> None:
        """Start again what has died, as a service manager does, and write down whose end nobody had planned."""
        with suppress(Unavailable):  # as `glidepath up`: whatever it is, the next look tries again
            self.postgres.ensure_running()
        for member in self.members.values():
            if member.away or member.process is None or (code := member.process.poll()) is None:
                continue
            self.note(f"kill {member.name}")
            if not self._expected(member, code):
                self.odd_ends.append(f"{member.name} ended by itself with {code}; its log ends\n{member.log()}")
            self.start(member.name)

    def _expected(self, member: Member, code: int) -> bool:
        if member.name in SERVERS:
            return code == NO_POSTGRES or (code == -signal.SIGKILL and "crash point " in member.log())
        if member.name in PYTHONS and code == -signal.SIGKILL and self.poisoned < self._poison_taken():
            self.poisoned += 1
            return True
        return False

    def _poison_taken(self) -> int:
        """How often a task that kills its worker has begun, by the ledger that it writes first."""
        ledger = self.journals / "task-ledger.jsonl"
        return ledger.read_text().count('"poison"') if ledger.exists() else 0

    def note(self, what: str) -> None:
        note_fault(self.journals, what)

    # ---- what it says of itself
    def client(self, journalled: bool = True) -> Client:
        """A client on a connection of its own."""
        token = (self.folder / "admin").read_text().strip()
        address = self.links[CLIENTS].address
        if not journalled:
            return Client(address, token=token, timeout=CALL_SECONDS)
        return JournalClient(address, token=token, journals=self.journals, actor=ACTOR, timeout=CALL_SECONDS)

    def servers_answering(self) -> set[str]:
        return {name for name, address in zip(SERVERS, self.addresses, strict=True) if self._answers(address)}

    def _answers(self, address: str) -> bool:
        client = Client(address, token=(self.folder / "admin").read_text().strip(), timeout=CALL_SECONDS)
        try:
            client.list_dags()
            return True
        except GlidepathError:
            return False
        finally:
            client.close()

    def sessions(self) -> set[str]:
        """Workers that have an open session; empty while nobody can say."""
        asked = "select distinct worker_identity from worker_session where state = 'open' and heard_until > now()"
        return {row["worker_identity"] for row in self.rows(asked)}

    def rows(self, statement: str, *arguments: object) -> list[Any]:
        """What the database says, on a connection of its own; nothing while it is away."""
        return asyncio.run(_ask(self.database_url, statement, arguments))


async def _ask(url: str, statement: str, arguments: tuple[object, ...]) -> list[Any]:
    try:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close(timeout=5)
    except AWAY:
        return []
