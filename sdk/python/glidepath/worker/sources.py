"""Registered source on this machine: fetched by hash, checked, unpacked once, loaded fresh for each attempt.

The server's store is authoritative: a version is the SHA-256 of its archive, so what lies here under that name is
either exactly that source or not there at all. An archive is unpacked beside its place and renamed into it, so a
crash in between leaves a `.partial` folder that nobody reads. What may go wrong: the server does not have it (the
attempt fails as infrastructure, the server decides what follows), the bytes do not match the hash, or an entry wants
to lie outside its folder; both are refused.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

from glidepath.errors import GlidepathError

UNPACKED_BYTES_MAX = 256 * 1024 * 1024
SOURCES_MAX = 200


class SourceRefused(GlidepathError):
    """An archive that is not what its name says, or that would write outside its folder."""


class SourceStore:
    """Unpacked archives in `folder`, one folder per hash; at most `SOURCES_MAX`, the longest unused goes first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob("*.partial"):
            shutil.rmtree(leftover, ignore_errors=True)
        self._known = {path.name for path in folder.iterdir()}

    def path(self, content_hash: str) -> str | None:
        """Where the source lies, None when it must be fetched."""
        return str(self._folder / content_hash) if content_hash in self._known else None

    def add(self, content_hash: str, archive: bytes) -> str:
        """Unpack an archive. SourceRefused when it is not the one that `content_hash` names."""
        found = hashlib.sha256(archive).hexdigest()
        if found != content_hash:
            raise SourceRefused(f"the server's source {content_hash} has hash {found}; refused")
        partial = self._folder / f"{content_hash}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            _unpack(archive, partial)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)  # on a full disk it would take what room is left
            raise
        target = self._folder / content_hash
        if not target.exists():
            partial.rename(target)
        self._known.add(content_hash)
        self._prune(keep=content_hash)
        return str(target)

    def _prune(self, keep: str) -> None:
        surplus = len(self._known) - SOURCES_MAX
        if surplus <= 0:
            return
        oldest = sorted(self._known - {keep}, key=lambda name: (self._folder / name).stat().st_atime)
        for name in oldest[:surplus]:
            self._known.discard(name)
            shutil.rmtree(self._folder / name, ignore_errors=True)


def _unpack(archive: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as bundle:
        total = sum(entry.file_size for entry in bundle.infolist())
        if total > UNPACKED_BYTES_MAX:
            raise SourceRefused(f"the source unpacks to {total} bytes, over the limit of {UNPACKED_BYTES_MAX}")
        for name in bundle.namelist():
            if name.startswith("/") or ".." in name.split("/"):
                raise SourceRefused(f"the source has an entry {name!r} that lies outside its folder")
        folder.mkdir(parents=True)
        bundle.extractall(folder)
    _compile(folder)


def _compile(folder: Path) -> None:
    """Compile once here instead of in each attempt. A file that does not compile says so when it is imported."""
    import compileall

    compileall.compile_dir(folder, quiet=2, workers=1)
