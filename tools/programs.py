"""Find the programs that the tools call but that no Python package brings."""

from __future__ import annotations

import shutil
from pathlib import Path


def find_go() -> str | None:
    """The Go toolchain: from PATH, else from the place its own installer puts it; None where there is none."""
    default = Path("/usr/local/go/bin/go")
    return shutil.which("go") or (str(default) if default.exists() else None)
