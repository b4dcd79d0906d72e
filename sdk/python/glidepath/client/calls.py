"""The layer under the client's methods: each is defined once, as data, and driven synchronously or asynchronously.

A method builds a plan and does no I/O. `@rpc`, `@iterated` and `@outcome` bind it to the client that it is called on:
on a `Caller` it blocks, on an `AsyncCaller` it is awaited or iterated with `async for`.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import grpc
import grpc.aio
from google.protobuf.message import Message

from glidepath.client.channel import call_metadata, open_async_channel, open_channel
from glidepath.client.connection import Connection
from glidepath.client.status import to_error
from glidepath.errors import RpcError, Unavailable, WaitTimeout

P = ParamSpec("P")
T = TypeVar("T")

INTERRUPTIONS_MAX = 10
"""Attempts in a row to resume a stream without hearing anything; about half a minute."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call: what to send where, and what of the answer to give back."""

    method: str
    request: Message
    response: type[Message]
    pick: Callable[[Any], T]
    before: tuple[Call[Any], ...] = ()
    """Calls that must have gone well before."""


@dataclass
class Pages(Generic[T]):
    """A list in pages: `call(token)` asks for a page, with its items in the answer's field `items`."""

    call: Callable[[str], Call[Any]]
    items: str
    next: Call[Any] | None = field(init=False)

    def __post_init__(self) -> None:
        self.next = self.call("")

    def take(self, response: Any) -> list[T]:
        """Items of one page; `next` is the call for the following one, None behind the last."""
        token: str = response.next_page_token
        self.next = self.call(token) if token else None
        return list(getattr(response, self.items))


@dataclass
class Stream(Generic[T]):
    """A server stream that is taken up again where it was cut.

    `take` gives the items of a message and moves `call.request` on, so that calling again continues behind them.
    `complete` says whether a stream that ended without an error may be at its end.
    """

    call: Call[Any]
    take: Callable[[Any], list[T]]
    complete: Callable[[], bool] = lambda: True
    timeout: float | None = None
    """Seconds from the first call until WaitTimeout; None waits for ever."""
    _deadline: float | None = field(default=None, init=False)
    _interruptions: int = field(default=0, init=False)

    def remaining(self) -> float | None:
        """Seconds left for the next call."""
        if self.timeout is None:
            return None
        if self._deadline is None:
            self._deadline = time.monotonic() + self.timeout
        return max(0.0, self._deadline - time.monotonic())

    def heard(self, response: Any) -> list[T]:
        self._interruptions = 0
        return self.take(response)

    def interrupted(self, error: RpcError | None) -> float:
        """Seconds to wait before calling again after a cut; raises when it is not a cut, or patience is over."""
        if error is not None and not _is_cut(error):
            if error.code == "DEADLINE_EXCEEDED" and self.timeout is not None:
                raise WaitTimeout(f"not over after {self.timeout:g} s; it goes on, only the waiting ended") from error
            raise error
        self._interruptions += 1
        if self._interruptions > INTERRUPTIONS_MAX:
            raise error or Unavailable("the server keeps ending the stream early", method=self.call.method)
        return pause_seconds(self._interruptions)


def pause_seconds(interruptions: int) -> float:
    """Wait before the next attempt to resume: 0.2 s doubling to 5 s, less up to half so that clients spread."""
    return float(min(5.0, 0.1 * 2**interruptions) * (0.5 + secrets.randbelow(1000) / 2000))


def _is_cut(error: RpcError) -> bool:
    """A lost connection, as gRPC and the proxies between report it. Nobody here cancels a stream that is being read:
    CANCELLED is the word of a server whose time to stop was over."""
    return error.code in ("UNAVAILABLE", "CANCELLED") or (error.code == "INTERNAL" and "RST_STREAM" in str(error))


