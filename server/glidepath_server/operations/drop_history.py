"""Forgetting what is old: the open partitions get their ends in time, and months that are past are dropped.

A run is forgotten when it ended longer ago than history is kept. Its row and what lies beside it are deleted in small
batches; what it left in the tables of history goes with the partition of its month, which costs a moment whatever is
in it. Runs of that month that are still there (open, or ended too lately) keep their rows: the partition is replaced
by one that holds only these. Every part is a transaction of its own, and a round that was cut off at any place is taken
up again: that of a tick counts when it is over. Run keys are not forgotten: they are what makes a run unique.

A backfill is forgotten with its dates when it ended as long ago and all runs that it made or had rerun are forgotten:
each in a transaction of its own, as it has up to 10,000 dates. That a date had its run is known by the run key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ..core.history import Span, cutoff, is_past, to_close
from ..store import history as store
from ..store.database import Database, database_now, transaction
from ..store.history import Partition
from ..telemetry import get_logger

# The rows that are copied while everybody else waits. A month with more of them stays whole.
KEPT_ROWS_MAX = 10_000
ROUND = "history"
_log = get_logger("history")


@dataclass(slots=True)
class Dropped:
    """What a round has done: partitions that got an end, partitions dropped or made small, runs and backfills
    forgotten; and what a busy table or too many rows of runs that stay have put off."""

    closed: int = 0
    dropped: int = 0
    runs: int = 0
    backfills: int = 0
    put_off: int = 0


@dataclass(frozen=True, slots=True)
class DropHistory:
    """The operation. `retention_days` 0: everything is kept; partitions are closed all the same."""

    database: Database
    retention_days: int
    rows_max: int

    async def __call__(self, tick: datetime | None = None) -> Dropped | None:
        """One round; with a tick, only if no replica has had the round of that. None: another is at work, or was."""
        async with self.database.api.acquire() as turn:
            if not await store.take_turn(turn):
                return None
            try:
                await store.clean(turn)
                if tick is not None and not await store.is_due(turn, ROUND, tick):
                    return None
                done = await self._round(await database_now(turn), await store.partitions(turn))
                if tick is not None:
                    await store.note_round(turn, ROUND, tick)
                return done
            finally:
                await store.give_turn(turn)

    async def _round(self, now: datetime, found: Sequence[Partition]) -> Dropped:
        done = Dropped()
        for each in found:
            if each.span.end is None and (end := to_close(each.span.begin, now)) is not None:
                await self._tried(self._close(each, end), done, "closed")
        if self.retention_days:
            before = cutoff(now, self.retention_days)
            past = [each for each in found if is_past(each.span, before)]
            for span in sorted({each.span for each in past}, key=lambda span: str(span.end)):
                await self._forget(span, before, [each for each in past if each.span == span], done)
            await self._forget_backfills(before, done)
        return done

    async def _forget(self, span: Span, before: datetime, past: Iterable[Partition], done: Dropped) -> None:
        while True:
            async with transaction(self.database.api, "history") as connection:
                deleted = await store.delete_runs(connection, span, before, self.rows_max)
            done.runs += deleted
            if deleted < self.rows_max:
                break
        async with self.database.api.acquire() as connection:
            stay = await store.stragglers(connection, span)
        for each in past:
            await self._tried(self._drop(each, stay), done, "dropped")

    async def _forget_backfills(self, before: datetime, done: Dropped) -> None:
        behind = UUID(int=0)
        while True:
            async with self.database.api.acquire() as connection:
                found = await store.past_backfills(connection, before, behind, self.rows_max)
            for behind in found:
                async with transaction(self.database.api, "history") as connection:
                    done.backfills += await store.delete_backfill(connection, behind, before)
            if len(found) < self.rows_max:
                break

    async def _close(self, partition: Partition, end: datetime) -> bool:
        async with self.database.api.acquire() as connection:
            try:
                await store.validate_end(connection, partition, end)
                async with transaction(self.database.api, "history") as other:
                    await store.close(other, partition, end)
            except store.BUSY:
                await store.clean(connection)
                raise
        return True

    async def _drop(self, partition: Partition, stay: list[UUID]) -> bool:
        if not stay:
            async with transaction(self.database.api, "history") as connection:
                await store.drop(connection, partition)
            return True
        async with self.database.api.acquire() as connection:
            rows = await store.rows_of(connection, partition, stay, KEPT_ROWS_MAX)
        if rows is None:
            return False  # nothing but what stays is left in it
        if rows > KEPT_ROWS_MAX:
            raise _TooMany(f"{partition.name} has more than {KEPT_ROWS_MAX} rows of {len(stay)} runs that stay")
        async with transaction(self.database.api, "history") as connection:
            await store.keep_only(connection, partition, stay)
        return True

    @staticmethod
    async def _tried(work: Awaitable[bool], done: Dropped, what: str) -> None:
        """Count what was done. What is put off is tried again in the next round, and the rest of this one goes on."""
        try:
            if await work:
                setattr(done, what, getattr(done, what) + 1)
        except (*store.BUSY, _TooMany) as error:
            done.put_off += 1
            _log.warning("history_put_off", error=str(error))


class _TooMany(Exception):
    """More rows than may be copied under a lock."""
