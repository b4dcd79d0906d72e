"""Where artifacts lie: the server's store, a folder (`file://`), S3 and what speaks its protocol (`s3://`).

Content is stored under its digest, so that a retry stores nothing twice and nothing is ever overwritten by something
else. `s3://` needs the extra `glidepath[s3]`; where and as whom it connects is said by the worker's environment
(`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_ALLOW_HTTP`, ...).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from glidepath.artifacts import FOLDER, Artifact, ArtifactBroken
from glidepath.errors import GlidepathError
from glidepath.worker.context import TaskContext, WorkerRefused, current

CHUNK_BYTES = 1024 * 1024
SERVER = "artifact:"


def put(context: TaskContext, path: Path, to: str, name: str, content_type: str) -> tuple[str, str, int]:
    """Store a file; its URI, digest and size. `to` is "" for the server's store, or the URI of a folder."""
    if not to:
        uri = context.put_bytes_of(path, content_type)
        return uri, uri.removeprefix(SERVER), path.stat().st_size
    with open(path, "rb") as file:
        sha256, size = _digest(iter(lambda: file.read(CHUNK_BYTES), b""))
    place = f"{to.rstrip('/')}/{sha256}/{quote(name)}"
    match urlsplit(to).scheme:
        case "file":
            _copy(path, _local(place))
        case "s3":
            _upload(path, place)
        case other:
            raise ValueError(
                f"to is {to!r}; expected '' for the server's store, or a URI with file:// or s3:// ({other})"
            )
    return place, sha256, size


def fetch(artifact: Artifact) -> Path:
    """The content on this machine. ArtifactBroken says why not."""
    context = current()
    context.said.read(artifact)
    known = context.said.fetched.get(artifact.uri)
    if known is None:
        known = _unpacked(context, artifact, _content(context, artifact))
        context.said.fetched[artifact.uri] = known
    return known


def pack(folder: Path, target: Path) -> None:
    """A folder as one file: the same content gives the same bytes."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise ValueError(f"{path} is neither file nor folder; an artifact holds these only")
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=_plain)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    return entry


def _content(context: TaskContext, artifact: Artifact) -> Path:
    """The bytes that were stored, in a file."""
    scheme = urlsplit(artifact.uri).scheme
    try:
        if scheme == "artifact":
            if artifact.uri != SERVER + artifact.sha256:
                raise ArtifactBroken(f"{artifact!r} names {artifact.uri}, which is another content")
            return _named(context, artifact, context.fetch_bytes_of(artifact.uri))  # the worker has checked the digest
        if scheme == "file":
            path = _local(artifact.uri)
            with open(path, "rb") as file:
                _check(artifact, iter(lambda: file.read(CHUNK_BYTES), b""))
            return path
        if scheme == "s3":
            return _download(context, artifact)
    except (OSError, WorkerRefused) as error:
        raise ArtifactBroken(f"{artifact!r} cannot be had from {artifact.uri}: {error}") from error
    raise ArtifactBroken(f"{artifact!r} lies at {artifact.uri}; expected artifact:, file:// or s3://")


def _named(context: TaskContext, artifact: Artifact, path: Path) -> Path:
    """By its own name, which libraries go by."""
    if not artifact.name or artifact.content_type == FOLDER:
        return path
    link = context.said.room(artifact.sha256) / Path(artifact.name).name
    link.symlink_to(path)
    return link


def _unpacked(context: TaskContext, artifact: Artifact, path: Path) -> Path:
    if artifact.content_type != FOLDER:
        return path
    folder = context.said.room(artifact.sha256) / "folder"
    with tarfile.open(path) as archive:
        # What `save` packs are files and folders. (Python 3.11.0 to 3.11.3 know no filters that would see to it.)
        for entry in archive.getmembers():
            outside = entry.name.startswith("/") or ".." in Path(entry.name).parts
            if outside or not (entry.isfile() or entry.isdir()):
                raise ArtifactBroken(f"{artifact!r} has an entry {entry.name!r} that is no file or folder inside of it")
        archive.extractall(folder)
    return folder


# ---- file://
def _local(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ValueError(f"{uri!r} is no local folder; expected file:///absolute/path")
    return Path(unquote(parts.path))


def _copy(path: Path, target: Path) -> None:
    """Whole or not at all: a reader never meets a half of it."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name[:100]}.{os.urandom(6).hex()}.partial")
    try:
        shutil.copyfile(path, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


# ---- s3://
def _bucket(uri: str) -> tuple[Any, str]:
    """The store of a bucket, and the key in it."""
    try:
        from obstore.store import S3Store
    except ImportError:
        raise GlidepathError(f"{uri} needs the library obstore: install glidepath[s3] where this task runs") from None
    parts = urlsplit(uri)
    return S3Store(parts.netloc), unquote(parts.path.lstrip("/"))


def _upload(path: Path, uri: str) -> None:
    import obstore

    store, key = _bucket(uri)
    try:
        obstore.head(store, key)
    except FileNotFoundError:
        obstore.put(store, key, path)


def _download(context: TaskContext, artifact: Artifact) -> Path:
    store, key = _bucket(artifact.uri)
    import obstore

    target = context.said.room(artifact.sha256) / (Path(artifact.name).name or "content")
    with open(target, "wb") as file:

        def written() -> Iterator[bytes]:
            for chunk in obstore.get(store, key).stream(min_chunk_size=CHUNK_BYTES):
                file.write(chunk)
                yield bytes(chunk)

        try:
            _check(artifact, written())
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return target


# ---- digests
def _digest(chunks: Iterable[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _check(artifact: Artifact, chunks: Iterable[bytes]) -> None:
    found, size = _digest(chunks)
    if found != artifact.sha256:
        raise ArtifactBroken(
            f"{artifact.uri} has sha256 {found} ({size} bytes), and {artifact!r} was written with {artifact.sha256}"
        )
