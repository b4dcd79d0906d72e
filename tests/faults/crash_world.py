"""A life that passes every crash point of a server, and a nurse who brings the server back.

The life goes on through the crash as its people would: calls are repeated with the same request id until they are
answered, a dead server is started again, one that stands still wakes up after its workers' leases would have ended.
"""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from fault_world import House, attempts, finished, wait_until

from glidepath import Deadline, Every, load_dags
from glidepath.client import Client
from glidepath.errors import AlreadyExists, Unavailable
from glidepath_proto.common.v1 import payload_pb2
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import run_pb2
from glidepath_server.store.database import is_retryable

T = TypeVar("T")
LEASE_SECONDS = 3.0
ASLEEP_SECONDS = 3.3  # longer than a lease
CALL_SECONDS = 40.0
LARGE_CHARS = 100_000
NOBODY = {
    "host": "127.0.0.1",
    "port": "1",
    "security": "none",
    "sender": "glidepath@house.example",
    "recipients": "ops@house.example",
}
CRASH_DAG = Path(__file__).with_name("crash_dag.py")


class Nurse:
    """Watches over one server that is armed with crash points "NAME=MODE": what dies is started again, armed with those
    that have not struck yet; what stands still is woken after `at_rest`, which is told the process's newest line.
    """

    def __init__(
        self, house: House, points: Iterable[str], *, at_rest: Callable[[str], None] | None = None, **settings: object
    ) -> None:
        self._house, self._points, self._settings = house, tuple(points), settings
        self._over = threading.Event()
        self._at_rest = at_rest or (lambda _: self._sleep())
        self._servers: list[subprocess.Popen[bytes]] = []
        self._failure: BaseException | None = None
        self._start()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Nurse:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        if kind is None:
            assert not self.left(), f"nothing came to {', '.join(self.left())}"

    def left(self) -> list[str]:
        """The places that were not reached yet."""
        said = {line for line in self._said() if line.startswith("crash point ")}
        return [each for each in self._points if not any(line.startswith(_spoken(each)) for line in said)]

    def _said(self) -> list[str]:
        return [line for server in self._servers for line in self._house.log(server).splitlines()]

    def _start(self) -> None:
        armed = ",".join(self.left())
        # A claim of an alert ends soon after its plugin's time is up.
        chosen = {"lease_ttl_seconds": LEASE_SECONDS, "plugin_call_timeout_seconds": 4, **self._settings}
        self._servers.append(self._house.server(crash_point=armed, **chosen))

    def _watch(self) -> None:
        try:
            while not self._over.wait(0.02):
                if self._servers[-1].poll() is not None:
                    self._start()
                elif stands_still(self._servers[-1]):
                    self._at_rest([line for line in self._said() if line.startswith("crash point ")][-1])
                    self._servers[-1].send_signal(signal.SIGCONT)
        except BaseException as error:  # the life ends at a deadline of its own; this is why
            self._failure = error

    def _sleep(self) -> None:
        self._over.wait(ASLEEP_SECONDS)


def _spoken(point: str) -> str:
    name, _, mode = point.partition("=")
    return f"crash point {name}: {mode}"


def stands_still(process: subprocess.Popen[bytes]) -> bool:
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] == "T"


def persist(call: Callable[[], T]) -> T:
    """The answer of a call that may be repeated."""
    deadline = time.monotonic() + CALL_SECONDS
    while True:
        try:
            return call()
        except (Unavailable, AlreadyExists) as error:
            # A name that is there already was given by the try whose answer was lost.
            if isinstance(error, AlreadyExists):
                return None  # type: ignore[return-value]
            if time.monotonic() > deadline:
                raise


def live_through(house: House) -> None:
    """Everything that passes a crash point, with the ends that it must come to whatever happens in between."""
    client = house.client()
    wait_until(lambda: persist(client.get_server_info) is not None, "the server answers")
    _administer(client)
    turns = _take_turns(house, client)
    worker = _run_dags(house, client)
    assert [finished(client, run_id).state for run_id in turns] == [run_pb2.RUN_STATE_SUCCESS] * 2
    assert _begun(house.folder / "turns", "in_turn") == 2
    _steer(house, client)
    _call(house, client)
    _equal_calls(house, client)
    _withdraw(client)
    _mark_instances(house, client)
    _backfill(client)
    _cancel_and_clear(house, client)
    successor = _lose_a_worker(house, client, worker)
    _alert(house, client)
    _quarantine(house, client, "aside")
    _quarantine_bare(house, client)
    _sweep_limits(house)
    _reprioritise(client)
    _tick(house, client)
    successor.send_signal(signal.SIGTERM)
    wait_until(lambda: successor.poll() == 0, "the worker has left")
    _grow_old(house)


