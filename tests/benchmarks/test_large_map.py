"""A map of as many instances as a task may have, through a real server and an inline worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
import wide_dags
from measures import register, succeeded, trigger_map, wall
from system import System, postgres, system

from glidepath_server.core.maps import INSTANCES_MAX

SECONDS_MAX = 1_200.0
SMALL = 100


@pytest.mark.prove
@pytest.mark.timeout(SECONDS_MAX * 1.5)
def test_a_map_of_the_most_instances_costs_no_more_for_each_than_a_small_one(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Time for each instance within twice that of a small map; what the server's memory and the WAL come to is told."""
    with postgres() as database_url, system(database_url, tmp_path / "large-map", workers=1) as running:
        register(running, wide_dags.mapped)
        seconds(running, SMALL)  # everything is warm
        small = min(seconds(running, SMALL) for _ in range(3)) / SMALL
        before = asyncio.run(wal_bytes(database_url))
        took = seconds(running, INSTANCES_MAX)
        figures = {
            "instances": INSTANCES_MAX,
            "seconds": round(took, 1),
            "microseconds for each": round(took / INSTANCES_MAX * 1e6),
            f"microseconds for each of {SMALL}": round(small * 1e6),
            "server's peak memory, MiB": peak_memory(running),
            "WAL, MiB": round((asyncio.run(wal_bytes(database_url)) - before) / 2**20),
        }
    for name, value in figures.items():
        record_property(name, value)
    print(figures)
    assert took / INSTANCES_MAX <= 2 * small, figures


def seconds(running: System, amount: int) -> float:
    return wall(succeeded(running.client.wait(trigger_map(running, amount), timeout=SECONDS_MAX)))


def peak_memory(running: System) -> int:
    """Of the server's process, in MiB."""
    status = Path(f"/proc/{running.children[0].pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


async def wal_bytes(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return int(await connection.fetchval("select pg_current_wal_lsn() - '0/0'"))
    finally:
        await connection.close()
