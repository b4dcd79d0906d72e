"""The server dies, stands still or loses its database at each of its crash points: everything ends as it must.

A life goes on through a group of places, which strike as they are reached: those of one group are far apart in a run,
and the two of one transaction are never in one group.
"""

from __future__ import annotations

import os

import pytest
from crash_world import Nurse, live_through
from fault_world import House

from glidepath_server.crash_points import MODES, POINTS

GROUPS = 8
# The life's database has its schema already; see test_migration_crashes.py.
SWEPT = sorted(point for point in POINTS if not point.startswith("migration."))
# Of the commits that matter most, in `make test`; or others, to look at them alone.
SHORT = os.environ.get(
    "TEST_CRASH_POINTS",
    "report.before_commit=kill,claim.after_commit=kill,ack.before_send=kill,command.after_commit=fail",
)


def _live(house: House, *points: str) -> None:
    with Nurse(house, points):
        live_through(house)


def test_crashes_change_no_end(house: House) -> None:
    _live(house, *SHORT.split(","))


@pytest.mark.prove
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("group", range(GROUPS))
def test_a_crash_at_every_point_changes_no_end(house: House, group: int, mode: str) -> None:
    _live(house, *(f"{point}={mode}" for point in SWEPT[group::GROUPS]))
