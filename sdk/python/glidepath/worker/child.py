"""A body's own process: from the fork to its exit. Almost everything here runs after `os.fork` in the new process.

The process leads a session and a group of its own, adopts what its children leave behind, and dies with the
forkserver. It has three ways out: stdout and stderr, which are the attempt's log, and one socket, over which it says
how it ended and asks the worker for what needs a connection. It holds no credential and no connection. What may go
wrong (the exit status, a signal, no word at the end) is judged by the stream process from what the forkserver saw;
nothing here is trusted to have told the truth about how it died.

Code on this path is plain on purpose: each page of memory that it touches is copied, and those copies are most of what
an attempt costs. So it calls C where the library's wrappers would do the same in Python, and makes nothing early.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _thread
import atexit
import gc
import json
import marshal
import os
import signal
import struct
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from glidepath.errors import InputError
from glidepath.worker import body, context, failures, processes
from glidepath.worker.loading import HandlerNotFound, Loader
from glidepath.worker.masking import Masker, secrets_of
from glidepath.worker.pipes import pack, read_frame

_HEADER = struct.Struct("<I")


def message(kind: str, content: Mapping[str, Any], data: bytes = b"") -> bytes:
    """What a body writes to its socket: a JSON header with the kind in it, then raw bytes."""
    header = json.dumps({"kind": kind, **content}).encode()
    return pack(_HEADER.pack(len(header)) + header + data)


def parse_message(frame: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the bytes of what a body wrote. ValueError when it is not such a message."""
    if len(frame) < 4:
        raise ValueError("a message without a header")
    end = 4 + _HEADER.unpack_from(frame)[0]
    header = json.loads(frame[4:end])
    if not isinstance(header, dict):
        raise ValueError("a message whose header is no object")
    return header, frame[end:]


