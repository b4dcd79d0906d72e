"""From an error to its exit code and to what to do next. The one table, also printed by `glidepath --help`."""

from __future__ import annotations

import re
from enum import IntEnum

from . import words


class Exit(IntEnum):
    """What a script can tell from the exit code alone."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    AUTH = 4
    UNREACHABLE = 5
    CONFLICT = 6
    TIMEOUT = 7
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FAILED: "a run failed or was cancelled, a check of doctor failed, or something could not start",
    Exit.USAGE: "wrong arguments, settings or DAG files; nothing was done",
    Exit.NOT_FOUND: "the server has no such thing in this namespace",
    Exit.AUTH: "the token is missing, not valid, or may not do this",
    Exit.UNREACHABLE: "the server cannot be reached or failed to answer",
    Exit.CONFLICT: "it does not fit the present state, exists already, or a limit is reached",
    Exit.TIMEOUT: "it took too long; what was asked may still happen",
    Exit.INTERRUPTED: "ended by Ctrl-C",
}

# By class name, so that reading the table imports no network library. The first class of the error's line counts.
_CODES: dict[str, tuple[Exit, str]] = {
    "NotFound": (Exit.NOT_FOUND, "look at what there is; the command's --help has an example"),
    "AlreadyExists": (Exit.CONFLICT, "choose another name or key, or use the one that exists"),
    "StateConflict": (Exit.CONFLICT, "look at the present state (glidepath run show, dag show), then decide"),
    "LimitExceeded": (Exit.CONFLICT, "ask for less at once, or wait and try again"),
    "Unauthenticated": (Exit.AUTH, "set GLIDEPATH_TOKEN or GLIDEPATH_TOKEN_FILE; glidepath token create makes one"),
    "PermissionDenied": (Exit.AUTH, "use a token of a role that may; an admin makes one: glidepath token create"),
    "WaitTimeout": (Exit.TIMEOUT, "wait longer with --timeout, or follow it: glidepath run watch RUN_ID"),
    "Unavailable": (Exit.UNREACHABLE, "check it: glidepath doctor"),
    "InvalidDag": (Exit.USAGE, "correct the DAG and check it: glidepath dag validate PATH"),
    "InvalidInput": (Exit.USAGE, "correct the setting that is named"),
    "InvalidRequest": (Exit.USAGE, "correct the arguments; the command's --help has an example"),
    "ConnectionSettingsError": (Exit.USAGE, "correct the file or variable that is named"),
    "RpcError": (Exit.UNREACHABLE, "check it: glidepath doctor; the server's log says more"),
    "GlidepathError": (Exit.USAGE, "correct what is named and try again"),
}

# What a refusal is about when it is neither a run nor a DAG.
_OF_SERIES = re.compile(r"\b(?:backfill|schedule|alert channel)\b")


def verdict(error: BaseException) -> tuple[Exit, str]:
    """The exit code and the next step for an error of the SDK (or of the server's own verbs)."""
    if getattr(error, "code", "") == "DEADLINE_EXCEEDED":
        return Exit.TIMEOUT, "look whether it happened before you try again: glidepath run list, glidepath doctor"
    known = (_CODES[each.__name__] for each in type(error).__mro__ if each.__name__ in _CODES)
    code, step = next(known, (Exit.FAILED, "run it again with GLIDEPATH_DEBUG=1 to see where it failed"))
    if code is Exit.NOT_FOUND:
        step = words.where_to_look(str(error)) or step
    if code is Exit.CONFLICT and (thing := _OF_SERIES.search(str(error))):
        step = f"look at the present state (glidepath {thing[0]} list), then decide"
    return code, getattr(error, "hint", "") or step


def table() -> str:
    """The exit codes as lines of text."""
    return "\n".join(f"  {code.value:<4} {meaning}" for code, meaning in MEANINGS.items())
