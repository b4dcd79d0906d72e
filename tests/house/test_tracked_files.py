"""The repository speaks of itself alone: no address of a package registry, no path of somebody's machine."""

from __future__ import annotations

import re

import pytest
from repository import ROOT, list_files, name_of

FORBIDDEN = {
    "the address of a package registry": re.compile(
        r"pypi\.org|pythonhosted\.org|registry\.npmjs|proxy\.golang|sum\.golang|crates\.io|repo1?\.maven|deb\.debian\.org"
    ),
    "a path of somebody's machine": re.compile(r"(?<![\w.$}])/(work|root|home/\w+|Users/\w+|tmp/\w+)/"),
    "a folder beside the repository": re.compile(r"\.\./shared\b"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    files = list_files()
    assert ROOT / "Makefile" in files
    found = [
        f"{name_of(path)}:{number}: {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if FORBIDDEN[what].search(line)
    ]
    assert not found, f"{what} stands in:\n" + "\n".join(found)


def test_constraints_are_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert len(lines) > 20
    assert not [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
