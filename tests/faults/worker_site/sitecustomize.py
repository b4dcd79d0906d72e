"""Put on a worker's PYTHONPATH: its processes live by a clock that the test moves, on a disk that the test can lose.

Both are done where the worker asks the system, so that the worker itself is the real one. See offline_world.py.
"""

from __future__ import annotations

import json
import mmap
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CLOCK, DISK = "TEST_CLOCK_SHIFT_FILE", "TEST_SYNCED_FOLDER"


def move_clocks(file: str) -> None:
    """Every clock is ahead by the seconds that the file holds, in all processes at once."""
    with open(file, "r+b") as shared:
        shift = memoryview(mmap.mmap(shared.fileno(), 8)).cast("d")

    def ahead(clock: Callable[..., float]) -> Callable[..., float]:
        return lambda *which: clock(*which) + shift[0]

    for name in ("time", "monotonic", "clock_gettime"):
        setattr(time, name, ahead(getattr(time, name)))


def watch_syncs(folder: Path) -> None:
    """What is synced from now on is kept in the folder."""

    def kept(sync: Callable[[Any], None]) -> Callable[[Any], None]:
        def sync_and_keep(file: Any) -> None:
            sync(file)
            keep(folder, file if isinstance(file, int) else file.fileno())

        return sync_and_keep

    os.fsync, os.fdatasync = kept(os.fsync), kept(os.fdatasync)


def keep(folder: Path, descriptor: int) -> None:
    """Keep a file's bytes by its inode, or a folder's names with their inodes and whether they are folders."""
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    found = os.fstat(descriptor)
    if stat.S_ISDIR(found.st_mode):
        names = {entry.name: (entry.inode(), entry.is_dir()) for entry in os.scandir(path)}
        _write(folder / f"{found.st_ino}.names", json.dumps(names).encode())
        return
    with suppress(OSError):  # one more name, lest the number be given to another file
        os.link(path, folder / f"{found.st_ino}.file")
    with open(f"/proc/self/fd/{descriptor}", "rb") as file:
        _write(folder / f"{found.st_ino}.bytes", file.read())


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, whenever the process is killed."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_bytes(data)
    new.replace(path)


if CLOCK in os.environ:
    move_clocks(os.environ[CLOCK])
if DISK in os.environ:
    watch_syncs(Path(os.environ[DISK]))
