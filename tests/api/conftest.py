"""Fixtures of the tests of the API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from serving import Api, running


@pytest_asyncio.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """A server that demands tokens."""
    async with running(database_url) as found:
        yield found
