"""A DAG whose tasks write down each start, with a try that fails, and one that nobody here can run."""

from pathlib import Path

from glidepath import Defer, Retry, call_dag, dag, task
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


@task(isolation="inline")
def answer(folder: str, fails: bool) -> int:
    note(folder, "answer")
    if fails and not current().run_key.endswith("/2"):
        raise ValueError("the first run of it fails")
    return 42


@task(isolation="inline")
def told(folder: str, value: int) -> int:
    note(folder, "told")
    return value


@dag(dag_id="called")
def called(folder: str, fails: bool) -> None:
    answer(folder, fails)


@dag(dag_id="caller")
def caller(folder: str) -> None:
    """A child run that fails, and the one that is the retry."""
    told(folder, call_dag(called, {"folder": folder, "fails": True}, output="answer", task_id="call", retries=1))


@dag(dag_id="held_child")
def held_child(folder: str) -> None:
    call_dag("unserved", task_id="call")


@task(queue="nobody")
def unserved() -> None:
    """In a queue that no worker serves."""


@task(isolation="inline", role="setup")
def cluster(folder: str) -> str:
    note(folder, "cluster")
    return folder


@task(isolation="inline", role="branch")
def choice(folder: str) -> str:
    note(folder, "choice")
    return "waits"


@task(isolation="inline")
def waits(folder: str) -> str:
    """Waits once, and has then what it left."""
    note(folder, "waits")
    if not current().checkpoint:
        raise Defer(after=0.1, checkpoint=b"asked")
    return folder


@task(isolation="inline")
def breaks(folder: str) -> str:
    """Fails until it has begun once before: not to be retried, but its run is."""
    note(folder, "breaks")
    marker = Path(folder, "breaks.once")
    if not marker.exists():
        marker.touch()
        raise ValueError("not this time")
    return folder


@task(isolation="inline", role="teardown")
def down(folder: str) -> None:
    note(folder, "down")


@dag(dag_id="steered", run_retries=1)
def steered(folder: str) -> None:
    unserved()
    here = cluster(folder)
    chosen = choice(here)
    left_out = first.options(task_id="left_out")(folder)
    chosen >> left_out
    ready = waits(here)
    chosen >> ready
    broken = breaks(ready)
    [left_out, broken] >> down(here)


@dag(dag_id="unserved")
def lonely() -> None:
    unserved()


@task(isolation="inline", cache="1h")
def kept(folder: str) -> str:
    """One attempt of it is for all runs with the same folder."""
    note(folder, "kept")
    return folder


@task(isolation="inline")
def taken(folder: str) -> str:
    return folder


@dag(dag_id="equal")
def equal(folder: str) -> None:
    taken(kept(folder))


@task(isolation="inline", depends_on_past=True)
def in_turn(folder: str, name: str) -> str:
    note(folder, "in_turn")
    return name


@dag(dag_id="in_turn")
def turns(folder: str, name: str) -> None:
    in_turn(folder, name)
