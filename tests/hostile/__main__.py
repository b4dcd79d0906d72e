"""`python -m tests.hostile [KIND ...]`: what each kind of hostile peer does to the honest ones, on this machine.

Prints a table and writes build/hostile.json. "spin" is no peer at all but half a core of this machine taken away: what
it does to the honest ones is no fault of the server, and the measure of the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))  # its modules are scripts that find each other by folder

import yardsticks  # noqa: E402

from tests.benchmarks.system import postgres  # noqa: E402
from tests.hostile.arena import KINDS, Outcome, arena  # noqa: E402

OUTPUT = ROOT / "build" / "hostile.json"
HEAD = (
    "kind             hop calm, beside ms  ratio  start calm, beside ms  ratio  server cores  RSS MiB, peak"
    "     units   cuts"
)


def line(each: Outcome) -> str:
    return (
        f"{each.kind:<16} {each.chain_hop_calm_ms:8.2f} {each.chain_hop_p50_ms:10.2f} {each.hop_ratio:6.2f}"
        f" {each.trigger_to_start_calm_ms:11.2f} {each.trigger_to_start_p50_ms:10.2f} {each.start_ratio:6.2f}"
        f" {each.server_cores:13.2f} {each.rss_before_mib:6.0f} {each.rss_peak_mib:5.0f}"
        f" {each.peer.get('units', 0):9} {each.peer.get('cuts', 0):6}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help="all of them when none is given", metavar="KIND")
    parser.add_argument("--seconds", type=float, default=6.0, help="beside each peer, in three rounds")
    parser.add_argument("--quiet-machine", action="store_true", help="leave out the yardsticks")
    given = parser.parse_args()
    outcomes: list[Outcome] = []
    with postgres() as database_url:
        measured = {} if given.quiet_machine else yardsticks.measure(database_url, 1.0)
        with arena(database_url, OUTPUT.parent / "hostile") as found:
            found.honest(2.0)
            print(HEAD, flush=True)
            for kind in given.kinds or KINDS:
                outcomes.append(found.face(kind, given.seconds))
                print(line(outcomes[-1]), flush=True)
                report = {"yardsticks": measured, "outcomes": [each.to_json() for each in outcomes]}
                OUTPUT.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
