"""A copy of the server with one bug in it, and the question whether tests notice.

python tests/planted/planting.py              every bug: the first test that failed
python tests/planted/planting.py WORD...      only the bugs whose name holds a word
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bugs import BUGS, Bug, Edit

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "server" / "glidepath_server"
# Of both tiers: a proof may be what notices.
PYTEST = sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "-m", "prove or not prove"
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+)", re.MULTILINE)


def apply(edit: Edit, text: str) -> str:
    """The text with the bug in it. ValueError when its place is not there exactly once."""
    if text.count(edit.old) != 1:
        raise ValueError(f"{edit.file} has this {text.count(edit.old)} times instead of once:\n{edit.old}")
    return text.replace(edit.old, edit.new)


def plant(bug: Bug, folder: Path) -> None:
    """A server with the bug in `folder`, which then goes in front of the Python path."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in bug.edits:
        file = folder / PACKAGE.name / edit.file
        file.write_text(apply(edit, file.read_text()))


def ask(bug: Bug, tests: Iterable[str]) -> str | None:
    """The first of the tests that fails under the bug, None when all of them pass."""
    with tempfile.TemporaryDirectory() as name:
        plant(bug, Path(name))
        done = subprocess.run(
            [*PYTEST, *tests],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": name},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest could not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    found = _FAILED.findall(done.stdout)
    return found[0] if found else None


def main() -> int:
    words = sys.argv[1:]
    missed = 0
    for bug in BUGS:
        if not words or any(word in bug.name for word in words):
            found = next(filter(None, (ask(bug, [tests]) for tests in bug.asked)), None)
            missed += found is None
            print(f"{bug.guarantee:4} {bug.name}\n     {found or 'NOT NOTICED'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
