"""What test workers, test clients, tasks and those who do harm write down: JSON lines, one file per writer.

Each line has `by` ("worker", "client", "task", "fault"), `kind`, `wall` (seconds since 1970) and `monotonic` (seconds;
comparable between the processes of one host, and journals of one folder are of one host). A line is written with one
`write` to a file opened for appending, BEFORE what it says is done (a report is sent, a call is made, a body begins),
and for what was heard as soon as it is heard: so a process that is killed leaves a journal that is short, never wrong.

| by | kind | says |
|---|---|---|
| worker | hello | a session was opened or gone on with |
| | assigned | an attempt came: `dag_version_number`, `handler` as "name@version" |
| | started | its body begins |
| | reported | `word` is the outcome, in the words of docs/states.md |
| | verdict | `word` is the answer: ACCEPTED, DUPLICATE, FENCED, REJECTED |
| | cancel | it was told to end |
| | lease_ended | the worker's own deadline passed: it holds the attempt no longer |
| | cut | the stream of the session is gone |
| client | sent | a call: `method`, `request_id`, `body` (SHA-256 of the request without its id) |
| | answered | `answer` is what must be the same when asked again; `names` the runs or "dag:number" it names |
| | refused | `answer` is the status code: nothing was done |
| | unanswered | nobody knows |
| task | start, beat, end | the body itself: `pid`, `code` (version number that its source was made as, 0: unknown) |
| fault | the deed | such as "kill server", "crash postgres"; "stop server" stands until "continue server" |
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.checker.facts import AttemptKey, ClientEntry, Fault, LedgerEntry, WorkerEntry

SUFFIX = ".jsonl"


class Journal:
    """A file that one process appends lines to. `by` is who writes."""

    def __init__(self, folder: Path, by: str, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.by, self.name = by, name
        self._file = os.open(folder / f"{by}-{name}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)

    def note(self, kind: str, **fields: Any) -> None:
        """Write one line; fields that say nothing are left out."""
        line = {
            "by": self.by,
            "kind": kind,
            "name": self.name,
            "wall": time.time(),
            "monotonic": time.monotonic(),
            **{name: value for name, value in fields.items() if value not in (None, "", 0, ())},
        }
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def close(self) -> None:
        os.close(self._file)


def note_fault(folder: Path, what: str) -> None:
    """Say what is about to be done to the system."""
    journal = Journal(folder, "fault", "all")
    journal.note(what)
    journal.close()


@dataclass(frozen=True)
class Journals:
    """Everything that was written in a folder, in the order of the host's monotonic clock."""

    workers: tuple[WorkerEntry, ...] = ()
    clients: tuple[ClientEntry, ...] = ()
    ledger: tuple[LedgerEntry, ...] = ()
    faults: tuple[Fault, ...] = ()


def read_journals(folder: Path) -> Journals:
    """All journals of a folder and of those below it. ValueError names a line that cannot be read.

    The last line of a file may be cut short: its writer was killed.
    """
    found: dict[str, list[Any]] = {by: [] for by in _MAKERS}
    for path in sorted(folder.rglob(f"*{SUFFIX}")):
        for place, line in _lines(path):
            found[line["by"]].append(_MAKERS[line["by"]](line, place))
    ordered = {by: tuple(sorted(each, key=lambda entry: entry.monotonic)) for by, each in found.items()}
    return Journals(ordered["worker"], ordered["client"], ordered["task"], ordered["fault"])


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    texts = path.read_text(encoding="utf-8").split("\n")
    for number, text in enumerate(texts, 1):
        if not text:
            continue
        try:
            line = json.loads(text)
            if line["by"] not in _MAKERS:
                raise ValueError(f"by is {line['by']!r}; expected one of {', '.join(_MAKERS)}")
        except (ValueError, KeyError) as error:
            if number == len(texts):
                return
            raise ValueError(f"{path}:{number}: not a line of a journal: {error}") from error
        yield f"{path.name}:{number}", line


def _key(line: dict[str, Any]) -> AttemptKey | None:
    key = line.get("key")
    return AttemptKey(*key) if key else None


def _worker(line: dict[str, Any], place: str) -> WorkerEntry:
    return WorkerEntry(
        line["kind"],
        line["name"],
        line.get("session_id", ""),
        line["wall"],
        line["monotonic"],
        _key(line),
        line.get("word", ""),
        line.get("dag_version_number", 0),
        line.get("handler", ""),
        place,
    )


def _client(line: dict[str, Any], place: str) -> ClientEntry:
    return ClientEntry(
        line["kind"],
        line["name"],
        line.get("call", 0),
        line["method"],
        line["wall"],
        line["monotonic"],
        line.get("request_id", ""),
        line.get("body", ""),
        line.get("answer", ""),
        tuple(line.get("names", ())),
        place,
    )


def _task(line: dict[str, Any], place: str) -> LedgerEntry:
    return LedgerEntry(
        line["kind"],
        AttemptKey(*line["key"]),
        line["pid"],
        line["wall"],
        line["monotonic"],
        line.get("code", 0),
        place,
    )


def _fault(line: dict[str, Any], place: str) -> Fault:
    return Fault(line["kind"], line["wall"], line["monotonic"], place)


_MAKERS: dict[str, Callable[[dict[str, Any], str], Any]] = {
    "worker": _worker,
    "client": _client,
    "task": _task,
    "fault": _fault,
}
