"""Calling a handler: from its name and arguments to how the attempt ended, as JSON values. Shared by bodies and inline.

An end is a dict: {"end": "success", "content_type": ..., "size_bytes": ...} with the output's bytes beside it, and
"xcoms" (JSON texts by key) and "artifacts" where the task said any,
{"end": "failed", "failure": {...}}, {"end": "skipped", "reason": ...}, {"end": "deferred", "until": seconds since the
epoch or null, "after": seconds, "checkpoint": base64}, {"end": "called", "call": {...}} with the message of a DAG that
was made at run time beside it. Outputs over the inline limit are written to a file of the
worker's spool, and "spool" names it: the stream process stores it with the server and replaces it by a reference.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glidepath.errors import GlidepathError
from glidepath.worker import context, failures
from glidepath.worker.disk import sync_folder
from glidepath.worker.masking import Masker
from glidepath.worker.outcomes import Call, Defer, Skip

End = tuple[dict[str, Any], bytes]

JSON = "application/json"
BYTES = "application/octet-stream"
LINE_CHARS_SHOWN = 200
NOTHING: dict[str, Any] = {"end": "success"}
"""The end of a task that returned None."""


@dataclass(frozen=True)
class OutputLimits:
    """Bytes an output may have inline, and at all; `spool` is the folder for those in between."""

    inline_bytes_max: int = 64 * 1024
    artifact_bytes_max: int = 64 * 1024 * 1024
    spool: str = ""


class OutputRefused(GlidepathError, ValueError):
    """What a task returned cannot be an output; the message says what to return instead."""


def call(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    limits: OutputLimits,
    source: str = "",
    holds_artifacts: bool = False,
) -> End:
    """Run a body to its end. Never raises for what user code does, except what ends the process (SystemExit).

    `source` is the folder of its registered source, where DAGs that it makes have their tasks. `holds_artifacts` says
    that in the arguments may be JSON objects that stand for artifacts.
    """
    try:
        return _ended(function, arguments, limits, source, holds_artifacts)
    except Exception as error:
        return {"end": "failed", "failure": failures.describe(error)}, b""


def _ended(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    limits: OutputLimits,
    source: str,
    holds_artifacts: bool,
) -> End:
    try:
        given: Sequence[Any] = ()
        if holds_artifacts:
            from glidepath.artifacts import revive

            arguments, given = revive(dict(arguments))
        value = function(**arguments)
        value = _finish(value) if hasattr(value, "__await__") else value
        if isinstance(value, Call):
            return _called(value, source)
        end, data = success(value, limits)
        said = context.said(given)
        return ({**end, **said}, data) if said else (end, data)
    except Call as called:
        return _called(called, source)
    except Skip as skip:
        return {"end": "skipped", "reason": skip.reason}, b""
    except Defer as defer:
        checkpoint = base64.b64encode(defer.checkpoint).decode()
        until = None if defer.until is None else defer.until.timestamp()
        return {"end": "deferred", "until": until, "after": defer.after_seconds, "checkpoint": checkpoint}, b""


def _called(asked: Call, source: str) -> End:
    """The end of a body that calls a DAG; the message of one that was made at run time lies beside it."""
    _, params = encode(asked.params)
    call: dict[str, Any] = {
        "dag_id": asked.dag_id,
        "version": asked.version,
        "alias": asked.alias,
        "params": params.decode(),
        "logical_date": None if asked.logical_date is None else asked.logical_date.timestamp(),
        "output": asked.output,
        "resume": asked.resume,
        "checkpoint": base64.b64encode(asked.checkpoint).decode(),
    }
    if isinstance(asked.dag, str):
        return {"end": "called", "call": call}, b""
    from glidepath.worker.calls import made_at_run_time  # brings protobuf along

    return {"end": "called", "call": call}, made_at_run_time(asked.dag, source)


def _finish(awaitable: Any) -> Any:
    import asyncio

    async def finish() -> Any:
        return await awaitable

    return asyncio.run(finish())


def success(value: Any, limits: OutputLimits) -> End:
    """The end of a task that returned `value`. OutputRefused names the type, or the limit it is over."""
    if value is None:
        return NOTHING, b""
    content_type, data = encode(value)
    end: dict[str, Any] = {"end": "success", "content_type": content_type}
    if len(data) <= limits.inline_bytes_max:
        return end, data
    if len(data) > limits.artifact_bytes_max:
        raise OutputRefused(
            f"the output has {len(data)} bytes, over the limit of {limits.artifact_bytes_max}; "
            "write it to storage and return where it lies"
        )
    import hashlib

    end |= {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    end["spool"] = os.path.join(limits.spool, f"output-{os.urandom(12).hex()}")
    try:
        _write_through(end["spool"], data)
    except OSError:
        _remove_half(end["spool"])
        raise
    return end, b""


def _write_through(path: str, data: bytes) -> None:
    """To the disk: a journal that outlives a loss of power must not name a file that does not."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(os.path.dirname(path))


def _remove_half(path: str) -> None:
    """Remove a file that could not be written to its end: on a full disk it would take what room is left."""
    try:
        os.unlink(path)
    except OSError:
        pass


def encode(value: Any) -> tuple[str, bytes]:
    """Content type and bytes of an output: bytes as they are, everything else as JSON."""
    if isinstance(value, bytes | bytearray | memoryview):
        return BYTES, bytes(value)
    try:
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return JSON, text.encode()
        except TypeError:
            from glidepath import payloads  # knows more types; brings protobuf along, so only when it is needed

            return JSON, payloads.encode(value).data
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputRefused(
            f"the task returned {type(value).__name__}, which is not a JSON value ({error}); return None, a bool, "
            "number, str, list, dict with str keys or bytes, or store a file with current().put_artifact(path) and "
            "return the reference"
        ) from None  # how it is no JSON stands in the message; where that was found is nothing of the task's


def printed(line: str, shown: str) -> bytes:
    """The output of a command that promised JSON, from the last line that it printed ("" for none).

    OutputRefused when that is no JSON; `shown` is what people may see of it.
    """
    try:
        json.loads(line, parse_constant=_refuse)
    except ValueError as error:
        found = (
            f"the last line that it printed is {shown[:LINE_CHARS_SHOWN]!r} ({error})" if line else "it printed none"
        )
        raise OutputRefused(
            "the command's output is to be its last line, as JSON of at most 64 KiB, because of output='json'; " + found
        ) from error
    return line.strip().encode()


def _refuse(constant: str) -> None:
    raise ValueError(f"JSON knows no {constant}")


def masked(end: dict[str, Any], masker: Masker) -> dict[str, Any]:
    """The end with secrets out of what people read; the output itself is the task's own."""
    if "failure" in end:
        end["failure"] = _masked_failure(end["failure"], masker)
    if "reason" in end:
        end["reason"] = masker.mask(end["reason"])
    return end


def _masked_failure(failure: dict[str, Any], masker: Masker) -> dict[str, Any]:
    masked = {key: masker.mask(value) if isinstance(value, str) else value for key, value in failure.items()}
    masked["causes"] = [_masked_failure(cause, masker) for cause in failure.get("causes", [])]
    return masked
