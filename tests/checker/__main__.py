"""Judge a system from its database and journals.

    python -m tests.checker --database URL --journals DIR [--expect I3,I13] [-o json]

Exit code 1 when an invariant is broken, or one that was expected to be tried was not.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tests.checker import INVARIANTS, check, read_facts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", required=True, metavar="URL", help="the database of the system")
    parser.add_argument("--journals", type=Path, metavar="DIR", help="journals of workers and clients, and ledgers")
    parser.add_argument("--expect", metavar="NAMES", help=f"premises that must have occurred: {','.join(INVARIANTS)}")
    parser.add_argument("-o", "--output", choices=["text", "json"], default="text")
    arguments = parser.parse_args()
    if arguments.journals is not None and not arguments.journals.is_dir():
        parser.error(f"--journals is {str(arguments.journals)!r}; expected a folder")
    try:
        facts = asyncio.run(read_facts(arguments.database, arguments.journals))
        report = check(facts, expect=arguments.expect.split(",") if arguments.expect is not None else None)
    except ValueError as error:
        parser.error(str(error))
    print(report.to_json() if arguments.output == "json" else report)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
