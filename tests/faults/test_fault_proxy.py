"""The tools that harm connections do what they say, and nothing else."""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from fault_link import DOWN, UP, FaultLink
from fault_relay import FaultRelay

from glidepath_proto.worker.v1.task_pb2 import AttemptResult
from glidepath_proto.worker.v1.worker_service_pb2 import (
    Credit,
    GetOutputRequest,
    GetOutputResponse,
    Hello,
    ResultAck,
    Welcome,
    WorkRequest,
    WorkResponse,
)
from glidepath_proto.worker.v1.worker_service_pb2_grpc import (
    WorkerServiceServicer,
    WorkerServiceStub,
    add_WorkerServiceServicer_to_server,
)

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 10.0
NOTHING_SECONDS = 0.15


class Ends:
    """Both ends of one TCP connection through a link."""

    def __init__(self, link: FaultLink, listener: socket.socket) -> None:
        host, port = link.address.rsplit(":", 1)
        self.client = socket.create_connection((host, int(port)), WAIT_SECONDS)
        self.server, _ = listener.accept()
        self.server.settimeout(WAIT_SECONDS)
        self.client.sendall(b".")
        assert receive(self.server, 1) == b"."  # only now the link is sure to have both ends

    def close(self) -> None:
        self.client.close()
        self.server.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_SECONDS)
        yield listener


@pytest.fixture
def link(listener: socket.socket) -> Iterator[FaultLink]:
    link = FaultLink(f"127.0.0.1:{listener.getsockname()[1]}")
    yield link
    link.close()


@pytest.fixture
def ends(link: FaultLink, listener: socket.socket) -> Iterator[Ends]:
    ends = Ends(link, listener)
    yield ends
    ends.close()


