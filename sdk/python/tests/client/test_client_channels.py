"""Every client has a connection of its own, so that a new one does not inherit one that is dead."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from glidepath.client import AsyncClient, Client
from glidepath.errors import Unavailable

WAIT_SECONDS = 10.0


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections and says nothing, as one does that stands still."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_SECONDS)
        yield listener


def test_a_new_client_does_not_get_the_connection_of_another(silent: socket.socket) -> None:
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    with Client(address, token="t", timeout=0.2) as first, Client(address, token="t", timeout=0.2) as second:
        held = []
        for client in (first, second):
            with pytest.raises(Unavailable):
                client.get_server_info()
            held.append(silent.accept()[0])
        for each in held:
            each.close()


async def test_a_new_async_client_does_not_get_the_connection_of_another(silent: socket.socket) -> None:
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    async with (
        AsyncClient(address, token="t", timeout=0.2) as first,
        AsyncClient(address, token="t", timeout=0.2) as second,
    ):
        held = []
        for client in (first, second):
            with pytest.raises(Unavailable):
                await client.get_server_info()
            held.append(silent.accept()[0])
        for each in held:
            each.close()
