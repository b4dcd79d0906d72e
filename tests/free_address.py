"""An address for a server that will be ended and started again where its clients know it.

Not one that the system would choose (port 0 of bind): it gives those to every connection that anybody opens, so while
the server is away its port can go to somebody else, and the server cannot come back.
"""

from __future__ import annotations

import contextlib
import random
import socket

# Below what Linux gives to connections by itself (net.ipv4.ip_local_port_range, 32,768 and up).
PORTS = (20_000, 32_000)
# Its own: tests that run side by side may each have seeded the shared one, and would all choose alike.
_chance = random.SystemRandom()


def free_address() -> str:
    """An address of this machine, "host:port", where nobody listens, of those that the system gives to nobody."""
    while True:
        address = ("127.0.0.1", _chance.randrange(*PORTS))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(address)
            return f"{address[0]}:{address[1]}"
