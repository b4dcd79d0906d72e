"""The first tokens of a server: written to files that only their owner can read, as nobody could ask for them yet."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ..core.errors import StateConflict
from ..store import identity
from ..store.database import Connection
from ..store.identity import ALL
from .tokens import create_token, hash_of, token_id_of

ACTOR = "bootstrap"


async def ensure_token_file(connection: Connection, path: Path, *, name: str, role: str) -> bool:
    """Make a token for all namespaces and write it to `path` (mode 0600), in the caller's transaction; False when the
    file is there and its token holds.

    Raises StateConflict for a file that holds anything else (it may belong to another server, so it is not replaced),
    and for one that cannot be written.
    """
    text = await asyncio.to_thread(_read, path)
    if text is not None:
        await _check(connection, path, text)
        return False
    made = await create_token(connection, name=name, namespace=ALL, role=role, expire_time=None, actor=ACTOR)
    try:
        await asyncio.to_thread(_write_new, path, made.text)
    except OSError as error:
        raise StateConflict(f"cannot write a token to {path}: {error.strerror}", hint="name another file") from error
    return True


async def _check(connection: Connection, path: Path, text: str) -> None:
    token_id = token_id_of(text)
    found = await identity.token_by_id(connection, token_id) if token_id else None
    if found is None or found.secret_hash != hash_of(text) or not found.valid:
        raise StateConflict(
            f"{path} holds no token that this database knows and admits",
            hint="delete the file to get a new token, or name another file",
        )


def _read(path: Path) -> str | None:
    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise StateConflict(f"{path} holds a token and can be read by others", hint=f"chmod 600 {path}")
    return path.read_text().strip()


def _write_new(path: Path, text: str) -> None:
    """Write and sync; never through a link, never into a file that somebody else made meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        os.write(handle, text.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
