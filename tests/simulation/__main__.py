"""`python -m tests.simulation`: lives from seeds, each printed when a promise is broken in it.

python -m tests.simulation --first 5000 --count 1000     a thousand seeds; exit code 1 if one failed
python -m tests.simulation --seed 42 -v                  one seed, with every action
python -m tests.simulation --seed 42                     one seed; if it fails, shrunk to a short history
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from .life import Life, live
from .shrink import Shrinker
from .telling import told


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Lives of the pure core.")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--first", type=int, default=0, help="first of many seeds (default 0)")
    parser.add_argument("--count", type=int, default=1000, help="how many seeds (default 1000)")
    parser.add_argument("-v", "--verbose", action="store_true", help="every action of the seed, as it was drawn")
    given = parser.parse_args()
    seeds = range(given.first, given.first + given.count) if given.seed is None else [given.seed]
    counts: Counter[str] = Counter()
    failed = 0
    for seed in seeds:
        life = live(seed)
        counts += life.counts
        if life.failure is not None:
            failed += 1
            print(report(life, shrunk=not given.verbose), flush=True)
        elif given.verbose:
            print("\n".join(told(life)))
    print(f"seeds {seeds[0]} to {seeds[-1]}: {failed} of {len(seeds)} broke a promise")
    print(", ".join(f"{number} {name}" for name, number in sorted(counts.items())))
    return 1 if failed else 0


def report(life: Life, shrunk: bool = True) -> str:
    """What a failing seed did, in few lines if it is to be shrunk, and how to see it again."""
    seed, before = life.scenario.seed, len(life.actions)
    if shrunk:
        life = Shrinker(life).shrink()
    head = f"seed {seed} breaks {life.kind}: {len(life.actions)} of {before} actions are needed"
    return "\n".join([head, *told(life), f"again: python -m tests.simulation --seed {seed} -v"])


if __name__ == "__main__":
    sys.exit(main())
