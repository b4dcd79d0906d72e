"""`python -m glidepath_server`: a server against a Postgres that is there already."""

from __future__ import annotations

import argparse
import gc
import sys
from pathlib import Path
from typing import Any

import uvloop

from . import __version__, telemetry
from .core.errors import GlidepathError, InvalidInput, StateConflict, Unavailable
from .settings import Settings
from .wiring import serve

EXIT_CODES: dict[int, tuple[str, tuple[type[GlidepathError], ...]]] = {
    0: ("stopped by SIGTERM or SIGINT", ()),
    1: ("could not start or go on for another reason", ()),
    2: ("wrong arguments or settings", (InvalidInput,)),
    5: ("Postgres does not answer", (Unavailable,)),
    6: (
        "something is in the way: the address is in use, the schema does not fit, a token file cannot be written",
        (StateConflict,),
    ),
}


# A step makes and drops many small objects that are in no cycle; at the default of 700, looking for cycles among them
# took a seventh of the time of a server under load.
GARBAGE_THRESHOLD = 50_000


def main(arguments: list[str] | None = None) -> int:
    """Runs until a signal. What kept it from that is said in a line, and by the exit code: see `EXIT_CODES`."""
    asked = _parser().parse_args(arguments)
    try:
        settings = Settings.load(**_overrides(asked))
        telemetry.configure(settings.log_format, settings.log_level)
        gc.set_threshold(GARBAGE_THRESHOLD)
        uvloop.run(serve(settings, token_files=_token_files(asked)))
    except GlidepathError as error:
        print(f"glidepath_server: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


def exit_code(error: GlidepathError) -> int:
    """The exit code of a server that could not start, or go on, because of this."""
    return next((code for code, (_, kinds) in EXIT_CODES.items() if isinstance(error, kinds)), 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m glidepath_server",
        description="Run Glidepath's control plane. Every setting can also be given as GLIDEPATH_<NAME>.",
        epilog="exit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, (meaning, _) in EXIT_CODES.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--database-url", metavar="URL", help="postgresql://user@host:port/database")
    parser.add_argument("--address", metavar="HOST:PORT", help="where users, clients and workers connect")
    parser.add_argument("--worker-address", metavar="HOST:PORT", help="a listener of their own for workers")
    parser.add_argument("--auth", choices=("required", "off"), help="off: loopback only")
    parser.add_argument("--auto-upgrade", action="store_true", default=None, help="bring the schema up to date first")
    parser.add_argument(
        "--bootstrap-token-file",
        type=Path,
        metavar="FILE",
        help="if it does not exist: write a new administrator's token there, for the owner's eyes only",
    )
    parser.add_argument("--bootstrap-worker-token-file", type=Path, metavar="FILE", help="likewise for workers")
    return parser


def _overrides(asked: argparse.Namespace) -> dict[str, Any]:
    names = ("database_url", "address", "worker_address", "auth", "auto_upgrade")
    return {name: getattr(asked, name) for name in names if getattr(asked, name) is not None}


def _token_files(asked: argparse.Namespace) -> dict[str, Path]:
    files = {"admin": asked.bootstrap_token_file, "worker": asked.bootstrap_worker_token_file}
    return {role: path for role, path in files.items() if path is not None}


if __name__ == "__main__":
    sys.exit(main())