class Caller:
    """Drives plans synchronously. Threads may share one."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self.connection = connection
        self._timeout = timeout
        self._metadata = call_metadata(connection)
        self._channel = open_channel(connection)

    def _call(self, call: Call[T]) -> T:
        for each in call.before:
            self._call(each)
        invoke = self._channel.unary_unary(
            f"/{call.method}", type(call.request).SerializeToString, call.response.FromString
        )
        try:
            return call.pick(invoke(call.request, timeout=self._timeout, metadata=self._metadata))
        except grpc.RpcError as error:
            raise to_error(error, call.method, self.connection.address) from error

    def _iterate(self, plan: Pages[T] | Stream[T]) -> Iterator[T]:
        return self._pages(plan) if isinstance(plan, Pages) else self._stream(plan)

    def _outcome(self, plan: Stream[T]) -> T:
        for item in self._stream(plan):
            last = item
        return last

    def _pages(self, pages: Pages[T]) -> Iterator[T]:
        while pages.next is not None:
            yield from pages.take(self._call(pages.next))

    def _stream(self, stream: Stream[T]) -> Iterator[T]:
        method = f"/{stream.call.method}"
        invoke = self._channel.unary_stream(
            method, type(stream.call.request).SerializeToString, stream.call.response.FromString
        )
        while True:
            cut = None
            call = invoke(stream.call.request, timeout=stream.remaining(), metadata=self._metadata)
            try:
                for response in call:
                    yield from stream.heard(response)
                if stream.complete():
                    return
            except grpc.RpcError as error:
                cut = to_error(error, stream.call.method, self.connection.address)
            finally:
                call.cancel()
            time.sleep(stream.interrupted(cut))

    def close(self) -> None:
        """End all calls and the connection."""
        self._channel.close()


class AsyncCaller:
    """Drives plans in the event loop that makes the first call."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self.connection = connection
        self._timeout = timeout
        self._metadata = call_metadata(connection)

    @functools.cached_property
    def _channel(self) -> grpc.aio.Channel:
        return open_async_channel(self.connection, anew=True)

    async def _call(self, call: Call[T]) -> T:
        for each in call.before:
            await self._call(each)
        invoke = self._channel.unary_unary(
            f"/{call.method}", type(call.request).SerializeToString, call.response.FromString
        )
        try:
            return call.pick(await invoke(call.request, timeout=self._timeout, metadata=self._metadata))
        except grpc.RpcError as error:
            raise to_error(error, call.method, self.connection.address) from error

    def _iterate(self, plan: Pages[T] | Stream[T]) -> AsyncIterator[T]:
        return self._pages(plan) if isinstance(plan, Pages) else self._stream(plan)

    async def _outcome(self, plan: Stream[T]) -> T:
        async for item in self._stream(plan):
            last = item
        return last

    async def _pages(self, pages: Pages[T]) -> AsyncIterator[T]:
        while pages.next is not None:
            for item in pages.take(await self._call(pages.next)):
                yield item

    async def _stream(self, stream: Stream[T]) -> AsyncIterator[T]:
        method = f"/{stream.call.method}"
        invoke = self._channel.unary_stream(
            method, type(stream.call.request).SerializeToString, stream.call.response.FromString
        )
        while True:
            cut = None
            call = invoke(stream.call.request, timeout=stream.remaining(), metadata=self._metadata)
            try:
                async for response in call:
                    for item in stream.heard(response):
                        yield item
                if stream.complete():
                    return
            except grpc.RpcError as error:
                cut = to_error(error, stream.call.method, self.connection.address)
            finally:
                call.cancel()
            await asyncio.sleep(stream.interrupted(cut))

    async def close(self) -> None:
        """End all calls and the connection."""
        if "_channel" in vars(self):
            await self._channel.close()


class rpc(Generic[P, T]):
    """A method that is one call: gives T, or an awaitable of T."""

    def __init__(self, make: Callable[Concatenate[Any, P], Call[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: Caller, owner: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncCaller, owner: Any) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: Any, owner: Any) -> Any:
        return _bind(self, client, self._make, lambda plan: client._call(plan))


class iterated(Generic[P, T]):
    """A method that gives items one by one: an iterator of T, or an async one. Nothing is sent before the first."""

    def __init__(self, make: Callable[Concatenate[Any, P], Pages[T] | Stream[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: Caller, owner: Any) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, client: AsyncCaller, owner: Any) -> Callable[P, AsyncIterator[T]]: ...
    def __get__(self, client: Any, owner: Any) -> Any:
        return _bind(self, client, self._make, lambda plan: client._iterate(plan))


class outcome(Generic[P, T]):
    """A method that follows a stream to its end and gives the last item."""

    def __init__(self, make: Callable[Concatenate[Any, P], Stream[T]]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: Caller, owner: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, client: AsyncCaller, owner: Any) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, client: Any, owner: Any) -> Any:
        return _bind(self, client, self._make, lambda plan: client._outcome(plan))


def _bind(descriptor: Any, client: Any, make: Callable[..., Any], drive: Callable[[Any], Any]) -> Any:
    if client is None:
        return descriptor

    @functools.wraps(make)
    def method(*args: Any, **kwargs: Any) -> Any:
        return drive(make(client, *args, **kwargs))

    return method
