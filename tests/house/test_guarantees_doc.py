"""The sheet of promises names what the checker judges."""

from __future__ import annotations

import re

from repository import ROOT

from tests.checker.check import INVARIANTS


def test_every_promise_that_is_judged_is_on_the_sheet() -> None:
    sheet = (ROOT / "docs" / "guarantees.md").read_text()
    promised = re.findall(r"^\| (I\d+) \| .+ \|$", sheet.partition("## ")[0], re.MULTILINE)
    assert [name for name in INVARIANTS if name not in promised] == []
    assert promised == sorted(set(promised), key=lambda name: int(name[1:]))
