"""kill -9 of the control plane and of a worker in the middle of a run: it ends right, and nothing counts twice."""

from __future__ import annotations

from pathlib import Path

from fault_world import House, wait_until

from glidepath import load_dags
from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2

DAG_FILE = Path(__file__).parent / "waiting_dag.py"


def start(house: House) -> tuple[Client, str]:
    """A registered DAG and a run of it whose two tasks wait."""
    client = house.client()
    house.wait_for_answers(client)
    client.register(load_dags(DAG_FILE).dags[0])
    run = client.trigger("waiting", params={"folder": str(house.folder)})
    wait_until(lambda: ledger(house, "a") == [1] and ledger(house, "b") == [1], "both tasks have begun")
    return client, run.dag_run_id


def ledger(house: House, name: str) -> list[int]:
    path = house.folder / f"{name}.ledger"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def let_go(house: House) -> None:
    for name in "ab":
        (house.folder / f"{name}.go").touch()


def finished(client: Client, run_id: str) -> run_pb2.DagRun:
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")
    return client.get_dag_run(run_id)


def test_a_killed_server_costs_no_attempt(house: House) -> None:
    server = house.server()
    house.worker("w1")
    client, run_id = start(house)
    server.kill()
    server.wait()
    let_go(house)
    house.server()
    house.wait_for_answers(client)
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert ledger(house, "a") == [1] and ledger(house, "b") == [1]
    assert client.output(run_id, "after") == 2


def test_a_killed_worker_costs_a_loss_and_no_retry(house: House) -> None:
    house.server()
    worker = house.worker("w1")
    client, run_id = start(house)
    worker.kill()
    worker.wait()
    house.worker("w1")
    wait_until(lambda: len(ledger(house, "a")) == 2 and len(ledger(house, "b")) == 2, "both tasks have begun again")
    let_go(house)
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert ledger(house, "a") == [1, 2] and ledger(house, "b") == [1, 2]
    states = [(a.task_id, a.attempt_number, a.state) for a in client.list_attempts(run_id) if a.task_id == "held"]
    assert states == [("held", 1, run_pb2.ATTEMPT_STATE_LOST), ("held", 2, run_pb2.ATTEMPT_STATE_SUCCESS)]


def test_a_worker_that_is_gone_for_good_is_replaced_after_its_lease(house: House) -> None:
    house.server()
    worker = house.worker("w1")
    client, run_id = start(house)
    worker.kill()
    worker.wait()
    house.worker("w2")
    wait_until(lambda: len(ledger(house, "a")) == 2 and len(ledger(house, "b")) == 2, "another worker has begun them")
    let_go(house)
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
