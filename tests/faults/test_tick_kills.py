"""Replicas that are killed, backends and databases that end, between the writes of a tick: one run per tick.

The seed is printed; GLIDEPATH_TEST_SEED repeats it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from fault_world import House, wait_until
from postgres_ends import WAYS, restart
from tick_replica import replica

from glidepath import Cron
from glidepath_server.store.embedded import EmbeddedPostgres

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN = timedelta(hours=3)
MINUTE = timedelta(minutes=1)
SCHEDULES = 12
POINTS = ("tick.before_commit", "tick.after_commit", "plan_schedules.before_commit", "plan_schedules.after_commit")
# Of the ticks that are due at once, all run, or the newest.
OVERLAPS = ("allow", "cancel_older")
ZONES = ("UTC", "Asia/Kolkata", "America/St_Johns")
Record = Callable[[str, object], None]


class World:
    """A database with schedules that make up for every missed tick; no engine runs what they make."""

    def __init__(self, house: House, postgres: EmbeddedPostgres, seed: int) -> None:
        self.house, self.postgres, self.chance = house, postgres, random.Random(seed)
        self.said: dict[str, tuple[int, str, str]] = {}
        self.struck = 0
        server = house.server()
        client = house.register("tree_dag.py")
        self.be(START)
        for number in range(SCHEDULES):
            every, zone = self.chance.choice([10, 15, 20]), self.chance.choice(ZONES)
            overlap = self.chance.choice(OVERLAPS)
            self.said[f"s{number}"] = every, zone, overlap
            rule = Cron(f"*/{every} * * * *", zone=zone, name=f"s{number}", catchup="all", overlap=overlap)
            client.set_schedule("tree", rule)
        server.kill()
        server.wait()

    def be(self, now: datetime) -> None:
        self.house.rows("update clock set shift = $1::timestamptz - clock_timestamp()", now)

    def round(self, now: datetime, restarts: bool) -> None:
        """The clock leaps. Two replicas die at the ticks that have become due, a third fails at one and then finishes
        what the others have begun; meanwhile the database ends, or some of its backends."""
        choose = self.chance.choice
        armed = [f"{choose(POINTS)}=kill@{self.chance.randint(1, 4)}" for _ in range(2)]
        armed.append(f"{choose(POINTS[:2])}=fail@{self.chance.randint(1, 3)}")
        url = self.house.database_url
        with replica(url, armed[0]) as one, replica(url, armed[1]) as two, replica(url, armed[2]):
            self.be(now)
            if restarts:
                restart(self.postgres, choose(list(WAYS)))
            else:
                self.house.rows(END_BACKENDS)
            wait_until(lambda: not self.house.rows(DUE), "everything that was due has its outcome")
            self.struck += sum(each.exitcode is not None for each in (one, two))

    def judge(self, now: datetime, seed: int) -> int:
        """Every tick until now has one outcome, a run of its own or a skip with its reason; how many there are."""
        total = made = 0
        for name, (every, zone, overlap) in self.said.items():
            rows = self.house.rows(TICKS, name)
            assert [row["tick_time"] for row in rows] == ticks(every, zone, now), (name, seed)
            if overlap == "allow":
                assert all(row["has_run"] for row in rows), (name, seed)
            assert all(row["has_run"] or (row["state"] == "skip" and row["reason"]) for row in rows), (name, seed)
            total, made = total + len(rows), made + sum(row["has_run"] for row in rows)
        runs = self.house.rows("select run_key from dag_run")
        assert len(runs) == len({row["run_key"] for row in runs}) == made, seed
        return total


# A connection may have ended before it is told to.
END_BACKENDS = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = 'glidepath' and random() < 0.3
"""
DUE = "select from schedule where plan_due or next_due_time <= glidepath_now()"
TICKS = """
select t.tick_time, t.state, t.reason, t.state = 'run' and r.logical_date is not distinct from t.tick_time as has_run
from schedule_tick t left join dag_run r using (dag_run_id) where t.schedule_name = $1 order by t.tick_time
"""


def ticks(every: int, zone: str, now: datetime) -> list[datetime]:
    """Minute by minute: those that are whole by the wall clock of the zone."""
    minutes = [START + MINUTE * number for number in range(1, (now - START) // MINUTE + 1)]
    return [each for each in minutes if each.astimezone(ZoneInfo(zone)).minute % every == 0]


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(3, id="short"),
        pytest.param(100, id="whole", marks=[pytest.mark.prove, pytest.mark.timeout(900)]),
    ],
)
def test_replicas_and_databases_that_end_between_the_writes_of_ticks_give_each_tick_one_run(
    own_house: House, postgres: EmbeddedPostgres, rounds: int, record_property: Record
) -> None:
    seed = int(os.environ.get("GLIDEPATH_TEST_SEED") or random.randrange(2**32))
    print(f"GLIDEPATH_TEST_SEED={seed}")
    world = World(own_house, postgres, seed)
    for number in range(rounds):
        world.round(START + SPAN * (number + 1), restarts=number % 2 == 0)
    total = world.judge(START + SPAN * rounds, seed)
    record_property("ticks, replicas killed at their writes, in so many rounds", f"{total}, {world.struck}, {rounds}")
    assert rounds < 10 or world.struck > rounds // 2, "the premise: replicas were killed"
