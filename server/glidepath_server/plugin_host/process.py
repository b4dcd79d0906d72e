"""One plugin's process, seen from the server: started, asked, and ended when it breaks a rule.

A call that takes too long, a frame that is none, an answer nobody asked for, a flood on stderr, an end of the process:
each is a fault, after which the process is gone. Nothing that a plugin does makes the server wait or grow.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from glidepath_plugin.config import MASKED

from .. import clock
from ..telemetry import get_logger
from .frames import LENGTH, BadFrame, length_of, pack, unpack

_log = get_logger("plugins")
READ_BYTES = 64 * 1024
# Its socket has ended, so it is about to; its pipe may stay open for as long as somebody lives whom it has started.
EXIT_SECONDS = 1.0
# Of what a plugin says on stderr, so much in a second is read and so many lines are logged; more is a flood.
STDERR_BYTES_PER_SECOND_MAX = 1024 * 1024
STDERR_LINES_PER_SECOND_MAX = 20
STDERR_LINE_CHARACTERS_MAX = 500
# A plugin is given the machine's environment without what is the server's.
PRIVATE_PREFIXES = ("GLIDEPATH_", "PG", "OTEL_")


class PluginFault(Exception):
    """A plugin has broken a rule: it raised, hung, flooded, ended."""


class PluginProcess:
    """A running process. `call` while it is `alive`; `end` is idempotent."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: Any):
        self.name, self._process, self._reader, self._writer = name, process, reader, writer
        self._ids = itertools.count(1)
        self._waiting: dict[Any, asyncio.Future[dict[str, Any]]] = {}
        self.fault = ""
        self._secrets: set[str] = set()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._drain())]

    @classmethod
    async def start(cls, name: str, memory_bytes: int, path: Sequence[str]) -> PluginProcess:
        """A process that has not imported its plugin yet. Raises OSError when there can be none."""
        ours, theirs = socket.socketpair()
        module = f"{__package__}.child"
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, str(theirs.fileno()), name, str(memory_bytes), *path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=_environment(),
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        return cls(name, process, reader, writer)

    @property
    def alive(self) -> bool:
        return not self.fault

    def hide(self, secrets: Iterable[str]) -> None:
        """Log nothing of these, from now on."""
        self._secrets.update(secrets)

    async def call(self, name: str, timeout_seconds: float, **arguments: Any) -> dict[str, Any]:
        """The answer, without its id. Raises PluginFault when the process is gone, or ends because of this call."""
        if self.fault:
            raise PluginFault(self.fault)
        call_id = next(self._ids)
        answer = self._waiting[call_id] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(pack({"id": call_id, "call": name, **arguments}))
            async with asyncio.timeout(timeout_seconds):
                said: dict[str, Any] = await answer
                return said
        except TimeoutError:
            self._break(f"{name} has taken more than {timeout_seconds:g} s")
            raise PluginFault(self.fault) from None
        finally:
            self._waiting.pop(call_id, None)

    def _break(self, fault: str) -> None:
        """End the process for a fault; whoever waits for an answer is told."""
        if self.fault:
            return
        self.fault = fault
        # With all that it has started, and that has not left its session.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._writer.close()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(PluginFault(fault))

    async def _listen(self) -> None:
        try:
            while True:
                length = length_of(await self._reader.readexactly(LENGTH.size))
                message = unpack(await self._reader.readexactly(length))
                answer = self._waiting.get(message.pop("id", None))
                if answer is None or answer.done():
                    raise BadFrame("an answer that nobody has asked for")
                answer.set_result(message)
        except BadFrame as error:
            self._break(f"has sent {error}")
        except (asyncio.IncompleteReadError, OSError):
            with suppress(TimeoutError):
                async with asyncio.timeout(EXIT_SECONDS):
                    await self._process.wait()
            self._break(f"its process has ended ({_how(self._process.returncode)})")

    async def _drain(self) -> None:
        """Log what the plugin says, a few lines at a time, and end it when it floods."""
        stream = self._process.stderr
        assert stream is not None
        since, size, lines = clock.monotonic(), 0, 0
        while data := await stream.read(READ_BYTES):
            if clock.monotonic() - since > 1:
                since, size, lines = clock.monotonic(), 0, 0
            size += len(data)
            if size > STDERR_BYTES_PER_SECOND_MAX:
                self._break(f"has written more than {STDERR_BYTES_PER_SECOND_MAX} bytes to stderr within a second")
                return
            said: str = hidden(data.decode(errors="replace"), sorted(self._secrets, key=len, reverse=True))
            for line in said.splitlines()[: STDERR_LINES_PER_SECOND_MAX - lines]:
                lines += 1
                _log.info("plugin_said", plugin=self.name, line=line[:STDERR_LINE_CHARACTERS_MAX])

    async def end(self) -> None:
        """The process is gone afterwards, whatever it was doing."""
        self._break("was stopped")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Else its pipe, which nobody has read to its end, outlives the event loop; and one that is held by what it has
        # started would be waited for until that one ends, too.
        self._process._transport.close()  # type: ignore[attr-defined]
        await self._process.wait()


def hidden(value: Any, secrets: Sequence[str]) -> Any:
    """A value as JSON has it, without these in its texts."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, MASKED)
        return value
    if isinstance(value, list):
        return [hidden(each, secrets) for each in value]
    return {name: hidden(each, secrets) for name, each in value.items()} if isinstance(value, dict) else value


def _environment() -> dict[str, str]:
    # Else every thread reserves address space, and RLIMIT_AS would count what is never used.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE_PREFIXES)}
    return kept | {"MALLOC_ARENA_MAX": "2"}


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
