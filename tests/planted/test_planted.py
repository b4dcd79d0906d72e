"""The tests notice what they are there to notice: each bug of the table is planted, and one of its tests fails."""

from __future__ import annotations

import pytest
from bugs import BUGS, Bug
from planting import PACKAGE, apply, ask


def _name(bug: Bug) -> str:
    return bug.name.partition(":")[0].replace(" ", "-")


def test_every_bug_can_be_planted() -> None:
    for bug in BUGS:
        for edit in bug.edits:
            assert apply(edit, (PACKAGE / edit.file).read_text()), bug.name


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", BUGS, ids=_name)
def test_a_planted_bug_is_noticed(bug: Bug) -> None:
    assert any(ask(bug, [tests]) for tests in bug.asked), f"{bug.name}: none of {bug.asked} failed"