def _administer(client: Client) -> None:
    persist(lambda: client.create_namespace("crashing"))
    persist(lambda: client.set_pool("crash", 1))
    persist(lambda: client.set_pool("passing", 1))
    persist(lambda: client.delete_pool("passing"))
    persist(lambda: client.set_limit("passing", 1, rate=(10, 60)))
    persist(lambda: client.delete_limit("passing"))
    persist(lambda: client.set_namespace_weight("crashing", 2.0))
    token = persist(lambda: client.create_token("short-lived", "viewer"))
    persist(lambda: client.revoke_token(token.token.token_id))
    for each in load_dags(CRASH_DAG).dags + load_dags(CRASH_DAG.with_name("waiting_dag.py")).dags:
        request_id = str(uuid4())
        persist(lambda each=each, request_id=request_id: client.register(each, request_id=request_id))
    persist(lambda: client.set_alert_channel("nobody", "email", NOBODY))
    persist(lambda: client.set_alert_route("failures", ["run_failed"], "nobody", dag_id="waiting"))
    persist(lambda: client.set_deadline("crash", Deadline.after_queue(0.05, name="soon")))
    persist(lambda: client.set_dag_alias("crash", "production", 1))
    persist(lambda: client.pause_dag("crash"))
    persist(lambda: client.unpause_dag("crash"))
    persist(lambda: client.clear_dag_cache("crash"))
    assert persist(lambda: client.get_dag("crash")).latest_version_number == 1


def _tick(house: House, client: Client) -> None:
    """A schedule whose runs nobody can run: each tick has one outcome, and its deadline, which a run has whether or not
    it is created, is told of once."""
    task = dag_pb2.TaskSpec(task_id="only", handler=dag_pb2.Handler(name="nobody:has"))
    request_id = str(uuid4())
    persist(lambda: client.register(dag_pb2.DagSpec(dag_id="ticking", tasks=[task]), request_id=request_id))
    persist(lambda: client.set_deadline("ticking", Deadline.after_interval_end(0.2)))
    persist(lambda: client.set_schedule("ticking", Every("1s", zone="UTC")))
    told = """select count(*) as facts, count(distinct body::jsonb ->> 'run_key') as runs
              from outbox where dag_id = 'ticking' and kind = 'missed'"""
    wait_until(lambda: _rows(house, told)[0]["runs"] >= 3, "three ticks have missed their deadline")
    persist(lambda: client.pause_schedule("ticking", "main"))
    persist(lambda: client.delete_schedule("ticking", "main"))
    found = _rows(house, told)[0]
    assert found["facts"] == found["runs"]
    ticks = _rows(
        house, "select count(*) as ticks, count(distinct dag_run_id) as runs from schedule_tick where state = 'run'"
    )
    assert ticks[0]["ticks"] == ticks[0]["runs"] > 0


def _take_turns(house: House, client: Client) -> list[str]:
    """Two runs of a task that depends on the past. No worker is there yet: the second waits for the first."""
    folder = house.folder / "turns"
    folder.mkdir()
    runs = []
    for date in ("2026-01-01", "2026-01-02"):
        options = {"params": {"folder": str(folder), "name": date}, "logical_date": date, "request_id": str(uuid4())}
        runs.append(persist(lambda options=options: client.trigger("in_turn", **options)).dag_run_id)
    wait_until(lambda: _sql(house, "select count(*) from past_wait where checked") == 1, "the second is known to wait")
    return runs


def _run_dags(house: House, client: Client) -> subprocess.Popen[bytes]:
    """Two runs of a DAG that admits one at a time: each task begins as often as it must, and no more. The worker comes
    when both are there, so that the second is admitted by the end of the first."""
    folders = [house.folder / name for name in ("one", "two")]
    runs = []
    for folder in folders:
        folder.mkdir()
        request_id, params = str(uuid4()), {"folder": str(folder)}
        runs.append(
            persist(
                lambda request_id=request_id, params=params: client.trigger(
                    "crash", params=params, request_id=request_id
                )
            ).dag_run_id
        )
    worker = house.worker("w1")
    for folder, run_id in zip(folders, runs, strict=True):
        assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
        begun = {path.stem: len(path.read_text().split()) for path in folder.glob("*.ledger")}
        assert begun == {"first": 1, "flaky": 2, "pooled": 1, "large": 1, "last": 1}, begun
        assert persist(lambda run_id=run_id: client.output(run_id, "last")) == LARGE_CHARS
        wait_until(lambda run_id=run_id: _logged(client, run_id) == ["first has begun"], "the log is there, once")
    # Nobody can do that in 50 ms; each run has told so, once, and that it was done after all.
    told = _rows(
        house, "select kind, count(*) from outbox where kind in ('missed', 'met_late') group by kind order by kind"
    )
    assert [tuple(row) for row in told] == [("met_late", 2), ("missed", 2)]
    persist(lambda: client.delete_deadline("crash", "soon"))
    return worker


