"""Tasks that do not end when they are asked to; nor does what they have started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from glidepath import dag, task
from glidepath.worker import current

TURNS = 3000


def resist() -> list[int]:
    """Ignore TERM, here and in what is started here: a child, and an orphan in a session of its own.

    All of them hold the pipes by which the worker hears what they print.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"])
    command = "setsid sleep 300 >&2 & echo $!"
    orphan = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True)
    return [os.getpid(), child.pid, int(orphan.stdout)]


def still_running(pids: list[str]) -> list[str]:
    return [pid for pid in pids if runs(pid)]


def runs(pid: str) -> bool:
    """Whether a process is there that has not ended; nobody may be there to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@task
def stubborn(folder: str) -> int:
    """Appends attempt number and processes to stubborn.ledger, then waits for stubborn.go or stubborn.<attempt>.go.

    Processes of earlier attempts that it finds alive are written to stubborn.overlap; when it began, to
    stubborn.<attempt>.began.
    """
    attempt = current().attempt_number
    Path(folder, f"stubborn.{attempt}.began").write_text(str(time.time()))
    ledger = Path(folder, "stubborn.ledger")
    if ledger.exists() and (found := still_running(ledger.read_text().split()[1:4])):
        Path(folder, "stubborn.overlap").write_text(f"attempt {attempt} met {found}")
    pids = " ".join(map(str, resist()))
    with ledger.open("a") as file:
        file.write(f"{attempt} {pids}\n")
    for _ in range(TURNS):
        if any(Path(folder, f"stubborn{which}.go").exists() for which in ("", f".{attempt}")):
            return attempt
        time.sleep(0.02)
    raise TimeoutError("nobody let it go")


@dag(dag_id="stubborn")
def stubborn_dag(folder: str) -> None:
    stubborn.options(cancel_grace="1s")(folder)


@dag(dag_id="timed")
def timed_dag(folder: str) -> None:
    stubborn.options(cancel_grace="1s", timeout="1s")(folder)


@dag(dag_id="alone")
def alone_dag(folder: str) -> None:
    stubborn.options(cancel_grace="2s", lease_mode="exclusive")(folder)


@task
def greedy(folder: str) -> None:
    """Writes its processes to greedy.ledger; a grandchild in a session of its own, which ignores TERM, eats memory."""
    code = (
        "import os, signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)\n"
        "sys.stdin.read(1); eaten = [bytearray(b'x' * 2**20) for _ in range(256)]; signal.pause()"
    )
    pipe = subprocess.PIPE
    child = subprocess.Popen(["setsid", sys.executable, "-c", code], stdin=pipe, stdout=pipe)
    assert child.stdin and child.stdout
    eater = int(child.stdout.readline())
    Path(folder, "greedy.ledger").write_text(f"{current().attempt_number} {os.getpid()} {eater}\n")
    child.stdin.write(b"x")
    child.stdin.flush()
    time.sleep(300)


@dag(dag_id="greedy")
def greedy_dag(folder: str) -> None:
    greedy.options(memory_limit_mb=128)(folder)
