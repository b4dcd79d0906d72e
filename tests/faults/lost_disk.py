"""A disk that loses what was not synced, as it does when the power goes.

Of all that the rules of fsync allow, the worst: a file has the bytes of its last sync, and none if there was no sync; a
folder has the names of its last sync, so what was made since is gone and what was removed since is there again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from worker_site import sitecustomize


class LostDisk:
    """The disk under `state`, a folder that is there for good. `variable` is for the environment of what uses it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self._synced = state.with_name(f"{state.name}-synced")
        self._synced.mkdir()
        state.mkdir()
        self._sync(state)

    @property
    def variable(self) -> str:
        return f"{sitecustomize.DISK}={self._synced}"

    def lose(self) -> None:
        """The power is back, and nothing runs here: the folder is what is left of it, all of that on the disk."""
        left = self.state.with_name(f"{self.state.name}-left")
        left.mkdir()
        self._restore(self.state.stat().st_ino, left)
        shutil.rmtree(self.state)
        left.rename(self.state)
        for old in self._synced.iterdir():
            old.unlink()
        self._sync(self.state)

    def left_of(self, name: str) -> bytes:
        """The bytes of all files in a folder of the state, as they would be left now."""
        names = dict(self._names(self.state.stat().st_ino))
        return b"".join(self._bytes(inode) for _, inode in self._names(names[name])) if name in names else b""

    def _restore(self, inode: int, target: Path) -> None:
        for name, child in self._names(inode):
            if name.endswith("/"):
                (target / name).mkdir()
                self._restore(child, target / name)
            else:
                (target / name).write_bytes(self._bytes(child))

    def _names(self, inode: int) -> Iterator[tuple[str, int]]:
        """Of a folder as it was synced; those of folders end with a stroke."""
        path = self._synced / f"{inode}.names"
        for name, (child, is_folder) in sorted(json.loads(path.read_bytes()).items() if path.exists() else ()):
            yield (f"{name}/" if is_folder else name), child

    def _bytes(self, inode: int) -> bytes:
        path = self._synced / f"{inode}.bytes"
        return path.read_bytes() if path.exists() else b""

    def _sync(self, folder: Path) -> None:
        for path in (folder, *folder.rglob("*")):
            descriptor = os.open(path, os.O_RDONLY)
            sitecustomize.keep(self._synced, descriptor)
            os.close(descriptor)
