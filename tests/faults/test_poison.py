"""A task that kills what runs it fails with that reason, within its budget; what runs beside it comes to its end."""

from __future__ import annotations

import threading

import pytest
from fault_world import House, attempts, finished, wait_until

from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2

LOSSES_MAX = 3
Budget = run_pb2.DeadLetter.Budget


class Keeper:
    """Starts a worker again whenever it has died, as a service manager does."""

    def __init__(self, house: House, identity: str) -> None:
        self._house, self._identity = house, identity
        self._worker = house.worker(identity)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep)

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._over.wait(0.02):
            if self._worker.poll() is not None:
                self._worker = self._house.worker(self._identity)


def dead_letters(client: Client, dag_id: str) -> list[tuple[str, str, int, int]]:
    found = client.list_dead_letters(dag_id)
    return [(each.dag_run_id, each.task_id, each.attempt_number, each.budget) for each in found]


def test_a_task_that_kills_its_parent_fails_and_harms_no_other(house: House) -> None:
    house.server()
    worker = house.worker("w1")
    client = house.register("poison_dag.py")
    run_id = client.trigger("poisoned", params={"folder": str(house.folder)}).dag_run_id
    wait_until(lambda: attempts(client, run_id, "poison")[-1:] == [(2, "FAILED")], "the poison has failed")
    house.let_go("a", "b")  # they ran beside it all the time
    run = finished(client, run_id)
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert "poison" in run.reason and "ended the process" in run.reason
    assert dead_letters(client, "poisoned") == [(run_id, "poison", 2, Budget.BUDGET_TRIES)]
    assert house.ledger("poison") == [1, 2]
    assert house.ledger("a") == house.ledger("b") == [1, 2]
    assert attempts(client, run_id, "bystander") == [(1, "RETURNED"), (2, "SUCCESS")]
    assert attempts(client, run_id, "bystander_2") == [(1, "RETURNED"), (2, "SUCCESS")]
    assert worker.poll() is None


@pytest.mark.prove
def test_a_task_that_kills_its_worker_fails_when_its_losses_are_used(house: House) -> None:
    house.server()
    client = house.register("poison_dag.py")
    with Keeper(house, "w1"):
        run_id = client.trigger("inline_poisoned", params={"folder": str(house.folder)}).dag_run_id
        run = finished(client, run_id)
    assert run.state == run_pb2.RUN_STATE_FAILED
    assert f"lost with its worker {LOSSES_MAX + 1} times" in run.reason
    assert dead_letters(client, "inline_poisoned") == [(run_id, "inline_poison", LOSSES_MAX + 1, Budget.BUDGET_LOSSES)]
    assert house.ledger("poison") == [1, 2, 3, 4]
    assert attempts(client, run_id, "inline_poison") == [(number, "LOST") for number in range(1, LOSSES_MAX + 2)]
    for number, name in enumerate("abcd", 1):
        task_id = "harmless" if number == 1 else f"harmless_{number}"
        assert attempts(client, run_id, task_id)[-1][1] == "SUCCESS", name
