"""Wrong specs of backfills and what each must be answered, as data.

The scene (see test_backfills_wrong.py): DAG `churn` in version 1 with param `learning_rate` (number, at most 1), alias
`production`. Now is later than 2026-03. `fields` are those of a spec, in JSON form; the answer begins with `words`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import grpc

Code = grpc.StatusCode
RANGE = {"range_start": "2026-03-01T00:00:00Z", "range_end": "2026-03-05T00:00:00Z"}
DAILY = {**RANGE, "cron": "0 0 * * *", "zone": "UTC"}
DATE = {"logical_dates": ["2026-03-01T00:00:00Z"]}


@dataclass(frozen=True, slots=True)
class WrongSpec:
    why: str
    fields: dict[str, Any]
    words: str
    code: grpc.StatusCode = Code.INVALID_ARGUMENT


WRONG_SPECS = (
    WrongSpec(
        "nothing at all", {}, "spec.logical_dates: got neither dates nor a range, expected a range, or 1 to 10000 dates"
    ),
    WrongSpec(
        "a range and a list",
        {**DAILY, **DATE},
        "spec.logical_dates: got 1 dates and a range, expected a range or a list",
    ),
    WrongSpec("half a range", {"range_start": RANGE["range_start"]}, "spec.range_end: got nothing, expected both ends"),
    WrongSpec("the other half", {"range_end": RANGE["range_end"]}, "spec.range_start: got nothing, expected both ends"),
    WrongSpec(
        "a range without a rule",
        RANGE,
        "spec.schedule_name: got 0 of them, expected one of schedule_name, cron and period",
    ),
    WrongSpec("two rules", {**DAILY, "period": "60s"}, "spec.schedule_name: got 2 of them, expected one of"),
    WrongSpec(
        "backwards",
        {**DAILY, "range_end": "2026-02-01T00:00:00Z"},
        "spec.range_end: got 2026-02-01T00:00:00Z, expected the start of the range, 2026-03-01T00:00:00Z, or later",
    ),
    WrongSpec(
        "the future",
        {**DAILY, "range_end": "2199-01-01T00:00:00Z"},
        "spec.range_end: got 2199-01-01T00:00:00Z, expected not in the future: now it is ",
    ),
    WrongSpec(
        "each minute of half a century",
        {**DAILY, "cron": "* * * * *", "range_start": "1971-01-01T00:00:00Z"},
        "spec.range_end: got more than 10000 dates in the range, expected 1 to 10000 dates in one backfill; "
        "the last of so many is 1971-01-07T22:39:00Z",
    ),
    WrongSpec(
        "before all time",
        {**RANGE, "range_start": "0001-01-01T00:00:00Z", "period": "3600s"},
        "spec.range_start: got 0001-01-01T00:00:00+00:00, expected 1970-01-01T00:00:00Z to 2200-01-01T00:00:00Z",
    ),
    WrongSpec(
        "no date in the range",
        {**DAILY, "cron": "0 0 30 * *"},
        "spec.range_start: got 2026-03-01T00:00:00Z to 2026-03-05T00:00:00Z, without a date",
    ),
    WrongSpec(
        "a rule that is none", {**DAILY, "cron": "every day"}, "spec.cron: got 'every day', expected another cron"
    ),
    WrongSpec(
        "a rule that never fires", {**DAILY, "cron": "0 0 31 2 *"}, "spec.cron: got '0 0 31 2 *', expected another"
    ),
    WrongSpec("no zone", {**RANGE, "cron": "0 0 * * *"}, "spec.zone: got '', expected the IANA zone in which the cron"),
    WrongSpec(
        "a zone of nowhere", {**DAILY, "zone": "Europe/Atlantis"}, "spec.zone: got 'Europe/Atlantis', expected the"
    ),
    WrongSpec("a zone without use", {**RANGE, "period": "60s", "zone": "UTC"}, "spec.zone: got 'UTC', expected none"),
    WrongSpec("a period of nothing", {**RANGE, "period": "0s"}, "spec.period: got 0 s, expected 1 to "),
    WrongSpec("backwards in time", {**RANGE, "period": "-60s"}, "spec.period: got -60 s, expected 1 to "),
    WrongSpec(
        "a rule for a list", {**DATE, "cron": "0 0 * * *"}, "spec.cron: got 0 0 * * *, expected none with a list"
    ),
    WrongSpec(
        "a date of the future",
        {"logical_dates": ["2199-01-01T00:00:00Z"]},
        "spec.logical_dates[0]: got 2199-01-01T00:00:00Z, expected not in the future: now it is ",
    ),
    WrongSpec(
        "a date twice",
        {"logical_dates": [*DATE["logical_dates"] * 2]},
        "spec.logical_dates[1]: got 2026-03-01T00:00:00Z, expected each",
    ),
    WrongSpec(
        "too many dates",
        {"logical_dates": [f"2026-01-01T{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}Z" for n in range(10_001)]},
        "spec.logical_dates: got 10001 dates, expected 1 to 10000 dates in one backfill",
    ),
    WrongSpec("no DAG", {**DATE, "dag_id": ""}, "spec.dag_id: got '', expected 1 to "),
    WrongSpec(
        "a misspelt DAG",
        {**DATE, "dag_id": "chrun"},
        "spec.dag_id: there is no DAG 'chrun' in namespace 'default' (did you mean churn?)",
        Code.NOT_FOUND,
    ),
    WrongSpec(
        "a version to come",
        {**DATE, "dag_version": "7"},
        "spec.dag_version_number: DAG churn has no version 7",
        Code.NOT_FOUND,
    ),
    WrongSpec(
        "an unknown alias",
        {**DATE, "dag_version": "productoin"},
        "spec.alias: DAG churn has no alias 'productoin' (did you mean production?)",
        Code.NOT_FOUND,
    ),
    WrongSpec(
        "an unknown schedule",
        {**RANGE, "schedule_name": "nightly"},
        "spec.schedule_name: DAG churn has no schedule 'nightly'",
        Code.NOT_FOUND,
    ),
    WrongSpec(
        "an unknown pool",
        {**DATE, "pool_name": "gpus"},
        "spec.pool_name: there is no pool 'gpus' (there are: none)",
        Code.NOT_FOUND,
    ),
    WrongSpec(
        "an unknown queue",
        {**DATE, "queue_name": "defualt"},
        "spec.queue_name: there is no queue 'defualt' (did you mean default?)",
        Code.NOT_FOUND,
    ),
    WrongSpec(
        "params that do not fit",
        {**DATE, "params": '{"learning_rate": 2}'},
        "spec.params.learning_rate: got 2, expected at most 1",
    ),
    WrongSpec("params that are none", {**DATE, "params": "[1]"}, "spec.params: got [1], expected a JSON object"),
    WrongSpec(
        "too many at once", {**DATE, "runs_active_max": 10_001}, "spec.runs_active_max: got 10001, expected 1 to"
    ),
    WrongSpec("fewer than none", {**DATE, "runs_active_max": -1}, "spec.runs_active_max: got -1, expected 1 to 10000"),
    WrongSpec("half a rate", {**DATE, "rate_runs": 5}, "spec.rate_period: got nothing, expected both rate_runs and"),
    WrongSpec("the other half", {**DATE, "rate_period": "60s"}, "spec.rate_runs: got nothing, expected both rate_runs"),
    WrongSpec(
        "a rate of never", {**DATE, "rate_runs": 1, "rate_period": "0.1s"}, "spec.rate_period: got 0.1 s, expected"
    ),
    WrongSpec("no weight", {**DATE, "weight": -1.0}, "spec.weight: got -1, expected 0.001 to 1000"),
    WrongSpec("a weight beyond numbers", {**DATE, "weight": "NaN"}, "spec.weight: got nan, expected 0.001 to 1000"),
    WrongSpec("a series of blanks", {**DATE, "series": "a b"}, "spec.series: got 'a b', expected 1 to 100 of A-Z a-z"),
    WrongSpec("a series too long for keys", {**DATE, "series": "a" * 101}, f"spec.series: got '{'a' * 70}"),
    WrongSpec("two series", {**RANGE, "schedule_name": "x", "series": "y"}, "spec.series: got 'y', expected none: the"),
    WrongSpec("an order of its own", {**DATE, "order": 9}, "spec.order: got 9, expected ORDER_ASCENDING or ORDER"),
    WrongSpec("a policy of its own", {**DATE, "existing": 9}, "spec.existing: got 9, expected EXISTING_SKIP, EXISTING"),
    WrongSpec("a NUL", {**DATE, "series": "a\0b"}, "spec.series: got 'a\\x00b', expected text without NUL characters"),
)
