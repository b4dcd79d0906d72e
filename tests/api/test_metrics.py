"""The endpoint of metrics and health: what it tells of a server at work, and what it refuses."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from runs_room import CHAIN, Hand, Room, dag, open_room, run_state
from serving import running, settings_for, until

from glidepath_server.api import metrics_endpoint
from glidepath_server.api.exposure import check_exposure
from glidepath_server.core.errors import InvalidInput, StateConflict
from glidepath_server.core.states import AttemptState
from glidepath_server.telemetry.metric_names import METRICS
from glidepath_server.telemetry.metrics import Metrics

pytestmark = pytest.mark.asyncio
ON = {"metrics_address": "127.0.0.1:0"}
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def ask(address: str, request: str) -> tuple[int, str, bytes]:
    """Status, head and body of the answer to this text."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    whole = await reader.read()
    writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode(), body


async def get(address: str, path: str) -> tuple[int, bytes]:
    status, _, body = await ask(address, f"GET {path} HTTP/1.1\r\nhost: here\r\n\r\n")
    return status, body


async def scrape(address: str) -> Samples:
    """Every sample by name and labels, as a scraper reads it."""
    status, body = await get(address, "/metrics")
    assert status == 200
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


async def run_once(room: Room) -> None:
    """A run of which one task succeeds and the next fails."""
    hand = Hand(room.server, slots=4)
    await hand.connect()
    await room.register(dag("etl", CHAIN))
    run_id = await room.start("etl")
    await hand.end("load")
    await hand.end("train", AttemptState.FAILED)
    assert run_state(await room.watch(run_id)) == "failed"


async def test_a_scrape_tells_what_a_server_has_done(database_url: str) -> None:
    async with open_room(database_url, **ON) as room:
        await run_once(room)
        samples = await scrape(room.server.metrics_address)
        assert value(samples, "glidepath_attempts_ended_total", outcome="success") == 1
        assert value(samples, "glidepath_attempts_ended_total", outcome="failed") == 1
        assert value(samples, "glidepath_runs_ended_total", state="failed") == 1
        assert value(samples, "glidepath_claims_total") == 2
        assert value(samples, "glidepath_step_seconds_count") >= 3
        assert value(samples, "glidepath_ready") == 1
        assert 0 <= value(samples, "glidepath_loop_age_seconds", loop="lease_reaper") < 60
        run_ids = {str(row["dag_run_id"]) for row in await room.rows("select dag_run_id from dag_run")}
        assert not [labels for _, labels in samples for _, text in labels if text in run_ids]


