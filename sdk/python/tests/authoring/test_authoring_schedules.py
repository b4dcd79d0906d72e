"""Schedules of a DAG: what may be said, what is sent, and what is wrong is told with its place."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from glidepath import AuthoringError, Continuous, Cron, Dates, Every, dag, load_dags, shell
from glidepath.authoring.convert import to_registration
from glidepath_proto.schedule.v1 import schedule_pb2 as pb


def declared(**settings: Any) -> tuple[pb.ScheduleDeclaration, ...]:
    @dag(dag_id="d", **settings)
    def made() -> None:
        shell("only", "true")

    return to_registration(made).schedules


def test_short_form_is_a_cron_expression_and_a_zone() -> None:
    (found,) = declared(schedule="0 2 * * * Asia/Kolkata")
    assert (found.schedule_name, found.spec.cron, found.spec.zone) == ("main", "0 2 * * *", "Asia/Kolkata")
    assert declared(schedule="@daily UTC")[0].spec.cron == "@daily"
    assert declared() == ()


def test_each_kind_sends_its_rule() -> None:
    cron, every, dates, continuous = declared(
        schedules=[
            Cron("0 2 * * *", zone="Asia/Kolkata", catchup="last_n", catchup_runs=3, params={"a": 1}, alias="live"),
            Every("15m", zone="UTC", name="e", anchor="2026-01-01T00:05", jitter="5m", overlap="skip", runs_max=9),
            Dates(["2026-12-24T18:00", datetime(2027, 1, 1, tzinfo=UTC)], zone="Europe/Berlin", name="d"),
            Continuous(pause=30, zone="UTC", name="c", exclude_weekdays=["sunday"], exclude_dates=[date(2026, 12, 25)]),
        ]
    )
    assert (cron.spec.catchup, cron.spec.catchup_runs, cron.params) == (pb.CATCHUP_LAST_N, 3, '{"a": 1}')
    assert (cron.alias, cron.HasField("dag_version_number")) == ("live", False)
    assert (every.spec.interval.every.seconds, every.spec.jitter.seconds) == (900, 300)
    assert every.spec.interval.anchor_time.ToJsonString() == "2026-01-01T00:05:00Z"
    assert (every.spec.overlap, every.spec.runs_max) == (pb.OVERLAP_SKIP, 9)
    stamps = [each.ToJsonString() for each in dates.spec.dates.tick_time]
    assert stamps == ["2026-12-24T17:00:00Z", "2027-01-01T00:00:00Z"], "without an offset: local in the zone"
    assert continuous.spec.continuous.pause.seconds == 30
    assert (list(continuous.spec.excluded_weekdays), list(continuous.spec.excluded_dates)) == ([6], ["2026-12-25"])


def test_yaml_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(
        """
dag_id: d
schedules:
  - {cron: "0 2 * * *", zone: Asia/Kolkata, catchup: latest, params: {a: 1}}
  - {every: 15m, zone: UTC, name: e}
  - {dates: ["2026-12-24T18:00"], zone: Europe/Berlin, name: x}
  - {continuous: true, pause: 5m, zone: UTC, name: c}
tasks: {only: {shell: "true"}}
---
dag_id: short
schedule: "@daily UTC"
tasks: {only: {shell: "true"}}
"""
    )
    found = load_dags(tmp_path)
    assert not found.errors
    many, short = found.dags
    expected = declared(
        schedules=[
            Cron("0 2 * * *", zone="Asia/Kolkata", catchup="latest", params={"a": 1}),
            Every("15m", zone="UTC", name="e"),
            Dates(["2026-12-24T18:00"], zone="Europe/Berlin", name="x"),
            Continuous(pause="5m", zone="UTC", name="c"),
        ]
    )
    assert to_registration(many).schedules == expected
    assert to_registration(short).schedules[0].spec.cron == "@daily"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "0 2 * * *"}, 'expected a cron expression and a zone, such as "0 2 \\* \\* \\* Asia/Kolkata"'),
        ({"schedule": "@daily UTC", "schedules": [Cron("@daily", zone="UTC")]}, "expected one of them"),
        ({"schedules": Cron("@daily", zone="UTC")}, "expected a list of Cron, Every, Dates, Continuous"),
        ({"schedules": [Cron("@daily")]}, "zone is ''; expected an IANA zone"),
        ({"schedules": [Cron("@daily", zone="UTC")] * 2}, r"schedules\[1\]: the name 'main' is taken"),
        ({"schedules": [Cron("@daily", zone="UTC", name="a b")]}, "name is 'a b'"),
        ({"schedules": [Cron("@daily", zone="UTC", catchup="lates")]}, "catchup is 'lates'; did you mean 'latest'"),
        ({"schedules": [Cron("@daily", zone="UTC", runs_max=0)]}, "runs_max is 0; expected a whole number"),
        ({"schedules": [Every("soon", zone="UTC")]}, "interval is 'soon'"),
        ({"schedules": [Dates(["soon"], zone="UTC")]}, r"dates\[0\] is 'soon'; expected a time"),
        ({"schedules": [Cron("@daily", zone="UTC", start="2026-13-01")]}, "start is '2026-13-01'; expected a time"),
        ({"schedules": [Cron("@daily", zone="UTC", exclude_weekdays=["funday"])]}, "exclude_weekdays has 'funday'"),
        ({"schedules": [Cron("@daily", zone="UTC", params={"a": object()})]}, "expected a mapping of JSON"),
        ({"schedules": [Cron("@daily", zone="UTC", version=1, alias="a")]}, "version and alias are both given"),
        ({"schedules": [{"cron": "@daily", "zone": "UTC", "zonee": 1}]}, "unknown key 'zonee'; did you mean 'zone'"),
        ({"schedules": [{"zone": "UTC"}]}, "has no rule; expected one of cron, every, dates, continuous"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        declared(**settings)
