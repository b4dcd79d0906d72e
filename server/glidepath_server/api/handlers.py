"""One way around every RPC, whether it is unary or streams in either direction."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from ..core.errors import InvalidInput, Violation

Context = grpc.aio.ServicerContext[Any, Any]
Around = Callable[[Any, Context], AbstractAsyncContextManager[None]]
"""Entered before the handler with the request (None when requests are streamed); left with what the handler raised."""

FIRST_MESSAGE_SECONDS_MAX = 1.0

_FACTORIES = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def wrap_handler(handler: Any, around: Around, *, reads: bool = False) -> Any:
    """The handler with `around` about each of its calls; None (no such method) stays None.

    With `reads` the requests are parsed here, once the call was admitted, and no longer by gRPC beforehand, which would
    parse for strangers too, and answer UNKNOWN to what it cannot read. Raises InvalidInput for such a request.
    """
    if handler is None:
        return None
    behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    wrap = _wrap_generator if inspect.isasyncgenfunction(behavior) else _wrap_coroutine
    read = _reader(handler) if reads else _as_it_is
    return _FACTORIES[handler.request_streaming, handler.response_streaming](
        wrap(behavior, around, handler.request_streaming, read),
        None if reads else handler.request_deserializer,
        handler.response_serializer,
    )


def answering_handler(handler: Any, answer: Callable[[Exception, Context], Callable[[], Awaitable[None]]]) -> Any:
    """The handler, whose errors are given to `answer`; what that returns is awaited once nothing of the call is left.

    gRPC keeps the exception with which a call is aborted, and with it every frame that it passes, in a cycle: a request
    that stood in such a frame, or an error behind it, would stay in memory until the next full garbage collection.
    """
    if handler is None:
        return None
    behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

    async def call(request: Any, context: Context) -> Any:
        try:
            return await behavior(request, context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            abort = answer(error, context)
        del request, context
        await abort()

    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            async with aclosing(behavior(request, context)) as answers:
                async for each in answers:
                    yield each
            return
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            abort = answer(error, context)
        del request, context
        await abort()

    return _FACTORIES[handler.request_streaming, handler.response_streaming](
        stream if inspect.isasyncgenfunction(behavior) else call,
        handler.request_deserializer,
        handler.response_serializer,
    )


def refusing_handler(error: Exception, *, streams: bool) -> Any:
    """Stands for a handler of any kind: raises the error without having parsed anything of the request.

    Of a stream of requests it waits for the first, for a moment: a client that is refused while it writes that is told
    by its own library that the stream broke, and not why.
    """

    async def refuse(requests: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        if streams:
            with suppress(TimeoutError):
                await asyncio.wait_for(anext(requests, None), FIRST_MESSAGE_SECONDS_MAX)
        raise error
        yield

    return grpc.stream_stream_rpc_method_handler(refuse)


def _wrap_coroutine(behavior: Any, around: Around, request_streaming: bool, read: Callable[[Any], Any]) -> Any:
    async def call(given: Any, context: Context) -> Any:
        request = read(given)
        async with around(None if request_streaming else request, context):
            return await behavior(request, context)

    return call


def _wrap_generator(behavior: Any, around: Around, request_streaming: bool, read: Callable[[Any], Any]) -> Any:
    async def stream(given: Any, context: Context) -> AsyncIterator[Any]:
        request = read(given)
        known = None if request_streaming else request
        async with around(known, context), aclosing(behavior(request, context)) as answers:
            async for answer in answers:
                yield answer

    return stream


def _as_it_is(given: Any) -> Any:
    return given


def _reader(handler: Any) -> Callable[[Any], Any]:
    """What makes the request (or the stream of requests) of the bytes that came."""
    parse = handler.request_deserializer

    def read(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError as error:
            violation = Violation("request", f"{len(data)} bytes", f"a message that can be read ({error})")
            raise InvalidInput(str(violation), violations=[violation]) from None

    async def read_all(requests: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in requests:
            yield read(data)

    return read_all if handler.request_streaming else read
