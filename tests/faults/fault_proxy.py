"""A TCP link that a test can harm: cut it, refuse new connections, swallow one direction, or make it slow.

It carries bytes and knows nothing of what they mean. The link runs on an event loop in a thread of its own; its methods
are for the test's thread, and what they did is done when they return.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from typing import Any

CHUNK_BYTES = 64 * 1024


class Connection:
    """One connection through the link. `swallows_down`: what the server sends is read and thrown away."""

    def __init__(self, client: StreamWriter, server: StreamWriter) -> None:
        self.client, self.server = client, server
        self.swallows_down = False

    def reset(self) -> None:
        for side in (self.client, self.server):
            side.transport.abort()


class FaultProxy:
    """A link from `address` to the server at `target` ("host:port"). `connections` and `refused` count since the start.

    `delay_seconds` is how long each piece of data is under way, in both directions; it may be set at any time.
    """

    def __init__(self, target: str) -> None:
        self.host, port = target.rsplit(":", 1)
        self.port = int(port)
        self.address = ""
        self.connections = self.refused = 0
        self.delay_seconds = 0.0
        self._refuses = False
        self._open: set[Connection] = set()
        self._handlers: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._thread.start()
        self._listener = self._run(self._listen())

    def cut(self) -> None:
        """Reset every connection, and each new one until `mend`."""
        self._call(self._cut)

    def mend(self) -> None:
        """Take connections again."""
        self._call(lambda: setattr(self, "_refuses", False))

    def silence_server(self) -> None:
        """Half open: present connections stay, and nothing that the server sends over them arrives."""
        self._call(lambda: [setattr(each, "swallows_down", True) for each in self._open])

    def close(self) -> None:
        """End the link and its thread."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---- on the loop
    async def _listen(self) -> asyncio.Server:
        listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = listener.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return listener

    def _cut(self) -> None:
        self._refuses = True
        for each in self._open:
            each.reset()

    async def _close(self) -> None:
        self._listener.close()
        self._cut()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _serve(self, from_client: StreamReader, to_client: StreamWriter) -> None:
        if self._refuses:
            self.refused += 1
            to_client.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)
        try:
            from_server, to_server = await asyncio.open_connection(self.host, self.port)
        except OSError:
            to_client.transport.abort()  # nobody listens there: the client hears what it would hear from there
            return
        connection = Connection(to_client, to_server)
        self._open.add(connection)
        self.connections += 1
        try:
            await self._carry_both(connection, from_client, from_server)
        finally:
            self._open.discard(connection)
            connection.reset()

    async def _carry_both(self, connection: Connection, from_client: StreamReader, from_server: StreamReader) -> None:
        """Until either side ends."""
        ways = {
            asyncio.create_task(self._carry(from_client, connection.server, lambda: False)),
            asyncio.create_task(self._carry(from_server, connection.client, lambda: connection.swallows_down)),
        }
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, source: StreamReader, sink: StreamWriter, swallows: Callable[[], bool]) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(self._deliver(under_way, sink, swallows))
        try:
            while data := await source.read(CHUNK_BYTES):
                under_way.put_nowait((self._loop.time() + self.delay_seconds, data))
            under_way.put_nowait((0.0, b""))
            await delivering
        finally:
            delivering.cancel()

    async def _deliver(
        self, under_way: asyncio.Queue[tuple[float, bytes]], sink: StreamWriter, swallows: Callable[[], bool]
    ) -> None:
        while True:
            due, data = await under_way.get()
            if not data:
                return
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            if not swallows():
                sink.write(data)
                await sink.drain()

    # ---- from the test's thread
    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def _call(self, function: Callable[[], object]) -> None:
        async def run() -> None:
            function()

        self._run(run())