_SIGNALS = tuple(int(number) for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
_NOTHING = message("end", body.NOTHING)


class ControlLink:
    """The body's end of the socket. Safe to use from several threads of the body."""

    def __init__(self, descriptor: int, masker: Masker) -> None:
        self._descriptor = descriptor
        self._lock = _thread.allocate_lock()
        self.masker = masker

    def tell(self, kind: str, message_: Mapping[str, Any], data: bytes = b"") -> None:
        """Say something that has no answer."""
        if kind == "secret":
            self.masker.add([str(message_["value"])])
        self.write(message(kind, message_, data))

    def write(self, frame: bytes) -> None:
        """Write a whole message."""
        with self._lock:
            self._write(frame)

    def ask(self, kind: str, message_: Mapping[str, Any]) -> dict[str, Any]:
        """Say something and wait for the answer."""
        with self._lock:
            self._write(message(kind, message_))
            frame = read_frame(self)
        if frame is None:
            raise context.WorkerRefused("the worker is going away")
        answer: dict[str, Any] = json.loads(frame)
        if "error" in answer:
            raise context.WorkerRefused(answer["error"])
        return answer

    def recv(self, size: int, /) -> bytes:
        """As a socket's."""
        return os.read(self._descriptor, size)

    def _write(self, frame: bytes) -> None:
        while frame:
            frame = frame[os.write(self._descriptor, frame) :]


class Body:
    """What a body needs, put together in the forkserver; `run` is called in the new process.

    `spec` is what `assignments.body_spec` made. The descriptors are the body's ends of its three ways out.
    """

    def __init__(
        self,
        spec: dict[str, Any],
        ends: tuple[int, int, int],
        loader: Loader,
        masker: Masker,
        limits: body.OutputLimits,
    ) -> None:
        self._spec = spec
        self._ends = ends
        self._loader = loader
        self._limits = limits
        self._link = ControlLink(ends[2], masker)
        loader.prepare(spec["handler"], spec["source"])

    @property
    def environment(self) -> list[tuple[str, str]]:
        """Variables that the process must find set."""
        return self._spec["environment"]  # type: ignore[no-any-return]

    def make_current(self) -> None:
        """Let `current()` give this attempt's context, which is made when it is asked for."""
        context.run_alone(lambda: context.from_fields(marshal.loads(self._spec["context"]), self._link))

    def rehearse(self) -> None:
        """Go the way of `run` without becoming or leaving anything."""
        self.make_current()
        self._tell(*self._end())

    def run(self) -> NoReturn:
        """Become a process of its own, run the attempt and exit."""
        status = 1
        try:
            _enter(*self._ends)
            gc.enable()
            end, data = self._end()
            _leave()
            self._tell(end, data)
            status = 0
        except SystemExit as leave:
            status = _exit_status(leave)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            _flush()
            os._exit(status)

    def _end(self) -> body.End:
        try:
            arguments = _arguments(self._spec, self._link)
            if self._spec["handler"] == "shell":
                _become_shell(arguments, self._link)
            return self._call(arguments)
        except (InputError, context.WorkerRefused) as error:
            return {"end": "failed", "failure": failures.describe(error)}, b""

    def _tell(self, end: dict[str, Any], data: bytes) -> None:
        if end is body.NOTHING:
            self._link.write(_NOTHING)
        else:
            self._link.tell("end", body.masked(end, self._link.masker), data)

    def _call(self, arguments: dict[str, Any]) -> body.End:
        try:
            function = self._loader.load(self._spec["handler"], self._spec["source"])
        except HandlerNotFound as error:
            problem = failures.failure(failures.INFRASTRUCTURE, "HandlerNotFound", str(error), retryable=False)
            return {"end": "failed", "failure": problem}, b""
        except Exception as error:  # raised by the module while it was imported
            return {"end": "failed", "failure": failures.describe(error)}, b""
        return body.call(function, arguments, self._limits, self._spec["source"], self._spec["artifacts"])


def _enter(stdout: int, stderr: int, control: int) -> None:
    """Own session, plain signals, only the three ways out open."""
    os.setsid()
    _signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        _signal.signal(number, _signal.SIG_DFL)
    processes.adopt_orphans()
    processes.die_with_parent()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.closerange(3, control)
    os.closerange(control + 1, 1 << 20)


def _arguments(spec: dict[str, Any], link: ControlLink) -> dict[str, Any]:
    """Resolved by the stream process when they are small; here when outputs are large or must be fetched."""
    if spec["arguments"] is not None:
        return dict(spec["arguments"])
    from pathlib import Path

    from glidepath.inputs import resolve_inputs
    from glidepath_proto.worker.v1.task_pb2 import Assignment

    def fetch(payload: Any) -> Path:
        return Path(link.ask("get_artifact", {"uri": payload.uri})["path"])

    return dict(resolve_inputs(Assignment.FromString(spec["assignment"]), fetch))


def _become_shell(arguments: dict[str, Any], link: ControlLink) -> NoReturn:
    command = arguments.get("command")
    added = arguments.get("env") or {}
    if not isinstance(command, str) or not command.strip():
        raise InputError(f"input 'command' is {command!r:.80}; a shell task expects the text of a command")
    if not isinstance(added, dict):
        raise InputError(f"input 'env' is {added!r:.80}; a shell task expects text by name")
    environment = {name: _text(name, value) for name, value in added.items()}
    for secret in secrets_of(environment):
        link.tell("secret", {"value": secret})
    link.tell("shell", {"output": arguments.get("output") or ""})
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execve("/bin/sh", ["sh", "-c", command], {**os.environ, **environment})


def _text(name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if "\0" in text or "=" in name or not name:
        raise InputError(f"input 'env', entry {name!r}: an environment variable holds no NUL and its name no '='")
    return text


def _leave() -> None:
    """What the interpreter does at its end: wait for threads, run exit functions."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    if atexit._ncallbacks():
        atexit._run_exitfuncs()
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # closed by the body, or nobody reads any more


def _exit_status(leave: SystemExit) -> int:
    if leave.code is None or isinstance(leave.code, int):
        return (leave.code or 0) & 0xFF
    print(leave.code, file=sys.stderr)
    return 1
