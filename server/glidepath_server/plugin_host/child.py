"""The process of one plugin: `python -m glidepath_server.plugin_host.child DESCRIPTOR NAME MEMORY_BYTES PATH...`.

It reads calls from the socket, in the order they come, answers each once, and ends when the socket does: that the
server was killed is seen here even while the plugin is imported or hangs. Of the server it has the socket alone.
"""

from __future__ import annotations

import os
import queue
import resource
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from glidepath_plugin import Alert, InvalidConfig, Misfit, Rejected, RetryLater
from glidepath_plugin.config import describe, read
from glidepath_plugin.loading import Loaded, find, load

from .frames import LENGTH, length_of, pack, unpack

# Calls at a time; the server does not send more.
CALLS_MAX = 4
OPEN_FILES_MAX = 256
TEXT_CHARACTERS_MAX = 500


class Child:
    """The socket, and the plugin once it is loaded."""

    def __init__(self, name: str, path: list[str], server: socket.socket) -> None:
        self.name, self.path, self.server = name, path, server
        self.loaded: Loaded | None = None
        self.calls: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._writing = threading.Lock()

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        workers = ThreadPoolExecutor(CALLS_MAX)
        while True:
            message = self.calls.get()
            if message["call"] == "load":
                self._serve(message)  # in the main thread, which some libraries want for their import
            else:
                workers.submit(self._serve, message)

    def _listen(self) -> None:
        try:
            with self.server.makefile("rb") as stream:
                while len(head := stream.read(LENGTH.size)) == LENGTH.size:
                    self.calls.put(unpack(stream.read(length_of(head))))
        finally:
            os._exit(0)  # the server is gone (also by a reset, with an answer unread), or has no more to say

    def _serve(self, message: dict[str, Any]) -> None:
        try:
            answer = getattr(self, "do_" + message["call"])(message)
        except Misfit as error:
            answer = {"misfit": _cut(error)}
        except InvalidConfig as error:
            answer = {"violations": [list(each) for each in error.violations[:50]]}
        except RetryLater as error:
            answer = {"retry_later": _cut(error), "after": error.after if error.after is None else float(error.after)}
        except Rejected as error:
            answer = {"rejected": _cut(error)}
        except BaseException as error:
            answer = {"fault": _cut(f"{type(error).__name__}: {error}")}
        try:
            frame = pack({"id": message["id"], **answer})
        except ValueError as error:
            frame = pack({"id": message["id"], "fault": _cut(f"its answer is {error}")})
        with self._writing:
            self.server.sendall(frame)

    # ---- calls
    def do_load(self, message: dict[str, Any]) -> dict[str, Any]:
        """Import the plugin; what it brings."""
        (plugin,) = [each for each in find(self.path or None) if each.name == self.name]
        self.loaded = load(plugin)
        channels = [
            {"name": each.name, "summary": each.summary, "options": [list(about) for about in describe(each.config)]}
            for each in self.loaded.channels
        ]
        return {"api": list(self.loaded.api), "channels": channels}

    def do_check_config(self, message: dict[str, Any]) -> dict[str, Any]:
        read(self._channel(message).config, message["config"])
        return {}

    def do_send(self, message: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(message)
        delivery_id = channel.send(read(channel.config, message["config"]), Alert.from_json(message["alert"]))
        if not isinstance(delivery_id, str):
            raise TypeError(f"send returned {type(delivery_id).__name__}, expected the text of a delivery's id")
        return {"delivery_id": delivery_id[:200]}

    def _channel(self, message: dict[str, Any]) -> Any:
        assert self.loaded is not None
        return next(each for each in self.loaded.channels if each.name == message["channel"])


def _cut(text: object) -> str:
    return str(text)[:TEXT_CHARACTERS_MAX]


def main(arguments: list[str]) -> None:
    descriptor, name, memory, *path = arguments
    resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES_MAX, OPEN_FILES_MAX))
    sys.path[:0] = path
    Child(name, [*path, *sys.path] if path else [], socket.socket(fileno=int(descriptor))).run()


if __name__ == "__main__":
    main(sys.argv[1:])
