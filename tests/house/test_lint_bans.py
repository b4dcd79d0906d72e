"""The linter's bans hold where they should: time, chance and ids come from the clock alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

RUFF = Path(sys.executable).with_name("ruff")


def codes(file_name: str, source: str) -> set[str]:
    """The rules that ruff, under this repository's settings, finds broken in `source` if it stood in `file_name`."""
    arguments = ["check", "--output-format", "concise", "--stdin-filename", file_name, "-"]
    done = subprocess.run([RUFF, *arguments], input=source, cwd=ROOT, capture_output=True, text=True, check=False)
    return {line.split()[1] for line in done.stdout.splitlines() if line.startswith(file_name)}


BANNED = [
    "from datetime import UTC, datetime\n\nnow = datetime.now(UTC)\n",
    "import time\n\nnow = time.time()\n",
    "import random\n\nx = random.random()\n",
    "from uuid import uuid4\n\nx = uuid4()\n",
]


@pytest.mark.parametrize("source", BANNED)
@pytest.mark.parametrize("room", ["core", "operations", "store", "loops", "api"])
def test_a_room_may_not_ask_the_machine_for_time_or_chance(room: str, source: str) -> None:
    assert "TID251" in codes(f"server/glidepath_server/{room}/sample.py", source)


@pytest.mark.parametrize("source", BANNED)
def test_the_clock_may(source: str) -> None:
    assert codes("server/glidepath_server/clock.py", source) == set()
