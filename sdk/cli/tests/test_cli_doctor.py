"""What doctor says of schedules that fail, of alerts that are dead and of plugins that crash, and what to do next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from glidepath_cli.doctor import dead_alerts, plugins, schedules
from glidepath_proto.admin.v1.admin_service_pb2 import Incident
from glidepath_proto.admin.v1.alert_service_pb2 import Alert, Plugin

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def incident(message: str, *, hours: float = 1, kind: str = "schedule_failed") -> Incident:
    found = Incident(kind=kind, message=message)
    found.time.FromDatetime(NOW - timedelta(hours=hours))
    return found


def test_a_schedule_that_fails_is_named_once_with_its_newest_reason_and_the_commands_to_look() -> None:
    found = schedules(
        [
            incident("schedule nightly of DAG books: KeyError: 'Asia/Kolkatta'"),
            incident("schedule nightly of DAG books: an older word", hours=2),
            incident("schedule main of DAG sales: its alias is gone", kind="scheduled_run_refused"),
        ],
        NOW,
    )
    assert found.state == "warn"
    assert found.message == (
        "nightly of books has failed, last at 2026-11-27 11:00:00Z: KeyError: 'Asia/Kolkatta'; "
        "main of sales has failed, last at 2026-11-27 11:00:00Z: its alias is gone"
    )
    assert "glidepath schedule show books nightly" in found.next and "schedule ticks books nightly" in found.next


@pytest.mark.parametrize(
    "past",
    [
        incident("schedule nightly of DAG books: it is mended since", hours=25),
        incident("schedule nightly of DAG books: somebody's own words", kind="run_quarantined"),
    ],
)
def test_what_is_over_or_is_no_schedules_makes_no_schedule_fail(past: Incident) -> None:
    assert schedules([past], NOW).state == "ok"


def test_dead_alerts_are_counted_with_the_newest_error_of_each_channel() -> None:
    dead = [
        Alert(channel_name="ops", last_error="answered 401"),
        Alert(channel_name="oncall", last_error="there is no channel 'oncall'"),
        Alert(channel_name="ops", last_error="older"),
    ]
    found = dead_alerts(dead)
    assert found.state == "warn"
    assert found.message == "3 dead, of channel ops: answered 401; of channel oncall: there is no channel 'oncall'"
    assert "glidepath alert list --state dead" in found.next and "glidepath alert resend --channel ops" in found.next
    assert dead_alerts([dead[0]] * 500).message.startswith("500 or more dead")
    assert dead_alerts([]).state == "ok"


@pytest.mark.parametrize(
    ("state", "faults", "step"),
    [
        ("disabled", 5, "start the server anew"),
        ("paused", 2, "plugin_said"),
        ("idle", 1, "plugin_said"),
        ("refused", 0, "a release of it that fits"),
    ],
)
def test_a_plugin_that_crashes_or_cannot_be_used_says_what_to_do(state: str, faults: int, step: str) -> None:
    well = Plugin(plugin_name="email", state="running")
    bad = Plugin(plugin_name="webhook", state=state, faults=faults, reason="killed by signal 9")
    found = plugins([well, bad])
    assert (found.state, found.message) == ("warn", f"webhook is {state}: killed by signal 9")
    assert "glidepath plugin show webhook" in found.next and step in found.next


def test_plugins_that_are_well_or_blocked_on_purpose_are_no_fault() -> None:
    blocked = Plugin(plugin_name="webhook", state="blocked", reason="named by plugins_blocked")
    found = plugins([Plugin(plugin_name="email", state="running"), blocked])
    assert (found.state, found.message) == ("ok", "email, webhook")
    assert plugins([]).message == "none is installed"


def test_many_are_not_all_said() -> None:
    found = plugins([Plugin(plugin_name=f"p{number}", state="paused", faults=1) for number in range(5)])
    assert found.message.endswith("p2 is paused: ; and 2 more")
