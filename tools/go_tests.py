"""Vet and test the Go SDK with `go vet` and `go test`; where there is no Go toolchain, say so and leave it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .programs import find_go

SDK = Path(__file__).resolve().parent.parent / "sdk" / "go"


def main() -> int:
    if not (SDK / "go.mod").exists():
        print("go tests: sdk/go has no go.mod, so there is nothing to test")
        return 0
    go = find_go()
    if go is None:
        print("go tests: SKIPPED, no Go toolchain on PATH or in its default place")
        return 0
    for arguments in (["vet", "./..."], ["test", "./..."]):
        if code := subprocess.run([go, *arguments], cwd=SDK, check=False).returncode:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
