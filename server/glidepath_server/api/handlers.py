"""One way around every RPC, whether it is unary or streams in either direction."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]
Around = Callable[[Any, Context], AbstractAsyncContextManager[None]]
"""Entered before the handler with the request (None when requests are streamed); left with what the handler raised."""

_FACTORIES = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def wrap_handler(handler: Any, around: Around) -> Any:
    """The handler with `around` about each of its calls; None (no such method) stays None."""
    if handler is None:
        return None
    behavior = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
    wrap = _wrap_generator if inspect.isasyncgenfunction(behavior) else _wrap_coroutine
    return _FACTORIES[handler.request_streaming, handler.response_streaming](
        wrap(behavior, around, handler.request_streaming), handler.request_deserializer, handler.response_serializer
    )


def _wrap_coroutine(behavior: Any, around: Around, request_streaming: bool) -> Any:
    async def call(request: Any, context: Context) -> Any:
        async with around(None if request_streaming else request, context):
            return await behavior(request, context)

    return call


def _wrap_generator(behavior: Any, around: Around, request_streaming: bool) -> Any:
    async def stream(request: Any, context: Context) -> AsyncIterator[Any]:
        given = None if request_streaming else request
        async with around(given, context), aclosing(behavior(request, context)) as answers:
            async for answer in answers:
                yield answer

    return stream
