"""What is wrong with a schedule is said at once: where, the value, what was expected."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest

from glidepath_server.core.schedules import (
    Catchup,
    ContinuousRule,
    DataInterval,
    DatesRule,
    IntervalRule,
    Overlap,
    Schedule,
    check_schedule,
)
from tests.unit.schedule_world import at, cron

GOOD_EXPRESSIONS = [
    "* * * * *",
    "*/15 1-5,7 * * mon-fri",
    "0 0 L * *",
    "0 0 15W * ?",
    "0 0 * * L5",
    "0 0 * * fri#2",
    "0 0 29 2 *",
    "H H(1-5)/2 * * H",
    "@Hourly",
    "  0  0 1,15 * 1 ",
    "0 0 * nov-feb sat-sun",
]
BAD_EXPRESSIONS = [
    ("", "it has 0 fields"),
    ("0 0 * *", "it has 4 fields"),
    ("0 0 0 * * *", "seconds and years are not"),
    ("0 0 0 * * * 2027", "seconds and years are not"),
    ("R 0 * * *", "R in minute is random"),
    ("0 R(1-5) * * *", "R(1-5) in hour is random"),
    ("0 0 1,R * *", "R in day of month is random"),
    ("H,30 0 * * *", "H is taken alone"),
    ("H(0-99) 0 * * *", "H(0-99) is no minute: it draws from 0 to 59"),
    ("H(5-5) 0 * * *", "H(5-5) is no minute"),
    ("0 H/0 * * *", "H/0 is no hour"),
    ("60 0 * * *", "60 is no minute"),
    ("0 24 * * *", "24 is no hour"),
    ("0 0 0 * *", "0 is no day of month"),
    ("0 0 * 13 *", "13 is no month"),
    ("0 0 * * 8", "8 is no day of week"),
    ("0 0 * * fry", "fry is no day of week"),
    ("*/0 0 * * *", "*/0 is no minute"),
    ("5-5 0 * * *", "write 5"),
    ("0 0 30 2 *", "never fires within 8 years"),
    ("0 0 31 4,6,9,11 *", "never fires within 8 years"),
    ("0 0 1 * fri#2", "the other day has to be *"),
    ("0 0 15W * 1", "the other day has to be *"),
    ("@reboot", "@daily"),
    ("@every 5m", "@daily"),
    ("0 0 \u0661 * *", "not ASCII"),
    ("0 0 * * 1,2,3" + ",4" * 100, "at most 200"),
]


@pytest.mark.parametrize("expression", GOOD_EXPRESSIONS)
def test_an_expression_of_five_fields_is_taken(expression: str) -> None:
    assert check_schedule(cron(expression), "schedule") == []


@pytest.mark.parametrize(("expression", "said"), BAD_EXPRESSIONS)
def test_an_expression_that_is_refused_says_why(expression: str, said: str) -> None:
    (violation,) = check_schedule(cron(expression), "schedule")
    assert violation.field == "schedule.rule.expression"
    assert said in violation.expected


DAILY: dict[str, Any] = {"rule": IntervalRule(86_400), "zone": "UTC"}
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"zone": ""}, "zone", "such as Europe/Berlin"),
    ({"zone": "Europe/Berln"}, "zone", "did you mean Europe/Berlin?"),
    ({"zone": "IST"}, "zone", "the name of an IANA zone, such as Europe/Berlin, Asia/Kolkata or UTC"),
    ({"zone": "../UTC"}, "zone", "IANA"),
    ({"zone": "America"}, "zone", "IANA"),
    ({"zone": "localtime"}, "zone", "IANA"),
    ({"zone": "right/UTC"}, "zone", "IANA"),
    ({"rule": IntervalRule(0.5)}, "rule.seconds", "1 to 316224000 s"),
    ({"rule": IntervalRule(float("nan"))}, "rule.seconds", "1 to 316224000 s"),
    ({"rule": IntervalRule(60, datetime(2026, 1, 1))}, "rule.anchor", "offset"),  # noqa: DTZ001
    ({"rule": IntervalRule(60, at("1901-01-01"))}, "rule.anchor", "1970-01-01T00:00:00Z to"),
    ({"rule": DatesRule(())}, "rule.dates", "1 to 10000 dates"),
    ({"rule": DatesRule((at("2026-01-01"),) * 10_001)}, "rule.dates", "1 to 10000 dates"),
    ({"rule": DatesRule((datetime(2026, 1, 1),))}, "rule.dates[0]", "offset"),  # noqa: DTZ001
    ({"rule": ContinuousRule(-1)}, "rule.pause_seconds", "0 to"),
    ({"gap": "jump"}, "gap", "run_after, skip"),
    ({"overlap_hours": "none"}, "overlap_hours", "first, last, both"),
    ({"data_interval": "after"}, "data_interval", "point, before"),
    ({"catchup": "some"}, "catchup", "latest"),
    ({"overlap": "some"}, "overlap", "queue_one"),
    ({"start": datetime(2026, 1, 1)}, "start", "offset"),  # noqa: DTZ001
    ({"end": at("2201-01-01")}, "end", "to 2200-01-01T00:00:00Z"),
    ({"start": at("2026-01-02"), "end": at("2026-01-01")}, "end", "or later"),
    ({"runs_max": 0}, "runs_max", "1 to"),
    ({"jitter_seconds": -1}, "jitter_seconds", "0 to 604800 s"),
    ({"jitter_seconds": 604_801}, "jitter_seconds", "0 to 604800 s"),
    ({"excluded_dates": (date(2026, 1, 1),) * 1_001}, "excluded_dates", "at most 1000"),
    ({"excluded_weekdays": (7,)}, "excluded_weekdays[0]", "Monday is 0"),
    ({"excluded_weekdays": tuple(range(7))}, "excluded_weekdays", "at least one weekday"),
    ({"catchup": Catchup.LAST_N}, "catchup_runs", "catchup is last_n"),
    ({"catchup": Catchup.LAST_N, "catchup_runs": 0}, "catchup_runs", "1 to"),
    ({"catchup_runs": 3}, "catchup_runs", "goes with catchup last_n"),
    ({"catchup": Catchup.WITHIN}, "catchup_seconds", "catchup is within"),
    ({"catchup": Catchup.WITHIN, "catchup_seconds": 0.0}, "catchup_seconds", "more than 0"),
    ({"catchup_seconds": 3.0}, "catchup_seconds", "goes with catchup within"),
    ({"overlap": Overlap.SKIP, "overlap_runs": 3}, "overlap_runs", "goes with overlap allow"),
    ({"overlap_runs": 0}, "overlap_runs", "1 to 10000"),
    ({"rule": ContinuousRule(), "data_interval": DataInterval.BEFORE}, "data_interval", "point"),
    ({"rule": DatesRule((at("2026-01-01"),)), "data_interval": DataInterval.BEFORE}, "start", "no tick"),
    ({"rule": IntervalRule(7 * 86_400), "excluded_weekdays": (3,)}, "excluded_weekdays", "at least one tick"),
    ({"rule": DatesRule((at("2026-01-01"),)), "excluded_dates": (date(2026, 1, 1),)}, "excluded_dates", "one tick"),
]


@pytest.mark.parametrize(("changed", "field", "said"), WRONG)
def test_what_is_wrong_names_its_field(changed: dict[str, Any], field: str, said: str) -> None:
    (violation,) = check_schedule(Schedule(**{**DAILY, **changed}), "schedule")
    assert violation.field == f"schedule.{field}"
    assert said in violation.expected


def test_everything_wrong_is_said_at_once() -> None:
    found = check_schedule(cron("x", "Nowhere", runs_max=0), "schedules.nightly")
    assert [each.field for each in found] == [
        "schedules.nightly.zone",
        "schedules.nightly.rule.expression",
        "schedules.nightly.runs_max",
    ]


def test_a_rule_whose_every_day_is_excluded_is_refused() -> None:
    (violation,) = check_schedule(cron("* * * * 1", excluded_weekdays=(0,)), "schedule")
    assert violation.field == "schedule.excluded_weekdays"


def test_a_rule_that_keeps_a_day_is_taken() -> None:
    assert check_schedule(cron("0 0 29 2 *", excluded_weekdays=(0, 1, 2, 3, 4, 5)), "schedule") == []
    assert check_schedule(cron("0 0 1 * *", excluded_weekdays=(0, 1, 2, 3, 4)), "schedule") == []
