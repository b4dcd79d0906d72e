"""The ways in which a Postgres of the test's own ends, in order or not."""

from __future__ import annotations

import signal
from pathlib import Path

from fault_world import children, wait_until
from fleet_world import signal_all

from glidepath_server.store.embedded import EmbeddedPostgres


def in_order(postgres: EmbeddedPostgres) -> None:
    """Fast shutdown: sessions are cut, a checkpoint is written."""
    _end(postgres, [_pid(postgres)], signal.SIGINT)


def at_once(postgres: EmbeddedPostgres) -> None:
    """Immediate shutdown: what was committed is recovered from the log."""
    _end(postgres, [_pid(postgres)], signal.SIGQUIT)


def postmaster_killed(postgres: EmbeddedPostgres) -> None:
    """Its backends live on for a moment, without it."""
    _end(postgres, [_pid(postgres)], signal.SIGKILL)


def all_killed(postgres: EmbeddedPostgres) -> None:
    _end(postgres, [_pid(postgres), *children(_pid(postgres))], signal.SIGKILL)


def _end(postgres: EmbeddedPostgres, pids: list[int], number: int) -> None:
    postmaster = pids[0]
    signal_all(pids, number)
    wait_until(lambda: Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "it ended")


def _pid(postgres: EmbeddedPostgres) -> int:
    assert postgres.pid is not None
    return postgres.pid


WAYS = {each.__name__: each for each in (all_killed, in_order, at_once, postmaster_killed)}


def restart(postgres: EmbeddedPostgres, way: str) -> None:
    """End it in this way, and start it again."""
    WAYS[way](postgres)
    wait_until(postgres.ensure_running, "Postgres runs again")
