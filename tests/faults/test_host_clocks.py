"""Hosts whose clocks are wrong, and set by an hour meanwhile: nothing is early, late, lost or double."""

from __future__ import annotations

import struct
from datetime import UTC, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from clock_dag import DELAY_SECONDS
from fault_world import House, finished, wait_until
from worker_site import sitecustomize

from glidepath import Dates, Every
from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2
from tests.free_address import free_address

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


# ---- ticks
TICKS_MIN = 2


def test_wrong_clocks_of_servers_make_no_tick_early_late_lost_or_double(house: House) -> None:
    """Two replicas give ticks their outcomes, by the database's clock whatever theirs say."""
    ahead, behind = Clock(house.folder, "s1", 10 * MINUTES), Clock(house.folder, "s2", -10 * MINUTES)
    house.server(before=ahead.before)
    other = free_address()
    house.server(address=other, before=behind.before)
    client = house.register("tree_dag.py", "tree")
    house.wait_for_answers(house.client(other))
    soon = client.get_server_info().database_time.ToDatetime(tzinfo=UTC) + timedelta(minutes=9)
    # The first replica's clock is past it already.
    client.set_schedule("tree", Dates([soon], zone="UTC", name="soon"))
    client.set_schedule("tree", Every(1, zone="UTC", name="often", catchup="all"))

    def pass_ticks() -> None:
        before = len(house.rows(TICKS, "often"))
        wait_until(lambda: len(house.rows(TICKS, "often")) >= before + TICKS_MIN, "ticks pass")

    pass_ticks()
    for one, two in ((-HOUR, HOUR), (HOUR, -HOUR), (10 * MINUTES, -10 * MINUTES)):
        ahead.set(one)
        behind.set(two)
        pass_ticks()
    client.pause_schedule("tree", "often")
    _check_ticks(house.rows(TICKS, "often"))
    assert not house.rows(TICKS, "soon")
    house.rows("update clock set shift = $1::timestamptz - interval '1 second' - clock_timestamp()", soon)
    wait_until(lambda: len(house.rows(TICKS, "soon")) > 0, "its time has come")
    _check_ticks(house.rows(TICKS, "soon"))
    runs = house.rows("select run_key from dag_run")
    assert len(runs) == len({each["run_key"] for each in runs}) == len(house.rows(TICKS, "often")) + 1


TICKS = """
select t.tick_time, t.state, r.create_time from schedule_tick t left join dag_run r using (dag_run_id)
where t.schedule_name = $1 order by t.tick_time
"""


def _check_ticks(ticks: list[Any]) -> None:
    """Each got a run at its time, and none is missing between the first and the last."""
    for each in ticks:
        assert each["state"] == "run"
        assert timedelta(0) <= each["create_time"] - each["tick_time"] <= timedelta(seconds=LATE_SECONDS_MAX)
    for before, after in pairwise(ticks):
        assert after["tick_time"] - before["tick_time"] == timedelta(seconds=1)
