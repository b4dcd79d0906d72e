"""A TCP link that a test can harm each way: cut, half open, held, slow, narrow; pieces twice, swapped, cut off.

It carries bytes and knows nothing of what they mean. UP is from the client to the server, DOWN the way back. The link
runs on an event loop in a thread of its own; its methods are for the test's thread, and what they did is done when they
return.
"""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any

UP, DOWN = "up", "down"
BOTH = (UP, DOWN)
PIECE_BYTES = 64 * 1024
PIECES_UNDER_WAY_MAX = 1024
THROTTLE_SECONDS = 0.05
END = b""


class CutOff(Exception):
    """A piece was cut off: the connection ends behind what was delivered of it."""


class Way:
    """One direction of the link: what all connections suffer. `faults` are for the next pieces, one each."""

    def __init__(self) -> None:
        self.delay_seconds = self.bytes_per_second = 0.0
        self.free = asyncio.Event()
        self.faults: deque[Callable[[Pipe, bytes], Iterable[bytes]]] = deque()
        self.mend()

    def mend(self) -> None:
        self.delay_seconds = self.bytes_per_second = 0.0
        self.faults.clear()
        self.free.set()


class Pipe:
    """One direction of one connection. `deaf`: what is sent is thrown away, and so is the word that it has ended."""

    def __init__(self, way: Way, sink: StreamWriter) -> None:
        self.way, self.sink = way, sink
        self.deaf = False
        self._swapped = b""

    async def carry(self, source: StreamReader) -> bool:
        """Until the source ends. Whether the other side was told that."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_UNDER_WAY_MAX)
        reading = asyncio.create_task(self._take(source, under_way))
        delivering = asyncio.create_task(self._deliver(under_way))
        try:
            await asyncio.wait({reading, delivering}, return_when=asyncio.FIRST_COMPLETED)
            await delivering
        except (CutOff, OSError):
            pass
        finally:
            reading.cancel()
            delivering.cancel()
        if not self.deaf:
            await _say_goodbye(self.sink)
        return not self.deaf

    async def _take(self, source: StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = None
        while data != END:
            data = await _read(source)
            await under_way.put((_now() + self.way.delay_seconds, data))

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]]) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - _now()))
            await self.way.free.wait()
            if data == END:
                return
            if not self.deaf:
                fault = self.way.faults.popleft() if self.way.faults else Pipe.pass_on
                for piece in fault(self, data):
                    await self._write(piece)

    async def _write(self, data: bytes) -> None:
        """At the rate of the way."""
        while data:
            rate = self.way.bytes_per_second
            size = max(1, int(rate * THROTTLE_SECONDS)) if rate else len(data)
            self.sink.write(data[:size])
            await self.sink.drain()
            data = data[size:]
            if rate:
                await asyncio.sleep(size / rate)

    # ---- what may happen to a piece: what is delivered in its place
    def pass_on(self, data: bytes) -> Iterable[bytes]:
        swapped, self._swapped = self._swapped, b""
        yield data
        if swapped:
            yield swapped

    def twice(self, data: bytes) -> Iterable[bytes]:
        yield from self.pass_on(data)
        yield data

    def swap(self, data: bytes) -> Iterable[bytes]:
        """Keep it until the next one has passed."""
        self._swapped += data
        return ()


class Connection:
    """One connection through the link."""

    def __init__(self, client: StreamWriter, server: StreamWriter, ways: dict[str, Way]) -> None:
        self._ends = (client, server)
        self.pipes = {UP: Pipe(ways[UP], server), DOWN: Pipe(ways[DOWN], client)}

    def reset(self) -> None:
        for side in self._ends:
            side.transport.abort()

    async def carry(self, from_client: StreamReader, from_server: StreamReader) -> None:
        """Until an end is to be heard, or both sides have ended."""
        sources = {UP: from_client, DOWN: from_server}
        going = {asyncio.create_task(pipe.carry(sources[name])) for name, pipe in self.pipes.items()}
        try:
            while going:
                ended, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
                if any(each.result() for each in ended):
                    return
        finally:
            for each in going:
                each.cancel()
            await asyncio.gather(*going, return_exceptions=True)


class FaultLink:
    """A link from `address` to the server at `target`, both "host:port".

    `connections` and `refused` count since the start. Where a method takes ways, it means both when none is given.
    """

    def __init__(self, target: str, listen: str = "127.0.0.1:0") -> None:
        self._target, self._listen_on = _split(target), _split(listen)
        self.address = ""
        self.connections = self.refused = 0
        self._refuses = False
        self._open: set[Connection] = set()
        self._handlers: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-link")
        self._thread.start()
        self._ways = self._call(lambda: {name: Way() for name in BOTH})
        try:
            self._listener: asyncio.Server = self._run(self._listen())
        except OSError:
            self._stop_loop()
            raise

    # ---- the whole link, until `mend`
    def cut(self) -> None:
        """Reset every connection, and each new one."""
        self._call(self._cut)

    def hold(self, *ways: str) -> None:
        """Nothing arrives; what was sent meanwhile arrives when the link is mended, as a network that lost it would."""
        self._each(ways, lambda way: way.free.clear())

    def delay(self, seconds: float, *ways: str) -> None:
        """Each piece of data is so long under way."""
        self._each(ways, lambda way: setattr(way, "delay_seconds", seconds))

    def throttle(self, bytes_per_second: float, *ways: str) -> None:
        """No connection carries more than this."""
        self._each(ways, lambda way: setattr(way, "bytes_per_second", bytes_per_second))

    def mend(self) -> None:
        """Take connections, and carry what they send. What was made half open, or lost a piece, is not healed."""
        self._call(self._mend)

    # ---- present connections
    def half_open(self, *ways: str) -> None:
        """They stay, and nothing that is sent over them arrives, nor that they ended. New ones are well."""
        self._call(lambda: [setattr(each.pipes[name], "deaf", True) for each in self._open for name in ways or BOTH])

    # ---- the next piece that anybody sends that way
    def duplicate(self, way: str) -> None:
        """It arrives twice."""
        self._call(lambda: self._ways[way].faults.append(Pipe.twice))

    def reorder(self, way: str) -> None:
        """It arrives behind the one that follows it."""
        self._call(lambda: self._ways[way].faults.append(Pipe.swap))

    def truncate(self, way: str, bytes_kept: int = 0) -> None:
        """So many bytes of it arrive, then its connection ends."""

        def cut_off(_: Pipe, data: bytes) -> Iterable[bytes]:
            yield data[:bytes_kept]
            raise CutOff

        self._call(lambda: self._ways[way].faults.append(cut_off))

    def close(self) -> None:
        """End the link and its thread."""
        self._run(self._close())
        self._stop_loop()

    # ---- on the loop
    async def _listen(self) -> asyncio.Server:
        listener = await asyncio.start_server(self._serve, *self._listen_on)
        host, port = listener.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        return listener

    def _cut(self) -> None:
        self._refuses = True
        for each in self._open:
            each.reset()

    def _mend(self) -> None:
        self._refuses = False
        for way in self._ways.values():
            way.mend()

    async def _close(self) -> None:
        self._listener.close()
        self._cut()
        for each in self._handlers:
            each.cancel()
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
            from_server, to_server = await self._dial()
        except OSError:
            to_client.transport.abort()  # nobody listens there: the client hears what it would hear from there
            return
        connection = Connection(to_client, to_server, self._ways)
        if self._refuses:  # cut meanwhile
            connection.reset()
            return
        self._open.add(connection)
        self.connections += 1
        try:
            await connection.carry(from_client, from_server)
        except asyncio.CancelledError:
            pass  # the link was closed
        finally:
            self._open.discard(connection)
            connection.reset()

    async def _dial(self) -> tuple[StreamReader, StreamWriter]:
        """A connection to whoever serves; OSError when nobody does."""
        return await asyncio.open_connection(*self._target)

    # ---- from the test's thread
    def _each(self, ways: tuple[str, ...], change: Callable[[Way], object]) -> None:
        self._call(lambda: [change(self._ways[name]) for name in ways or BOTH])

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def _call(self, function: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return function()

        return self._run(run())

    def _stop_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _read(source: StreamReader) -> bytes:
    """What has arrived, END when the other side has gone, however it went."""
    try:
        return await source.read(PIECE_BYTES)
    except OSError:
        return END


async def _say_goodbye(sink: StreamWriter) -> None:
    """Send what is left, then the end."""
    sink.close()
    with suppress(OSError):
        await sink.wait_closed()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
