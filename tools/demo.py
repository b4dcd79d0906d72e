"""`make demo`: a whole Glidepath on this machine for a minute. Postgres, a server, two workers, two days of training.

    python -m tools.demo
    DEMO_CHAOS=1 python -m tools.demo      kill -9 of the server and of a worker while the models are trained

The second day's file is written after its run has started to look for it, and the second day's model is held against
the first day's. Everything lies in build/demo, is made anew each time and stopped at the end, whatever happens. Exit
code 0 says that both runs succeeded and that the model in production is there.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from glidepath.authoring import load_dags
from glidepath.client import Client
from glidepath.errors import GlidepathError
from glidepath_server.core.errors import GlidepathError as ServerError
from glidepath_server.store.embedded import EmbeddedPostgres
from tools.children import Child, ChildFailed
from tools.run_report import Progress, print_report, say

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "build" / "demo"
EXAMPLE = ROOT / "sdk" / "python" / "examples" / "training"
DAYS = ("2026-11-02", "2026-11-03")
WORKERS = 2
POOL, POOL_SLOTS = "training", 2
CHAOS = "DEMO_CHAOS"
SECONDS_MAX = 300  # for both runs: far more than it takes, so that a run that is stuck ends with an explanation


class DemoFailed(Exception):
    """The demo did not get where it should; the message says why."""


class Chaos:
    """Kills the server and the worker of the first model that is in training, once; their successors go on."""

    def __init__(self, server: Child, workers: list[Child]) -> None:
        self._server, self._workers = server, {worker.name: worker for worker in workers}
        self.struck = False

    def look(self, progress: Progress) -> None:
        name = progress.worker_of("models.")
        if self.struck or name is None:
            return
        self.struck = True
        say(f"a model is in training on {name}: kill -9 of the server and of {name}")
        with _undisturbed():
            self._server.kill_and_start_again("--address", _address(self._server) or "")
            self._workers[name].kill_and_start_again()


def main() -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _alone(), _system() as system:
            _play(*system)
    except KeyboardInterrupt:
        print("demo: interrupted; everything it started has been stopped", file=sys.stderr)
        return 130
    except (DemoFailed, ChildFailed, GlidepathError, ServerError) as error:
        print(f"demo: {error}\ndemo: logs are in {_short(HOME / 'logs')}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nobody looks after the children meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _look_after(children: list[Child], deadline: float, *_: object) -> None:
    """Called every second while runs are followed: a run whose worker has gone would be followed for long."""
    for child in children:
        child.check()
    if time.monotonic() > deadline:
        raise DemoFailed(f"not done after {SECONDS_MAX} s")


@contextmanager
def _alone() -> Iterator[None]:
    """Two demos at a time would take each other's folder away. The kernel frees the lock however its owner ends."""
    HOME.parent.mkdir(exist_ok=True)
    with HOME.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoFailed(f"another demo uses {_short(HOME)}; wait for its end and try again") from None
        yield


@contextmanager
def _system() -> Iterator[tuple[Client, list[Child], Chaos | None]]:
    """A client of a running server with its workers; the reverse of the start is the stop."""
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.mkdir(parents=True)
    with ExitStack() as parts:
        postgres = EmbeddedPostgres.start(HOME / "postgres")
        parts.callback(_uninterrupted, postgres.stop)
        say("Postgres runs")
        server = _start_server(parts, postgres.url)
        address = server.wait_until("said where it listens", lambda: _address(server))
        say(f"the server listens on {address}")
        client = parts.enter_context(Client(address, token=(HOME / "admin-token").read_text().strip()))
        workers = [_start_worker(parts, address, number + 1) for number in range(WORKERS)]
        for worker in workers:
            worker.wait_until("said hello to the server", partial(_connected, client, worker.name))
        say(f"{WORKERS} workers are connected")
        yield client, [server, *workers], Chaos(server, workers) if os.environ.get(CHAOS) == "1" else None


def _start_server(parts: ExitStack, database_url: str) -> Child:
    arguments = [
        *("--address", "127.0.0.1:0", "--auto-upgrade"),
        *("--bootstrap-token-file", str(HOME / "admin-token")),
        *("--bootstrap-worker-token-file", str(HOME / "worker-token")),
    ]
    environ = _environment(GLIDEPATH_DATABASE_URL=database_url, GLIDEPATH_LOG_FORMAT="json")
    server = Child("server", "glidepath_server", arguments, environ=environ, logs=HOME / "logs")
    parts.callback(_uninterrupted, server.stop)
    return server


