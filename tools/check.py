"""Everything that can be said about the code without running the product: `make check`.

    python -m tools.check [name ...]       all checks, or only the named ones

Every check runs even when an earlier one failed, so one run shows all there is to mend. Exit code 1 if any failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"


@dataclass(frozen=True)
class Skipped:
    reason: str


Command = list[str]


@dataclass(frozen=True)
class Check:
    name: str
    says: str
    command: Callable[[], Command | Skipped]


def tool(name: str, *arguments: str) -> Callable[[], Command]:
    return lambda: [str(BIN / name), *arguments]


def compare_protos() -> Command | Skipped:
    """What was released is what may not break. Before the first release tag nothing has been promised."""
    described = subprocess.run(
        ["git", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    tag = described.stdout.strip()
    if not tag:
        return Skipped("no release tag (v1.2.3) to compare with: no wire format has been promised yet")
    return [str(BIN / "buf"), "breaking", "--against", f".git#tag={tag}"]


CHECKS = [
    Check("lint", "ruff check", tool("ruff", "check", "--quiet", ".")),
    Check("format", "ruff format --check", tool("ruff", "format", "--check", "--quiet", ".")),
    Check("types", "mypy", tool("mypy")),
    Check("layers", "lint-imports", tool("lint-imports", "--no-cache", "--no-logo")),
    Check("protos", "buf lint", tool("buf", "lint")),
    Check("wire", "buf breaking", compare_protos),
    Check(
        "generated",
        "generated code is what proto/ says",
        lambda: [str(ROOT / ".venv-codegen/bin/python"), "-m", "tools.codegen", "--check"],
    ),
    Check("house", "pytest tests/house", tool("python", "-m", "pytest", "-q", "tests/house")),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(check.name for check in CHECKS))
    names = parser.parse_args().names
    if unknown := sorted(set(names) - {check.name for check in CHECKS}):
        parser.error(f"no such check: {', '.join(unknown)}")
    failed = [check.name for check in CHECKS if (not names or check.name in names) and not passes(check)]
    print(f"check: failed: {', '.join(failed)}" if failed else "check: all passed")
    return 1 if failed else 0


def passes(check: Check) -> bool:
    """Run one check and say how it went; what it printed is shown only when it failed."""
    command = check.command()
    if isinstance(command, Skipped):
        print(f"check: {check.name:10} skipped: {command.reason}", flush=True)
        return True
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    verdict = "ok" if done.returncode == 0 else "FAILED"
    print(f"check: {check.name:10} {verdict} ({check.says}, {time.monotonic() - started:.1f} s)", flush=True)
    if done.returncode:
        print(done.stdout, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
