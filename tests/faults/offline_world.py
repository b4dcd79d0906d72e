"""Hours without a link, on clocks that a test moves; a wire that keeps the worker's journal; power that goes.

Why moving clocks is time passing. What a server knows of leases it compares with `glidepath_now()` alone, the clock of
the database, and that is moved. What a worker does by time it asks of `time`, in each of its processes, and that is
moved in all of them at once. While they are apart nothing passes between them, so neither can tell a moved clock from
one that went on by itself, provided that each has its turns meanwhile: the hours pass in steps, and after each the
worker must have tried its link anew. Two things do not move. The server's monotonic clock, by which its judge knows
that it was awake: it truly was. And bodies, which wait for files. A step is longer than a lease, so a worker that is
connected while one passes would be judged as if it had been away: the others come when the hours have passed.
"""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
from pathlib import Path

from fault_link import FaultLink
from fault_relay import FRAMES, UP, FaultRelay, Lane
from fault_world import House, freeze, wait_until
from lost_disk import LostDisk
from worker_site import sitecustomize

from glidepath.worker.journal import _read_records as read_records
from glidepath_proto.worker.v1.worker_service_pb2 import Verdict, WorkRequest, WorkResponse
from tests.checker.facts import AttemptKey
from tests.checker.journal_client import JournalClient
from tests.checker.journals import Journal, note_fault

