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

CONTROL_FD = 3
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


def enter(stdout: int, stderr: int, control: int) -> None:
    """Become a body: own session, plain signals, only the three ways out open."""
    os.setsid()
    _signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        _signal.signal(number, _signal.SIG_DFL)
    processes.adopt_orphans()
    processes.die_with_parent()
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    if control != CONTROL_FD:
        os.dup2(control, CONTROL_FD, inheritable=False)
    os.closerange(CONTROL_FD + 1, 1 << 20)


def run(spec: dict[str, Any], loader: Loader, masker: Masker, limits: body.OutputLimits) -> NoReturn:
    """Run the attempt that `spec` describes (see `assignments.body_spec`) and exit."""
    status = 1
    gc.enable()
    try:
        status = _run(spec, loader, ControlLink(CONTROL_FD, masker), limits)
    except SystemExit as leave:
        status = _exit_status(leave)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        _flush()
        os._exit(status)


def _run(spec: dict[str, Any], loader: Loader, link: ControlLink, limits: body.OutputLimits) -> int:
    try:
        arguments = _arguments(spec, link)
        if spec["handler"] == "shell":
            _become_shell(arguments, link)
        context.run_alone(lambda: context.from_fields(marshal.loads(spec["context"]), link))
        end, data = _call(spec, loader, arguments, limits)
    except InputError as error:
        end, data = {"end": "failed", "failure": failures.describe(error)}, b""
    _leave()
    if end is body.NOTHING:
        link.write(_NOTHING)
    else:
        link.tell("end", body.masked(end, link.masker), data)
    return 0


def _arguments(spec: dict[str, Any], link: ControlLink) -> dict[str, Any]:
    """Resolved by the stream process when they are small; here when outputs are large or must be fetched."""
    if spec["arguments"] is not None:
        return dict(spec["arguments"])
    from glidepath.inputs import resolve_inputs
    from glidepath_proto.worker.v1.task_pb2 import Assignment

    def fetch(payload: Any) -> bytes:
        with open(link.ask("get_artifact", {"uri": payload.uri})["path"], "rb") as file:
            return file.read()

    return dict(resolve_inputs(Assignment.FromString(spec["assignment"]), fetch))


def _call(
    spec: dict[str, Any], loader: Loader, arguments: dict[str, Any], limits: body.OutputLimits
) -> tuple[dict[str, Any], bytes]:
    try:
        function = loader.load(spec["handler"], spec["source"])
    except HandlerNotFound as error:
        problem = failures.failure(failures.INFRASTRUCTURE, "HandlerNotFound", str(error), retryable=False)
        return {"end": "failed", "failure": problem}, b""
    except Exception as error:  # raised by the module while it was imported
        return {"end": "failed", "failure": failures.describe(error)}, b""
    return body.call(function, arguments, limits)


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
