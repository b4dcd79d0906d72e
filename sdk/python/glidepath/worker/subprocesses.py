"""The worker's own helper processes, seen from the stream process: started by exec, spoken to over one socket."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from glidepath.worker.pipes import BrokenFrame, FrameReader, pack

logger = logging.getLogger(__name__)

READ_BYTES = 1024 * 1024
CREDENTIALS = ("GLIDEPATH_TOKEN", "GLIDEPATH_TOKEN_FILE")
"""Variables that no process with user code inherits."""


class Started:
    """A process that was started and is not yet connected to an event loop: possible before any network library.

    It inherits the open `files`, and their locks with them.
    """

    def __init__(self, module: str, arguments: Sequence[str], paths: Sequence[str], files: Sequence[int] = ()) -> None:
        self.files = files
        self.mark = f"GLIDEPATH_WORKER_PROCESS={os.getpid()}-{secrets.token_hex(8)}"
        self.socket, theirs = socket.socketpair()
        code = f"import sys; sys.path[:] = sys.argv[2].split({os.pathsep!r}); from {module} import main; main()"
        path = os.pathsep.join(paths)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, str(theirs.fileno()), path, *arguments],
                pass_fds=[theirs.fileno(), *files],
                stdin=subprocess.DEVNULL,
                env=_environment(os.environ, self.mark),
                start_new_session=True,
            )


def import_paths(extra: Sequence[str] = ()) -> list[str]:
    """Where handlers without registered source are imported from: `extra`, then this process's own path."""
    cwd = os.getcwd()
    paths = [os.path.abspath(path) if path else cwd for path in (*extra, *sys.path)]
    return list(dict.fromkeys(paths))


def _environment(environment: Mapping[str, str], mark: str) -> dict[str, str]:
    """Without credentials, and with a mark by which everything that descends from the process can be found."""
    name, _, value = mark.partition("=")
    return {name: value for name, value in environment.items() if name not in CREDENTIALS} | {name: value}


class Connected:
    """The socket of a helper process on the running event loop.

    `on_frames` gets all frames that one read completed; `on_closed` is called once, when the process has gone.
    """

    def __init__(
        self, started: Started, on_frames: Callable[[list[bytes]], None], on_closed: Callable[[], None]
    ) -> None:
        self.process = started.process
        self.mark = started.mark
        self._sock = started.socket
        self._sock.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._on_frames = on_frames
        self._on_closed = on_closed
        self._reader = FrameReader()
        self._unsent = bytearray()
        self._writing = False
        self.closed = False
        self._loop.add_reader(self._sock.fileno(), self._read)

    def send(self, payload: bytes) -> None:
        """Write a frame soon; frames of one turn of the loop go out together."""
        if self.closed:
            return
        if not self._unsent:
            self._loop.call_soon(self._write)
        self._unsent += pack(payload)

    def close(self) -> None:
        """Say goodbye by closing the socket: the process ends what it has and leaves."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._sock.fileno())
            if self._writing:
                self._loop.remove_writer(self._sock.fileno())
            self._sock.close()

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
            frames = self._reader.feed(data)
        except BlockingIOError:
            return
        except (OSError, BrokenFrame):
            data, frames = b"", []
        if frames:
            self._on_frames(frames)
        if not data:
            self.close()
            self._on_closed()

    def _write(self) -> None:
        if self.closed or not self._unsent:
            return
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            return  # the reader hears of it
        if bool(self._unsent) != self._writing:
            self._writing = bool(self._unsent)
            if self._writing:
                self._loop.add_writer(self._sock.fileno(), self._write)
            else:
                self._loop.remove_writer(self._sock.fileno())
