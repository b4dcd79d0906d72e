"""`make prove`: every test and every proof of the rooms that hold the promises, and its report in docs/proof.md.

    python -m tools.prove [--seed N] [--report PATH] [PYTEST OPTION ...]

First the rooms that may share the machine, side by side; then the measured ones, alone. The report is written whatever
came of it, and says so. What a proof measured it hands over with pytest's `record_property`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from .machine import machine

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "prove"
REPORT = ROOT / "docs" / "proof.md"
TOGETHER = ("unit", "store", "api", "simulation", "planted", "checker", "faults", "chaos", "tools")
# Their figures are shares of what the machine does when nobody disturbs it.
ALONE = ("hostile",)
# A property with thousands of examples may take longer than any test of `make test`; a hang is a failure all the same.
TIMEOUT_SECONDS = 900
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile")
# What a test ended as, the worst first.
OUTCOMES = ("failed", "not run", "expected to fail", "passed")


@dataclass
class Case:
    """A test as JUnit's XML tells of it."""

    file: str
    name: str
    seconds: float
    outcome: str
    properties: list[tuple[str, str]] = field(default_factory=list)

    @property
    def room(self) -> str:
        return self.file.split("/")[1]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run every proof and write the report.")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the property tests")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes (default docs/proof.md)")
    asked, options = parser.parse_known_args(arguments)
    BUILD.mkdir(parents=True, exist_ok=True)
    for old in BUILD.glob("*"):
        old.unlink()
    began, clock, proved = datetime.now(UTC), time.monotonic(), commit()
    marks = yardsticks()
    codes = {
        name: prove(name, rooms, [*how, f"--hypothesis-seed={asked.seed}", *options])
        for name, rooms, how in (("together", TOGETHER, SIDE_BY_SIDE), ("alone", ALONE, ()))
    }
    cases = [case for path in sorted(BUILD.glob("*.xml")) for case in cases_of(path.read_bytes())]
    facts = Facts(began, time.monotonic() - clock, asked.seed, proved, marks, codes)
    asked.report.write_text(report(facts, cases))
    print(f"prove: {asked.report} says what was proved and measured; {'all passed' if facts.ok else 'NOT ALL PASSED'}")
    return 0 if facts.ok else 1


def prove(name: str, rooms: Iterable[str], options: Sequence[str]) -> int:
    """Run the tests of these rooms, of both tiers."""
    command = [sys.executable, "-m", "pytest", *(f"tests/{room}" for room in rooms), "-m", "prove or not prove"]
    command += ["--hypothesis-profile=prove", f"--junitxml={BUILD / name}.xml", "-o", "junit_family=xunit1"]
    command += [f"--timeout={TIMEOUT_SECONDS}", *options]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def yardsticks() -> dict[str, float]:
    """What this machine does without us, now; empty when that cannot be measured."""
    output = BUILD / "yardsticks.json"
    command = [sys.executable, "tests/benchmarks/run.py", "--only", "yardsticks", "--output", str(output)]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        return {}
    found: dict[str, float] = json.loads(output.read_text())["yardsticks"]
    return found


def commit() -> str:
    """The commit that was proved, and whether the tree was another."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return shown.stdout.strip()


@dataclass(frozen=True)
class Facts:
    """What the report says of the run as a whole."""

    began: datetime
    seconds: float
    seed: int
    commit: str
    yardsticks: dict[str, float]
    codes: dict[str, int]
    """Of each part, what pytest ended with: 0 all passed, 1 some did not, more: it did not come to its end."""

    @property
    def ok(self) -> bool:
        return not any(self.codes.values())


def cases_of(text: bytes) -> list[Case]:
    """The tests of JUnit's XML (family xunit1); none of one that was cut short, whose part has failed."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError:
        return []
    return list(_cases(root))


def _cases(root: ElementTree.Element) -> Iterator[Case]:
    for element in root.iter("testcase"):
        properties = [(each.get("name", ""), each.get("value", "")) for each in element.iter("property")]
        file, name, seconds = element.get("file", "?/?"), element.get("name", "?"), float(element.get("time", 0))
        yield Case(file, name, seconds, _outcome({child.tag: child.get("type", "") for child in element}), properties)


def _outcome(children: dict[str, str]) -> str:
    """Of the elements of a test, with their types."""
    if children.keys() & {"failure", "error"}:
        return "failed"
    if "skipped" in children:
        return "expected to fail" if children["skipped"] == "pytest.xfail" else "not run"
    return "passed"


# ---- the report, pure
def report(facts: Facts, cases: Sequence[Case]) -> str:
    """The page, in Markdown."""
    return "\n".join([*_head(facts, cases), *_rooms(cases), *_figures(cases), *_troubles(cases)]) + "\n"


def _head(facts: Facts, cases: Sequence[Case]) -> Iterator[str]:
    on = machine()
    yield "# The last proof"
    yield ""
    yield "Written by `make prove`: every test of the rooms below, and every proof that is too long for `make test`."
    yield f"The same again: `make prove PROVE_OPTIONS=--seed={facts.seed}`; the other seeds are in the tests."
    yield ""
    result = "all passed" if facts.ok else "NOT ALL PASSED"
    yield f"- Result: **{result}**, {len(cases):,} tests in {facts.seconds / 60:.0f} minutes"
    for name, code in facts.codes.items():
        if code > 1:
            yield f"- The rooms {name} **did not come to their end** (pytest's code {code}): tests are missing"
    yield f"- Begun: {facts.began:%Y-%m-%d %H:%M} UTC, on commit {facts.commit}"
    yield f"- Seed of the property tests: {facts.seed}"
    memory = int(on["memory_mib"]) // 1024
    yield f"- Machine: {on['cpus']} CPUs ({on['cpu']}), {memory} GiB, {on['system']}, Python {on['python']}"
    marks = ", ".join(f"{name} {value:,.0f}" for name, value in sorted(facts.yardsticks.items()))
    yield f"- What the machine did without us: {marks or 'could not be measured'}"


def _rooms(cases: Sequence[Case]) -> Iterator[str]:
    yield from ("", "## What ran", "", "| File | Tests | " + " | ".join(OUTCOMES) + " | Seconds |")
    yield "|---|---" + "|---" * len(OUTCOMES) + "|---|"
    for file in sorted({case.file for case in cases}):
        here = [case for case in cases if case.file == file]
        counts = [sum(case.outcome == outcome for case in here) for outcome in OUTCOMES]
        seconds = sum(case.seconds for case in here)
        yield f"| {file} | {len(here)} | " + " | ".join(map(str, counts)) + f" | {seconds:.0f} |"


def _figures(cases: Sequence[Case]) -> Iterator[str]:
    measured = [case for case in cases if case.properties]
    if measured:
        yield from ("", "## What was measured", "", "| Test | Figure | Value |", "|---|---|---|")
    for case in measured:
        for name, value in case.properties:
            yield f"| {case.file.rpartition('/')[2]}: {case.name} | {name} | {value} |"


def _troubles(cases: Sequence[Case]) -> Iterator[str]:
    for outcome in OUTCOMES[:-1]:
        found = [case for case in cases if case.outcome == outcome]
        if found:
            yield from ("", f"## {outcome.capitalize()}", "")
        for case in found:
            yield f"- {case.file}: {case.name}"


if __name__ == "__main__":
    sys.exit(main())