def _start_worker(parts: ExitStack, address: str, number: int) -> Child:
    name = f"worker-{number}"
    arguments = ["--address", address, "--identity", name, "--slots", "2", "--state-dir", str(HOME / name)]
    environ = _environment(GLIDEPATH_TOKEN_FILE=str(HOME / "worker-token"))
    worker = Child(name, "glidepath.worker", arguments, environ=environ, logs=HOME / "logs")
    parts.callback(_uninterrupted, worker.stop)
    return worker


def _environment(**settings: str) -> dict[str, str]:
    """This process's, without what its user has set for another Glidepath."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


def _address(server: Child) -> str | None:
    for line in server.lines():
        if line.startswith("{") and (event := _json(line)).get("event") == "server_started":
            return str(event["address"])
    return None


def _json(line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except ValueError:  # the line is being written
        return {}


def _connected(client: Client, worker: str) -> bool | None:
    return True if any(each.worker_identity == worker for each in client.list_workers()) else None


def _uninterrupted(stop: Any) -> None:
    """A second Ctrl-C must not leave half of it running."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 0)
    stop()


def _play(client: Client, children: list[Child], chaos: Chaos | None) -> None:
    signal.signal(signal.SIGALRM, partial(_look_after, children, time.monotonic() + SECONDS_MAX))
    signal.setitimer(signal.ITIMER_REAL, 1, 1)
    client.set_pool(POOL, POOL_SLOTS)
    loaded = load_dags(EXAMPLE / "training.py")
    if loaded.errors:
        raise DemoFailed(f"the example does not load: {loaded.errors[0]}")
    registered = client.register(loaded.dags[0], aliases=["production"])
    say(f"DAG training is registered as version {registered.dag_version.dag_version_number}, the pool has 2 slots")
    _write_day(DAYS[0])
    for day in DAYS:
        _run_day(client, children, day, chaos if day == DAYS[-1] else None)
    if chaos is not None and not chaos.struck:
        raise DemoFailed("there was no moment for the chaos that was asked for")
    _point_on()


def _run_day(client: Client, children: list[Child], day: str, chaos: Chaos | None) -> None:
    """Trigger a run, follow it to its end and report on it. DemoFailed unless it succeeded and left a model."""
    print(f"\n== {day}", flush=True)
    params = {"day": day, "data_dir": str(HOME / "data"), "output_dir": str(HOME / "out")}
    run_id = client.trigger("training", params=params, run_key=day).dag_run_id
    progress = Progress(time.monotonic())
    state = ""
    try:
        for message in client.watch(run_id):
            state = progress.show(message)
            if chaos is not None:
                chaos.look(progress)
            if progress.attempts("wait_for_file") >= 2 and not _file(day).exists():
                say("the run has looked for the file in vain; writing it now")
                _write_day(day)
    except (DemoFailed, GlidepathError) as error:
        for child in children:
            child.check()
        raise DemoFailed(f"{error}\n{_explain(client, run_id)}") from error
    print_report(client, run_id)
    if state != "success":
        raise DemoFailed(f"the run of {day} ended as {state}: {client.get_dag_run(run_id).reason}")
    if not _model().is_file():
        raise DemoFailed(f"the run of {day} succeeded without leaving {_model()}")


def _explain(client: Client, run_id: str) -> str:
    try:
        lines = [
            f"  {each.task_id}: {each.message} {each.hint}" for each in client.explain_dag_run(run_id).explanations
        ]
    except GlidepathError as error:
        return f"  and the server does not say what the run waits for: {error}"
    return "\n".join(["what the run waits for:", *lines])


def _file(day: str) -> Path:
    return HOME / "data" / f"{day}.csv"


def _write_day(day: str) -> None:
    """By the example's own program, which is no package."""
    spec = importlib.util.spec_from_file_location("prepare_data", EXAMPLE / "prepare_data.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_day(day, HOME / "data")


def _model() -> Path:
    """The file that is in production, or the place where that would be said."""
    production = HOME / "out" / "production.json"
    return Path(json.loads(production.read_text())["path"]) if production.is_file() else production


def _point_on() -> None:
    print(
        f"""
Where to look next
  the model in production   {_short(_model())}
  the logs of all parts     {_short(HOME / "logs")}
  the DAG                   {_short(EXAMPLE / "training.py")}
  a server that stays       make up""",
        flush=True,
    )


def _short(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())
