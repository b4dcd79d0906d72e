"""The trace of a run whose control plane is killed: complete, with right parents, what is sent twice known as one."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest
from fault_world import House, finished, wait_until

from glidepath_server.operations.export_traces import TAKEN_SECONDS
from tests.receivers.span_receiver import SpanReceiver, attributes


@pytest.fixture
def receiver() -> Iterator[SpanReceiver]:
    found = SpanReceiver()
    yield found
    found.stop()


def test_a_receiver_gets_one_runs_trace_across_kills_of_the_control_plane(house: House, receiver: SpanReceiver) -> None:
    """One kill while a run goes on and its first attempt's span is with the receiver but not noted as sent; one
    in the same moment of its last spans."""
    # Leases that outlive the time which the test lets pass, after which what a dead replica had taken is taken anew.
    settings: dict[str, object] = {
        "otlp_endpoint": receiver.endpoint,
        "poll_interval_seconds": 0.1,
        "lease_ttl_seconds": 600,
    }
    server, killed = house.server(**settings), threading.Event()

    def kill_once() -> None:
        if not killed.is_set():
            server.send_signal(signal.SIGKILL)
            server.wait()
            killed.set()

    receiver.on_export = kill_once
    house.worker("w")
    client, run_id = house.start_waiting()
    house.let_go("a")
    wait_until(killed.is_set, "the server was killed in the middle of sending")
    assert {span.name for span in receiver.spans()} == {"held"}
    server = restarted(house, settings, TAKEN_SECONDS)
    house.wait_for_answers(client)
    wait_until(lambda: len(receiver.spans()) >= 2, "what was not noted as sent is sent again")
    killed.clear()
    house.let_go("b")
    wait_until(killed.is_set, "the server was killed again")
    server = restarted(house, settings, 2 * TAKEN_SECONDS)
    assert finished(client, run_id).state
    wait_until(lambda: "RUN waiting" in receiver.by_name(), "the span of the run")
    wait_until(lambda: not house.rows("select from trace_feed"), "everything is noted as sent")
    _check(run_id, receiver)


def restarted(house: House, settings: dict[str, object], later_seconds: float) -> subprocess.Popen[bytes]:
    """A server that begins so long after the first one."""
    house.rows("update clock set shift = make_interval(secs => $1)", later_seconds)
    return house.server(**settings)


def _check(run_id: str, receiver: SpanReceiver) -> None:
    spans = {span.span_id: span for span in receiver.spans()}
    assert len(receiver.spans()) > len(spans), "something was sent twice, or the kills proved nothing"
    for span in receiver.spans():
        assert span == spans[span.span_id], "what is sent again is the same"
    (run,) = (span for span in spans.values() if span.name == "RUN waiting")
    tasks = [span for span in spans.values() if span is not run]
    assert {span.trace_id for span in spans.values()} == {UUID(run_id).bytes}
    assert run.parent_span_id == b"" and {span.parent_span_id for span in tasks} == {run.span_id}
    names = sorted(attributes(span)["cicd.pipeline.task.run.id"].split("/", 1)[1] for span in tasks)
    assert names == ["after/-1/1", "held/-1/1", "held_2/-1/1"]
    for span in tasks:
        assert run.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= run.end_time_unix_nano
