"""Tasks in whose life time has a say: a retry after a delay, a deferral, timeouts, a wait while clocks are set."""

from pathlib import Path

from glidepath import Defer, dag, task
from glidepath.worker import current

DELAY_SECONDS = 1
TURNS = 3000


@task(retries=1, retry_delay=DELAY_SECONDS, timeout=60)
def retried() -> int:
    """Fails at first."""
    if current().attempt_number == 1:
        raise RuntimeError("try again")
    return current().attempt_number


@task(timeout=60)
def deferred() -> int:
    """Gives its place back at first."""
    if current().attempt_number == 1:
        raise Defer(after=DELAY_SECONDS)
    return current().attempt_number


@task(timeout=60)
def held(folder: str) -> int:
    """Goes on when the test has set the clocks."""
    import time

    Path(folder, "held.begun").touch()
    for _ in range(TURNS):
        if Path(folder, "held.go").exists():
            return current().attempt_number
        time.sleep(0.02)
    raise TimeoutError("nobody let it go")


@task
def last(first: int, second: int, third: int) -> int:
    return first + second + third


@dag(run_timeout=90)
def clocks(folder: str) -> None:
    last(retried(), deferred(), held(folder))
