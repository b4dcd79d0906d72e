"""How attempts ended, in words: what failed, or what the server knows of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .output import enum_name

GOOD = frozenset({"", "running", "success", "skipped", "deferred", "waiting"})


def failure_line(failure: Any) -> str:
    """A failure's type and the first line of its message."""
    message = failure.message.strip().partition("\n")[0]
    return f"{failure.type}: {message}" if failure.type and message else failure.type or message


def why(message: Any) -> str:
    """Of an attempt or a task instance: what failed; where nothing did, the server's reason."""
    return failure_line(message.failure) or message.reason


def is_bad(attempt: Any) -> bool:
    return enum_name(attempt, "state") not in GOOD


def lines(attempt: Any) -> list[str]:
    """The end of an attempt that did not succeed: what it was in one line, then the trace with what caused it."""
    state, cause, reason = enum_name(attempt, "state"), failure_line(attempt.failure), attempt.reason
    known = f"{cause} ({reason})" if cause and reason and reason not in cause else cause or reason
    return [f"{state}: {known}" if known else state, *_body(attempt.failure)]


def _body(failure: Any) -> list[str]:
    text = _details(failure)
    for cause in failure.causes:  # a trace may tell of what caused it already
        if failure_line(cause) not in text:
            text = "\n".join(filter(None, [text, f"caused by {failure_line(cause)}", _details(cause)]))
    return text.splitlines()


def _details(failure: Any) -> str:
    """The trace; where there is none, the lines of the message that one line had no room for."""
    more: str = failure.stack_trace.rstrip() or failure.message.strip().partition("\n")[2]
    return more


class Untold:
    """Bad ends that have not been printed yet, for a reader that gets log lines one after another.

    Log lines carry the time of their worker, ends that of the server: where clocks differ, an end may come some lines
    early or late, but never before a line of a later attempt has come.
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int, int], Any] = {}
        self._told: set[tuple[str, int, int]] = set()
        self._last: tuple[str, int, int] | None = None

    def add(self, attempts: Iterator[Any] | list[Any]) -> None:
        for each in attempts:
            if is_bad(each) and key_of(each) not in self._told:
                self._pending.setdefault(key_of(each), each)

    def before(self, line: Any) -> list[Any]:
        """What belongs before this line: ends of earlier attempts of its task, and what ended before it was written."""
        key, at = key_of(line), line.time.ToNanoseconds()
        if key == self._last:
            return []
        self._last = key
        return self._take(
            lambda own, each: own != key and (own < key if own[:2] == key[:2] else each.end_time.ToNanoseconds() <= at)
        )

    def rest(self) -> list[Any]:
        return self._take(lambda own, each: True)

    def _take(self, is_due: Any) -> list[Any]:
        due = [own for own, each in self._pending.items() if is_due(own, each)]
        self._told.update(due)
        return sorted((self._pending.pop(own) for own in due), key=lambda each: each.end_time.ToNanoseconds())


def key_of(message: Any) -> tuple[str, int, int]:
    """Of an attempt or a log line: which attempt it is."""
    return message.task_id, message.map_index, message.attempt_number