def receive(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer when the connection ends before."""
    found = b""
    while len(found) < size and (data := sock.recv(size - len(found))):
        found += data
    return found


def nothing_arrives(sock: socket.socket) -> bool:
    sock.settimeout(NOTHING_SECONDS)
    try:
        return not sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(WAIT_SECONDS)


def is_reset(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_what_is_sent_arrives_and_so_does_the_end(ends: Ends) -> None:
    ends.client.sendall(bytes(1_000_000))
    assert receive(ends.server, 1_000_000) == bytes(1_000_000)
    ends.server.sendall(b"answer")
    ends.server.close()
    assert receive(ends.client, 100) == b"answer"


def test_a_cut_resets_what_is_open_and_what_comes_until_it_is_mended(
    link: FaultLink, listener: socket.socket, ends: Ends
) -> None:
    link.cut()
    assert is_reset(ends.client) and is_reset(ends.server)
    host, port = link.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), WAIT_SECONDS) as refused:
        assert is_reset(refused)
    assert (link.connections, link.refused) == (1, 1)
    link.mend()
    again = Ends(link, listener)
    again.client.sendall(b"x")
    assert receive(again.server, 1) == b"x"
    again.close()


def test_what_is_held_one_way_arrives_when_the_link_is_mended(link: FaultLink, ends: Ends) -> None:
    link.hold(UP)
    ends.client.sendall(b"late")
    ends.server.sendall(b"on time")
    assert receive(ends.client, 7) == b"on time"
    assert nothing_arrives(ends.server)
    link.mend()
    assert receive(ends.server, 4) == b"late"


def test_a_half_open_connection_carries_nothing_nor_its_end(
    link: FaultLink, listener: socket.socket, ends: Ends
) -> None:
    link.half_open()
    ends.client.sendall(b"lost")
    ends.server.sendall(b"lost")
    ends.client.close()
    ends.server.settimeout(NOTHING_SECONDS)
    with pytest.raises(TimeoutError):
        ends.server.recv(1)
    other = Ends(link, listener)
    other.client.sendall(b"x")
    assert receive(other.server, 1) == b"x"
    other.close()


def test_a_delay_holds_each_way_for_so_long(link: FaultLink, ends: Ends) -> None:
    link.delay(0.2, DOWN)
    begun = time.monotonic()
    ends.client.sendall(b"x")
    assert receive(ends.server, 1) == b"x"
    ends.server.sendall(b"y")
    assert receive(ends.client, 1) == b"y"
    assert time.monotonic() - begun >= 0.2


def test_a_throttle_bounds_the_rate(link: FaultLink, ends: Ends) -> None:
    link.throttle(50_000, UP)
    begun = time.monotonic()
    ends.client.sendall(bytes(20_000))
    assert receive(ends.server, 20_000) == bytes(20_000)
    assert time.monotonic() - begun >= 20_000 / 50_000 - 0.05


def test_pieces_are_doubled_swapped_and_cut_off_once(link: FaultLink, ends: Ends) -> None:
    def send(data: bytes, expected: bytes) -> None:
        ends.client.sendall(data)
        assert receive(ends.server, len(expected)) == expected

    link.duplicate(UP)
    send(b"twice ", b"twice twice ")
    send(b"once ", b"once ")
    link.reorder(UP)
    send(b"second ", b"")
    assert nothing_arrives(ends.server)  # the next one is another piece
    send(b"first ", b"first second ")
    link.truncate(UP, 3)
    ends.client.sendall(b"cut off")
    assert receive(ends.server, 100) == b"cut"


def test_an_address_that_is_taken_is_an_error(listener: socket.socket) -> None:
    taken = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(OSError):
        FaultLink("127.0.0.1:1", taken)


# ---- frames


class Plane(WorkerServiceServicer):
    """A server of the contract: it keeps what arrives and sends what it is told to."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[WorkRequest] = queue.Queue()
        self.sends: queue.Queue[WorkResponse | None] = queue.Queue()
        self.metadata: dict[str, str | bytes] = {}

    def Work(self, request_iterator: Iterator[WorkRequest], context: grpc.ServicerContext) -> Iterator[WorkResponse]:
        self.metadata = dict(context.invocation_metadata())
        threading.Thread(target=self._listen, args=(request_iterator,), daemon=True).start()
        yield from iter(self.sends.get, None)
        context.set_trailing_metadata((("why", "because"),))
        context.abort(grpc.StatusCode.ABORTED, "enough")

    def _listen(self, requests: Iterator[WorkRequest]) -> None:
        try:
            for each in requests:
                self.arrived.put(each)
        except Exception as error:  # grpc raises a bare one when the call was aborted from this side
            assert isinstance(error, grpc.RpcError) or type(error) is Exception

    def GetOutput(self, request: GetOutputRequest, context: grpc.ServicerContext) -> GetOutputResponse:
        response = GetOutputResponse()
        response.output.data = request.task_id.encode()
        return response


class Stream:
    """A worker's stream through a relay."""

    def __init__(self, relay: FaultRelay, plane: Plane) -> None:
        self.plane = plane
        self._channel = grpc.insecure_channel(relay.address, options=[("grpc.enable_http_proxy", 0)])
        self.stub = WorkerServiceStub(self._channel)
        self._sends: queue.Queue[WorkRequest | None] = queue.Queue()
        self.call = self.stub.Work(iter(self._sends.get, None), metadata=(("authorization", "Bearer x"),))

    def sends(self, *frames: WorkRequest) -> None:
        for each in frames:
            self._sends.put(each)

    def arrives(self, count: int) -> list[WorkRequest]:
        return [self.plane.arrived.get(timeout=WAIT_SECONDS) for _ in range(count)]

    def close(self) -> None:
        self.plane.sends.put(None)
        self._sends.put(None)
        self._channel.close()


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
def plane_address(plane: Plane) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8))
    add_WorkerServiceServicer_to_server(plane, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture
def relay(plane_address: str) -> Iterator[FaultRelay]:
    relay = FaultRelay(plane_address)
    yield relay
    relay.close()


@pytest.fixture
def stream(relay: FaultRelay, plane: Plane) -> Iterator[Stream]:
    stream = Stream(relay, plane)
    yield stream
    stream.close()


def credit(amount: int) -> WorkRequest:
    return WorkRequest(credits=[Credit(resource="slots", amount=amount)])


def result(token: bytes) -> AttemptResult:
    return AttemptResult(task_token=token)


def test_frames_pass_both_ways_with_metadata_and_the_end(stream: Stream, plane: Plane) -> None:
    stream.sends(WorkRequest(hello=Hello(worker_identity="w")))
    assert stream.arrives(1)[0].hello.worker_identity == "w"
    assert plane.metadata["authorization"] == "Bearer x"
    plane.sends.put(WorkResponse(welcome=Welcome(session_id="s")))
    assert next(stream.call).welcome.session_id == "s"
    plane.sends.put(None)
    with pytest.raises(grpc.RpcError):
        next(stream.call)
    assert (stream.call.code(), stream.call.details()) == (grpc.StatusCode.ABORTED, "enough")
    assert ("why", "because") in [tuple(each) for each in stream.call.trailing_metadata()]


def test_other_methods_pass_as_they_are(relay: FaultRelay, stream: Stream) -> None:
    relay.drop(UP, "hello")
    assert stream.stub.GetOutput(GetOutputRequest(task_id="up"), timeout=WAIT_SECONDS).output.data == b"up"
    with pytest.raises(grpc.RpcError) as raised:
        stream.stub.Claim(WorkRequest(), timeout=WAIT_SECONDS)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_kind_is_dropped_out_of_its_frames_so_many_times(relay: FaultRelay, stream: Stream) -> None:
    rule = relay.drop(UP, "results", 1)
    together = credit(1)
    together.results.append(result(b"1"))
    stream.sends(together, WorkRequest(results=[result(b"2")]))
    first, second = stream.arrives(2)
    assert first == credit(1)
    assert second.results[0].task_token == b"2"
    assert rule.struck == 1 and relay.seen[UP, "results"] == 2


def test_a_kind_is_repeated_in_a_frame_of_its_own(relay: FaultRelay, stream: Stream, plane: Plane) -> None:
    relay.duplicate(DOWN, "result_acks")
    plane.sends.put(WorkResponse(result_acks=[ResultAck(task_token=b"1")], start_permits=[b"2"]))
    first, second = next(stream.call), next(stream.call)
    assert first.result_acks == second.result_acks and first.start_permits == [b"2"]
    assert not second.start_permits


def test_what_is_delayed_is_overtaken(relay: FaultRelay, stream: Stream) -> None:
    relay.delay(UP, "results", 0.2, 1)
    begun = time.monotonic()
    stream.sends(WorkRequest(results=[result(b"1")]), credit(1))
    assert stream.arrives(2) == [credit(1), WorkRequest(results=[result(b"1")])]
    assert time.monotonic() - begun >= 0.2


def test_after_mend_nothing_is_harmed(relay: FaultRelay, stream: Stream) -> None:
    relay.drop(UP, "credits")
    relay.mend()
    stream.sends(credit(3))
    assert stream.arrives(1) == [credit(3)]


def test_a_worker_that_hangs_up_is_heard_of(stream: Stream, plane: Plane) -> None:
    stream.sends(WorkRequest(hello=Hello()))
    stream.arrives(1)
    stream.call.cancel()
    plane.sends.put(WorkResponse())
    assert stream.call.code() is grpc.StatusCode.CANCELLED


def test_a_kind_that_no_frame_has_is_named(relay: FaultRelay) -> None:
    with pytest.raises(ValueError, match=r"kind is 'assignments'; on the way up expected one of hello, credits"):
        relay.drop(UP, "assignments")
    with pytest.raises(ValueError, match="way is 'sideways'"):
        relay.drop("sideways", "assignments")


# ---- the command


class Command:
    """The tool as a process, as a test in another language has it."""

    def __init__(self, to: str, *more: str) -> None:
        command = [sys.executable, "-m", "tests.faults.fault_proxy", "--listen", "127.0.0.1:0", "--to", to, *more]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdin and self.process.stdout
        self._write, self._read = self.process.stdin, self.process.stdout
        self.address = self._read.readline().removeprefix("listening ").strip()

    def say(self, line: str) -> str:
        self._write.write(line + "\n")
        self._write.flush()
        return self._read.readline().strip()

    def end(self) -> int:
        self._write.close()
        status = self.process.wait(WAIT_SECONDS)
        self._read.close()
        return status


def test_lines_harm_the_link(listener: socket.socket) -> None:
    command = Command(f"127.0.0.1:{listener.getsockname()[1]}")
    host, port = command.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), WAIT_SECONDS) as client:
        server, _ = listener.accept()
        server.settimeout(WAIT_SECONDS)
        for line in ("hold up", "delay 0.01", "throttle 1000000 down", "duplicate down", "mend", "reorder up"):
            assert command.say(line) == "ok"
        assert command.say("mend") == "ok"
        assert command.say("truncate up 2") == "ok"
        client.sendall(b"abc")
        assert receive(server, 3) == b"ab"
        server.close()
        assert command.say("count") == "ok connections 1 refused 0"
        assert command.say("half-open down") == command.say("cut") == "ok"
    for line, wrong in {
        "explode": "there is no command 'explode'; expected one of cut, mend, ",
        "hold sideways": "'sideways' is no way; expected up or down",
        "delay much": "could not convert string to float",
        "drop-frames up results": "there is no command 'drop-frames'",
    }.items():
        answer = command.say(line)
        assert answer.startswith(f"error in '{line}'") and wrong in answer
    assert command.end() == 0


def test_lines_harm_frames(plane: Plane, plane_address: str) -> None:
    command = Command(plane_address, "--frames")
    with grpc.insecure_channel(command.address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        assert command.say("drop-frames up results 1") == "ok"
        assert command.say("duplicate-frames up credits") == "ok"
        assert command.say("delay-frames 0.01 up progress") == "ok"
        assert "kind is 'nothing'" in command.say("drop-frames up nothing")
        call = WorkerServiceStub(channel).Work(iter([WorkRequest(results=[result(b"1")]), credit(1)]))
        assert [plane.arrived.get(timeout=WAIT_SECONDS) for _ in range(2)] == [credit(1)] * 2
        assert command.say("count") == "ok connections 1 refused 0 up.credits 1 up.results 1"
        call.cancel()
    plane.sends.put(None)
    assert command.end() == 0
