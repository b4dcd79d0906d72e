"""`make bench-scale`: what the system does when there is much of everything.

    python tests/benchmarks/scale.py [--only NAME ...] [--quick] [--output PATH]

Prints each figure and writes build/bench-scale.json: {"machine", "yardsticks", "results"}. Each measure has a Postgres
of its own and is taken once; with --quick of smaller amounts. A measure that fails is named and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import yardsticks  # noqa: E402
from measures import Figures  # noqa: E402
from scale_backfills import backfills  # noqa: E402
from scale_history import history  # noqa: E402
from scale_storm import storm  # noqa: E402
from system import postgres  # noqa: E402

from tools.machine import machine  # noqa: E402

OUTPUT = ROOT / "build" / "bench-scale.json"
QUICK_SHARE = 0.05
Scale = Callable[[str, Path, float], Figures]
"""Takes the URL of an empty database, a folder, and the share of the amounts."""
SCALES: dict[str, Scale] = {"storm": storm, "history": history, "backfills": backfills}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure Glidepath where there is much of everything.")
    parser.add_argument("--only", action="append", choices=SCALES, help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="with a twentieth of the amounts")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes")
    asked = parser.parse_args(arguments)
    results: Figures = {}
    marks: Figures = {}
    failed = []
    for name in asked.only or SCALES:
        with postgres() as database_url:
            marks = marks or yardsticks.measure(database_url)
            try:
                found = SCALES[name](database_url, OUTPUT.parent / "scale" / name, QUICK_SHARE if asked.quick else 1.0)
            except Exception:
                traceback.print_exc()
                failed.append(name)
                continue
        for figure, value in found.items():
            print(f"{figure:52} {value:>12,.2f}", flush=True)
        results |= found
        asked.output.parent.mkdir(parents=True, exist_ok=True)
        stored = {"machine": machine(), "quick": asked.quick, "yardsticks": marks, "results": results}
        asked.output.write_text(json.dumps(stored, indent=2) + "\n")
    for name in failed:
        print(f"{name}: FAILED", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
