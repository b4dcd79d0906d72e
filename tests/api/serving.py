"""A real server on a free port of this host, a real database behind it, tokens of every role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from glidepath_server.operations.tokens import create_token
from glidepath_server.settings import Settings
from glidepath_server.store.database import Database, transaction
from glidepath_server.wiring import Server

CHANNEL_OPTIONS = [("grpc.enable_http_proxy", 0)]
"""Tests talk to this host; a proxy of the environment would stand in between."""


class Api:
    """A running server, a channel to it, and tokens made for the test."""

    def __init__(self, server: Server, parts: AsyncExitStack) -> None:
        self.server, self._parts = server, parts
        self.database: Database = server.database

    @property
    def address(self) -> str:
        return self.server.address

    async def token(self, role: str = "admin", *, namespace: str = "*", name: str = "", expire_time: Any = None) -> str:
        """The text of a new token."""
        async with transaction(self.database.api, "test") as connection:
            made = await create_token(
                connection,
                name=name or f"a-{role}",
                namespace=namespace,
                role=role,
                expire_time=expire_time,
                actor="test",
            )
        return made.text

    async def channel(self) -> grpc.aio.Channel:
        """A channel to the server, without credentials; closed after the test."""
        return await self._parts.enter_async_context(open_channel(self.address))


def open_channel(address: str, credentials: grpc.ChannelCredentials | None = None) -> grpc.aio.Channel:
    """A channel to a server of a test."""
    if credentials is not None:
        return grpc.aio.secure_channel(address, credentials, CHANNEL_OPTIONS)
    return grpc.aio.insecure_channel(address, CHANNEL_OPTIONS)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that carries a token."""
    return (("authorization", f"Bearer {token}"),)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    """Poll for what happens in another process (Postgres), where nothing can be waited on. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.005)


def settings_for(database_url: str, **overrides: Any) -> Settings:
    """Settings of a test's server; nothing is taken from the environment."""
    environment: Mapping[str, str] = {}
    return Settings.load(
        environment,
        **{
            "database_url": database_url,
            "address": "127.0.0.1:0",
            "auto_upgrade": True,
            "shutdown_grace_seconds": 0.5,
            **overrides,
        },
    )


@asynccontextmanager
async def running(
    database_url: str,
    *,
    token_files: Mapping[str, Path] | None = None,
    **overrides: Any,
) -> AsyncIterator[Api]:
    """A server with these settings."""
    settings = settings_for(database_url, **overrides)
    async with Server(settings, token_files=token_files) as server, AsyncExitStack() as parts:
        yield Api(server, parts)
