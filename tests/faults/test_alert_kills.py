"""kill -9 of a server between the writes of an alert: each fact is delivered or dead; a repetition has its id."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_world import House, finished, wait_until

from glidepath import dag, shell

sys.path.append(str(Path(__file__).resolve().parents[1] / "plugins"))
from receivers import Receiver, http_receiver

RUNS = 3
ENDED = """select count(*) from outbox o join alert_fact f using (fact_id) join alert_delivery d using (alert_id)
           where o.kind = 'run_failed' and d.state in ('delivered', 'dead')"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


@dag(alerts=[{"on": ["run_failed"], "channel": "ops"}, {"on": ["run_failed"], "channel": "nowhere"}])
def failing() -> None:
    shell("breaks", "exit 3", retries=0)


@pytest.mark.parametrize(
    "point",
    [
        "alert_claim.after_commit",
        *(
            pytest.param(each, marks=pytest.mark.prove)
            for each in (
                *("alert_routing.before_commit", "alert_routing.after_commit", "alert_claim.before_commit"),
                *("alert_settle.before_commit", "alert_settle.after_commit"),
            )
        ),
    ],
)
def test_a_server_that_is_killed_leaves_no_fact_untold(house: House, receiver: Receiver, point: str) -> None:
    quick = {"alert_group_seconds": 0.5, "plugin_call_timeout_seconds": 4}
    doomed = house.server(crash_point=f"{point}=kill", **quick)
    client = house.client()
    house.wait_for_answers(client)
    client.set_alert_channel("ops", "webhook", receiver.config())
    client.register(failing)
    house.worker("w1")
    runs = [client.trigger("failing").dag_run_id for _ in range(RUNS)]
    wait_until(lambda: doomed.poll() == -signal.SIGKILL, "the server dies on the way of an alert")
    house.server(**quick)
    for run_id in runs:
        finished(client, run_id)
    # A claim that nobody settles ends by itself; the clock is moved instead of waiting for it.
    house.rows("update clock set shift = '60 seconds'")
    wait_until(lambda: house.rows(ENDED)[0][0] == 2 * RUNS, "every fact is told, or dead, by both routes")
    states = dict(
        tuple(row) for row in house.rows("select channel_name || ' ' || state, count(*) from alert_delivery group by 1")
    )
    assert states == {"ops delivered": RUNS, "nowhere dead": RUNS}
    assert {alert["dag_run_id"] for alert in receiver.alerts} == set(runs)
    assert len({alert["alert_id"] for alert in receiver.alerts}) == RUNS
