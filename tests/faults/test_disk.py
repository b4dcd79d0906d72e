"""The disk under a worker's state is full: what needs it fails and says so, what does not gets through."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fault_world import House, attempts, finished, wait_until

from glidepath.client import Client
from glidepath.worker.journal import SEGMENT_BYTES, Journal, sync
from glidepath_proto.run.v1 import run_pb2
from glidepath_proto.worker.v1.task_pb2 import AttemptResult, Cancelled
from glidepath_proto.worker.v1.worker_service_pb2 import WorkRequest

DISK_KIB = 512
LARGE_BYTES = 100 * 1024  # more than travels inline, so it passes through the disk
LATE_BYTES = 16 * 1024  # more than the page that a journal may have
FULL = "No space left on device"


def on_a_small_disk(folder: Path) -> list[str]:
    """What to put before a command so that `folder` is a disk of its own for it, which goes with its process."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    mount = f'mount -t tmpfs -o size={DISK_KIB}k tmpfs "$0" && exec "$@"'
    command = [*unshare, "sh", "-c", mount, str(folder)]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no disk can be mounted here: {tried.stderr.strip()}")
    return command


def run(client: Client, dag_id: str, **params: object) -> run_pb2.Attempt:
    """The last attempt of the only task of a run of that DAG."""
    run_id = client.trigger(dag_id, params=params).dag_run_id
    finished(client, run_id)
    *_, attempt = client.list_attempts(run_id)
    return attempt


def test_a_full_disk_fails_what_needs_it_and_nothing_else(house: House) -> None:
    house.server()
    state = house.folder / "w1"
    state.mkdir()
    worker = house.worker("w1", state_dir=str(state), before=on_a_small_disk(state))
    client = house.register("disk_dag.py")
    house.register("queued_dag.py")
    filler = str(state / "filler")
    assert run(client, "fill", path=filler).state == run_pb2.ATTEMPT_STATE_SUCCESS

    assert run(client, "needy", size=1).state == run_pb2.ATTEMPT_STATE_SUCCESS
    for needs_the_disk in (
        run(client, "needy", size=LARGE_BYTES),
        run(client, "queued", folder=str(house.folder)),  # its source is not here yet
    ):
        assert needs_the_disk.state == run_pb2.ATTEMPT_STATE_FAILED
        assert FULL in needs_the_disk.failure.message
    assert worker.poll() is None
    seen = Path(f"/proc/{worker.pid}/root{state}")  # through the worker's eyes: the disk is its own
    assert [*(seen / "spool").iterdir(), *(seen / "sources").glob("*.partial")] == []

    assert run(client, "free", path=filler).state == run_pb2.ATTEMPT_STATE_SUCCESS
    assert run(client, "needy", size=LARGE_BYTES).state == run_pb2.ATTEMPT_STATE_SUCCESS
    house.let_go("queued")
    assert run(client, "queued", folder=str(house.folder)).state == run_pb2.ATTEMPT_STATE_SUCCESS


def test_a_result_that_the_disk_does_not_take_is_told_after_a_cut(house: House) -> None:
    house.server(lease_ttl_seconds=6)
    link = house.link()
    state = house.folder / "w1"
    state.mkdir()
    worker = house.worker("w1", address=link.address, state_dir=str(state), before=on_a_small_disk(state))
    client = house.register("disk_dag.py")
    run_id = client.trigger("late", params={"folder": str(house.folder), "size": LATE_BYTES}).dag_run_id
    wait_until((house.folder / "late.begun").exists, "the task has begun")
    assert run(client, "fill", path=str(state / "filler")).state == run_pb2.ATTEMPT_STATE_SUCCESS
    link.cut()
    house.let_go("late")
    wait_until(lambda: "results wait in memory" in house.log(worker), "the disk has refused the result")
    wait_until(lambda: link.refused > 0, "the worker has tried in vain")
    link.mend()
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert client.output(run_id, "give_late") == bytes(LATE_BYTES)
    assert attempts(client, run_id, "give_late") == [(1, "SUCCESS")]


def test_a_disk_without_room_for_another_file_stops_no_journal(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = Journal(folder)
    record = WorkRequest(results=[AttemptResult(task_token=b"1", cancelled=Cancelled(reason="x" * SEGMENT_BYTES))])
    shutil.rmtree(folder)  # no new file can be made, while the open one can be written
    journal.append(record.SerializeToString(), [b"1"], 0.0)
    journal.append(record.SerializeToString(), [b"2"], 0.0)
    assert journal.tokens() == [b"1", b"2"]


def test_a_disk_that_fails_to_sync_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    sync([Path("/dev/full")])
    assert "/dev/full may not survive a loss of power" in caplog.text
