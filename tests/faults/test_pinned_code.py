"""A run executes the code of the version it was created with, also what starts after a newer one was registered."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_world import House, wait_until

from glidepath import load_dags
from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2

SOURCE = """
import time
from pathlib import Path
from glidepath import dag, task

@task
def first(folder: str) -> None:
    Path(folder, "begun").touch()
    for _ in range(3000):
        if Path(folder, "go").exists():
            return
        time.sleep(0.02)
    raise TimeoutError("nobody let it go")

@task
def second(start: None) -> str:
    return "{answer}"

@dag
def pinned(folder: str) -> None:
    second(first(folder))
"""


def register(client: Client, folder: Path, answer: str) -> int:
    """Write the file with another answer and register it; its version number."""
    file = folder / "pinned.py"
    file.write_text(SOURCE.replace("{answer}", answer))
    return client.register(load_dags(file).dags[0]).dag_version.dag_version_number


def answer_of(client: Client, run_id: str) -> str:
    wait_until(lambda: client.get_dag_run(run_id).HasField("end_time"), "the run has ended")
    assert client.get_dag_run(run_id).state == run_pb2.RUN_STATE_SUCCESS
    answer: str = client.output(run_id, "second")
    return answer


@pytest.mark.parametrize("restarted", [False, True], ids=["same-server", "restarted"])
def test_a_run_of_version_1_runs_its_code_after_version_2_was_registered(house: House, restarted: bool) -> None:
    server = house.server()
    house.worker("w1")
    client = house.client()
    house.wait_for_answers(client)
    assert register(client, house.folder, "one") == 1
    old = client.trigger("pinned", params={"folder": str(house.folder)}).dag_run_id
    wait_until((house.folder / "begun").exists, "the first task runs")
    assert register(client, house.folder, "two") == 2
    if restarted:  # what a server remembers of the run may not be what keeps it to its version
        server.kill()
        server.wait()
        house.server()
        house.wait_for_answers(client)
    (house.folder / "go").touch()
    assert answer_of(client, old) == "one"
    new = client.trigger("pinned", params={"folder": str(house.folder)}).dag_run_id
    assert answer_of(client, new) == "two"
