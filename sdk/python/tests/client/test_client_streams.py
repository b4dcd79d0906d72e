"""Streams go on where they were cut."""

import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from glidepath import AsyncClient, Client, NotFound, Unavailable, WaitTimeout
from glidepath.client import calls
from glidepath_proto.run.v1 import run_pb2, run_service_pb2

STATES = [run_pb2.RUN_STATE_QUEUED, run_pb2.RUN_STATE_RUNNING, run_pb2.RUN_STATE_RUNNING, run_pb2.RUN_STATE_SUCCESS]


def _message(revision: int) -> run_service_pb2.WatchDagRunResponse:
    run = run_pb2.DagRun(dag_run_id="r", revision=revision, state=STATES[revision - 1])
    return run_service_pb2.WatchDagRunResponse(dag_run=run)


def _one_change_per_call(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    yield _message(request.after_revision + 1)
    if request.after_revision + 1 < len(STATES):
        context.abort(grpc.StatusCode.UNAVAILABLE, "moving")


def test_watch_goes_on_behind_the_last_revision(server: Any) -> None:
    server.on("WatchDagRun", _one_change_per_call)
    with Client(server.address) as client:
        assert [each.dag_run.revision for each in client.watch("r")] == [1, 2, 3, 4]
        assert client.wait("r").state == run_pb2.RUN_STATE_SUCCESS
    asked = [(each.after_revision, each.run_only) for each in server.requests("WatchDagRun")]
    assert asked == [(at, run_only) for run_only in (False, True) for at in range(4)]


async def test_the_async_client_goes_on_as_well(server: Any) -> None:
    server.on("WatchDagRun", _one_change_per_call)
    async with AsyncClient(server.address) as client:
        assert [each.dag_run.revision async for each in client.watch("r", after_revision=1)] == [2, 3, 4]
        assert (await client.wait("r")).revision == 4


def test_an_early_end_without_an_error_is_a_cut_too(server: Any) -> None:
    server.on("WatchDagRun", lambda request, context: iter([_message(request.after_revision + 1)]))
    with Client(server.address) as client:
        assert client.wait("r").revision == 4


def test_watch_survives_a_server_that_stops_and_starts(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield _message(request.after_revision + 1)
        if not stopped.is_set():
            stopped.wait(30)

    def stop_and_start(interruptions: int) -> float:
        if not stopped.is_set():
            stopped.set()
            server.start()
        return 0.05

    server.on("WatchDagRun", answer)
    monkeypatch.setattr(calls, "pause_seconds", stop_and_start)
    with Client(server.address) as client:
        seen = []
        for each in client.watch("r"):
            seen.append(each.dag_run.revision)
            if len(seen) == 1:
                server.stop()
    assert seen == [1, 2, 3, 4]


def test_watch_gives_up_when_nothing_is_heard(server: Any) -> None:
    def refuse(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        context.abort(grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2")
        yield

    server.on("WatchDagRun", refuse)
    with Client(server.address) as client, pytest.raises(Exception, match="RST_STREAM"):
        next(client.watch("r"))
    assert len(server.requests("WatchDagRun")) == calls.INTERRUPTIONS_MAX + 1


def test_an_endless_early_end_is_unavailable(server: Any) -> None:
    with Client(server.address) as client, pytest.raises(Unavailable, match="keeps ending the stream early"):
        client.wait("r")


def test_a_stream_that_a_stopping_server_cancels_is_taken_up_again(server: Any) -> None:
    def cancelled_once(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        if len(server.requests("WatchDagRun")) == 1:
            context.abort(grpc.StatusCode.CANCELLED, "")
        context.abort(grpc.StatusCode.NOT_FOUND, "it was asked again")
        yield

    server.on("WatchDagRun", cancelled_once)
    with Client(server.address) as client, pytest.raises(NotFound, match="it was asked again"):
        next(client.watch("r"))


def test_an_error_that_is_no_cut_ends_the_watch(server: Any) -> None:
    server.on("WatchDagRun", lambda request, context: context.abort(grpc.StatusCode.NOT_FOUND, "no run 'r'"))
    with Client(server.address) as client, pytest.raises(NotFound, match="no run 'r'"):
        list(client.watch("r"))
    assert len(server.requests("WatchDagRun")) == 1


async def test_wait_ends_at_its_timeout(server: Any) -> None:
    over = threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        yield _message(1)
        over.wait(30)

    server.on("WatchDagRun", answer)
    with Client(server.address) as client, pytest.raises(WaitTimeout, match=r"not over after 0.2 s"):
        client.wait("r", timeout=0.2)
    async with AsyncClient(server.address) as asynchronous:
        with pytest.raises(TimeoutError):
            await asynchronous.wait("r", 0.2)
    over.set()


def test_leaving_a_watch_ends_the_call(server: Any) -> None:
    ended = threading.Event()

    def answer(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
        context.add_callback(ended.set)
        yield _message(1)
        ended.wait(30)

    server.on("WatchDagRun", answer)
    with Client(server.address) as client:
        for _ in client.watch("r"):
            break
        assert ended.wait(10)


LINES = [["a", "b"], ["c"], ["d"]]


def _lines(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
    position = int(request.after or 0)
    texts = [run_pb2.LogLine(text=text) for text in LINES[position]]
    yield run_service_pb2.StreamLogsResponse(lines=texts, cursor=str(position + 1))
    if position + 1 < len(LINES):
        context.abort(grpc.StatusCode.UNAVAILABLE, "moving")


async def test_logs_go_on_behind_the_cursor(server: Any) -> None:
    server.on("StreamLogs", _lines)
    with Client(server.address) as client:
        assert [line.text for line in client.logs("r", "t", follow=True)] == list("abcd")
    async with AsyncClient(server.address) as asynchronous:
        assert [line.text async for line in asynchronous.logs("r")] == list("abcd")
    first, second = server.requests("StreamLogs")[:2]
    assert (first.after, first.follow, first.task_id) == ("", True, "t") and second.after == "1"
