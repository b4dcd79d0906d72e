"""Put on a worker's PYTHONPATH: its processes live by clocks that the test moves, on a disk that the test can lose.

All is done where the worker asks the system, so that the worker itself is the real one. See offline_world.py.
"""

from __future__ import annotations

import datetime
import json
import mmap
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CLOCK, WALL, DISK = "TEST_CLOCK_SHIFT_FILE", "TEST_WALL_CLOCK_SHIFT_FILE", "TEST_SYNCED_FOLDER"


def shift_in(file: str) -> memoryview:
    """The seconds that a file of 8 bytes holds, for reading and writing by all processes that look."""
    with open(file, "r+b") as shared:
        return memoryview(mmap.mmap(shared.fileno(), 8)).cast("d")


def move_clocks(file: str) -> None:
    """Every clock is ahead by the seconds that the file holds, in all processes at once."""
    shift = shift_in(file)

    def ahead(clock: Callable[..., float]) -> Callable[..., float]:
        return lambda *which: clock(*which) + shift[0]

    for name in ("time", "monotonic", "clock_gettime"):
        setattr(time, name, ahead(getattr(time, name)))


def move_wall_clock(file: str) -> None:
    """What tells the time of day is ahead by the seconds that the file holds; what measures durations is right."""
    shift, real, wall, wall_ns = shift_in(file), datetime.datetime, time.time, time.time_ns

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

    class Moved(real, metaclass=Kind):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return real.now(tz) + datetime.timedelta(seconds=shift[0])

        @classmethod
        def utcnow(cls) -> Any:
            return real.utcnow() + datetime.timedelta(seconds=shift[0])

    datetime.datetime = Moved  # type: ignore[misc]
    time.time = lambda: wall() + shift[0]
    time.time_ns = lambda: wall_ns() + int(shift[0] * 1e9)


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
if WALL in os.environ:
    move_wall_clock(os.environ[WALL])
if DISK in os.environ:
    watch_syncs(Path(os.environ[DISK]))
