"""`python -m tests.faults.fault_proxy --listen HOST:PORT --to HOST:PORT [--frames]`: a bad network for one's worker.

For tests of a worker in any language. Start it as a child process between the worker and a server (plaintext), read
its first line, `listening HOST:PORT` (port 0 lets the system choose), and let the worker go there. Then write one
command a line to its stdin and read one line of answer from its stdout: `ok`, with counts where there are some, or
`error` and what is wrong. What a command asks for is done when its answer comes. The end of stdin ends the proxy and
every connection through it. WAY is `up`, from the worker to the server, or `down`; where it may be left out, both.

    The whole link, until `mend`:
    cut                                 reset every connection, and each new one
    hold [WAY]                          nothing arrives until `mend`, then all of it: a cut that TCP survives
    delay SECONDS [WAY]                 each piece of data is so long under way
    throttle BYTES_PER_SECOND [WAY]     no connection carries more; 0: as much as it can
    mend                                all is well again, frame rules included

    Present connections only, for good:
    half-open [WAY]                     they stay, and nothing that is sent over them arrives, nor that they ended

    The next piece of bytes that anybody sends that way (they break a connection; nothing false may come of it):
    duplicate WAY                       it arrives twice
    reorder WAY                         it arrives behind the one that follows it
    truncate WAY BYTES                  so many bytes of it arrive, then its connection ends

    With --frames, of the frames of glidepath.worker.v1.WorkerService/Work (KIND is a field of WorkRequest or
    WorkResponse, such as `up results` or `down result_acks`; COUNT is how often, always when left out):
    drop-frames WAY KIND [COUNT]
    duplicate-frames WAY KIND [COUNT]
    delay-frames SECONDS WAY KIND [COUNT]

    count                               `ok connections 2 refused 0`, then with --frames `WAY.KIND N` of what was seen

A worker that keeps the contract passes these, whatever its language: a result is accepted once though `down
result_acks` are dropped once and the link is cut (the second answer says DUPLICATE); an attempt whose `down
assignments` were dropped comes again under a higher number; after `half-open down` the worker says hello on another
connection within two heartbeat intervals and goes on with what it holds; after `hold` for longer than the lease what it
brings is answered FENCED, and the processes of that attempt are gone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tests.faults.fault_link import BOTH, FaultLink
from tests.faults.fault_relay import FaultRelay

SUMMARY, _, COMMANDS = (__doc__ or "").partition("\n")


class Proxy:
    """A link and, for frames, a relay behind it. `obey` does what a line says."""

    def __init__(self, listen: str, to: str, frames: bool) -> None:
        self.relay = FaultRelay(to) if frames else None
        self.link = FaultLink(self.relay.address if self.relay else to, listen)

    def obey(self, line: str) -> str:
        """The answer to a command."""
        name, *words = line.split() or [""]
        try:
            return " ".join(["ok", *(self._command(name)(*words) or [])])
        except (ValueError, TypeError, KeyError) as error:
            return f"error in {line.strip()!r}: {error}"

    def close(self) -> None:
        self.link.close()
        if self.relay:
            self.relay.close()

    def _command(self, name: str) -> Callable[..., Sequence[str] | None]:
        link = self.link
        commands: dict[str, Callable[..., Sequence[str] | None]] = {
            "cut": link.cut,
            "mend": self._mend,
            "hold": lambda *ways: link.hold(*_ways(ways)),
            "half-open": lambda *ways: link.half_open(*_ways(ways)),
            "delay": lambda seconds, *ways: link.delay(float(seconds), *_ways(ways)),
            "throttle": lambda rate, *ways: link.throttle(float(rate), *_ways(ways)),
            "duplicate": lambda way: link.duplicate(*_ways([way])),
            "reorder": lambda way: link.reorder(*_ways([way])),
            "truncate": lambda way, size: link.truncate(*_ways([way]), int(size)),
            "count": self._count,
            **self._frame_commands(),
        }
        if name not in commands:
            raise ValueError(f"there is no command {name!r}; expected one of {', '.join(commands)}")
        return commands[name]

    def _frame_commands(self) -> dict[str, Callable[..., None]]:
        relay = self.relay
        if relay is None:
            return {}
        return {
            "drop-frames": lambda way, kind, count=None: _add(relay.drop(way, kind, _count(count))),
            "duplicate-frames": lambda way, kind, count=None: _add(relay.duplicate(way, kind, _count(count))),
            "delay-frames": lambda seconds, way, kind, count=None: _add(
                relay.delay(way, kind, float(seconds), _count(count))
            ),
        }

    def _mend(self) -> None:
        self.link.mend()
        if self.relay:
            self.relay.mend()

    def _count(self) -> list[str]:
        seen = sorted(self.relay.seen.items()) if self.relay else []
        frames = [f"{way}.{kind} {number}" for (way, kind), number in seen]
        return [f"connections {self.link.connections} refused {self.link.refused}", *frames]


def _add(_: object) -> None:
    """The rule holds; its counts are asked for by `count`."""


def _ways(words: Sequence[str]) -> Sequence[str]:
    for word in words:
        if word not in BOTH:
            raise ValueError(f"{word!r} is no way; expected {' or '.join(BOTH)}")
    return words


def _count(word: str | None) -> int | None:
    return None if word is None else int(word)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.fault_proxy",
        description=COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--to", required=True, metavar="HOST:PORT", help="where the server listens")
    parser.add_argument("--frames", action="store_true", help="understand frames: the commands named *-frames")
    options = parser.parse_args(arguments)
    proxy = Proxy(options.listen, options.to, options.frames)
    try:
        print("listening", proxy.link.address, flush=True)
        for line in sys.stdin:
            print(proxy.obey(line), flush=True)
    finally:
        proxy.close()


if __name__ == "__main__":
    main()
