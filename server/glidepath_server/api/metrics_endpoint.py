"""The HTTP endpoint for machines that watch: /metrics, /healthz, /readyz. Off unless `metrics_address` is set.

Three answers to GET and nothing else, so there is no web framework: one request per connection, a head of bounded size
within a bounded time, and a bounded number of connections. `/healthz` answers from the event loop that does all work:
when that stands still, so does the answer, and the prober's timeout says so.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

from ..core.errors import InvalidInput, StateConflict
from ..telemetry.metrics import CONTENT_TYPE, Metrics
from .exposure import host_of

HEAD_BYTES_MAX = 8 * 1024
REQUEST_SECONDS_MAX = 5.0
CONNECTIONS_MAX = 32
PLAIN = "text/plain; charset=utf-8"
_Answer = tuple[HTTPStatus, str, bytes]


class MetricsEndpoint:
    """Open from `start` to `stop`; `address` then carries the real port."""

    def __init__(self, address: str, metrics: Metrics, ready: Callable[[], bool]) -> None:
        self.address, self._metrics, self._ready = address, metrics, ready
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises StateConflict for an address in use, InvalidInput for one that is not this host's."""
        host, port = host_of(self.address), int(self.address.rpartition(":")[2])
        try:
            self._server = await asyncio.start_server(self._accept, host, port, limit=HEAD_BYTES_MAX)
        except OSError as error:
            message = f"metrics_address: cannot listen on {self.address}: {error.strerror or error}"
            if error.errno == errno.EADDRINUSE:
                raise StateConflict(message, hint="stop what listens there, or choose another address") from error
            raise InvalidInput(message, hint="choose an address of this host") from error
        self.address = f"{self.address.rpartition(':')[0]}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader) if len(self._open) <= CONNECTIONS_MAX else _FULL
            if answer is not None:
                async with asyncio.timeout(REQUEST_SECONDS_MAX):
                    await _write(writer, *answer)
        except (OSError, TimeoutError):
            pass  # the scraper has gone
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> _Answer | None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {HEAD_BYTES_MAX} bytes of headers")
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return _refusal(HTTPStatus.BAD_REQUEST, "not HTTP/1.1")
        if words[0] != "GET":
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, f"{words[0][:20]}: only GET")
        return self._page(words[1].partition("?")[0])

    def _page(self, path: str) -> _Answer:
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics.text()
        if path == "/healthz":
            return HTTPStatus.OK, PLAIN, b"ok\n"
        if path == "/readyz":
            if self._ready():
                return HTTPStatus.OK, PLAIN, b"ready\n"
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not ready: the log says why (readiness_failed)")
        return _refusal(HTTPStatus.NOT_FOUND, "there is /metrics, /healthz and /readyz")


def _refusal(status: HTTPStatus, reason: str) -> _Answer:
    return status, PLAIN, f"{reason}\n".encode()


_FULL = _refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"more than {CONNECTIONS_MAX} connections")


async def _write(writer: asyncio.StreamWriter, status: HTTPStatus, content_type: str, body: bytes) -> None:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
