"""Hosts whose clocks are wrong, and set by an hour meanwhile: nothing is early, late, lost or double."""

from __future__ import annotations

import struct
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from clock_dag import DELAY_SECONDS
from fault_world import House, finished, wait_until
from worker_site import sitecustomize

from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2

SITE = Path(sitecustomize.__file__).parent
MINUTES = 60.0
HOUR = 3600.0
LATE_SECONDS_MAX = 5.0


class Clock:
    """The wall clock of a host: right but for what the test sets."""

    def __init__(self, folder: Path, host: str, shift_seconds: float) -> None:
        self._file = folder / f"{host}.clock"
        self._file.write_bytes(struct.pack("d", shift_seconds))
        self._shift = sitecustomize.shift_in(str(self._file))

    @property
    def before(self) -> list[str]:
        """Put before the command of a process of that host."""
        return ["env", f"PYTHONPATH={SITE}", f"{sitecustomize.WALL}={self._file}"]

    def set(self, shift_seconds: float) -> None:
        self._shift[0] = shift_seconds


def offsets(client: Client) -> dict[str, int]:
    """By how many whole minutes each host's clock is behind the database's, as the server knows."""
    return {
        each.worker_identity: round(each.clock_offset.ToTimedelta().total_seconds() / MINUTES)
        for each in client.list_workers()
        if each.HasField("clock_offset")
    }


def test_wrong_clocks_of_hosts_make_nothing_early_late_lost_or_double(house: House) -> None:
    server, ahead, behind = (
        Clock(house.folder, name, minutes * MINUTES) for name, minutes in (("server", -10), ("w1", 10), ("w2", -10))
    )
    house.server(before=server.before)
    for name, clock in (("w1", ahead), ("w2", behind)):
        house.worker(name, slots=4, before=clock.before)
    client = house.register("clock_dag.py")
    wait_until(lambda: offsets(client) == {"w1": -10, "w2": 10}, "the clocks are known to be wrong")
    run_id = client.trigger("clocks", params={"folder": str(house.folder)}).dag_run_id
    wait_until((house.folder / "held.begun").exists, "the task that waits has begun")
    # One after the other, in both directions, and the server's last.
    ahead.set(-HOUR)
    behind.set(HOUR)
    server.set(HOUR)
    wait_until(lambda: offsets(client) == {"w1": 60, "w2": -60}, "the server has seen that they were set")
    house.let_go("held")
    run = finished(client, run_id)
    assert run.state == run_pb2.RUN_STATE_SUCCESS, run.reason
    _check(house.rows(ATTEMPTS))
    info = client.get_server_info()
    assert round((info.server_time.ToDatetime() - info.database_time.ToDatetime()).total_seconds() / HOUR) == 1


ATTEMPTS = """
select task_index, attempt_number, state, start_time, end_time from task_attempt order by task_index, attempt_number
"""


def _check(attempts: list[Any]) -> None:
    states: dict[int, list[str]] = {}
    for each in attempts:
        states.setdefault(each["task_index"], []).append(each["state"])
        assert timedelta(0) <= each["end_time"] - each["start_time"] < timedelta(seconds=60)
    assert sorted(states.values()) == [["deferred", "success"], ["failed", "success"], ["success"], ["success"]]
    for before, after in pairwise(attempts):
        if before["task_index"] == after["task_index"]:
            pause = (after["start_time"] - before["end_time"]).total_seconds()
            assert DELAY_SECONDS <= pause <= DELAY_SECONDS + LATE_SECONDS_MAX
