"""HTTP/2 by hand, as far as it takes to break its rules: frames, headers in clear, and a connection that sends them."""

from __future__ import annotations

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
INITIAL_WINDOW_SIZE = 4
FRAME_BYTES_MAX = 16_384
WINDOW_MAX = 2**31 - 1
CONNECT_SECONDS_MAX = 5.0


class Cut(Exception):
    """The server has ended the connection."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def settings(**values: int) -> bytes:
    """A SETTINGS frame; `window` is the initial window of each stream."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", INITIAL_WINDOW_SIZE, value) for value in values.values()))


def message(body: bytes, *, compressed: bool = False, length: int | None = None) -> bytes:
    """A gRPC message; `length` is what its prefix says, which may be a lie."""
    return struct.pack(">BI", compressed, len(body) if length is None else length) + body


def headers(path: str, token: str = "", **more: str) -> bytes:
    """The header block of a call: literals that are never indexed, without Huffman."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
        **({"authorization": f"Bearer {token}"} if token else {}),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    return b"".join(b"\x10" + _text(name) + _text(value) for name, value in fields.items())


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, length = len(data) - 127, bytearray(b"\x7f")
    while rest >= 128:
        length.append(rest % 128 + 128)
        rest //= 128
    return bytes((*length, rest)) + data


class Connection:
    """One connection. `ended` are the streams that the server has ended; windows are what it lets us send."""

    def __init__(self, address: str, *, window: int = WINDOW_MAX, reads: bool = True) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), CONNECT_SECONDS_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._reads = reads
        self._window, self._stream_window = 65_535, 65_535
        self._windows: dict[int, int] = {}
        self._next = 1
        self.ended: set[int] = set()
        self.open_streams: set[int] = set()
        update = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW_MAX - 65_535)) if window else b""
        self.send(PREFACE + settings(window=window) + update)

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: bytes) -> None:
        """Raises Cut when the server has gone, or takes nothing for seconds."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Cut from error

    def call(self, block: bytes, body: bytes | None = None, *, end: bool = True) -> int:
        """Begin a call with this header block; its body follows at once if it is small."""
        stream, self._next = self._next, self._next + 2
        self.open_streams.add(stream)
        self._windows[stream] = self._stream_window
        parts = frame(HEADERS, END_HEADERS, stream, block)
        if body is not None and len(body) <= FRAME_BYTES_MAX:
            self._window -= len(body)
            parts += frame(DATA, END_STREAM if end else 0, stream, body)
        self.send(parts)
        if body is not None and len(body) > FRAME_BYTES_MAX:
            self.write(stream, body, end=end)
        return stream

    def write(self, stream: int, body: bytes, *, end: bool = True) -> None:
        """Send it as the windows allow, until all is sent or the server has ended the stream."""
        view, at = memoryview(body), 0
        while at < len(body) and stream not in self.ended:
            room = min(self._window, self._windows.get(stream, 0), FRAME_BYTES_MAX, len(body) - at)
            if room <= 0:
                self.pump(1.0)
                continue
            last = end and at + room == len(body)
            self.send(frame(DATA, END_STREAM if last else 0, stream, bytes(view[at : at + room])))
            self._window -= room
            self._windows[stream] -= room
            at += room
            self.pump(0)

    def reset(self, stream: int) -> None:
        self.forget(stream)
        self.send(frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))

    def forget(self, stream: int) -> None:
        self.open_streams.discard(stream)
        self._windows.pop(stream, None)

    def finish(self, stream: int, seconds: float) -> bool:
        """Wait until the server has ended the stream; True when it has."""
        while stream not in self.ended:
            if not self.pump(seconds):
                return False
        return True

    def pump(self, seconds: float) -> bool:
        """Take in what is there, waiting this long for the first of it; False when nothing came. Raises Cut."""
        if not self._reads:
            return False
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(1 << 18)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            raise Cut from error
        finally:
            self._socket.settimeout(CONNECT_SECONDS_MAX)
        if not data:
            raise Cut
        self._buffer += data
        self._take_frames()
        return True

    def _take_frames(self) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) - at >= 9:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if len(buffer) - at < 9 + length:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big") & WINDOW_MAX
            self._take(kind, flags, stream, bytes(buffer[at + 9 : at + 9 + length]))
            at += 9 + length
        del buffer[:at]

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == SETTINGS and not flags & ACK:
            for at in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[at : at + 6])
                if name == INITIAL_WINDOW_SIZE:
                    self._resize(value)
            self.send(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == WINDOW_UPDATE:
            (more,) = struct.unpack(">I", payload)
            if stream:
                self._windows[stream] = self._windows.get(stream, 0) + more
            else:
                self._window += more
        elif kind == RST_STREAM or (kind == HEADERS and flags & END_STREAM):
            self.ended.add(stream)
            self.forget(stream)
        elif kind == GOAWAY:
            raise Cut

    def _resize(self, value: int) -> None:
        self._windows = {stream: window + value - self._stream_window for stream, window in self._windows.items()}
        self._stream_window = value

    def close(self) -> None:
        self._socket.close()
