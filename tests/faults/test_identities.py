"""Two live workers that call themselves the same: one of them stops and says why, the other goes on."""

from __future__ import annotations

from fault_world import House, finished, wait_until

from glidepath_proto.run.v1 import run_pb2


def test_of_two_live_workers_with_one_identity_one_stops(house: House) -> None:
    house.server()
    client = house.register("waiting_dag.py")
    workers = [house.worker("same", state_dir=str(house.folder / name)) for name in ("first", "second")]
    wait_until(lambda: any(each.poll() is not None for each in workers), "one of them has stopped")
    (stopped,) = (each for each in workers if each.poll() is not None)
    (other,) = (each for each in workers if each is not stopped)
    assert stopped.returncode == 2
    assert "worker identity 'same' is taken by another live worker" in house.log(stopped)
    assert "--identity" in house.log(stopped)
    house.let_go("a", "b")
    run_id = client.trigger("waiting", params={"folder": str(house.folder)}).dag_run_id
    assert finished(client, run_id).state == run_pb2.RUN_STATE_SUCCESS
    assert other.poll() is None
