"""Hostile peers, each a process of its own that takes at most half a core: `python -m tests.hostile.peers KIND ...`.

A peer does one thing as fast as its budget allows, again and again, and comes back when the server cuts it. When it
ends it prints what it did as JSON: units of its kind, connections, how often it was cut, its CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from tests.hostile import wire
from tests.hostile.wire import Connection, Cut

BUDGET_CORES = 0.5
RUN, REGISTRY = "/glidepath.run.v1.RunService/", "/glidepath.registry.v1.RegistryService/"
WORKER, ADMIN = "/glidepath.worker.v1.WorkerService/", "/glidepath.admin.v1.AdminService/"
MIB = 1024 * 1024
IDLE_STREAMS = 2_000
CONNECTIONS_HELD = 300


@dataclass
class Peer:
    """What a peer knows: where the server is, its tokens ("" for none), and when it ends."""

    address: str
    token: str
    worker_token: str
    seconds: float
    units: int = 0
    connections: int = 0
    cuts: int = 0
    cpu_seconds: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    cpu_begun: float = field(default_factory=time.process_time)

    def begin(self) -> None:
        """Time and budget count from here: what was prepared until now hurt nobody."""
        self.begun, self.cpu_begun = time.monotonic(), time.process_time()

    def goes_on(self) -> bool:
        """Sleep until the budget allows more; False at the end."""
        ahead = (time.process_time() - self.cpu_begun) / BUDGET_CORES - (time.monotonic() - self.begun)
        if ahead > 0:
            time.sleep(ahead)
        return time.monotonic() - self.begun < self.seconds

    def connect(self, *, window: int = wire.WINDOW_MAX, reads: bool = True) -> Connection:
        self.connections += 1
        return Connection(self.address, window=window, reads=reads)

    def raw(self) -> socket.socket:
        self.connections += 1
        host, _, port = self.address.rpartition(":")
        return socket.create_connection((host, int(port)), wire.CONNECT_SECONDS_MAX)


def again(once: Callable[[Peer, Connection], None]) -> Callable[[Peer], None]:
    """One connection on which a thing is done until the server cuts it, then the next connection."""

    def run(peer: Peer) -> None:
        while peer.goes_on():
            try:
                connection = peer.connect()
            except (OSError, Cut):
                peer.cuts += 1
                time.sleep(0.01)
                continue
            try:
                while peer.goes_on():
                    once(peer, connection)
                    peer.units += 1
            except Cut:
                peer.cuts += 1
            finally:
                connection.close()

    return run


def calls(
    path: str, body: bytes, *, at_a_time: int = 1, compressed: bool = False, **more: str
) -> Callable[[Peer], None]:
    """Calls with this message, waiting for their end."""

    def once(peer: Peer, connection: Connection) -> None:
        block = wire.headers(path, peer.worker_token if path.startswith(WORKER) else peer.token, **more)
        for _ in range(at_a_time):
            connection.call(block, wire.message(body, compressed=compressed))
        deadline = time.monotonic() + 30
        while connection.open_streams and time.monotonic() < deadline:
            connection.pump(1.0)
        connection.ended.clear()
        peer.units += at_a_time - 1

    return again(once)


def text_field(number: int, data: bytes) -> bytes:
    """A length-delimited field of a message."""
    length, rest = bytearray(), len(data)
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes((number << 3 | 2, *length, rest)) + data


def nested_inputs(depth: int) -> bytes:
    """A registration with lists of inputs in lists of inputs."""
    body = text_field(2, b"x")
    for _ in range(depth):
        body = text_field(4, text_field(1, body))
    task = text_field(1, b"a") + text_field(7, text_field(1, b"a") + text_field(2, body))
    return text_field(3, text_field(1, b"nested") + text_field(7, task))


def bomb(peer: Peer) -> None:
    """Half a MiB that unpacks to 512 MiB."""
    press = zlib.compressobj(9, wbits=31)
    packed = b"".join([*(press.compress(bytes(MIB)) for _ in range(512)), press.flush()])
    peer.begin()
    calls(RUN + "GetDagRun", packed, compressed=True, grpc_encoding="gzip")(peer)


def lies(peer: Peer, connection: Connection) -> None:
    """A message that says it has 3 GiB, of which as much is sent as the server takes."""
    stream = connection.call(wire.headers(RUN + "TriggerDagRuns", peer.token), b"\0\xc0\0\0\0", end=False)
    connection.write(stream, bytes(16 * MIB))
    connection.finish(stream, 5.0)


def many_halves(peer: Peer, connection: Connection) -> None:
    """Messages of which the last byte never comes, on all streams of the connection."""
    block = wire.headers(RUN + "GetDagRun", peer.token)
    while len(connection.open_streams) < 200 and peer.goes_on():
        stream = connection.call(block, end=False)
        connection.write(stream, wire.message(bytes(60_000), length=4 * MIB - 1), end=False)
        peer.units += 1
    connection.pump(0.2)


def resets(peer: Peer, connection: Connection) -> None:
    """Calls that are taken back as soon as they are made."""
    block = wire.headers(RUN + "ListDagRuns", peer.token)
    burst = b""
    first = connection._next
    for stream in range(first, first + 200, 2):
        burst += wire.frame(wire.HEADERS, wire.END_HEADERS, stream, block)
        burst += wire.frame(wire.RST_STREAM, 0, stream, b"\0\0\0\x08")
    connection._next = first + 200
    connection.send(burst)
    connection.pump(0)
    peer.units += 99


def flood(data: bytes) -> Callable[[Peer], None]:
    """The same frames for ever."""

    def once(_peer: Peer, connection: Connection) -> None:
        connection.send(data)
        connection.pump(0)

    return again(once)


def continuations(peer: Peer, connection: Connection) -> None:
    """A header block that never ends."""
    connection.send(wire.frame(wire.HEADERS, 0, 1, wire.headers(RUN + "GetDagRun", peer.token)))
    while peer.goes_on():
        connection.send(wire.frame(wire.CONTINUATION, 0, 1, b"\x10\x01a\x01b" * 100) * 20)
        connection.pump(0)
        peer.units += 1


def garbage(peer: Peer) -> None:
    """Bytes of chance, with and without the preface."""
    chance = random.Random(1)
    while peer.goes_on():
        try:
            with peer.raw() as link:
                link.sendall((wire.PREFACE if chance.random() < 0.5 else b"") + chance.randbytes(2_000))
                link.settimeout(0.2)
                while link.recv(65_536):
                    pass
        except OSError:
            peer.cuts += 1
        peer.units += 1


def storm(peer: Peer) -> None:
    """Connections that are opened, greeted and dropped."""
    while peer.goes_on():
        try:
            with peer.raw() as link:
                link.sendall(wire.PREFACE + wire.settings())
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        except OSError:
            peer.cuts += 1
        peer.units += 1


def hold(begin: Callable[[Peer], socket.socket], drip: bytes) -> Callable[[Peer], None]:
    """Connections that are held open, and get one byte more each second."""

    def run(peer: Peer) -> None:
        links: list[socket.socket] = []
        while peer.goes_on():
            while len(links) < CONNECTIONS_HELD and peer.goes_on():
                try:
                    links.append(begin(peer))
                    peer.units += 1
                except OSError:
                    peer.cuts += 1
                    break
            time.sleep(1.0)
            for link in links[:]:
                try:
                    link.send(drip)
                except OSError:
                    links.remove(link)
                    peer.cuts += 1
        for link in links:
            link.close()

    return run


def half_preface(peer: Peer) -> socket.socket:
    link = peer.raw()
    link.sendall(wire.PREFACE[:10])
    return link


def half_frame(peer: Peer) -> socket.socket:
    link = peer.raw()
    opening = wire.PREFACE + wire.settings() + wire.frame(wire.SETTINGS, wire.ACK, 0)
    link.sendall(
        opening + wire.frame(wire.HEADERS, wire.END_HEADERS, 1, wire.headers(RUN + "GetDagRun", peer.token))[:60]
    )
    return link


def slow_message(peer: Peer) -> socket.socket:
    link = peer.raw()
    opening = wire.PREFACE + wire.settings() + wire.frame(wire.SETTINGS, wire.ACK, 0)
    call = wire.frame(wire.HEADERS, wire.END_HEADERS, 1, wire.headers(RUN + "GetDagRun", peer.token))
    link.sendall(opening + call + wire.frame(wire.DATA, 0, 1, bytes(16_000))[:40])
    return link


def idle(paths: tuple[str, ...], body: bytes | None) -> Callable[[Peer], None]:
    """Streams that are opened and then left alone."""

    def run(peer: Peer) -> None:
        held: list[Connection] = []
        while peer.goes_on():
            streams = sum(len(each.open_streams) for each in held)
            if streams < IDLE_STREAMS:
                try:
                    held.append(connection := peer.connect())
                    for number in range(250):
                        path = paths[number % len(paths)]
                        token = peer.worker_token if path.startswith(WORKER) else peer.token
                        connection.call(wire.headers(path, token), body, end=body is not None)
                        peer.units += 1
                        connection.pump(0)
                        if not peer.goes_on():
                            break
                except (OSError, Cut):
                    peer.cuts += 1
            for each in held[:]:
                try:
                    each.pump(0.02)
                except Cut:
                    peer.cuts += 1
                    held.remove(each)

    return run


def never_read(peer: Peer) -> None:
    """Answers as large as they get, for which the window is never opened; nothing is read from the socket either."""
    held: list[Connection] = []
    block = wire.headers(REGISTRY + "GetDagVersion", peer.token)
    while peer.goes_on():
        if len(held) >= 40:
            time.sleep(0.2)
            continue
        try:
            held.append(connection := peer.connect(window=0, reads=False))
            for _ in range(250):
                connection.call(block, wire.message(text_field(2, b"large")))
                peer.units += 1
                if not peer.goes_on():
                    break
        except (OSError, Cut):
            peer.cuts += 1


def spin(peer: Peer) -> None:
    """Nothing but the CPU time: what any neighbour costs on this machine."""
    while peer.goes_on():
        for _ in range(20_000):
            pass
        peer.units += 1


PING = wire.frame(wire.PING, 0, 0, b"hostile!")
KINDS: dict[str, Callable[[Peer], None]] = {
    "spin": spin,
    "oversized": again(lies),
    "bomb": bomb,
    "nested_json": calls(
        RUN + "TriggerDagRuns", text_field(3, text_field(1, b"large") + text_field(5, b"[" * 3 * MIB))
    ),
    "nested_message": calls(REGISTRY + "RegisterDagVersion", nested_inputs(20_000)),
    "bad_utf8": calls(RUN + "GetDagRun", text_field(2, b"a" * (4 * MIB - 100) + b"\xff")),
    "unknown_fields": calls(RUN + "GetDagRun", b"\xf8\x07\x01" * (4 * MIB // 3 - 100)),
    "half_messages": again(many_halves),
    "half_frames": hold(half_frame, b""),
    "slow_preface": hold(half_preface, b"\r"),
    "slow_writers": hold(slow_message, b"\0"),
    "garbage": garbage,
    "rapid_reset": again(resets),
    "ping_flood": flood(PING * 500),
    "settings_flood": flood(wire.settings(window=65_535) * 300),
    "empty_data": flood(wire.frame(wire.DATA, 0, 1) * 500),
    "window_updates": flood(wire.frame(wire.WINDOW_UPDATE, 0, 0, b"\0\0\0\1") * 500),
    "continuations": again(continuations),
    "idle_streams": idle((WORKER + "Work",), None),
    "idle_watches": idle((RUN + "StreamLogs", RUN + "WatchDagRun"), None),
    "never_read": never_read,
    "storm": storm,
    "call_flood": calls(RUN + "ListDagRuns", b"", at_a_time=100),
    "public_flood": calls(ADMIN + "GetServerInfo", b"", at_a_time=100),
    "stranger_flood": calls(RUN + "ListDagRuns", b"", at_a_time=100),
}
# Without a token, whatever is at hand.
STRANGERS = {"stranger_flood", "public_flood"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("address")
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    known = given.kind not in STRANGERS
    token = os.environ.get("HOSTILE_TOKEN", "") if known else ""
    peer = Peer(given.address, token, os.environ.get("HOSTILE_WORKER_TOKEN", "") if known else "", given.seconds)
    KINDS[given.kind](peer)
    peer.cpu_seconds = time.process_time() - peer.cpu_begun
    told = {key: value for key, value in asdict(peer).items() if "token" not in key}
    print(json.dumps(told), flush=True)
    os._exit(0)  # without closing one connection after the other


if __name__ == "__main__":
    main()
