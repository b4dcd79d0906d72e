"""Many workers that keep journals, clients that keep theirs, and a Postgres that the test may freeze or kill."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fault_world import House, wait_until

from glidepath_server.store.embedded import EmbeddedPostgres
from tests.checker import Watch, check, read_facts, read_journals
from tests.checker.facts import Facts, WorkerEntry
from tests.checker.journal_client import JournalClient

ROOT = Path(__file__).parents[2]
ACTOR = "first-admin"


class Fleet(House):
    """A house whose workers and clients write down what they do, so that the checker can judge it."""

    def __init__(self, database_url: str, folder: Path, record: Callable[[str, object], None]) -> None:
        """`record` keeps what is measured: it is for people, and no promise hangs on it."""
        super().__init__(database_url, folder)
        self.record = record
        self.journals = folder / "journals"

    def journal_worker(self, identity: str, *, address: str = "", **options: object) -> subprocess.Popen[bytes]:
        """A worker of tests/checker/journal_worker.py with these options."""
        wait_until((self.folder / "worker").exists, "the worker's token")
        said = {
            "address": address or self.address,
            "token_file": self.folder / "worker",
            "journals": self.journals,
            "identity": identity,
            **options,
        }
        words = [word for name, value in said.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        return self._start("tests.checker.journal_worker", *words, PYTHONPATH=str(ROOT))

    def journal_client(self, address: str = "", *, timeout: float = 30.0) -> JournalClient:
        """A client of the server there, once that answers."""
        self.wait_for_answers(self.client(address))
        token = (self.folder / "admin").read_text().strip()
        return JournalClient(address or self.address, token=token, journals=self.journals, actor=ACTOR, timeout=timeout)

    def entries(self, kind: str, *, identity: str = "", word: str = "") -> list[WorkerEntry]:
        """What workers have written so far, in order: of one kind, of one worker, with one word."""
        return [
            each
            for each in read_journals(self.journals).workers
            if each.kind == kind and identity in ("", each.worker) and word in ("", each.word)
        ]

    def judge(self, watch: Watch, expect: Mapping[str, int]) -> Facts:
        """Every promise was kept, and these were tried so often."""
        facts = asyncio.run(read_facts(self.database_url, self.journals, earlier=watch.moments))
        report = check(facts, expect=expect)
        assert report.ok, f"\n{report}"
        return facts

    def figure(self, what: str, seconds: Iterable[float]) -> None:
        """Record how long something took, each time that it was seen."""
        found = sorted(seconds)
        middle = found[len(found) // 2]
        self.record(what, f"n {len(found)}, p50 {middle:.2f} s, max {found[-1]:.2f} s")

    def sessions(self, *states: str) -> dict[str, float]:
        """Identities of workers whose session is in one of these states, and when it ended (0: it has not)."""
        rows = self.rows(
            "select worker_identity, coalesce(extract(epoch from end_time), 0)::float8 as ended from worker_session "
            "where state = any($1::text[])",
            list(states),
        )
        return {row["worker_identity"]: row["ended"] for row in rows}

    def wait_until_judging(self, servers: Iterable[subprocess.Popen[bytes]], lease_seconds: float) -> None:
        """Until the judges of these servers have been awake for a lease, and would judge who is silent now."""
        youngest = max(Path(f"/proc/{each.pid}").stat().st_ctime for each in servers)
        seconds = youngest + lease_seconds + 3 - time.time()
        wait_until(lambda: time.time() > youngest + lease_seconds + 3, "the judges are awake", max(0.0, seconds) + 1)


@contextmanager
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A cluster that the test may kill. It commits as in production; only a loss of power would cost it something."""
    # Not under pytest's own directory, which only its user may enter: as root, Postgres runs as somebody else.
    directory = Path(tempfile.mkdtemp(prefix="glidepath-test-"))
    directory.chmod(0o711)
    postgres = EmbeddedPostgres.start(directory, settings={"fsync": "off"})
    try:
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(directory)


def stands_still(process: subprocess.Popen[bytes]) -> bool:
    """Whether it was stopped, by others or at a crash point."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def signal_all(pids: Iterable[int], number: int) -> None:
    """To each of these that is there still."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
