"""Bugs to plant in a copy, one at a time, and the question in how many lives they are found.

    python -m tests.simulation.bugs [--count 1000] [WORD ...]

Those of `core` are planted in the code that the server runs. Those of `tests/simulation` take a guard away from what
stands around it here; the same guards of the SQL are planted by tests/planted.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SIMULATION, SERVER = "tests/simulation", "server/glidepath_server"
RULE_TABLE = "tests/trigger_rule_table.py"
_ASK = """
import itertools, json, sys
from tests.simulation.life import live
count, enough = map(int, sys.argv[1:])
failed = (life for life in map(live, range(count)) if life.failure is not None)
print(json.dumps([[life.scenario.seed, life.kind] for life in itertools.islice(failed, enough)]))
"""


class Edit(NamedTuple):
    """In `file` (below the root) `old`, which stands there once, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Bug:
    name: str
    edits: tuple[Edit, ...]


def _core(name: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Edit(f"{SERVER}/core/{module}.py", old, new),))


def _around(name: str, module: str, old: str, new: str) -> Bug:
    return Bug(name, (Edit(f"{SIMULATION}/{module}.py", old, new),))


BUGS = (
    _core(
        "a task is released while one of its upstreams is open", "trigger_rules", "if still_open:", "if still_open > 1:"
    ),
    _core(
        "a skipped upstream counts as a success",
        "trigger_rules",
        "ALL_SUCCESS: Admission(((_BAD, _FAIL),), ((_SKIPPED, _SKIP),), _RUN)",
        "ALL_SUCCESS: Admission(((_BAD, _FAIL),), (), _RUN)",
    ),
    _core(
        "all_done does not wait",
        "trigger_rules",
        "    if still_open:\n",
        "    if still_open > (rule is TriggerRule.ALL_DONE):\n",
    ),
    _core(
        "one_success waits for all",
        "trigger_rules",
        "ONE_SUCCESS: Admission(((_GOOD, _RUN),), ((_BAD, _FAIL),), _SKIP)",
        "ONE_SUCCESS: Admission((), ((_GOOD, _RUN), (_BAD, _FAIL)), _SKIP)",
    ),
    _core("upstream_failed does not spread", "moves", "            ended.append(task)\n", ""),
    _core(
        "a cancelled upstream is not a bad one",
        "states",
        "frozenset({_S.FAILED, _S.UPSTREAM_FAILED, _S.CANCELLED})",
        "frozenset({_S.FAILED, _S.UPSTREAM_FAILED})",
    ),
    _core("a second start starts again", "advance", "return  # two replicas saw", "pass  # two replicas saw"),
    _core("tries are not counted", "next_attempt", "        tries += 1\n", ""),
    _core("losses are not counted", "next_attempt", "        losses += 1\n", ""),
    _core("take-backs are not counted", "next_attempt", "        redeliveries += 1\n", ""),
    _core("a loss uses a try", "next_attempt", "        losses += 1\n", "        losses += 1\n        tries += 1\n"),
    _core("one retry too many", "retry", "if tries > policy.retries_max:", "if tries > policy.retries_max + 1:"),
    _core(
        "retries do not wait",
        "next_attempt",
        "at = decision.at if isinstance",
        "at = None and decision.at if isinstance",
    ),
    _core(
        "what a failure says of its retry is not heard",
        "retry",
        "max(delay, asked)",
        "delay",
    ),
    _core("what is never to be retried is", "retry", "if failure.retryable is False:", "if failure.retryable:"),
    _core(
        "a cancelled run goes on retrying",
        "advance",
        "event.cancel_requested or self.is_winding_down(task):",
        "event.cancel_requested:",
    ),
    _core("a cancelled task goes on retrying", "advance", "or event.cancel_requested or", "or"),
    _core(
        "a run that failed ends as a success", "advance", "RunIntent.FAIL or self.tally.bad_total:", "RunIntent.FAIL:"
    ),
    _core("a cancel leaves what this step released", "moves", "for each in fresh:", "for each in ():"),
    _core("a clear leaves the tally as it was", "moves", "        if ends:\n", "        if False:\n"),
    _core(
        "a clear begins at attempt 1 again", "board", "self.bases[task] = max(self.bases[task], attempt_number)", "pass"
    ),
    _core(
        "attempts of earlier generations are not stored",
        "board",
        "bases.frombytes(packed[size : 5 * size])",
        "bases.extend([0] * size)",
    ),
    _core(
        "a clear forgets the attempts that were made",
        "advance",
        "                self.board.raise_base(task, event.attempts.get(task, 0))\n            self.board.held",
        "                self.board.raise_base(task, 0)\n            self.board.held",
    ),
    _core(
        "a clear of what is live does not restart it",
        "advance",
        "event.attempt_number)\n        self.reopen([event.task])",
        "event.attempt_number)",
    ),
    _core(
        "a worker gets what its queues do not serve",
        "matching",
        "if needs.queue_name not in offer.queue_names:",
        "if False:",
    ),
    _core("labels are not looked at", "matching", "if offer.labels.get(name) != value:", "if False:"),
    _core("what a full limit holds back is explained as its turn", "explain", "if waiting.parked_on:", "if False:"),
    _around(
        "a result is accepted twice, and advances twice",
        "step",
        "        del self.db.live[key]\n        outcome",
        "        outcome",
    ),
    _around(
        "a result of an older attempt is accepted",
        "step",
        "row.release.attempt_number == report.attempt.number",
        "True",
    ),
    _around(
        "the timer of an older attempt is honoured",
        "step",
        "row.release.attempt_number == attempt.number and not",
        "not",
    ),
    _around(
        "a verdict holds for whatever session has the attempt now",
        "step",
        'report.judged not in ("", row.session)',
        "False",
    ),
    _around(
        "the timeout of a run is not looked at again",
        "step",
        "return row.timeout_time is not None and row.timeout_time <= self.now",
        "return True",
    ),
    _around("limits are not looked at", "step", "used[limit] + slots > room", "False"),
    _around(
        "what is withdrawn stays in the queue",
        "step",
        "self.db.queue.pop((run, task), None)",
        "self.db.queue.get((run, task))",
    ),
    _around(
        "a tally is used whatever the board's revision", "step", "tally if revision == row.revision else None", "tally"
    ),
    _around("lost sessions are not judged", "world", "if not self.db.sessions[live.session].is_open:", "if False:"),
    _around("assignments that never arrived are not taken back", "world", "and live.start_time < old:", "and False:"),
)


