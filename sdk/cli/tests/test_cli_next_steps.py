"""What the command says to do next when alerts are dead, and when a backfill does not move."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli_world import Folder
from click.testing import CliRunner

from glidepath.errors import GlidepathError
from glidepath_cli import backfill_watch, run_eta
from glidepath_cli.main import cli
from glidepath_cli.session import Session
from glidepath_proto.admin.v1 import alert_service_pb2
from glidepath_proto.admin.v1.alert_service_pb2 import Alert, AlertChannel
from glidepath_proto.run.v1.backfill_pb2 import Backfill, BackfillDate
from glidepath_proto.run.v1.eta_pb2 import LateCause, RunEta

RUN_ID = "01890a5d-ac96-774b-bcce-b302099a8057"


class Server:
    """The answers of one: an alert of a channel that is not there, one of a channel that refuses; a backfill."""

    def __init__(self, *states: Backfill.State) -> None:
        self._states = list(states)

    def list_alerts(self, *_: Any, **__: Any) -> list[Alert]:
        return [
            Alert(alert_id="1", channel_name="oncall", state=Alert.STATE_DEAD),
            Alert(alert_id="2", channel_name="ops", state=Alert.STATE_DEAD),
        ]

    def list_alert_channels(self) -> list[AlertChannel]:
        config = {"url": "https://hooks.example/", "secret": "***"}
        return [AlertChannel(channel_name="ops", plugin_name="webhook", config=config)]

    def test_alert_channel(self, channel_name: str) -> alert_service_pb2.TestAlertChannelResponse:
        return alert_service_pb2.TestAlertChannelResponse(error="answered 401")

    def get_run_eta(self, run_id: str) -> RunEta:
        eta = RunEta(late_probability=0.9, causes=[LateCause(message="fetch will take about 9 s instead of 1.8 s")])
        for field in ("time", "p50_end_time", "p90_end_time", "due_time"):
            getattr(eta, field).FromSeconds(1_700_000_000)
        return eta

    def get_backfill(self, backfill_id: str) -> Backfill:
        return Backfill(backfill_id=backfill_id, date_count=2, state=self._states.pop(0))

    def list_backfill_dates(self, *_: Any, **__: Any) -> list[BackfillDate]:
        return [BackfillDate(dag_run_id="over", run_state=4), BackfillDate(dag_run_id=RUN_ID, run_state=2)]

    def close(self) -> None: ...


def call(monkeypatch: pytest.MonkeyPatch, server: Server, *arguments: str) -> Any:
    monkeypatch.setattr(Session, "client", server)
    monkeypatch.setattr(backfill_watch, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(backfill_watch, "STILL_SECONDS", -1.0)
    return CliRunner().invoke(cli, [*arguments])


def test_dead_alerts_of_a_channel_that_is_missing_say_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    said = call(monkeypatch, Server(), "alert", "list").stderr
    assert "glidepath alert channel set oncall --plugin PLUGIN" in said
    assert "glidepath alert resend --channel oncall" in said and "glidepath alert resend 2" in said
    assert "resend 1" not in said and "channel set ops" not in said


def test_a_backfill_that_does_not_move_says_where_to_look_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(*[Backfill.STATE_RUNNING] * 4, Backfill.STATE_ENDED)
    result = call(monkeypatch, server, "backfill", "watch", "some")
    assert result.exit_code == 0, result.output
    assert result.stderr.count(f"nothing has ended for a while; see why: glidepath run explain {RUN_ID}") == 1


@pytest.mark.parametrize(
    ("seconds", "state", "expected"),
    [
        (0.26, Backfill.STATE_RUNNING, "less than a minute"),
        (95.0, Backfill.STATE_RUNNING, "about 2m"),
        (7_620.0, Backfill.STATE_RUNNING, "about 2h07m, until 2026-11-27 14:07Z"),
        (47.9 * 3_600, Backfill.STATE_RUNNING, "about 47h54m, until 2026-11-29 11:54Z"),
        (29 * 86_400.0, Backfill.STATE_RUNNING, "about 29 days, until 2026-12-26 12:00Z"),
        (None, Backfill.STATE_RUNNING, "not known yet"),
        (None, Backfill.STATE_PAUSED, ""),
        (None, Backfill.STATE_ENDED, ""),
    ],
)
def test_the_time_that_a_backfill_still_takes_is_no_finer_than_it_is_known(
    seconds: float | None, state: Backfill.State, expected: str
) -> None:
    found = Backfill(state=state, date_count=30)
    found.spec.dag_id = "sales"
    if seconds is not None:
        found.remaining.FromTimedelta(timedelta(seconds=seconds))
        assert backfill_watch.line(found).endswith(f"; {expected.partition(',')[0]} left")
    assert backfill_watch.time_left(found, datetime(2026, 11, 27, 12, tzinfo=UTC)) == expected


def test_a_backfill_that_is_paused_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(*[Backfill.STATE_PAUSED] * 3, Backfill.STATE_ENDED)
    assert "glidepath backfill resume some" in call(monkeypatch, server, "backfill", "watch", "some").stderr


def test_a_channel_that_refuses_is_set_anew_with_its_options_and_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    result = call(monkeypatch, Server(), "alert", "test", "ops")
    assert result.exit_code == 1 and "not taken" in result.stdout
    again = (
        "glidepath alert channel set ops --plugin webhook --config secret=SECRET --config url=https://hooks.example/"
    )
    assert again in result.stderr


def test_who_reads_lines_hears_once_that_a_run_will_be_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_eta, "ASKED_EVERY_SECONDS", 0.01)
    said: list[str] = []
    server, asked = Server(), threading.Event()
    answers = iter(range(3))

    def get_run_eta(run_id: str) -> RunEta:
        if next(answers, None) is None:
            asked.set()
            raise GlidepathError("the run has ended")
        return Server.get_run_eta(server, run_id)

    monkeypatch.setattr(server, "get_run_eta", get_run_eta)
    with run_eta.watched(server, RUN_ID, said.append):  # type: ignore[arg-type]
        assert asked.wait(20)
    (text,) = said
    assert text.startswith("at risk: ETA ")
    assert text.endswith("90% likely late; fetch will take about 9 s instead of 1.8 s")


def test_a_dag_that_names_a_channel_which_is_not_there_warns_when_it_is_registered(running: Folder) -> None:
    source = """
from glidepath import dag, task

@task
def a() -> None: ...

@dag(alerts=[{"on": ["run_failed"], "channel": "nobody"}])
def told() -> None:
    a()
"""
    (running.path / "told.py").write_text(source)
    answer = running.call("dag", "register", "told.py")
    assert answer.code == 0
    assert "warning: told: alerts go to channel nobody, which is not there" in answer.err
    assert "next:  glidepath alert channel set nobody --plugin PLUGIN" in answer.err
