"""One attempt in a process of its own, with a scratch folder to be in. However it dies, that is an end like another."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from glidepath.authoring import Dag
from glidepath.authoring.bundle import source_root
from glidepath.authoring.convert import to_spec
from glidepath.authoring.load import load_dags
from glidepath.errors import AuthoringError
from glidepath.testing.attempts import RunFacts, run_attempt
from glidepath.testing.results import AttemptState, FailureSeen
from glidepath.worker import failures, printing, processes
from glidepath_proto.common.v1.payload_pb2 import Payload

LOG_BYTES_MAX = 64 * 1024
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class DagFile:
    """A DAG that the attempt's process loads from its file."""

    file: Path
    dag_id: str

    def load(self) -> Dag:
        loaded = load_dags(self.file)
        for each in loaded.dags:
            if each.dag_id == self.dag_id:
                return each
        wrong = "; ".join(map(str, loaded.errors)) or "it is not at the top level of that file"
        raise AuthoringError(f"DAG '{self.dag_id}' could not be loaded anew from {self.file}: {wrong}")


@dataclass(frozen=True)
class ArtifactSeen:
    """An artifact that was put: `name` is the path of its file, below the scratch folder where it lies there."""

    name: str
    uri: str

    @property
    def sha256(self) -> str:
        return self.uri.partition(":")[2]


@dataclass(frozen=True)
class Work:
    """An attempt to be made. `store` is a folder outside `scratch` that keeps artifacts and the log.

    `artifacts` are those that can be fetched, by uri; `mapped` are index and item of an instance of a mapped task.
    """

    dag: Dag | DagFile
    task_id: str
    facts: RunFacts
    attempt_number: int
    outputs: Mapping[str, Payload]
    artifacts: Mapping[str, Path]
    scratch: Path
    store: Path
    mapped: tuple[int, Mapping[str, Any]] | None = None

    @property
    def log(self) -> Path:
        return self.store / "log"


@dataclass
class Done:
    """How the attempt ended. `log` is the end of what it wrote to stdout and stderr."""

    end: AttemptState
    output: Payload | None = None
    failure: FailureSeen | None = None
    reason: str = ""
    put: list[ArtifactSeen] = field(default_factory=list)
    duration_seconds: float = 0.0
    log: str = ""


def run_isolated(work: Work, *, fresh: bool, timeout: timedelta | None) -> Done:
    """Run the attempt and wait for it; what it leaves running in its process group is killed.

    `fresh` starts a new interpreter, for which the DAG must be a `DagFile`; else this process is forked.
    """
    start = multiprocessing.get_context("spawn") if fresh else multiprocessing.get_context("fork")
    heard, told = start.Pipe(duplex=False)
    work.log.write_bytes(b"")
    process = start.Process(target=_attempt, args=(work, told))
    started = time.monotonic()
    process.start()
    try:
        told.close()
        done = _wait(process, heard, None if timeout is None else started + timeout.total_seconds())
    finally:
        _kill(process)
        heard.close()
    if done is None:
        assert timeout is not None
        late = FailureSeen("Timeout", f"not done after {timeout.total_seconds():g} s", kind="timeout")
        done = Done("timed_out", failure=late, reason=late.message)
    done.duration_seconds = time.monotonic() - started
    done.log = _tail(work.log)
    return done


def _wait(process: BaseProcess, heard: Connection, deadline: float | None) -> Done | None:
    """What the attempt said, or how it died without a word; None when it was not done by the deadline.

    It polls: processes that the attempt left behind hold its pipes open, so their ends say nothing.
    """
    done: Done | None = None
    while process.is_alive():
        if done is None and heard.poll(_POLL_SECONDS):
            done = _received(heard)
        elif done is not None:
            process.join(_POLL_SECONDS)
        if deadline is not None and time.monotonic() > deadline:
            return None
    if done is None and heard.poll():
        done = _received(heard)
    return done or _died(process.exitcode or 0)


def _received(heard: Connection) -> Done | None:
    try:
        done = heard.recv()
    except EOFError:
        time.sleep(_POLL_SECONDS)  # it is about to end, and `poll` no longer waits
        return None
    assert isinstance(done, Done)
    return done


def _died(status: int) -> Done:
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    failure = FailureSeen("ExitStatus", f"the task's process ended before the task did: {how}")
    return Done("failed", failure=failure, reason=f"{failure.type}: {failure.message}")


def _kill(process: BaseProcess) -> None:
    """The attempt and what it started; it leads a group of its own."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
    process.join()


def _tail(log: Path) -> str:
    with open(log, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES_MAX))
        return file.read().decode(errors="replace")


# ---- In the attempt's process ------------------------------------------------------------------------------------


def _attempt(work: Work, told: Connection) -> None:
    os.setsid()
    processes.die_with_parent()
    _speak_to(work.log)
    try:
        done = _run(work)
    except Exception as error:  # not of the task's body: its DAG could not be loaded
        fields = failures.describe(error)
        seen = FailureSeen(fields["type"], fields["message"], fields["stack_trace"])
        done = Done("failed", failure=seen, reason=f"{seen.type}: {seen.message}")
    told.send(done)


def _speak_to(log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 (it lives as long as the process)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    printing.handle_logging(lambda level, text: print(f"{level} {text}", file=sys.stderr))


def _run(work: Work) -> Done:
    dag = work.dag.load() if isinstance(work.dag, DagFile) else work.dag
    _enter(work.scratch, dag)
    node = next(each for each in dag.nodes if each.task_id == work.task_id)
    spec = next(each for each in to_spec(dag, None).tasks if each.task_id == work.task_id)
    artifacts = _Artifacts(work)
    ended = run_attempt(node, spec, work.facts, work.attempt_number, work.outputs, b"", artifacts, None, work.mapped)
    return Done(ended.end, ended.output, ended.failure, ended.reason, artifacts.put)


def _enter(scratch: Path, dag: Dag) -> None:
    try:
        sys.path.insert(0, str(source_root(dag.source_file)))  # for imports inside of bodies, as a worker has it
    except AuthoringError:
        pass  # typed in, not in a file
    os.environ.update(dict.fromkeys(("HOME", "TMPDIR", "PWD"), str(scratch)))
    tempfile.tempdir = None  # it may have been asked for before
    os.chdir(scratch)


class _Artifacts(dict[str, Path]):
    """Keeps a copy of what is put: the file may change afterwards, an artifact does not."""

    def __init__(self, work: Work) -> None:
        super().__init__(work.artifacts)
        self._work = work
        self.put: list[ArtifactSeen] = []

    def __setitem__(self, uri: str, path: Path) -> None:
        scratch = self._work.scratch
        name = path.relative_to(scratch) if path.is_relative_to(scratch) else path
        seen = ArtifactSeen(str(name), uri)
        shutil.copyfile(path, kept_at(self._work.store, seen))
        self.put.append(seen)
        super().__setitem__(uri, kept_at(self._work.store, seen))


def kept_at(store: Path, artifact: ArtifactSeen) -> Path:
    """Where the copy of an artifact lies in a store."""
    return store / artifact.sha256
