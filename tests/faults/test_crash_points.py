"""The server dies, stands still or loses its database at each of its crash points: everything ends as it must."""

from __future__ import annotations

import pytest
from crash_world import Nurse, live_through
from fault_world import House

from glidepath_server.crash_points import MODES, POINTS

# What a life of this kind does not pass, and why.
NOT_PASSED = {
    "artifact": "no SDK stores artifacts by this call yet; its rows are named by their content",
    "migration": "the life's database is there already; tests/upgrade crashes between revisions",
    "quarantine_bare": "only when a quarantine fails, which takes a second fault at the same time",
}
SWEPT = sorted(point for point in POINTS if point.partition(".")[0] not in NOT_PASSED)
# Of the commits that matter most, in `make test`.
SHORT = ["report.before_commit=kill", "claim.after_commit=kill", "ack.before_send=kill", "command.after_commit=fail"]


def _live(house: House, point: str) -> None:
    with Nurse(house, point) as nurse:
        live_through(house)
        assert nurse.struck(), f"nothing came to {point}"


@pytest.mark.parametrize("point", SHORT)
def test_a_crash_changes_no_end(house: House, point: str) -> None:
    _live(house, point)


@pytest.mark.prove
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("point", SWEPT)
def test_a_crash_at_every_point_changes_no_end(house: House, point: str, mode: str) -> None:
    _live(house, f"{point}={mode}")
