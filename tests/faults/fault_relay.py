"""A gRPC relay before a server that can lose, repeat or hold back one kind of what a worker's stream carries.

A kind is a field of a frame: of WorkRequest on the way UP to the server ("results", "heartbeat", ...), of WorkResponse
on the way DOWN ("assignments", "result_acks", ...). Frames are batches, so a rule takes that field out of each frame
that has it, and lets the rest pass. All other methods pass as they are, with their metadata, deadlines and errors.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import grpc

from glidepath_proto.worker.v1.worker_service_pb2 import WorkRequest, WorkResponse

UP, DOWN = "up", "down"
WORK = "/glidepath.worker.v1.WorkerService/Work"
FRAMES = {UP: WorkRequest, DOWN: WorkResponse}
CALLS_MAX = 64
DEADLINE_SECONDS_MAX = 1e6
OPTIONS = [("grpc.so_reuseport", 0), ("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]
NOT_PASSED_ON = ("user-agent", "grpc-accept-encoding", "grpc-encoding")

Metadata: TypeAlias = tuple[tuple[str, Any], ...]
Lane: TypeAlias = "queue.SimpleQueue[bytes | None]"
"""Frames on their way to one side, as bytes; None ends it."""


class Rule:
    """What befalls a kind: each time that it occurs, or the next `left` times. `struck` counts how often it has."""

    def __init__(self, act: str, way: str, kind: str, count: int | None, seconds: float = 0.0) -> None:
        if way not in FRAMES:
            raise ValueError(f"way is {way!r}; expected {UP} or {DOWN}")
        known = [field.name for field in FRAMES[way].DESCRIPTOR.fields]
        if kind not in known:
            raise ValueError(f"kind is {kind!r}; on the way {way} expected one of {', '.join(known)}")
        self.act, self.way, self.kind, self.left, self.seconds = act, way, kind, count, seconds
        self.struck = 0

    def take(self) -> bool:
        """Whether it befalls what has just occurred."""
        if self.left == 0:
            return False
        self.left = None if self.left is None else self.left - 1
        self.struck += 1
        return True


class FaultRelay:
    """A relay from `address` to the server at `target`. `seen` counts frames by (way, kind), before any rule."""

    def __init__(self, target: str, listen: str = "127.0.0.1:0") -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self._rules: list[Rule] = []
        self._lock = threading.Lock()
        self._channel = grpc.insecure_channel(target, options=OPTIONS)
        self._server = grpc.server(ThreadPoolExecutor(CALLS_MAX), handlers=[_Anything(self)], options=OPTIONS)
        self.address = f"{listen.rpartition(':')[0]}:{self._server.add_insecure_port(listen)}"
        self._server.start()

    # ---- faults
    def drop(self, way: str, kind: str, count: int | None = None) -> Rule:
        """It does not arrive."""
        return self._add(Rule("drop", way, kind, count))

    def duplicate(self, way: str, kind: str, count: int | None = None) -> Rule:
        """It arrives once more, in a frame of its own."""
        return self._add(Rule("duplicate", way, kind, count))

    def delay(self, way: str, kind: str, seconds: float, count: int | None = None) -> Rule:
        """It arrives later, in a frame of its own; others overtake it."""
        return self._add(Rule("delay", way, kind, count, seconds))

    def mend(self) -> None:
        """No rule holds any more. What is held back still arrives when its time has come."""
        with self._lock:
            self._rules.clear()

    def close(self) -> None:
        self._server.stop(0).wait()
        self._channel.close()

    def _add(self, rule: Rule) -> Rule:
        with self._lock:
            self._rules.append(rule)
        return rule

    # ---- one call
    def relay(self, method: str, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Carry a call of any shape, as bytes, to its end."""
        up: Lane = queue.SimpleQueue()
        down: Lane = queue.SimpleQueue()
        call = self._channel.stream_stream(method)(
            iter(up.get, None), metadata=_passed(context.invocation_metadata()), timeout=_seconds_left(context)
        )
        context.add_callback(call.cancel)
        harmed = method == WORK
        threading.Thread(target=self._pump, args=(requests, UP if harmed else "", up), daemon=True).start()
        threading.Thread(target=self._pump, args=(call, DOWN if harmed else "", down), daemon=True).start()
        yield from iter(down.get, None)
        context.set_trailing_metadata(_passed(call.trailing_metadata()))
        if call.code() is not grpc.StatusCode.OK:
            context.abort(call.code(), call.details() or "")

    def _pump(self, frames: Iterator[bytes], way: str, lane: Lane) -> None:
        try:
            for frame in frames:
                self._harm(way, frame, lane) if way else lane.put(frame)
        except Exception as error:  # a side that has gone; grpc raises a bare Exception where its own call was aborted
            if not isinstance(error, grpc.RpcError) and type(error) is not Exception:
                raise
        finally:
            lane.put(None)

    def _harm(self, way: str, frame: bytes, lane: Lane) -> None:
        message = FRAMES[way].FromString(frame)
        kinds = [field.name for field, _ in message.ListFields()]
        repeated = []
        with self._lock:
            self.seen.update((way, kind) for kind in kinds)
            struck = [rule for rule in self._rules if rule.way == way and rule.kind in kinds and rule.take()]
        for rule in struck:
            part = _only(message, rule.kind)
            if rule.act == "duplicate":
                repeated.append(part)
            else:
                message.ClearField(rule.kind)
            if rule.act == "delay":
                _later(rule.seconds, lane, part)
        if message.ByteSize() or not kinds:
            lane.put(message.SerializeToString())
        for part in repeated:
            lane.put(part)


class _Anything(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Every method is a stream of bytes both ways: on the wire a single message is no different."""

    def __init__(self, relay: FaultRelay) -> None:
        self._relay = relay

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self._relay.relay(details.method, requests, context)
        )


def _only(message: Any, kind: str) -> bytes:
    """A frame with nothing but that field."""
    part = type(message)()
    part.MergeFrom(message)
    for field, _ in message.ListFields():
        if field.name != kind:
            part.ClearField(field.name)
    frame: bytes = part.SerializeToString()
    return frame


def _later(seconds: float, lane: Lane, frame: bytes) -> None:
    timer = threading.Timer(seconds, lane.put, [frame])
    timer.daemon = True
    timer.start()


def _seconds_left(context: grpc.ServicerContext) -> float | None:
    """The caller's deadline; a call without one is said to have thousands of years, too many for another call."""
    left = context.time_remaining()
    return None if left is None or left > DEADLINE_SECONDS_MAX else left


def _passed(metadata: Any) -> Metadata:
    return tuple((key, value) for key, value in metadata or () if key not in NOT_PASSED_ON)
