"""Workers without a link for hours, through a reboot and a loss of power: no result is lost, and none counts twice."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_world import any_alive, attempts, finished, wait_until
from lost_disk import LostDisk
from offline_world import SITE, OfflineHouse

from glidepath.client import Client
from glidepath_proto.run.v1 import run_pb2
from tests.checker import check, read_facts

HOURS = 2.0
TTL_SECONDS = 15.0  # longer than a worker waits between two tries, as the default is
SHORT_TTL_SECONDS = 6.0
DONE = [(1, "SUCCESS")]
AGAIN = [(1, "LOST"), (2, "SUCCESS")]


@pytest.fixture
def house(database_url: str, tmp_path: Path) -> Iterator[OfflineHouse]:
    house = OfflineHouse(database_url, tmp_path)
    yield house
    house.close()


@pytest.fixture
def disk(house: OfflineHouse) -> LostDisk:
    return LostDisk(house.folder / "w1")


def start_offline(house: OfflineHouse) -> tuple[Client, str]:
    """A run of offline_dag.py whose tasks have begun and wait."""
    client = house.register("offline_dag.py")
    run_id = client.trigger("offline", params={"folder": str(house.folder)}).dag_run_id
    names = ("a", "b", "c", "d", "large")
    wait_until(lambda: all(house.ledger(name) == [1] for name in names), "all tasks have begun")
    return client, run_id


def finish_in_the_dark(house: OfflineHouse, worker: str, *names: str) -> None:
    """These end, and the worker has their results in its journal and cannot tell them."""
    tokens = house.results(worker) + len(names)
    house.let_go(*(f"{name}.1" for name in names))
    wait_until(lambda: house.results(worker) == tokens, f"{tokens} results are in the journal")


def outcomes(client: Client, run_id: str) -> dict[str, list[tuple[int, str]]]:
    return {name: attempts(client, run_id, name) for name in ("a", "b", "c", "d", "large")}


def assert_kept(house: OfflineHouse, **expected: int) -> None:
    """The checker finds nothing broken, and each of these promises was put to the test so often."""
    report = check(asyncio.run(read_facts(house.database_url, house.folder)), expect=expected)
    assert report.ok, f"\n{report}"


def assert_one_answer_each(house: OfflineHouse, worker: str) -> None:
    accepted = [key for key, word in house.wire_of(worker).verdicts if word == "ACCEPTED"]
    assert len(accepted) == len(set(accepted))


def test_two_hours_without_a_control_plane_cost_no_attempt_in_hold_mode_and_no_try_in_exclusive(
    house: OfflineHouse,
) -> None:
    """Nobody could judge meanwhile, so everything still stands. The exclusive tree is gone with its lease all the same,
    which is no failure of the task: it has no retry."""
    server = house.server(lease_ttl_seconds=TTL_SECONDS)
    house.far_worker("w1")
    client, run_id = start_offline(house)
    _, alone = house.start_stubborn("alone")
    house.kill_server(server)
    house.link_of("w1").cut()
    finish_in_the_dark(house, "w1", "a", "b", "large")
    assert any_alive(house.pids("stubborn", 1))
    house.pass_by("w1", HOURS)
    wait_until(lambda: not any_alive(house.pids("stubborn", 1)), "the exclusive tree has ended with its lease")
    house.let_go("d.1")
    house.server(lease_ttl_seconds=TTL_SECONDS)
    house.wait_for_answers(client)
    house.link_of("w1").mend()
    house.pass_retry()
    wait_until(lambda: house.results("w1") == 0, "the worker has told all its results")
    assert attempts(client, run_id, "c") == [(1, "RUNNING")]
    house.let_go("c", "stubborn")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert finished(client, alone).state == run_pb2.RUN_STATE_SUCCESS
    assert outcomes(client, run_id) == dict.fromkeys(("a", "b", "c", "d", "large"), DONE)
    assert client.output(run_id, "after") == [1, 1, 1, 1, 1]
    assert attempts(client, alone, "stubborn") == [(1, "RETURNED"), (2, "SUCCESS")]
    assert house.overlap() == ""
    assert_one_answer_each(house, "w1")
    assert_kept(house, I3=1, I6=2, I8=1)


@pytest.mark.prove
def test_what_was_begun_anew_in_two_hours_without_a_link_is_fenced_and_what_the_first_brings_changes_nothing(
    house: OfflineHouse,
) -> None:
    house.server(lease_ttl_seconds=SHORT_TTL_SECONDS)
    house.far_worker("w1")
    client, run_id = start_offline(house)
    _, alone = house.start_stubborn("alone")
    first = [pid for name in "cd" for pid in house.pids(name, 1)]
    house.link_of("w1").cut()
    finish_in_the_dark(house, "w1", "a", "b", "large")
    house.pass_by("w1", HOURS)
    wait_until(lambda: len(house.judged("lost")) == 6, "the judge has spoken")
    house.far_worker("w2")
    names = ("a", "b", "c", "d", "large", "stubborn")
    wait_until(lambda: all(house.ledger(name) == [1, 2] for name in names), "another worker has begun all of it")
    house.let_go("b.2", "large.2")
    wait_until(lambda: attempts(client, run_id, "large") == AGAIN, "some have ended by then")
    assert any_alive(first)  # hold mode: they went on
    house.link_of("w1").mend()
    wait_until(lambda: house.results("w1") == 0, "the first worker has its answers")
    wait_until(lambda: not any_alive(first), "what it ran has ended")
    house.let_go("a", "c", "d", "stubborn")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert finished(client, alone).state == run_pb2.RUN_STATE_SUCCESS
    assert outcomes(client, run_id) == dict.fromkeys(("a", "b", "c", "d", "large"), AGAIN)
    assert client.output(run_id, "after") == [2, 2, 2, 2, 2]
    assert attempts(client, alone, "stubborn") == AGAIN
    assert house.overlap() == ""
    assert [house.wire_of("w1").answers(name) for name in "ab"] == [["FENCED"], ["FENCED"]]
    assert_kept(house, I3=6, I4=2, I8=6)


@pytest.mark.prove
def test_results_outlive_a_loss_of_power_and_what_ran_is_done_again(house: OfflineHouse, disk: LostDisk) -> None:
    """Nothing runs for two hours afterwards. A result whose record is torn is as good as none."""
    server = house.server(lease_ttl_seconds=TTL_SECONDS)
    worker = house.far_worker("w1", disk)
    client, run_id = start_offline(house)
    house.kill_server(server)
    finish_in_the_dark(house, "w1", "a", "large")
    finish_in_the_dark(house, "w1", "b")
    house.wait_for_disk("w1", disk)
    house.lose_power(worker, disk)
    house.tear_last_record("w1")
    house.pass_unseen(HOURS)
    house.server(lease_ttl_seconds=TTL_SECONDS)
    house.far_worker("w1", disk)
    wait_until(lambda: all(house.ledger(name) == [1, 2] for name in "bcd"), "what was lost has begun again")
    house.let_go("b", "c", "d")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert outcomes(client, run_id) == {"a": DONE, "large": DONE, "b": AGAIN, "c": AGAIN, "d": AGAIN}
    assert client.output(run_id, "after") == [1, 2, 2, 2, 1]
    assert_one_answer_each(house, "w1")
    assert_kept(house, I3=3, I6=2, I8=3)


@pytest.mark.prove
@pytest.mark.parametrize("when", ["before", "after"])
def test_power_that_goes_while_results_are_told_repeats_them_and_nothing_counts_twice(
    house: OfflineHouse, disk: LostDisk, when: str
) -> None:
    """Before the worker has heard the answer, or after, when what it removed from its disk is there again."""
    house.server(lease_ttl_seconds=TTL_SECONDS)
    worker = house.far_worker("w1", disk)
    client, run_id = start_offline(house)
    house.link_of("w1").cut()
    finish_in_the_dark(house, "w1", "a", "b", "large")
    house.wait_for_disk("w1", disk)
    wire = house.wire_of("w1")
    lost = wire.drop("down", "result_acks") if when == "before" else None
    house.link_of("w1").mend()
    wait_until(lambda: outcomes(client, run_id)["large"] == DONE, "the results are accepted")
    wait_until(lambda: len(wire.verdicts) == 3, "they are answered")
    if lost is None:
        wait_until(lambda: house.results("w1") == 0, "the worker has removed them")
    house.lose_power(worker, disk)
    assert house.results("w1") == 3
    wire.mend()
    house.far_worker("w1", disk)
    wait_until(lambda: house.results("w1") == 0, "the worker has told them again")
    wait_until(lambda: all(house.ledger(name) == [1, 2] for name in "cd"), "what ran has begun again")
    house.let_go("c", "d")
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert outcomes(client, run_id) == {"a": DONE, "b": DONE, "large": DONE, "c": AGAIN, "d": AGAIN}
    assert client.output(run_id, "after") == [1, 1, 2, 2, 1]
    assert [wire.answers(name) for name in ("a", "b")] == [["ACCEPTED", "DUPLICATE"]] * 2
    assert_one_answer_each(house, "w1")
    assert_kept(house, I3=2, I4=2, I6=3, I8=2)


def test_source_that_a_loss_of_power_has_halved_is_fetched_again(house: OfflineHouse) -> None:
    """Its names were on the disk, its bytes were not. What the worker sees is a machine that has started since."""
    house.server(lease_ttl_seconds=SHORT_TTL_SECONDS)
    worker = house.worker("w1")
    client = house.register("queued_dag.py")
    house.let_go("queued")
    run_id = client.trigger("queued", params={"folder": str(house.folder)}).dag_run_id
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    worker.kill()
    worker.wait()
    halved = [path for path in (house.folder / "w1" / "sources").rglob("*") if path.is_file()]
    assert halved
    for path in halved:
        os.truncate(path, 0)
    (house.folder / "w1" / "boot").write_text("another start of this machine\n")
    house.worker("w1")
    run_id = client.trigger("queued", params={"folder": str(house.folder)}).dag_run_id
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS


def test_a_name_that_was_drawn_outlives_a_loss_of_power(disk: LostDisk) -> None:
    """What was held under another name would be anybody's until its lease ends."""
    code = "import sys; from pathlib import Path; from glidepath.worker.state_dir import claim\n"
    code += "print(claim('', Path(sys.argv[1])).identity)"

    def name() -> str:
        command = ["env", f"PYTHONPATH={SITE}", disk.variable, sys.executable, "-c", code, str(disk.state)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    first = name()
    disk.lose()
    assert name() == first