def plant(bug: Bug, folder: Path) -> None:
    """A copy of the server and of the simulation with the bug in it. ValueError when its place is not there once."""
    for part in (SERVER, SIMULATION):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / RULE_TABLE, folder / RULE_TABLE)
    for edit in bug.edits:
        text = (folder / edit.file).read_text()
        if text.count(edit.old) != 1:
            raise ValueError(f"{edit.file} has this {text.count(edit.old)} times instead of once:\n{edit.old}")
        (folder / edit.file).write_text(text.replace(edit.old, edit.new))


def found_by(bug: Bug, count: int, enough: int | None = None) -> list[tuple[int, str]]:
    """Which of the first `count` seeds find the bug, and what they say is broken; no more than `enough` of them."""
    with tempfile.TemporaryDirectory() as name:
        plant(bug, Path(name))
        path = os.pathsep.join([str(Path(name) / "server"), name])
        done = subprocess.run(
            [sys.executable, "-c", _ASK, str(count), str(enough or count)],
            cwd=name,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
    return [(seed, kind) for seed, kind in json.loads(done.stdout)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.bugs", description="How planted bugs are found.")
    parser.add_argument("words", nargs="*", help="only bugs whose name holds one of them", metavar="WORD")
    parser.add_argument("--count", type=int, default=1000, help="seeds per bug (default 1000)")
    given = parser.parse_args()
    missed = 0
    print(f"| bug | planted in | found by, of {given.count} seeds | first | broken |\n|---|---|---|---|---|")
    for bug in BUGS:
        if given.words and not any(word in bug.name for word in given.words):
            continue
        found = found_by(bug, given.count)
        missed += not found
        kinds = ", ".join(sorted({kind for _, kind in found}))
        first = found[0][0] if found else "-"
        print(f"| {bug.name} | `{Path(bug.edits[0].file).name}` | {len(found)} | {first} | {kinds} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
