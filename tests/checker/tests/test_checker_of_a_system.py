"""A real server, real workers, real faults: told to the checker, every promise was tried and none is broken."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from scenes import ROOT, House, dag, finished, states, task, wait_until

from glidepath import Every, load_dags
from glidepath.errors import AlreadyExists
from glidepath_proto.registry.v1 import dag_pb2
from glidepath_proto.run.v1 import backfill_pb2, run_pb2
from tests.checker import Watch, check, read_facts, read_journals
from tests.checker.journal_client import JournalClient

MIXED = [
    task("load"),
    task("train", "load", fails=1, retries=1),
    *(task(f"score_{number}", "load", seconds=0.1, pool_name="gpu") for number in range(5)),
    task("maybe", "load", ends="skipped"),
    task("after_maybe", "maybe"),
    task("join", "train", "after_maybe", rule="NONE_FAILED"),
    task("alarm", "train", rule="ONE_FAILED"),
    task("clean", *(f"score_{number}" for number in range(5)), "alarm", rule="ALL_DONE"),
]


STEERED = [
    task("choose", role="BRANCH", returns=["left"]),
    task("left", "choose"),
    task("right", "choose"),
    task("join", "left", "right", rule="NONE_FAILED_MIN_ONE_SUCCESS"),
    task("enough", role="SHORT_CIRCUIT", returns=False),
    task("never", "enough"),
    task("nor_this", "never", rule="ALL_DONE"),
    task("create", role="SETUP"),
    task("breaks", "create", fails=1),
    task("delete", "create", "breaks", "enough", role="TEARDOWN"),
]
STEERED_ENDS = {
    **dict.fromkeys(["choose", "left", "join", "enough", "create", "delete"], "success"),
    **dict.fromkeys(["right", "never", "nor_this"], "skipped"),
    "breaks": "failed",
}


class Day:
    """What happens to one system, in parts that each try some promises."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.server = house.server()
        self.client: JournalClient = house.client()
        self.client.set_pool("gpu", 2)

    def runs_with_retries_and_a_pool(self) -> None:
        """Every request is sent again; the second body under its id is refused."""
        self.client.register(dag("mixed", MIXED))
        runs = []
        for number in range(4):
            for _ in range(2):
                run = self.client.trigger("mixed", request_id=f"request-{number}")
            runs.append(run.dag_run_id)
        with pytest.raises(AlreadyExists):
            self.client.trigger("mixed", request_id="request-0", run_key="another")
        assert [finished(self.client, run_id) for run_id in runs] == ["success"] * 4

    def a_cancel(self) -> None:
        self.client.register(dag("slow", [task("hold", seconds=300), task("next", "hold")]))
        run_id = self.client.trigger("slow").dag_run_id
        wait_until(lambda: states(self.client, run_id)["hold"] == "running", "the task runs")
        for _ in range(2):
            self.client.cancel_dag_run(run_id, request_id="cancel-1")
        assert finished(self.client, run_id) == "cancelled"

    def tasks_that_steer_others(self) -> None:
        """A branch, a short circuit, a teardown after a failure; then all of it again from the failure on."""
        self.client.register(dag("steered", STEERED))
        run_id = self.client.trigger("steered").dag_run_id
        assert finished(self.client, run_id) == "failed"
        assert states(self.client, run_id) == STEERED_ENDS
        reasons = {each.task_id: each.reason for each in self.client.list_task_instances(run_id)}
        assert (reasons["right"], reasons["nor_this"]) == ("left out by choose", "left out by enough")
        assert sorted(self.client.rerun_dag_run(run_id).cleared_task_ids) == ["breaks", "create", "delete"]
        assert finished(self.client, run_id) == "success"
        assert states(self.client, run_id) == STEERED_ENDS | {"breaks": "success"}

    def a_branch_that_says_nothing_sensible(self) -> None:
        self.client.register(
            dag("lost", [task("choose", role="BRANCH", returns="nowhere", retries=3), task("a", "choose")])
        )
        run_id = self.client.trigger("lost").dag_run_id
        assert finished(self.client, run_id) == "failed"
        [attempt] = self.client.list_attempts(run_id)
        told = 'the branch returned "nowhere"; expected ids of tasks directly downstream: a'
        assert attempt.failure.message == told

    def an_operators_word(self) -> None:
        """A task that runs is said to have succeeded, one that failed to be skipped."""
        slow = task("slow", seconds=300)
        bad, last = task("bad", fails=9), task("last", "bad", rule="NONE_FAILED")
        self.client.register(dag("marked", [slow, bad, task("next", "slow"), last]))
        run_id = self.client.trigger("marked").dag_run_id
        wait_until(lambda: states(self.client, run_id)["slow"] == "running", "the task runs")
        for _ in range(2):
            self.client.mark_task_instances(run_id, ["slow"], "success", request_id="mark-1")
        assert finished(self.client, run_id) == "failed"
        ends = {"slow": "success", "bad": "failed", "next": "success", "last": "upstream_failed"}
        assert states(self.client, run_id) == ends
        self.client.mark_task_instances(run_id, ["bad"], "skipped")
        self.client.clear_task_instances(run_id, ["last"])
        assert finished(self.client, run_id) == "success"
        [attempt] = self.client.list_attempts(run_id, "slow")
        assert run_pb2.AttemptState.Name(attempt.state) == "ATTEMPT_STATE_CANCELLED"

    def a_run_that_begins_again(self) -> None:
        """By itself, in the step in which it would have failed; the second time it fails fast first."""
        tasks = [task("load"), task("bad", "load", fails=2), task("after", "bad")]
        self.client.register(dag("retried", tasks, run_retries_max=2))
        run_id = self.client.trigger("retried").dag_run_id
        assert finished(self.client, run_id) == "success"
        assert len(list(self.client.list_attempts(run_id))) == 5
        assert not list(self.client.list_dead_letters("retried"))
        self.client.register(dag("retried_fast", [*tasks, task("slow", seconds=1)], run_retries_max=2, fail_fast=True))
        assert finished(self.client, self.client.trigger("retried_fast").dag_run_id) == "success"

    def tasks_that_wait(self) -> None:
        """One waits twice and goes on, with its retry in between; one waits for longer than it may."""
        endless = task("endless", defers=99, wait_timeout=Duration(seconds=2))
        self.client.register(dag("waiting", [task("poke", defers=2, fails=1, retries=1), endless]))
        run_id = self.client.trigger("waiting").dag_run_id
        assert finished(self.client, run_id) == "failed"
        assert states(self.client, run_id) == {"poke": "success", "endless": "failed"}
        name = run_pb2.AttemptState.Name
        of_poke = [name(each.state) for each in self.client.list_attempts(run_id, "poke")]
        ends = ["DEFERRED", "DEFERRED", "FAILED", "SUCCESS"]
        assert of_poke == [f"ATTEMPT_STATE_{each}" for each in ends]
        assert "waited 2 s in all" in self.client.get_dag_run(run_id).reason

    def equal_calls(self) -> None:
        """One of eleven makes the result, and the others take it; one that is cancelled leaves its turn to the next."""
        cache = dag_pb2.CachePolicy(expire_after=Duration(seconds=3600))
        kept = task("kept", seconds=0.3, returns=7, cache=cache)
        self.client.register(dag("kept", [kept, task("next", "kept")]))
        runs = [self.client.trigger("kept").dag_run_id for _ in range(10)]
        assert [finished(self.client, run_id) for run_id in runs] == ["success"] * 10
        late = self.client.trigger("kept").dag_run_id
        assert finished(self.client, late) == "success"
        assert sum(len(list(self.client.list_attempts(run_id, "kept"))) for run_id in [*runs, late]) == 1
        held = task("held", seconds=300, cache=cache)
        self.client.register(dag("held", [held]))
        first, second = (self.client.trigger("held").dag_run_id for _ in range(2))
        wait_until(lambda: states(self.client, first)["held"] == "running", "the first call runs")
        self.client.cancel_dag_run(first)
        wait_until(lambda: states(self.client, second)["held"] == "running", "the second call runs")
        self.client.cancel_dag_run(second)
        assert [finished(self.client, each) for each in (first, second)] == ["cancelled"] * 2

    def a_cancel_and_a_teardown(self) -> None:
        """What was set up is taken down although the run was cancelled, or failed fast."""
        setup, teardown = task("create", role="SETUP"), task("delete", "create", "hold", role="TEARDOWN")
        tasks = [setup, task("hold", "create", seconds=300), teardown]
        self.client.register(dag("clustered", tasks))
        run_id = self.client.trigger("clustered").dag_run_id
        wait_until(lambda: states(self.client, run_id)["hold"] == "running", "the task runs")
        self.client.cancel_dag_run(run_id)
        assert finished(self.client, run_id) == "cancelled"
        assert states(self.client, run_id) == {"create": "success", "hold": "cancelled", "delete": "success"}
        breaks = task("breaks", "create", seconds=0.2, fails=1)
        self.client.register(dag("fast", [*tasks, breaks], fail_fast=True))
        run_id = self.client.trigger("fast").dag_run_id
        assert finished(self.client, run_id) == "failed"
        ends = {"create": "success", "hold": "cancelled", "delete": "success", "breaks": "failed"}
        assert states(self.client, run_id) == ends

    def a_clear_under_a_newer_version(self) -> None:
        self.client.register(dag("mended", [task("bad", fails=1), task("after", "bad")]))
        run_id = self.client.trigger("mended").dag_run_id
        assert finished(self.client, run_id) == "failed"
        self.client.register(dag("mended", [task("bad", fails=1, version="2"), task("after", "bad", version="2")]))
        self.crash()  # so that no server remembers what the run was pinned to
        self.client.clear_task_instances(run_id, ["bad"], downstream=True)
        assert finished(self.client, run_id) == "success"

    def a_worker_that_was_thought_dead(self) -> None:
        """A try fails; at the second the worker stands still until its lease has ended and another one is at its work.
        Then it reports. The third attempt fails as the first one did, and there is no further try."""
        doomed = self.house.journal_worker("doomed", queue="edge", stubborn=1)
        held = task("held", seconds=1, fails=9, retries=1, queue_name="edge", pool_name="gpu")
        self.client.register(dag("edge", [held]))
        run_id = self.client.trigger("edge").dag_run_id
        wait_until(lambda: self.house.said("doomed", "started", times=2), "its second attempt runs")
        self.house.stand_still(doomed, "worker doomed")
        wait_until(lambda: self.attempts(run_id) == ["FAILED", "LOST"], "its lease has ended")
        self.house.journal_worker("heir", queue="edge")
        wait_until(lambda: self.house.said("heir", "started"), "the heir has its task")
        self.house.go_on(doomed, "worker doomed")
        wait_until(lambda: self.house.said("doomed", "FENCED"), "it is told")
        assert finished(self.client, run_id) == "failed"

    def attempts(self, run_id: str) -> list[str]:
        name = run_pb2.AttemptState.Name
        return [name(each.state).removeprefix("ATTEMPT_STATE_") for each in self.client.list_attempts(run_id)]

    def crash(self) -> None:
        self.house.kill(self.server, "server")
        self.server = self.house.server()
        self.client = self.house.client()

    def a_crash(self) -> None:
        run_id = self.client.trigger("mixed").dag_run_id
        self.crash()
        assert finished(self.client, run_id) == "success"

    def bodies_of_the_sdk(self) -> None:
        self.house.sdk_worker("python", slots=4, queue="sdk")
        params = {"folder": str(self.house.journals)}
        source = Path(__file__).with_name("ledger_dag.py").read_text()
        runs = []
        for number in (1, 2):
            file = self.house.folder / f"v{number}" / "ledger_dag.py"
            file.parent.mkdir()
            file.write_text(source.replace("CODE = 1", f"CODE = {number}"))
            self.client.register(load_dags(file).dags[0])
            runs.append(self.client.trigger("ledger", params=params).dag_run_id)
            assert finished(self.client, runs[-1]) == "success"
        self.client.clear_task_instances(runs[0], ["first"], downstream=True)
        assert finished(self.client, runs[0]) == "success"

    def a_schedule_and_a_backfill(self) -> None:
        """Some ticks; then a backfill of what was before them."""
        self.client.register(dag("ticking", [task("only")]))
        self.client.set_schedule("ticking", Every(1, zone="UTC", name="beat"))
        wait_until(lambda: any(self.client.list_ticks("ticking", "beat")), "it ticks")
        self.client.pause_schedule("ticking", "beat")
        first = min(tick.tick_time.ToDatetime(UTC) for tick in self.client.list_ticks("ticking", "beat"))
        span = {"start": first - timedelta(seconds=5), "end": first}
        made = self.client.create_backfill("ticking", schedule="beat", **span)
        ended = backfill_pb2.Backfill.STATE_ENDED
        wait_until(lambda: self.client.get_backfill(made.backfill_id).state == ended, "the backfill has ended")

    def something_that_waits(self) -> None:
        """For a worker that there is none of."""
        self.client.register(dag("lonely", [task("alone", queue_name="nobody"), task("next", "alone")]))
        self.client.trigger("lonely")


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[House]:
    house = House(database_url, tmp_path)
    try:
        yield house
    finally:
        house.close()
        print(house.log())


