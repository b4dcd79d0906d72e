"""A client that writes down every call that takes a request id: what was sent, and what was acknowledged."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from glidepath.client import Client
from glidepath.client.calls import Call
from glidepath.errors import RpcError
from tests.checker.journals import Journal

T = TypeVar("T")

# After these nobody knows whether something was done.
UNKNOWN = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL", ""})


class JournalClient(Client):
    """The SDK's blocking client with a journal. `actor` is what the audit trail calls the owner of the token."""

    def __init__(self, address: str, *, token: str, journals: Path, actor: str, timeout: float = 30.0) -> None:
        super().__init__(address, token=token, timeout=timeout)
        self._journal = Journal(journals, "client", actor)
        self._calls = itertools.count(1)

    def _call(self, call: Call[T]) -> T:
        if "request_id" not in call.request.DESCRIPTOR.fields_by_name:
            return super()._call(call)
        fields = {**_asked(call), "call": next(self._calls)}
        self._journal.note("sent", **fields)
        try:
            response = super()._call(replace(call, pick=lambda whole: whole))
        except RpcError as error:
            self._journal.note("unanswered" if error.code in UNKNOWN else "refused", answer=error.code, **fields)
            raise
        answer, names = _ANSWERS[fields["method"]](call.request, response)
        self._journal.note("answered", answer=answer, names=names, **fields)
        return call.pick(response)


def _asked(call: Call[Any]) -> dict[str, Any]:
    request = type(call.request)()
    request.CopyFrom(call.request)
    request_id, request.request_id = request.request_id, ""  # type: ignore[attr-defined]
    body = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()[:16]
    return {"method": call.method.rpartition("/")[2], "request_id": request_id, "body": body}


# What of an answer must be the same when the request is repeated, and what it names. A run that an answer shows may
# have moved on since.
Answer = tuple[str, list[str]]


def _triggered(_: Any, response: Any) -> Answer:
    said = [f"{run.dag_run_id} v{run.dag_version_number} {'new' if run.created else 'old'}" for run in response.runs]
    return " ".join(said), [run.dag_run_id for run in response.runs]


def _cancelled(request: Any, _: Any) -> Answer:
    return "done", [request.dag_run_id]


def _cleared(request: Any, response: Any) -> Answer:
    return "cleared " + ",".join(response.cleared_task_ids), [request.dag_run_id]


def _registered(request: Any, response: Any) -> Answer:
    name = f"{response.dag_version.dag_id}:{response.dag_version.dag_version_number}"
    return name, [] if request.validate_only else [name]


def _filled(_: Any, response: Any) -> Answer:
    return f"backfill {response.backfill.backfill_id}", []


_ANSWERS: dict[str, Callable[[Any, Any], Answer]] = {
    "TriggerDagRuns": _triggered,
    "CancelDagRun": _cancelled,
    "CancelTaskInstances": _cancelled,
    "MarkTaskInstances": _cancelled,
    "ClearTaskInstances": _cleared,
    "RerunDagRun": _cleared,
    "RegisterDagVersion": _registered,
    "CreateBackfill": _filled,
}
