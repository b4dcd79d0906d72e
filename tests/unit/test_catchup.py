"""Which missed ticks are made up for, and what a tick does beside active runs."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import takewhile
from typing import Any

import pytest

from glidepath_server.core.catchup import ON_TIME_SECONDS, catchup_reach, decide_missed
from glidepath_server.core.overlap import (
    WAITING_MAX,
    CancelThenStart,
    Decision,
    Queue,
    Skip,
    Start,
    decide_overlap,
    runs_may_start,
)
from glidepath_server.core.schedules import Catchup, Overlap, Tick, ticks, ticks_before, ticks_between
from tests.unit.schedule_world import SEED, at, cron

NOW = at("2026-11-27T12:00")


def due(schedule: Any, after: str) -> list[Tick]:
    return list(takewhile(lambda tick: tick.due_time <= NOW, ticks(schedule, SEED, at(after))))


def days_run(schedule: Any, after: str, paused_until: str | None = None) -> list[int]:
    """The days of November of ticks that run."""
    resumed = at(paused_until) if paused_until else None
    found = decide_missed(schedule, due(schedule, after), NOW, resumed)
    assert all(reason is None or reason for _, reason in found)
    return [tick.tick_time.day for tick, reason in found if reason is None]


TABLE: list[tuple[dict[str, Any], list[int]]] = [
    ({}, []),
    ({"catchup": Catchup.LATEST}, [27]),
    ({"catchup": Catchup.ALL}, [24, 25, 26, 27]),
    ({"catchup": Catchup.LAST_N, "catchup_runs": 2}, [26, 27]),
    ({"catchup": Catchup.LAST_N, "catchup_runs": 9}, [24, 25, 26, 27]),
    ({"catchup": Catchup.WITHIN, "catchup_seconds": 36 * 3_600.0}, [26, 27]),
    ({"catchup": Catchup.WITHIN, "catchup_seconds": 3_600.0}, []),
]


@pytest.mark.parametrize(("policy", "expected"), TABLE)
@pytest.mark.parametrize("paused_until", [None, "2026-11-27T11:59"])
def test_missed_ticks_follow_the_policy(policy: dict[str, Any], expected: list[int], paused_until: str | None) -> None:
    assert days_run(cron("0 2 * * *", **policy), "2026-11-24T00:00", paused_until) == expected


@pytest.mark.parametrize(("policy", "_"), TABLE)
def test_a_tick_on_time_runs_by_any_policy(policy: dict[str, Any], _: list[int]) -> None:
    assert days_run(cron("56 11 * * *", **policy), "2026-11-27T00:00") == [27]


def test_a_tick_that_came_during_a_pause_is_missed_however_short_ago() -> None:
    assert days_run(cron("56 11 * * *"), "2026-11-27T00:00", "2026-11-27T11:59") == []
    assert days_run(cron("56 11 * * *"), "2026-11-27T00:00", "2026-11-27T11:55") == [27]


def test_on_time_ends_at_its_bound() -> None:
    (tick,) = due(cron("0 2 * * *"), "2026-11-27T00:00")
    for late, expected in ((ON_TIME_SECONDS, True), (ON_TIME_SECONDS + 1, False)):
        ((_, reason),) = decide_missed(cron("0 2 * * *"), [tick], tick.due_time + timedelta(seconds=late), None)
        assert (reason is None) is expected


@pytest.mark.parametrize(("catchup", "most"), [(Catchup.NONE, 0), (Catchup.LATEST, 1)])
def test_resuming_a_year_old_schedule_makes_at_most_one_run(catchup: Catchup, most: int) -> None:
    schedule = cron("0 2 * * *", catchup=catchup)
    found = decide_missed(schedule, due(schedule, "2025-11-27T00:00"), NOW, NOW)
    assert len(found) == 366
    assert [reason for _, reason in found].count(None) == most
    assert "paused; catchup is" in str(found[0][1])


def test_a_skipped_tick_keeps_its_reason_and_is_not_the_latest() -> None:
    schedule = cron("0 2 * * *", catchup=Catchup.LATEST, excluded_dates=(date(2026, 11, 27),))
    found = decide_missed(schedule, due(schedule, "2026-11-25T00:00"), NOW, None)
    assert [reason for _, reason in found] == [
        "missed: it was due while no server gave it a run; catchup is latest",
        None,
        "excluded date 2026-11-27",
    ]


@pytest.mark.parametrize(("policy", "_"), TABLE)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_parts_of_the_due_ticks_are_decided_as_the_whole(policy: dict[str, Any], _: list[int], size: int) -> None:
    schedule = cron("0 */7 * * *", "Asia/Kolkata", excluded_weekdays=(3, 4), jitter_seconds=7_000, **policy)
    all_due = due(schedule, "2026-11-20T00:00")
    whole = decide_missed(schedule, all_due, NOW, None)
    reach = catchup_reach(schedule, SEED, NOW)
    parts = [all_due[place : place + size] for place in range(0, len(all_due), size)]
    # Within the ticks that are asked for: the reach goes on beyond them.
    assert [each for part in parts for each in decide_missed(schedule, part, NOW, None, reach)] == whole


def test_a_tick_whose_jitter_is_not_over_is_not_the_latest() -> None:
    schedule = cron("0 2 * * *", catchup=Catchup.LATEST, jitter_seconds=80_000)
    two, three = list(ticks_between(schedule, SEED, at("2026-11-26"), at("2026-11-28")))[:2]
    assert catchup_reach(schedule, SEED, three.due_time - timedelta(seconds=1)) == two.tick_time < three.tick_time
    assert catchup_reach(schedule, SEED, three.due_time) == three.tick_time


def test_the_ticks_before_are_the_ticks_after_backwards() -> None:
    schedule = cron("30 1,2 * * *", "America/New_York", jitter_seconds=90_000, start=at("2024-10-20"))
    forward = list(takewhile(lambda tick: tick.tick_time <= at("2025-04-01"), ticks(schedule, SEED, at("2024-10-01"))))
    assert list(ticks_before(schedule, SEED, at("2025-04-01"))) == forward[::-1]


DECISIONS: list[tuple[Overlap, int | None, int, int, bool, Decision | str]] = [
    # policy, N, active, waiting, blocked, decision; a text: skipped with these words in its reason
    (Overlap.ALLOW, None, 0, 0, False, Start()),
    (Overlap.ALLOW, None, 999, 0, False, Start()),
    (Overlap.ALLOW, 2, 1, 0, False, Start()),
    (Overlap.ALLOW, 2, 2, 0, False, Queue()),
    (Overlap.ALLOW, 2, 1, 1, False, Queue()),
    (Overlap.SKIP, None, 0, 0, False, Start()),
    (Overlap.SKIP, None, 1, 0, False, "a run was active when it was due; overlap is skip"),
    (Overlap.SKIP, None, 3, 0, False, "3 runs were active"),
    (Overlap.QUEUE_ONE, None, 0, 0, False, Start()),
    (Overlap.QUEUE_ONE, None, 1, 0, False, Queue()),
    (Overlap.QUEUE_ONE, None, 1, 1, False, "another tick was waiting already"),
    (Overlap.QUEUE_ALL, None, 0, 0, False, Start()),
    (Overlap.QUEUE_ALL, None, 1, 5, False, Queue()),
    (Overlap.QUEUE_ALL, None, 1, WAITING_MAX, False, f"{WAITING_MAX} ticks were waiting already"),
    (Overlap.CANCEL_OLDER, None, 0, 0, False, Start()),
    (Overlap.CANCEL_OLDER, None, 2, 0, False, CancelThenStart()),
    (Overlap.LATEST_ONLY, None, 0, 0, False, Start()),
    (Overlap.LATEST_ONLY, None, 1, 0, False, Queue()),
    (Overlap.LATEST_ONLY, None, 1, 1, False, Queue(drop=1)),
    (Overlap.SEQUENCE, None, 0, 0, False, Start()),
    (Overlap.SEQUENCE, None, 1, 0, False, Queue()),
    (Overlap.SEQUENCE, None, 0, 0, True, Queue()),
    (Overlap.QUEUE_ALL, None, 0, 0, True, Start()),
    (Overlap.SEQUENCE, None, 0, 2, False, Queue()),
]


@pytest.mark.parametrize(("policy", "most", "active", "waiting", "blocked", "expected"), DECISIONS)
def test_a_tick_beside_active_runs_follows_the_policy(
    policy: Overlap, most: int | None, active: int, waiting: int, blocked: bool, expected: Decision | str
) -> None:
    schedule = cron("0 2 * * *", overlap=policy, overlap_runs=most)
    (tick,) = due(schedule, "2026-11-27T00:00")
    found = decide_overlap(schedule, active, waiting, tick, blocked=blocked)
    if isinstance(expected, str):
        assert isinstance(found, Skip) and expected in found.reason
    else:
        assert found == expected


@pytest.mark.parametrize("policy", list(Overlap))
def test_what_waits_may_begin_once_nothing_is_active(policy: Overlap) -> None:
    schedule = cron("0 2 * * *", overlap=policy)
    assert runs_may_start(schedule, 0)
    assert runs_may_start(schedule, 1) is (policy is Overlap.ALLOW)
    assert runs_may_start(schedule, 0, blocked=True) is (policy is not Overlap.SEQUENCE)