def _steer(house: House, client: Client) -> None:
    """A run with a setup and its teardown, a branch, a deferral and a mark, that fails once and is retried whole."""
    folder = house.folder / "steered"
    folder.mkdir()
    request_id, mark_id = str(uuid4()), str(uuid4())
    run_id = persist(
        lambda: client.trigger("steered", params={"folder": str(folder)}, request_id=request_id)
    ).dag_run_id
    wait_until(lambda: _begun(folder, "cluster") >= 1, "the run has started")
    persist(lambda: client.mark_task_instances(run_id, ["unserved"], "success", request_id=mark_id))
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    begun = {path.stem: len(path.read_text().split()) for path in folder.glob("*.ledger")}
    assert begun == {"cluster": 2, "choice": 2, "waits": 4, "breaks": 2, "down": 2}, begun


def _call(house: House, client: Client) -> None:
    """A child run that fails, one that is its caller's retry, and one that is cancelled with its caller."""
    folder = house.folder / "caller"
    folder.mkdir()
    request_id, held_id, cancel_id = str(uuid4()), str(uuid4()), str(uuid4())
    params = {"folder": str(folder)}
    run_id = persist(lambda: client.trigger("caller", params=params, request_id=request_id)).dag_run_id
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    begun = {path.stem: len(path.read_text().split()) for path in folder.glob("*.ledger")}
    assert begun == {"answer": 2, "told": 1}, begun
    assert persist(lambda: client.output(run_id, "told")) == 42
    assert persist(lambda: attempts(client, run_id, "call")) == [(1, "FAILED"), (2, "SUCCESS")]
    assert len(_children(client, run_id)) == 2
    held = persist(lambda: client.trigger("held_child", params=params, request_id=held_id)).dag_run_id
    wait_until(lambda: len(_children(client, held)) == 1, "the child run is there")
    persist(lambda: client.cancel_dag_run(held, request_id=cancel_id))
    assert finished(client, held).state == run_pb2.RUN_STATE_CANCELLED
    assert [each.state for each in _children(client, held)] == [run_pb2.RUN_STATE_CANCELLED]


def _children(client: Client, run_id: str) -> list[run_pb2.DagRun]:
    return persist(lambda: list(client.list_dag_runs(children_of=run_id)))


def _equal_calls(house: House, client: Client) -> None:
    """Several runs of one call, of which one is made; then one that takes what is kept."""
    folder = house.folder / "equal"
    folder.mkdir()
    params, ids = {"folder": str(folder)}, [str(uuid4()) for _ in range(4)]
    runs = [
        persist(lambda each=each: client.trigger("equal", params=params, request_id=each)).dag_run_id
        for each in ids[:3]
    ]
    assert [finished(client, run_id).state for run_id in runs] == [run_pb2.RUN_STATE_SUCCESS] * 3
    late = persist(lambda: client.trigger("equal", params=params, request_id=ids[3])).dag_run_id
    assert finished(client, late).state == run_pb2.RUN_STATE_SUCCESS
    assert persist(lambda: client.output(late, "taken")) == str(folder)
    assert _begun(folder, "kept") == 1


def _logged(client: Client, run_id: str) -> list[str]:
    return [line.text.strip() for line in client.logs(run_id, "first")]


def _withdraw(client: Client) -> None:
    request_id, cancel_id = str(uuid4()), str(uuid4())
    run_id = persist(lambda: client.trigger("unserved", request_id=request_id)).dag_run_id
    persist(lambda: client.cancel_dag_run(run_id, request_id=cancel_id))
    assert finished(client, run_id).state == run_pb2.RUN_STATE_CANCELLED
    persist(lambda: client.cancel_dag_run(run_id, request_id=cancel_id))  # is answered as before


