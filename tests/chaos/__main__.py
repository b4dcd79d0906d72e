"""`python -m tests.chaos`: episodes from seeds, with what the checker says of each.

python -m tests.chaos --seed 42                  one episode; exit code 1 if a promise was broken in it
python -m tests.chaos --seed 0 --episodes 50     fifty, from seed 0 on
python -m tests.chaos --seed 42 --plan           only what would happen when
"""

from __future__ import annotations

import argparse
import sys

from tests.chaos.batch import Batch
from tests.chaos.episode import Broken
from tests.chaos.plan import plan


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the first episode (default 0)")
    parser.add_argument("--episodes", type=int, default=1, help="so many seeds, one after the other (default 1)")
    parser.add_argument("--plan", action="store_true", help="print the plans and do nothing")
    given = parser.parse_args()
    seeds = range(given.seed, given.seed + given.episodes)
    if given.plan:
        print("\n\n".join(str(plan(seed)) for seed in seeds))
        return 0
    broken = 0
    with Batch() as batch:
        for seed in seeds:
            try:
                outcome = batch.live(seed)
                print(outcome, outcome.report, sep="\n", flush=True)
            except Broken as error:
                broken += 1
                print(f"seed {seed} is broken: {error}", flush=True)
        print(batch.totals())
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
