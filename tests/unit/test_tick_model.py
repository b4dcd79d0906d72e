"""The ticks of the product are those of a second model, minute by minute, and those of a second cron library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import product, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from glidepath_server.core.schedules import DstGap, DstOverlap, ticks, ticks_between
from tests.unit.schedule_world import SEED, cron
from tests.unit.tick_model import Expression, Window, jumps, model_ticks, sightings, window

ZONES = [
    "Africa/Casablanca",
    "America/Havana",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "UTC",
]
RULES = [
    "30 2 * * *",
    "0 0 * * *",
    "59 23 * * *",
    "15,45 0,1,2,3 * * *",
    "30 1-3 * * mon-fri",
    "*/20 1 * * *",
    "10 0-23 * * *",
    "0 * * * *",
    "45 * * * sun,sat",
    "*/15 * * * *",
    "7-59/11 */2 * * *",
    "0 2/6 * * *",
    "30 2 l * *",
    "0 2 1-7,25 * sun",
    "30 0 * 3,4,9-11 l0",
    "0 3 * * sun#2",
]
POLICIES = list(product(DstGap, DstOverlap))
FIRST_YEAR, LAST_YEAR = 2000, 2031
AROUND = timedelta(hours=36)


def wrong_ticks(
    zone: str, rules: Iterable[str], policies: Iterable[tuple[DstGap, DstOverlap]], places: list[datetime]
) -> list[str]:
    """Each disagreement with the model around these instants."""
    expressions = {rule: Expression(rule) for rule in rules}
    found: list[str] = []
    for place in places:
        stretch = window(zone, place - AROUND, place + AROUND)
        for rule, expression in expressions.items():
            seen = sightings(expression, stretch)
            for gap, overlap in policies:
                expected = model_ticks(expression, stretch, seen, gap, overlap)
                schedule = cron(rule, zone, gap=gap, overlap_hours=overlap)
                told = ticks_between(schedule, SEED, stretch.begin, stretch.end)
                if (got := [(each.tick_time, bool(each.skip)) for each in told]) != expected:
                    differ = sorted(set(got) ^ set(expected))[:4]
                    found.append(f"{rule} in {zone} around {place}, {gap}, {overlap}: {differ}")
    return found


@pytest.mark.parametrize(
    ("zone", "places"),
    [
        ("America/New_York", [datetime(2024, 3, 10, 7, tzinfo=UTC), datetime(2024, 11, 3, 6, tzinfo=UTC)]),
        ("Australia/Lord_Howe", [datetime(2024, 4, 6, 15, tzinfo=UTC), datetime(2024, 10, 5, 15, 30, tzinfo=UTC)]),
        ("Pacific/Apia", [datetime(2011, 12, 30, 10, tzinfo=UTC)]),
        ("Africa/Casablanca", [datetime(2024, 3, 10, 2, tzinfo=UTC)]),
        ("America/St_Johns", [datetime(2006, 10, 29, 2, 31, tzinfo=UTC)]),
    ],
)
def test_ticks_around_a_few_jumps_are_those_of_the_model(zone: str, places: list[datetime]) -> None:
    assert wrong_ticks(zone, RULES, [POLICIES[0], POLICIES[-1]], places) == []


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("zone", ZONES)
def test_ticks_around_all_jumps_of_32_years_are_those_of_the_model(
    zone: str, record_property: Callable[[str, object], None]
) -> None:
    places = jumps(zone, FIRST_YEAR, LAST_YEAR)
    record_property("days of three around jumps", len(places))
    assert len(places) >= LAST_YEAR - FIRST_YEAR + 1
    assert wrong_ticks(zone, RULES, POLICIES, places) == []


def cronsim_ticks(rule: str, stretch: Window, zone: str) -> list[datetime]:
    """cronsim tells local times of one gap as often as there are; here each instant counts once."""
    start = (stretch.begin - timedelta(seconds=1)).astimezone(ZoneInfo(zone))
    found = takewhile(lambda each: each <= stretch.end, (each.astimezone(UTC) for each in CronSim(rule, start)))
    return sorted(set(found))


# Not among them: steps in the hour, which cronsim lets fall into a gap; a star in the minute of a fixed hour, which it
# lets run twice; 10 0-23, which it does not see to be every hour; l0, which it writes 0L; hours by the clock where the
# clock is set by half an hour, for it goes on by whole ones.
AGREED = [each for each in RULES if not {"*/20", "7-59/11", "2/6", "0-23", "l0"} & set(each.split())]


@pytest.mark.parametrize("rule", AGREED)
def test_a_second_library_agrees_around_a_jump_forward_and_one_back(rule: str) -> None:
    assert wrong_cronsim("America/New_York", rule, [datetime(2024, 3, 10, 7, tzinfo=UTC)]) == []
    assert wrong_cronsim("Europe/Berlin", rule, [datetime(2024, 10, 27, 1, tzinfo=UTC)]) == []


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("zone", ZONES)
def test_a_second_library_agrees_around_all_jumps_of_32_years(zone: str) -> None:
    places = jumps(zone, FIRST_YEAR, LAST_YEAR)
    rules = [rule for rule in AGREED if zone != "Australia/Lord_Howe" or "*" not in rule.split()[1]]
    assert [each for rule in rules for each in wrong_cronsim(zone, rule, places)] == []


def wrong_cronsim(zone: str, rule: str, places: list[datetime]) -> list[str]:
    found = []
    for place in places:
        stretch = Window(place - AROUND, place + AROUND, [])
        got = [each.tick_time for each in ticks_between(cron(rule, zone), SEED, stretch.begin, stretch.end)]
        if got != (expected := cronsim_ticks(rule, stretch, zone)):
            found.append(f"{rule} in {zone} around {place}: {sorted(set(got) ^ set(expected))[:4]}")
    return found


def test_the_model_itself_would_notice_a_lost_pass() -> None:
    """A model that agrees with anything shows nothing: it tells all policies apart at one jump of each kind."""
    stretch = window("America/New_York", datetime(2024, 11, 2, tzinfo=UTC), datetime(2024, 11, 4, tzinfo=UTC))
    seen = sightings(expression := Expression("30 1 * * *"), stretch)
    assert len({tuple(model_ticks(expression, stretch, seen, "skip", each)) for each in DstOverlap}) == 3
    first = next(ticks(cron("30 1 * * *", "America/New_York"), SEED, stretch.begin))
    assert model_ticks(expression, stretch, seen, "skip", "first")[0] == (first.tick_time, False)