def _mark_instances(house: House, client: Client) -> None:
    """Instances that nobody can run: each has the end that was said of it, once, and the task and the run with them."""
    numbers = payload_pb2.Payload(content_type="application/json", data=b"[1, 2, 3]")
    over = dag_pb2.MapInput(name="number", source=dag_pb2.Input(literal=numbers))
    task = dag_pb2.TaskSpec(task_id="each", handler=dag_pb2.Handler(name="nobody:has"))
    task.map.CopyFrom(dag_pb2.MapSpec(inputs=[over], active_max=2))
    ids = [str(uuid4()) for _ in range(5)]
    persist(lambda: client.register(dag_pb2.DagSpec(dag_id="marked", tasks=[task]), request_id=ids[0]))
    run_id = persist(lambda: client.trigger("marked", request_id=ids[1])).dag_run_id
    wait_until(lambda: len(persist(lambda: list(client.list_task_instances(run_id, task_id="each")))) == 3, "three")
    persist(lambda: client.mark_task_instances(run_id, ["each"], "skipped", map_indexes=[2], request_id=ids[2]))
    persist(lambda: client.cancel_task_instances(run_id, ["each"], map_indexes=[1], request_id=ids[3]))
    persist(lambda: client.mark_task_instances(run_id, ["each"], "success", map_indexes=[0, 1], request_id=ids[4]))
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    said = "select count(*) from audit_event where target = $1 and action in ($2, $3)"
    assert _sql(house, said, f"dag_run/{run_id}", "task_instance.mark", "task_instance.cancel") == 3


def _backfill(client: Client) -> None:
    """A backfill that is paused, goes on, and is cancelled with its active run."""
    made_id, pause_id, resume_id, cancel_id = (str(uuid4()) for _ in range(4))
    dates = ["2026-01-01", "2026-01-02", "2026-01-03"]
    made = persist(lambda: client.create_backfill("unserved", dates=dates, runs_active_max=1, request_id=made_id))
    wait_until(lambda: client.get_backfill(made.backfill_id).counts.running == 1, "one date has its run")
    persist(lambda: client.pause_backfill(made.backfill_id, request_id=pause_id))
    persist(lambda: client.resume_backfill(made.backfill_id, request_id=resume_id))
    persist(lambda: client.cancel_backfill(made.backfill_id, cancel_runs=True, request_id=cancel_id))
    wait_until(lambda: client.get_backfill(made.backfill_id).counts.cancelled == 1, "its run has ended")
    counts = persist(lambda: client.get_backfill(made.backfill_id)).counts
    assert (counts.skipped, counts.waiting) == (2, 0)


def _cancel_and_clear(house: House, client: Client) -> None:
    cancel_id, clear_id = str(uuid4()), str(uuid4())
    folder, run_id = _start_waiting(house, client, "cleared")
    persist(lambda: client.cancel_task_instances(run_id, ["held"], request_id=cancel_id))
    (folder / "b.go").touch()
    assert finished(client, run_id).state == run_pb2.RUN_STATE_FAILED
    persist(lambda: client.clear_task_instances(run_id, ["held"], downstream=True, request_id=clear_id))
    wait_until(lambda: _begun(folder, "a") == 2, "the cleared task has begun")
    (folder / "a.go").touch()
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    _assert_begun(client, run_id, folder, a=2, b=1)