SITE = os.pathsep.join([str(Path(sitecustomize.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
STEPS = 8
RETRY_SECONDS_MAX = 10.0  # the longest that a worker waits between two tries


class WireJournal(FaultRelay):
    """A relay that writes down for the checker what it sees of one worker, as a test worker does itself."""

    def __init__(self, target: str, folder: Path, identity: str) -> None:
        self._journal = Journal(folder, "worker", identity)
        self._keys: dict[bytes, AttemptKey] = {}
        self._session_id = ""
        self.verdicts: list[tuple[AttemptKey, str]] = []
        super().__init__(target)

    def _harm(self, way: str, frame: bytes, lane: Lane) -> None:
        message = FRAMES[way].FromString(frame)
        if way == UP:
            for result in message.results:
                self._note("reported", result.task_token, word=result.WhichOneof("outcome"))
        else:
            self._heard(message)
        super()._harm(way, frame, lane)
        if way == UP:
            for token in message.started_task_tokens:
                self._note("started", token)

    def _heard(self, message: WorkResponse) -> None:
        if message.HasField("welcome"):
            self._session_id = message.welcome.session_id
            self._journal.note("hello", session_id=self._session_id, word=str(message.welcome.generation))
        for each in message.assignments:
            ref = each.attempt
            self._keys[each.task_token] = AttemptKey(ref.dag_run_id, ref.task_id, ref.map_index, ref.attempt_number)
            number, handler = each.dag_version.dag_version_number, f"{each.handler.name}@{each.handler.version}"
            self._note("assigned", each.task_token, dag_version_number=number, handler=handler)
        for ack in message.result_acks:
            self._answered(ack.task_token, Verdict.Name(ack.verdict))
        for token in message.welcome.fenced_task_tokens:
            self._answered(token, "VERDICT_FENCED")

    def _answered(self, token: bytes, verdict: str) -> None:
        word = verdict.removeprefix("VERDICT_")
        self.verdicts.append((self._keys[token], word))
        self._note("verdict", token, word=word)

    def _note(self, kind: str, token: bytes, **more: object) -> None:
        self._journal.note(kind, key=self._keys[token], session_id=self._session_id, **more)

    def answers(self, task_id: str) -> list[str]:
        """What the worker was told of a task's results, in order."""
        return [word for key, word in self.verdicts if key.task_id == task_id]


class OfflineHouse(House):
    """Workers behind a link and a wire that keeps their journals, on clocks that `pass_by` moves."""

    def __init__(self, database_url: str, folder: Path) -> None:
        super().__init__(database_url, folder)
        clock = folder / "clock"
        clock.write_bytes(bytes(8))
        with clock.open("r+b") as file:
            self._shift = memoryview(mmap.mmap(file.fileno(), 8)).cast("d")
        self._clock = clock
        self._dark: dict[str, tuple[FaultLink, WireJournal]] = {}

    def client(self, address: str = "") -> JournalClient:
        wait_until(lambda: (self.folder / "admin").exists() and bool((self.folder / "admin").read_text()), "a token")
        token = (self.folder / "admin").read_text().strip()
        return JournalClient(address or self.address, token=token, journals=self.folder, actor="first-admin")

    def far_worker(self, identity: str, disk: LostDisk | None = None) -> subprocess.Popen[bytes]:
        """A worker behind the link and the wire of its identity, on the moved clock and, where given, on that disk."""
        if identity not in self._dark:
            wire = WireJournal(self.address, self.folder, identity)
            self._dark[identity] = (FaultLink(wire.address), wire)
            self.links += self._dark[identity]
        variables = [f"PYTHONPATH={SITE}", f"{sitecustomize.CLOCK}={self._clock}", *([disk.variable] if disk else [])]
        link, _ = self._dark[identity]
        return self.worker(identity, slots=8, address=link.address, before=["env", *variables])

    def link_of(self, identity: str) -> FaultLink:
        return self._dark[identity][0]

    def wire_of(self, identity: str) -> WireJournal:
        return self._dark[identity][1]

    def pass_by(self, identity: str, hours: float) -> None:
        """Let so many hours pass for the database, and for this worker, which is apart and tries in vain."""
        link = self.link_of(identity)
        for _ in range(STEPS):
            tried = link.connections + link.refused
            self._move(hours * 3600 / STEPS)
            wait_until(lambda tried=tried: link.connections + link.refused > tried, "the worker has tried its link")

    def pass_retry(self) -> None:
        """Let as much time pass as a worker may wait between two tries."""
        self._move(RETRY_SECONDS_MAX)

    def pass_unseen(self, hours: float) -> None:
        """Let so many hours pass for the database and for what starts from now on, while nothing runs."""
        self._move(hours * 3600)

    def _move(self, seconds: float) -> None:
        self.rows("update clock set shift = shift + make_interval(secs => $1)", seconds)
        self._shift[0] += seconds

    def kill_server(self, server: subprocess.Popen[bytes]) -> None:
        note_fault(self.folder, "kill server")
        server.kill()
        server.wait()

    def lose_power(self, worker: subprocess.Popen[bytes], disk: LostDisk) -> None:
        """The worker and all below it end at one instant, and so does what its disk had not synced."""
        note_fault(self.folder, "kill worker")
        for pid in freeze(worker.pid):
            os.kill(pid, signal.SIGKILL)
        worker.wait()
        disk.lose()

    def results(self, identity: str) -> int:
        """How many results are in a worker's journal, answered ones that are still there not counted."""
        return len(_records(self.folder / identity / "journal"))

    def wait_for_disk(self, identity: str, disk: LostDisk) -> None:
        """Until all that is in the journal is on the disk."""
        folder = self.folder / identity / "journal"
        wait_until(lambda: disk.left_of("journal/") == _content(folder), "the journal is on the disk")

    def tear_last_record(self, identity: str) -> None:
        """The last piece of the journal has not reached the disk."""
        *_, last = (path for path in sorted((self.folder / identity / "journal").iterdir()) if path.stat().st_size)
        os.truncate(last, last.stat().st_size - 1)

    def judged(self, state: str) -> list[object]:
        """Attempts that ended so."""
        return list(self.rows("select 1 from task_attempt where state = $1", state))


def _content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def _records(folder: Path) -> list[bytes]:
    """Tokens of the results that lie in a journal, read while the worker writes it."""
    paths = sorted(folder.iterdir()) if folder.exists() else []
    return [
        result.task_token
        for path in paths
        for record in read_records(path)
        for result in WorkRequest.FromString(record).results
    ]
