"""From an exception to the fields of a `Failure`, as JSON values: bodies hold no protobuf."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import Any

from glidepath.errors import InputError
from glidepath.worker.outcomes import Fail, Outcome, Retry

# Numbers of glidepath.common.v1.FailureKind.
APPLICATION, TIMEOUT, OUT_OF_MEMORY, KILLED_BY_SIGNAL, BAD_INPUT, INFRASTRUCTURE, PREEMPTED = range(1, 8)

MESSAGE_CHARS_MAX = 8 * 1024
TRACE_CHARS_MAX = 64 * 1024
CAUSES_MAX = 8
BASE_TYPES_MAX = 20


def describe(error: BaseException) -> dict[str, Any]:
    """The failure of a body that raised `error`, with what caused it, outermost first."""
    causes = [_describe_one(cause, stack_trace(cause, chained=False)) for cause in _causes(error)]
    asked_for = isinstance(error, Outcome) and not causes
    failure = _describe_one(error, "" if asked_for else stack_trace(error))
    if causes:
        failure["causes"] = causes
    return failure


def stack_trace(error: BaseException, *, chained: bool = True) -> str:
    """Python's own, with the frames of the task's code only, its files by their paths in the registered source.

    `chained` says whether what caused it comes first.
    """
    trace = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    for part in _parts(trace):
        part.stack = traceback.StackSummary.from_list([f for f in part.stack if not _is_ours(f.filename)])
        for frame in part.stack:
            frame.filename = _in_source(frame.filename)
        if part.exc_type is not None and issubclass(part.exc_type, SyntaxError) and part.filename:
            part.filename = _in_source(part.filename)
    return "".join(trace.format(chain=chained))[-TRACE_CHARS_MAX:]


def failure(kind: int, type_name: str, message: str, **fields: Any) -> dict[str, Any]:
    """A failure that the worker itself found."""
    return {"kind": kind, "type": type_name, "message": message, **fields}


def _describe_one(error: BaseException, trace: str) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "kind": _kind(error),
        "type": _type_name(error),
        "message": _message(error)[:MESSAGE_CHARS_MAX],
        "stack_trace": trace,
    }
    bases = [each for each in type(error).__mro__[1:] if each not in (object, BaseException, Exception)]
    if bases:
        fields["base_types"] = [_name(each) for each in bases[:BASE_TYPES_MAX]]
    if isinstance(error, Fail):
        fields["retryable"] = False
    if isinstance(error, Retry):
        fields["retryable"] = True
        fields["retry_after"] = error.after_seconds
    return fields


def _kind(error: BaseException) -> int:
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    return BAD_INPUT if isinstance(error, InputError) else APPLICATION


def _type_name(error: BaseException) -> str:
    return _name(type(error))


def _name(kind: type) -> str:
    return (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message cannot be made: {broken!r:.200})"


def _parts(trace: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """It, what caused it, and what a group holds."""
    waiting = [trace]
    while waiting:
        part = waiting.pop()
        yield part
        waiting += [each for each in (part.__cause__, part.__context__) if each is not None]
        waiting += getattr(part, "exceptions", None) or []


def _is_ours(filename: str) -> bool:
    """Frames of this package, which say nothing to the task's author."""
    return filename.startswith((_PACKAGE, "<frozen importlib"))


def _in_source(filename: str) -> str:
    return _SOURCE.sub("", filename)


_PACKAGE = __file__.rsplit("/", 2)[0] + "/"
_SOURCE = re.compile(r"^.*/sources/[0-9a-f]{64}/")


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    seen = {id(error)}
    while len(chain) < CAUSES_MAX:
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is None or id(following) in seen:
            break
        seen.add(id(following))
        chain.append(following)
        error = following
    return chain
