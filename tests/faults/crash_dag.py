"""A DAG whose tasks write down each start, with a try that fails, and one that nobody here can run."""

from pathlib import Path

from glidepath import Retry, dag, task
from glidepath.worker import current


def note(folder: str, name: str) -> int:
    """Append this attempt's number to <name>.ledger."""
    attempt = current().attempt_number
    with Path(folder, f"{name}.ledger").open("a") as ledger:
        ledger.write(f"{attempt}\n")
    return attempt


@task(isolation="inline")
def first(folder: str) -> str:
    note(folder, "first")
    print("first has begun")
    return folder


@task(isolation="inline", retries=1)
def flaky(folder: str) -> str:
    """Fails until it has begun once before."""
    note(folder, "flaky")
    marker = Path(folder, "flaky.once")
    if not marker.exists():
        marker.touch()
        raise Retry("once more", after=0)
    return folder


@task(isolation="inline", pool="crash")
def pooled(folder: str) -> str:
    note(folder, "pooled")
    return folder


@task(isolation="inline")
def large(folder: str) -> str:
    """Its output is too large for a result, and becomes an artifact."""
    note(folder, "large")
    return folder.ljust(100_000)


@task(isolation="inline")
def last(one: str, two: str, three: str) -> int:
    note(one, "last")
    return len(three)


@dag(dag_id="crash", runs_active_max=1)
def crash(folder: str) -> None:
    path = first(folder)
    last(flaky(path), pooled(path), large(path))


@task(queue="nobody")
def unserved() -> None:
    """In a queue that no worker serves."""


@dag(dag_id="unserved")
def lonely() -> None:
    unserved()
