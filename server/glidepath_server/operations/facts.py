"""Facts join the outbox in the transaction of the change that they tell of: both are committed, or neither is."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.facts import Fact
from ..store import outbox as store
from ..store.database import Connection

# Of a fact's `summary`; a body as a whole has a bound in the table, which is an error of who writes it.
SUMMARY_CHARACTERS_MAX = 500


async def append_facts(connection: Connection, facts: Sequence[Fact]) -> None:
    """Write facts, in their order, inside the caller's transaction. None costs nothing.

    Readers see them in commit order, once no transaction is running that began before. After the commit the caller may
    wake loops/alert_sender.py; a wake-up that is lost costs the loop's interval.
    """
    if facts:
        await store.append(connection, facts)
