"""A bound on a whole conversation. The timeout of a socket is that of each of its parts: a peer that says one byte at a
time keeps it open for ever, and the server ends a plugin that does not answer, with all that it is at.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Conversation:
    """The sockets that are shut when its time is over: whoever reads from one then, or later, meets its end."""

    def __init__(self) -> None:
        self.over = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()

    def holds(self, connected: socket.socket) -> None:
        """Shut it, too. Call it before TLS: what is wrapped is the same connection."""
        with self._lock:
            self._sockets.append(connected.dup())
        if self.over:
            self.shut()

    def shut(self) -> None:
        self.over = True
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def end(self) -> None:
        with self._lock:
            for each in self._sockets:
                each.close()
            self._sockets.clear()


@contextmanager
def at_most(seconds: float) -> Iterator[Conversation]:
    """What is done in it ends with an error of its sockets when the time is over."""
    conversation = Conversation()
    timer = threading.Timer(seconds, conversation.shut)
    timer.daemon = True
    timer.start()
    try:
        yield conversation
    finally:
        timer.cancel()
        conversation.end()