def test_a_day_of_a_real_system_keeps_every_promise(house: House) -> None:
    day = Day(house)
    house.journal_worker("w1", slots=16)
    house.journal_worker("w2", slots=16, twice=0.5)
    with Watch(house.database_url) as watch:
        day.runs_with_retries_and_a_pool()
        day.a_cancel()
        day.tasks_that_steer_others()
        day.a_branch_that_says_nothing_sensible()
        day.a_cancel_and_a_teardown()
        day.an_operators_word()
        day.a_run_that_begins_again()
        day.tasks_that_wait()
        day.equal_calls()
        day.a_clear_under_a_newer_version()
        day.a_worker_that_was_thought_dead()
        day.a_crash()
        day.bodies_of_the_sdk()
        day.a_schedule_and_a_backfill()
        day.something_that_waits()
    facts = asyncio.run(read_facts(house.database_url, house.journals, earlier=watch.moments))
    report = check(facts)
    assert report.ok, f"\n{report}"
    assert {entry.code for entry in facts.ledger} == {1, 2}

    asked = ["--database", house.database_url, "--journals", str(house.journals), "-o", "json"]
    told = subprocess.run(
        [sys.executable, "-m", "tests.checker", *asked], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert json.loads(told.stdout)["ok"] is True


def test_one_worker_runs_hundreds_of_attempts_a_second(house: House) -> None:
    """No more is asked than a tenth of what an idle machine does, so that a busy one passes too."""
    house.server()
    client = house.client()
    house.journal_worker("w1", slots=256)
    wide = [task("first"), *(task(f"t{number}", "first") for number in range(200))]
    client.register(dag("wide", wide))
    runs = [client.trigger("wide").dag_run_id for _ in range(5)]
    assert [finished(client, run_id) for run_id in runs] == ["success"] * 5
    verdicts = [entry for entry in read_journals(house.journals).workers if entry.kind == "verdict"]
    assert len(verdicts) == 1005
    assert 1005 / (verdicts[-1].monotonic - verdicts[0].monotonic) > 100
    facts = asyncio.run(read_facts(house.database_url, house.journals))
    assert check(facts, expect={"I5": 2010, "I11": 1000}).ok