async def test_a_scrape_tells_what_waits_and_how_far_the_clocks_are_apart(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glidepath_server.loops.metrics.INTERVAL_SECONDS", 0.05)
    async with open_room(database_url, **ON) as room:
        await room.register(dag("etl", {"a": [], "b": []}))
        await room.start("etl")
        found: Samples = {}

        async def told(name: str, at_least: float, **labels: str) -> bool:
            found.update(await scrape(room.server.metrics_address))
            return value(found, name, **labels) >= at_least

        queue = {"namespace": "default", "queue": "default"}
        await until(lambda: told("glidepath_queue_depth", 2, **queue, state="due"))
        await room.rows("update clock set shift = '10 minutes'")
        await until(lambda: told("glidepath_queue_oldest_seconds", 600, **queue))
        assert value(found, "glidepath_clock_offset_seconds") == pytest.approx(600, abs=2)
        assert value(found, "glidepath_database_seconds_count") >= 2


async def test_every_registered_metric_is_in_a_scrape_and_nothing_else() -> None:
    metrics = Metrics()
    metrics.step(0.1, 1, {"success": 1}, {"success": 1})
    metrics.tick(1.0)
    metrics.delivery("webhook", "delivered")
    metrics.spans("sent", 1)
    metrics.event_loop_lag(0.0)
    metrics.database(0.1, 0.0)
    metrics.worker_clocks(0.5)
    metrics.loop_age("timers", 0.0)
    metrics.ready(True)
    metrics.queues([("default", "default", {"due": 1}, 2.0)])
    families = list(text_string_to_metric_families(metrics.text().decode()))
    found = {family.name + ("_total" if family.type == "counter" else ""): family for family in families}
    assert found.keys() == METRICS.keys()
    assert {name: family.type for name, family in found.items()} == {name: each.kind for name, each in METRICS.items()}
    assert all(family.samples for family in families)


async def test_a_queue_that_is_empty_leaves_the_answer() -> None:
    metrics = Metrics()
    metrics.queues([("default", "gpu", {"due": 1}, 2.0)])
    metrics.queues([])
    assert b"gpu" not in metrics.text()


async def test_health_is_answered_while_the_database_is_gone_and_readiness_is_not() -> None:
    states = [True]
    endpoint = metrics_endpoint.MetricsEndpoint("127.0.0.1:0", Metrics(), lambda: states[0])
    await endpoint.start()
    try:
        assert await get(endpoint.address, "/healthz") == (200, b"ok\n")
        assert await get(endpoint.address, "/readyz?verbose") == (200, b"ready\n")
        states[0] = False
        assert (await get(endpoint.address, "/readyz"))[0] == 503
        assert (await get(endpoint.address, "/healthz"))[0] == 200
    finally:
        await endpoint.stop()


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("GET /secrets HTTP/1.1\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\n\r\n", 405),
        ("nonsense\r\n\r\n", 400),
        ("GET /metrics SMTP\r\n\r\n", 400),
        (f"GET /metrics HTTP/1.1\r\nx: {'y' * 20_000}\r\n\r\n", 431),
    ],
)
async def test_a_wrong_request_is_refused_by_its_status(request_text: str, status: int) -> None:
    endpoint = metrics_endpoint.MetricsEndpoint("127.0.0.1:0", Metrics(), lambda: True)
    await endpoint.start()
    try:
        found, head, body = await ask(endpoint.address, request_text)
        assert found == status and body and "connection: close" in head
    finally:
        await endpoint.stop()


async def test_who_says_nothing_is_closed_and_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_endpoint, "REQUEST_SECONDS_MAX", 0.2)
    monkeypatch.setattr(metrics_endpoint, "CONNECTIONS_MAX", 2)
    endpoint = metrics_endpoint.MetricsEndpoint("127.0.0.1:0", Metrics(), lambda: True)
    await endpoint.start()
    host, _, port = endpoint.address.rpartition(":")
    idle = [await asyncio.open_connection(host, int(port)) for _ in range(2)]

    async def served() -> bool:
        with suppress(ConnectionError):  # closed before it was heard
            return (await get(endpoint.address, "/healthz"))[0] == 200
        return False

    try:
        await until(served)
        assert [await reader.read() for reader, _ in idle] == [b"", b""]
    finally:
        for _, writer in idle:
            writer.close()
        await endpoint.stop()


# ---- where
@pytest.mark.parametrize("address", ["7713", "host", "host:port", "unix:socket", ":1"])
async def test_an_address_for_metrics_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="metrics_address: got"):
        check_exposure(settings_for("postgresql://nowhere", metrics_address=address))


async def test_metrics_beyond_loopback_are_asked_for_by_name() -> None:
    with pytest.raises(InvalidInput) as caught:
        check_exposure(settings_for("postgresql://nowhere", metrics_address="0.0.0.0:7713"))
    assert "GLIDEPATH_METRICS_EXPOSED" in caught.value.hint
    check_exposure(settings_for("postgresql://nowhere", metrics_address="0.0.0.0:7713", metrics_exposed=True))


async def test_an_address_that_is_in_use_stops_the_start(database_url: str) -> None:
    taken: Any = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    try:
        with pytest.raises(StateConflict, match=f"metrics_address: cannot listen on 127.0.0.1:{port}"):
            async with running(database_url, metrics_address=f"127.0.0.1:{port}"):
                pass
    finally:
        taken.close()


async def test_without_an_address_nothing_listens_and_no_loop_asks(database_url: str) -> None:
    async with open_room(database_url) as room:
        assert room.server.metrics_address == "" and room.server.engine.on_step is None
        assert not {"metrics", "event_loop"} & {each.name for each in room.server._loops}