def _lose_a_worker(house: House, client: Client, worker: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    """A worker that is gone for good: its lease ends, and another one begins its tasks again."""
    folder, run_id = _start_waiting(house, client, "lost")
    worker.kill()
    worker.wait()
    successor = house.worker("w2")
    wait_until(lambda: _begun(folder, "a") >= 2 and _begun(folder, "b") >= 2, "both have begun again")
    (folder / "a.go").touch(), (folder / "b.go").touch()
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    _assert_begun(client, run_id, folder, a=2, b=2)
    return successor


def _alert(house: House, client: Client) -> None:
    """The run that had failed is told of once, to a channel where nobody answers, and that is tried again."""
    tried = "select count(*) from alert_delivery where state = 'retrying' and last_error like 'no answer%'"
    wait_until(lambda: _sql(house, tried) == 1, "the alert was tried")
    persist(lambda: client.resend_alerts(channel_name="nobody"))
    persist(lambda: client.delete_alert_route("failures"))
    assert _sql(house, "select count(*) from alert_fact") == 1


def _quarantine(house: House, client: Client, name: str) -> None:
    """A run whose board cannot be read is set aside with what comes for it, and goes on when that is mended."""
    folder, run_id = _start_waiting(house, client, name)
    board = _sql(house, "select board from dag_run where dag_run_id = $1", run_id)
    _sql(house, "update dag_run set board = 'x' where dag_run_id = $1", run_id)
    (folder / "a.go").touch(), (folder / "b.go").touch()
    wait_until(lambda: any(each.dag_run_id == run_id for each in client.list_incidents()), "the run is set aside")
    _sql(house, "update dag_run set board = $2 where dag_run_id = $1", run_id, board)
    _sql(house, "alter table run_inbox disable trigger user")
    persist(lambda: client.release_dag_run(run_id))
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    _assert_begun(client, run_id, folder, a=1, b=1)


def _quarantine_bare(house: House, client: Client) -> None:
    """The same when not even the inbox takes what has come."""
    _sql(
        house,
        """create or replace function refuse() returns trigger language plpgsql as
           $$ begin raise exception 'no room' using errcode = 'data_exception'; end $$""",
    )
    _sql(house, "create or replace trigger refuse before insert on run_inbox for each row execute function refuse()")
    _quarantine(house, client, "bare")


def _sweep_limits(house: House) -> None:
    """A slot that is held by what has ended is free again."""
    _sql(
        house,
        """insert into limit_holder (limit_id, dag_run_id, task_index, map_index, slots)
           select c.limit_id, r.dag_run_id, 0, -1, 1 from concurrency_limit c, dag_run r
           where c.kind = 'pool' and c.name = 'crash' and r.dag_id = 'unserved' on conflict do nothing""",
    )
    wait_until(lambda: _sql(house, "select count(*) from limit_holder") == 0, "the slot is free")


def _reprioritise(client: Client) -> None:
    """However often it is asked for, the word is said once."""
    run_id = next(iter(persist(lambda: list(client.list_dag_runs("crash"))))).dag_run_id
    request_id = str(uuid4())
    persist(lambda: client.set_dag_run_priority(run_id, 5, request_id=request_id))
    said = [each for each in persist(lambda: list(client.list_audit_events())) if each.action == "dag_run.priority"]
    assert [each.target for each in said] == [f"dag_run/{run_id}"]


def _grow_old(house: House) -> None:
    """On a 25th the month's history is closed: a server looks whether that is due when it starts.

    The present month's may have been closed already, when the database was made before today's hour for it.
    """
    closed = "select count(*) from pg_class where relname like 'task_attempt\\_%' and relispartition"
    before = _sql(house, closed)
    _sql(
        house,
        """update clock set shift = date_trunc('month', clock_timestamp()) + interval '1 month 24 days'
           - clock_timestamp()""",
    )
    for server in house.servers:
        server.kill()
    wait_until(lambda: _sql(house, closed) > before, "history is closed, and open again from there")
    wait_until(
        lambda: _sql(
            house, "select last_time > glidepath_now() - interval '1 day' from maintenance where name = 'history'"
        ),
        "the round is over",
    )


def _start_waiting(house: House, client: Client, name: str) -> tuple[Path, str]:
    """A run of waiting_dag.py in a folder of its own, whose tasks a and b have begun."""
    folder, request_id = house.folder / name, str(uuid4())
    folder.mkdir()
    params = {"folder": str(folder)}
    run_id = persist(lambda: client.trigger("waiting", params=params, request_id=request_id)).dag_run_id
    wait_until(lambda: _begun(folder, "a") == 1 and _begun(folder, "b") == 1, "both tasks have begun")
    return folder, run_id


def _assert_begun(client: Client, run_id: str, folder: Path, **expected: int) -> None:
    """These tasks have begun so often; if not, the history of their attempts says why (a worker may have starved)."""
    begun = {name: _begun(folder, name) for name in expected}
    history = {task: persist(lambda task=task: attempts(client, run_id, task)) for task in ("held", "held_2")}
    assert begun == expected, (begun, history)


def _begun(folder: Path, name: str) -> int:
    ledger = folder / f"{name}.ledger"
    return len(ledger.read_text().splitlines()) if ledger.exists() else 0


def _sql(house: House, statement: str, *arguments: object) -> Any:
    """The first value of a statement, if it has one."""
    rows = _rows(house, statement, *arguments)
    return rows[0][0] if rows else None


def _rows(house: House, statement: str, *arguments: object) -> list[Any]:
    """What the database says. It may be asked again: the backend of this question may end, too."""
    deadline = time.monotonic() + CALL_SECONDS
    while True:
        try:
            return house.rows(statement, *arguments)
        except Exception as error:
            if not is_retryable(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
