"""The state folder of a worker: what outlives its process, and the locks that keep others out of it.

Files here: `lock`, held as long as the worker lives, names its process for people; `bodies`, held by every forkserver
too, so by whatever may still run a task; `identity`, the name of a worker that was given none, drawn once; `boot`, the
machine's start since which `sources` and `artifacts` were fetched. The rest (these two, journal, spool) is for those
that the worker gives the folder to.

The kernel frees the locks however a process ends. A folder that was copied has the same identity: the server then sees
two live workers of one name, and one of them stops.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import socket
import time
from pathlib import Path

from glidepath.errors import GlidepathError
from glidepath.worker.disk import sync_folder

FOLDERS_MAX = 100
BODIES_WAIT_SECONDS = 10.0
BODIES_POLL_SECONDS = 0.02
FETCHED = ("sources", "artifacts")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class WorkerSettingsError(GlidepathError, ValueError):
    """A setting of a worker cannot be used; the message names it."""


class StateDir:
    """A folder that this process owns until `close`. `identity` is the worker's: the given one, else the folder's."""

    def __init__(self, path: Path, lock: int, identity: str) -> None:
        self.path = path.absolute()  # tasks are given paths in it, and have folders of their own
        self._lock = lock
        _write_holder(lock)
        self.identity = identity or _own_identity(path)

    def lock_bodies(self) -> int:
        """The descriptor of the lock `bodies`. Waits for one whose worker was killed."""
        deadline = time.monotonic() + BODIES_WAIT_SECONDS
        while (lock := _lock(self.path, "bodies")) is None:
            if time.monotonic() > deadline:
                raise WorkerSettingsError(
                    f"processes that the worker before this one started in state_dir {self.path} still run after "
                    f"{BODIES_WAIT_SECONDS:g} s; end them, or wait and start again"
                )
            time.sleep(BODIES_POLL_SECONDS)
        return lock

    def forget_fetched(self) -> None:
        """What was fetched before the machine's last start is fetched again: nobody waits for it to be on the disk, so
        a loss of power may have left halves of it under names that promise the whole. A system that does not say when
        it was started counts as started each time."""
        file = self.path / "boot"
        try:
            started = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
            if started and file.is_file() and file.read_text(errors="replace").strip() == started:
                return
            for name in FETCHED:  # all of it, before that is noted
                _empty(self.path / name)
            file.write_text(started + "\n")  # cut short, it is no machine's start
        except OSError as error:
            raise WorkerSettingsError(f"state_dir {self.path} cannot be used: {error}") from error

    def close(self) -> None:
        """Leave it to others."""
        os.close(self._lock)


def claim(identity: str, folder: Path | None) -> StateDir:
    """The given folder, else that of the identity, else the first of this host's that no other worker has.

    WorkerSettingsError names the process that has it.
    """
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "glidepath" / "workers"
    if folder or identity:
        chosen, other = (folder, "--state-dir") if folder else (base / identity, "--identity")
        lock = _lock(chosen)
        if lock is None:
            raise WorkerSettingsError(
                f"state_dir {chosen} is in use by another worker{_holder(chosen)}; end that one, or give this one "
                f"another {other}"
            )
        return StateDir(chosen, lock, identity)
    host = socket.gethostname()
    for chosen in (base / (f"{host}-{number}" if number > 1 else host) for number in range(1, FOLDERS_MAX)):
        lock = _lock(chosen)
        if lock is not None:
            return StateDir(chosen, lock, "")
    raise WorkerSettingsError(f"{FOLDERS_MAX - 1} workers have their state in {base}; give this one a --state-dir")


def _own_identity(folder: Path) -> str:
    """The host's name and a few letters, as drawn for this folder: hosts and containers may well be called the same."""
    file = folder / "identity"
    try:
        if file.is_file() and (known := file.read_text().strip()):
            return known
        identity = f"{socket.gethostname()}-{secrets.token_hex(3)}"
        _put(file, identity)
    except OSError as error:
        raise WorkerSettingsError(f"state_dir {folder} cannot be used: {error.strerror}") from error
    return identity


def _empty(folder: Path) -> None:
    """Remove what is in it; the folder itself may be a link to a larger disk."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _put(file: Path, text: str) -> None:
    """Write a line, whole or not at all, so that it outlives a loss of power."""
    new = file.with_suffix(".new")
    with new.open("w") as line:
        line.write(text + "\n")
        line.flush()
        os.fsync(line.fileno())
    new.replace(file)
    sync_folder(file.parent)


def _lock(folder: Path, name: str = "lock") -> int | None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WorkerSettingsError(f"state_dir {folder} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _write_holder(lock: int) -> None:
    """For people only: that the lock is held is what counts, so a full disk does no harm."""
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    except OSError:
        pass


def _holder(folder: Path) -> str:
    try:
        text = (folder / "lock").read_text().strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    return f" ({text})" if text else ""
