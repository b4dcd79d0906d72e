"""`make bench`: the figures of the README, measured on this machine.

    python tests/benchmarks/run.py [--only NAME ...] [--quick] [--output PATH]

Prints a table and writes build/bench.json: {"machine", "yardsticks", "results"}. Every figure is the best of three
(one with --quick, with smaller amounts). A measure that fails is named, its figures are left out, and the exit code
is 1. Stops taking new measures after the time that the whole may take.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import yardsticks  # noqa: E402
from measures import MEASURES, BenchFailed, Figures, Measure, slots  # noqa: E402
from system import INLINE_SLOTS, postgres, system  # noqa: E402

from glidepath.errors import GlidepathError  # noqa: E402
from tools.children import ChildFailed  # noqa: E402
from tools.machine import machine  # noqa: E402

OUTPUT = ROOT / "build" / "bench.json"
REPEATS = 3
QUICK_SHARE = 0.2
SECONDS_MAX = 280.0  # no new repetition after this
YARDSTICKS = "yardsticks"


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parse(arguments)
    bench = Bench(quick=asked.quick, output=asked.output)
    chosen = asked.only or [YARDSTICKS, *MEASURES]
    with postgres() as database_url:
        if YARDSTICKS in chosen:
            bench.take(YARDSTICKS, lambda: yardsticks.measure(database_url, 0.5 if asked.quick else yardsticks.SECONDS))
        measures = [(name, MEASURES[name]) for name in MEASURES if name in chosen]
        for _, alike in groupby(measures, key=lambda each: (each[1].workers, each[1].isolated)):
            bench.take_all(database_url, dict(alike))
    return 1 if bench.failed else 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Glidepath on this machine.")
    parser.add_argument("--only", action="append", choices=[YARDSTICKS, *MEASURES], help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="once each, with smaller amounts")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes (default build/bench.json)")
    return parser.parse_args(arguments)


class Bench:
    """Collects figures; each is printed and written as soon as it is known, so that a broken bench leaves some."""

    def __init__(self, quick: bool, output: Path) -> None:
        self.quick = quick
        self._output = output
        self.failed: list[str] = []
        self._until = time.monotonic() + SECONDS_MAX
        self._figures: dict[str, Figures] = {"yardsticks": {}, "results": {}}

    def take_all(self, database_url: str, measures: dict[str, Measure]) -> None:
        """These measures on one running system, which they have in common."""
        any_of = next(iter(measures.values()))
        workers, share = any_of.workers, QUICK_SHARE if self.quick else 1.0
        try:
            with system(database_url, OUTPUT.parent / "bench", workers, slots(any_of, INLINE_SLOTS)) as running:
                for name, measure in measures.items():
                    self.take(name, lambda each=measure.run: each(running, share))  # type: ignore[misc]
        except (ChildFailed, GlidepathError) as error:
            self._fail(", ".join(measures), error)

    def take(self, name: str, once: Callable[[], Figures]) -> None:
        """Repeat a measure and keep the best of each figure."""
        best: Figures = {}
        for _ in range(1 if self.quick or name == YARDSTICKS else REPEATS):
            if time.monotonic() > self._until and best:
                break
            try:
                best = better(best, once())
            except (BenchFailed, ChildFailed, GlidepathError) as error:
                self._fail(name, error)
                break
        self._figures["yardsticks" if name == YARDSTICKS else "results"].update(best)
        for figure, value in best.items():
            print(f"{figure:36} {value:>12,.2f}", flush=True)
        self._write()

    def _fail(self, name: str, error: Exception) -> None:
        self.failed.append(name)
        print(f"{name}: FAILED: {error}", file=sys.stderr, flush=True)

    def _write(self) -> None:
        self._output.parent.mkdir(parents=True, exist_ok=True)
        found = {"machine": machine(), "quick": self.quick, **self._figures}
        self._output.write_text(json.dumps(found, indent=2) + "\n")


def better(one: Figures, other: Figures) -> Figures:
    """Of each figure the higher one, or the lower one where it is a time."""
    choose = {name: min if name.endswith(("_ms", "_seconds")) else max for name in other}
    return {name: choose[name](one.get(name, value), value) for name, value in other.items()}


if __name__ == "__main__":
    sys.exit(main())
