"""Sizes are a ratchet: what is larger than the limit says why in EXCEPTIONS, and leaves that table when it shrinks."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

from repository import functions, list_files, name_of

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
PROTO_LINES_MAX = 600

MEDIAN_LINES_MAX = 12
NINETY_PERCENT_LINES_MAX = 40

# "path" or "path::function" -> a sentence that says why splitting it would make it harder to read.
EXCEPTIONS: dict[str, str] = {
    "server/glidepath_server/store/schema.sql": "It is read as a whole, and compared as a whole with the migrations.",
    "tests/planted/guards.py": "It is one table of data with a guard to an entry.",
}


def too_large() -> Iterator[tuple[str, int, int]]:
    """Yield (name, lines, limit) of each file and function over its limit."""
    for path in list_files(".py", ".sql", ".proto", ".go", ".sh"):
        limit = PROTO_LINES_MAX if path.suffix == ".proto" else FILE_LINES_MAX
        if (lines := count_lines(path)) > limit:
            yield name_of(path), lines, limit
    for path in list_files(".py"):
        for function, lines in functions(path):
            if lines > FUNCTION_LINES_MAX:
                yield f"{name_of(path)}::{function}", lines, FUNCTION_LINES_MAX


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_what_is_too_large_says_why() -> None:
    unexplained = [
        f"{name}: {lines} lines, limit {limit}" for name, lines, limit in too_large() if name not in EXCEPTIONS
    ]
    assert not unexplained, "split these, or say in EXCEPTIONS why not:\n" + "\n".join(unexplained)


def test_an_exception_that_is_no_longer_needed_goes() -> None:
    stale = sorted(set(EXCEPTIONS) - {name for name, _, _ in too_large()})
    assert not stale, f"these are within their limits now, remove them from EXCEPTIONS: {stale}"


def test_an_exception_is_a_sentence() -> None:
    short = [name for name, reason in EXCEPTIONS.items() if len(reason.split()) < 6 or not reason.endswith(".")]
    assert not short, f"write a sentence for: {short}"


def test_most_functions_are_small() -> None:
    sizes = [lines for path in list_files(".py") if "tests" not in path.parts for _, lines in functions(path)]
    assert len(sizes) > 100, "this test looks at nothing"
    assert statistics.median(sizes) < MEDIAN_LINES_MAX
    assert statistics.quantiles(sizes, n=10)[8] < NINETY_PERCENT_LINES_MAX
