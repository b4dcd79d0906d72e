"""Tasks that write a ledger for the checker (see tests/checker/journals.py) and wait until they may end."""

import os
import time
from pathlib import Path

from ledger_note import note

from glidepath import dag, task
from glidepath.worker import current

TURNS = 4000
LARGE_BYTES = 100 * 1024  # more than travels inline, so it passes through the spool


def wait(folder: str, name: str) -> int:
    """Say in <name>.ledger that this attempt has begun, and wait for <name>.go or <name>.<attempt>.go."""
    attempt = current().attempt_number
    note(folder, "start")
    with Path(folder, f"{name}.ledger").open("a") as ledger:
        ledger.write(f"{attempt} {os.getpid()}\n")
    print(f"{name} {attempt} has begun")
    for _ in range(TURNS):
        if any(Path(folder, f"{name}{which}.go").exists() for which in ("", f".{attempt}")):
            note(folder, "end")
            return attempt
        time.sleep(0.02)
    raise TimeoutError("nobody let it go")


@task
def held(folder: str, name: str) -> int:
    return wait(folder, name)


@task
def large(folder: str) -> bytes:
    """As many bytes, each the number of the attempt."""
    return bytes([wait(folder, "large")]) * LARGE_BYTES


@task
def after(a: int, b: int, c: int, d: int, whole: bytes) -> list[int]:
    """The attempts that its upstreams were."""
    assert len(whole) == LARGE_BYTES and len(set(whole)) == 1
    return [a, b, c, d, whole[0]]


@dag(dag_id="offline", include=["ledger_note.py"])
def offline(folder: str) -> None:
    held_by_name = [held.options(task_id=name)(folder, name) for name in "abcd"]
    after(*held_by_name, large(folder))
