"""The process that runs inline tasks: trusted, tiny, one after the other, without a process of their own.

Its frames are the contract's own messages: a WorkResponse with assignments in, a WorkRequest with results, progress
and log chunks out, behind one letter that says what the frame is. Results gather for at most `FLUSH_SECONDS` while
tasks are short and are told before a next task starts, so at most that much is unknown when a task takes the process
down; what they print is kept in shared memory until it is told. A counter there says how many tasks were started: the
stream process, which cannot end a task here, ends the whole process when one runs over its time, and knows from the
counter which one it was and which never began.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from glidepath.inputs import resolve_inputs
from glidepath.worker import body, context, failures, results
from glidepath.worker.assignments import context_fields, holds_artifacts
from glidepath.worker.kept import Kept
from glidepath.worker.loading import HandlerNotFound, Loader
from glidepath.worker.masking import Masker, secrets_of
from glidepath.worker.pipes import pack, read_frame
from glidepath.worker.printing import handle_logging
from glidepath_proto.registry.v1.dag_pb2 import Handler
from glidepath_proto.worker.v1.task_pb2 import Assignment, AttemptResult, LogChunk, Success
from glidepath_proto.worker.v1.worker_service_pb2 import WorkRequest, WorkResponse

FLUSH_SECONDS = 0.004
SAYING_SECONDS = 0.2
CHUNK_LINES_MAX = 100
LINE_CHARS_MAX = 2048
ASSIGNMENTS, CONFIGURE, ANSWER = b"A", b"C", b"R"
"""First letter of frames to this process."""
RESULTS, SPOOLED, ASK = b"R", b"U", b"Q"
"""First letter of frames from it: results ready to send, one whose output must be stored first, a question."""


class InlineRunner:
    """Runs what comes until the socket closes."""

    def __init__(self, sock: socket.socket, kept: Kept, sources: str) -> None:
        self._sock = sock
        self._kept = kept
        self._sources = sources
        self._loader = Loader(sys.path)
        self._masker = Masker(secrets_of(os.environ))
        self._limits = body.OutputLimits()
        self._out = WorkRequest()
        self._flushed = time.monotonic()
        self._early: list[bytes] = []
        self._lock = threading.Lock()  # over `_out` and the socket's writing side
        self._said = threading.Event()
        self._token = b""
        self._printed: dict[str, str] = {}
        self._log_number = 0

    def run(self) -> None:
        """Serve until the stream process has gone."""
        threading.Thread(target=self._tell_what_is_said, daemon=True).start()
        while True:
            frame = self._early.pop(0) if self._early else read_frame(self._sock)
            if frame is None:
                return
            if frame[:1] == ASSIGNMENTS:
                for assignment in WorkResponse.FromString(frame[1:]).assignments:
                    if time.monotonic() - self._flushed > FLUSH_SECONDS:
                        self._flush()
                    self._run_one(assignment)
                self._flush()
            elif frame[:1] == CONFIGURE:
                self._limits = body.OutputLimits(**json.loads(frame[1:]))

    def tell(self, kind: str, message: Any, data: bytes = b"") -> None:
        """What a task says through its context."""
        if kind == "secret":
            self._masker.add([str(message["value"])])
        elif kind == "progress":
            with self._lock:
                self._out.progress.append(results.to_progress(self._token, message))
            self._said.set()

    def ask(self, kind: str, message: Any) -> dict[str, Any]:
        """What a task asks for through its context: waits, and with it everything behind this task."""
        self._flush()
        content = {"kind": kind, "token": base64.b64encode(self._token).decode(), **message}
        self._send(ASK + json.dumps(content).encode())
        while (frame := read_frame(self._sock)) is not None:
            if frame[:1] == ANSWER:
                answer: dict[str, Any] = json.loads(frame[1:])
                if "error" in answer:
                    raise context.WorkerRefused(answer["error"])
                return answer
            self._early.append(frame)
        raise context.WorkerRefused("the worker is going away")

    def write(self, stream: str, text: str) -> None:
        """What a task prints, or logs: `stream` is the level then."""
        *lines, self._printed[stream] = (self._printed.get(stream, "") + text).split("\n")
        self._log(stream, lines)

    def _run_one(self, assignment: Assignment) -> None:
        self._kept.count[0] += 1
        self._token = assignment.task_token
        self._log_number = 0
        started = time.time()
        result = self._result(assignment)
        result.task_token = self._token
        if self._printed:
            self._end_lines()
        _stamp(result, started, time.time())
        if result.success.output.uri:
            self._flush()
            self._send(SPOOLED + result.SerializeToString())
        else:
            with self._lock:
                self._out.results.append(result)

    def _result(self, assignment: Assignment) -> AttemptResult:
        try:
            arguments = resolve_inputs(assignment, self._fetch) if assignment.inputs else {}
            handler: Handler = assignment.handler
            source = os.path.join(self._sources, handler.version) if handler.version else ""
            function = self._loader.load(handler.name, source)
            with context.running(lambda: context.from_fields(context_fields(assignment), self)):
                end, data = body.call(function, arguments, self._limits, source, holds_artifacts(assignment))
        except HandlerNotFound as error:
            return results.failed(b"", failures.INFRASTRUCTURE, "HandlerNotFound", str(error), retryable=False)
        except Exception as error:
            end, data = {"end": "failed", "failure": failures.describe(error)}, b""
        except SystemExit as error:
            end, data = _left(error)
        return (
            AttemptResult(success=Success())
            if end is body.NOTHING
            else results.from_end(body.masked(end, self._masker), data)
        )

    def _fetch(self, payload: Any) -> Path:
        return Path(self.ask("get_artifact", {"uri": payload.uri})["path"])

    def _end_lines(self) -> None:
        for stream, rest in self._printed.items():
            self._log(stream, [rest] if rest else [])
        self._printed.clear()

    def _log(self, stream: str, lines: list[str]) -> None:
        if not lines:
            return
        now = results.timestamp(time.time())
        with self._lock:
            chunks = self._out.log_chunks
            if not chunks or chunks[-1].task_token != self._token or len(chunks[-1].entries) >= CHUNK_LINES_MAX:
                chunks.add(task_token=self._token, sequence_number=self._log_number)
                self._log_number += 1
            new = LogChunk(task_token=self._token, sequence_number=chunks[-1].sequence_number)
            for line in lines:
                new.entries.add(time=now, stream=stream, text=self._masker.mask(line)[:LINE_CHARS_MAX])
            chunks[-1].entries.extend(new.entries)
            if not self._kept.add(WorkRequest(log_chunks=[new])):
                self._send_out()
        self._said.set()

    def _send(self, payload: bytes) -> None:
        with self._lock:
            self._sock.sendall(pack(payload))

    def _tell_what_is_said(self) -> None:
        """Beside a task that runs long: what it says is seen while it runs, and not lost with it."""
        while True:
            self._said.wait()
            time.sleep(SAYING_SECONDS)
            self._said.clear()
            self._flush()

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        with self._lock:
            self._send_out()

    def _send_out(self) -> None:
        if self._out.ByteSize():
            self._sock.sendall(pack(RESULTS + self._out.SerializeToString()))
            self._out = WorkRequest()
            self._kept.clear()


class _Printed:
    """Stands for sys.stdout and sys.stderr."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, runner: InlineRunner, name: str) -> None:
        self._runner = runner
        self.name = name

    def write(self, text: str) -> int:
        self._runner.write(self.name, text)
        return len(text)

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return False


def _stamp(result: AttemptResult, started: float, ended: float) -> None:
    seconds = int(started)
    result.start_time.seconds = seconds
    result.start_time.nanos = int((started - seconds) * 1e9)
    seconds = int(ended)
    result.end_time.seconds = seconds
    result.end_time.nanos = int((ended - seconds) * 1e9)


def _left(leave: SystemExit) -> body.End:
    if not leave.code:
        return body.NOTHING, b""
    kind = f"exit status {leave.code}" if isinstance(leave.code, int) else "SystemExit"
    problem = failures.failure(failures.APPLICATION, kind, f"the task left with {leave.code!r}")
    return {"end": "failed", "failure": problem}, b""


def main() -> None:
    """Entry of the process: socket, import path, the descriptor of what is kept, the folder of sources."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sock = socket.socket(fileno=int(sys.argv[1]))
    runner = InlineRunner(sock, Kept(int(sys.argv[3])), sys.argv[4])
    sys.stdout, sys.stderr = _Printed(runner, "stdout"), _Printed(runner, "stderr")
    handle_logging(lambda level, text: runner.write(level, text + "\n"))
    runner.run()
