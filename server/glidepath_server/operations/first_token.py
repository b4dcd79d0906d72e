"""The first tokens of a server: written to files that only their owner can read, as nobody could ask for them yet."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..core.errors import StateConflict
from ..store import identity
from ..store.database import Connection, Pool, transaction
from ..store.identity import ALL
from .tokens import create_token, hash_of, token_id_of

ACTOR = "bootstrap"


async def ensure_token_file(pool: Pool, path: Path, *, name: str, role: str) -> bool:
    """Make a token for all namespaces and write it to `path` (mode 0600); False when the file is there and its token
    holds.

    The token waits in a file beside `path` until it is committed: a crash leaves at worst that file, which the next
    start publishes or replaces, and never a `path` that the database does not know. Replicas that start together come
    one after the other. Raises StateConflict for a file that holds anything else (it may belong to another server, so
    it is not replaced), and for one that cannot be written.
    """
    async with transaction(pool, "token_file") as connection:
        await identity.lock_first_tokens(connection)
        if await _is_published(connection, path):
            await _write(_tidy, _waiting(path), path)
            return False
        if not await _waits(connection, _waiting(path)):
            made = await create_token(connection, name=name, namespace=ALL, role=role, expire_time=None, actor=ACTOR)
            await _write(_replace, _waiting(path), made.text)
    async with transaction(pool, "token_file") as connection:
        await identity.lock_first_tokens(connection)
        if await _is_published(connection, path):
            return False
        await _write(_publish, _waiting(path), path)
    return True


def _waiting(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


async def _is_published(connection: Connection, path: Path) -> bool:
    text = await asyncio.to_thread(_read, path)
    if text is not None and not await _holds(connection, text):
        raise StateConflict(
            f"{path} holds no token that this database knows and admits",
            hint="delete the file to get a new token, or name another file",
        )
    return text is not None


async def _waits(connection: Connection, waiting: Path) -> bool:
    text = await asyncio.to_thread(_read, waiting)
    return text is not None and await _holds(connection, text)


async def _holds(connection: Connection, text: str) -> bool:
    token_id = token_id_of(text)
    found = await identity.token_by_id(connection, token_id) if token_id else None
    return found is not None and found.secret_hash == hash_of(text) and found.valid


async def _write(write: Callable[[Path, Any], None], path: Path, content: Any) -> None:
    try:
        await asyncio.to_thread(write, path, content)
    except OSError as error:
        raise StateConflict(f"cannot write a token to {path}: {error.strerror}", hint="name another file") from error


def _read(path: Path) -> str | None:
    if not path.exists():
        return None
    if path.stat().st_mode & 0o077:
        raise StateConflict(f"{path} holds a token and can be read by others", hint=f"chmod 600 {path}")
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StateConflict(f"cannot read a token from {path}: {error}", hint="name another file") from error


def _replace(waiting: Path, text: str) -> None:
    """Write and sync a file that nobody has named yet; never through a link."""
    if os.path.lexists(waiting.with_name(waiting.name.removesuffix(".new"))):
        raise FileExistsError(errno.EEXIST, "a link to nowhere is in its place")
    waiting.parent.mkdir(parents=True, exist_ok=True)
    waiting.unlink(missing_ok=True)
    handle = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        os.write(handle, text.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)


def _tidy(waiting: Path, path: Path) -> None:
    """Remove the second name that a crash has left of the file."""
    if waiting.exists() and waiting.samefile(path):
        waiting.unlink()


def _publish(waiting: Path, path: Path) -> None:
    """Give the file its name; never over a file that somebody else made meanwhile."""
    os.link(waiting, path)
    waiting.unlink()
