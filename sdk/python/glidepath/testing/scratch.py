"""What lies in a scratch folder, and how that differs from what lay there before."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from glidepath.testing.differences import Change, Difference

FILES_MAX = 10_000
READ_BYTES_MAX = 1 << 30
"""Of all files of a snapshot together. What goes over it is known by its size alone."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class FileSeen:
    """`sha256` is "" for what was not read; `lines` is None for what is no text. The path of a folder ends with "/"."""

    path: str
    size_bytes: int
    sha256: str = ""
    lines: int | None = None

    @property
    def text(self) -> str:
        if self.path.endswith("/"):
            return "an empty folder"
        digest = f", sha256 {self.sha256[:12]}" if self.sha256 else ""
        return f"{self.size_bytes} bytes{digest}"


@dataclass
class Snapshot:
    """Files by their paths below the folder, empty folders among them; `notes` say what was not looked at."""

    files: dict[str, FileSeen] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def take_snapshot(folder: Path) -> Snapshot:
    """Everything under a folder. Links are not followed: where they point is their content."""
    found, left = Snapshot(), READ_BYTES_MAX
    for path in _paths(folder):
        if len(found.files) == FILES_MAX:
            found.notes.append(f"more than {FILES_MAX} files: from {path} on they were not compared")
            break
        try:
            seen = _look(folder, path, left)
        except OSError as error:
            found.notes.append(f"{path}: cannot be read, so it was not compared ({error.strerror})")
            continue
        if not seen.sha256 and not path.endswith("/"):
            found.notes.append(f"{path}: {seen.size_bytes} bytes, over what is read; compared by size only")
        left -= seen.size_bytes if seen.sha256 else 0
        found.files[seen.path] = seen
    return found


def compare_snapshots(number: int, before: Snapshot, after: Snapshot, folder: Path) -> list[Difference]:
    """In the order of paths. `folder` must be as it was when `after` was taken: growing files are read again."""
    found = []
    for path in sorted(before.files.keys() | after.files.keys()):
        old, new = before.files.get(path), after.files.get(path)
        if old is None or new is None:
            change: Change = "appeared" if old is None else "vanished"
            found.append(Difference(number, "file", path, change, old.text if old else "", new.text if new else ""))
        elif old != new:
            found.append(_changed(number, folder, old, new))
    return found


def _changed(number: int, folder: Path, old: FileSeen, new: FileSeen) -> Difference:
    if not _begins_with(folder / new.path, old, new):
        return Difference(number, "file", new.path, "changed", old.text, new.text)
    if old.lines is None or new.lines is None:
        return Difference(number, "file", new.path, "grew", f"{old.size_bytes}", f"{new.size_bytes} bytes")
    return Difference(number, "file", new.path, "grew", f"{old.lines}", f"{new.lines} lines")


def _begins_with(path: Path, old: FileSeen, new: FileSeen) -> bool:
    """Whether a file is what it was, and more."""
    if not (old.sha256 and new.sha256 and new.size_bytes > old.size_bytes > 0 and path.is_file()):
        return False
    digest, left = hashlib.sha256(), old.size_bytes
    with open(path, "rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest() == old.sha256


def _paths(folder: Path) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders.sort()
        inner = Path(root).relative_to(folder)
        links = [each for each in folders if os.path.islink(os.path.join(root, each))]
        for name in sorted([*files, *links]):
            yield (inner / name).as_posix()
        if not files and not folders and inner.parts:
            yield f"{inner.as_posix()}/"


def _look(folder: Path, path: str, bytes_max: int) -> FileSeen:
    file, status = folder / path, os.lstat(folder / path)
    shown = os.fsencode(path).decode(errors="replace")  # names need not be text
    if path.endswith("/"):
        return FileSeen(shown, 0)
    if stat.S_ISLNK(status.st_mode):
        return FileSeen(shown, 0, hashlib.sha256(os.fsencode(os.readlink(file))).hexdigest())
    if not stat.S_ISREG(status.st_mode):  # a pipe or a socket: to read it could block
        return FileSeen(shown, 0, hashlib.sha256(str(stat.S_IFMT(status.st_mode)).encode()).hexdigest())
    return FileSeen(shown, status.st_size) if status.st_size > bytes_max else _read(file, shown)


def _read(path: Path, shown: str) -> FileSeen:
    digest, size, lines, is_text, last = hashlib.sha256(), 0, 0, True, b""
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
            lines += chunk.count(b"\n")
            is_text = is_text and b"\0" not in chunk
            last = chunk[-1:]
    lines += last not in (b"", b"\n")
    return FileSeen(shown, size, digest.hexdigest(), lines if is_text else None)
