"""Connection, journal and leases: what a worker owes the server when anything breaks."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import grpc
import pytest
from control_plane import ControlPlane
from test_worker_bodies import alive, failure_of, wait_until

from conftest import SDK, StartWorker, WorkerProcess
from glidepath_proto.common.v1.failure_pb2 import FailureKind
from glidepath_proto.worker.v1.worker_service_pb2 import Verdict

TASKS = textwrap.dedent(
    """
    import os, time
    from pathlib import Path

    from glidepath.worker import current

    def gives(value):
        return value

    def waits_for(path):
        print("waiting", os.getpid(), flush=True)
        while not Path(path).exists():
            time.sleep(0.01)
        print("done")
        return "done"

    def ignores_term():
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("waiting", os.getpid(), flush=True)
        time.sleep(600)

    def big(size):
        return "x" * size

    def raw():
        return b"abc"

    def size_of(value):
        return len(value)

    def stores(path):
        task = current()
        Path(path).write_text("weights")
        reference = task.put_artifact(path)
        return [reference, task.get_artifact(reference).read_text()]

    def leaks():
        task = current()
        task.register_secret("sesame-open-now")
        print("env", os.environ["DATABASE_PASSWORD"], "registered sesame-open-now")
        print("token", os.environ.get("GLIDEPATH_TOKEN", "absent"))
        raise RuntimeError("failed with sesame-open-now")

    def floods(lines):
        for number in range(lines):
            print(number, "x" * 1000)
    """
)


def test_hello_says_what_the_worker_is(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker("--queue", "gpu", "--queue", "default", "--label", "region=eu", "--resource", "gpu=2")
    hello = plane.session().hello
    assert (hello.namespace, hello.worker_identity, hello.protocol_version) == ("default", "worker-1", 1)
    assert list(hello.queue_names) == ["gpu", "default"]
    assert dict(hello.labels) == {"region": "eu"}
    assert hello.resources["gpu"] == 2 and hello.resources["cpu"] >= 1 and hello.resources["memory_mb"] > 100
    offers = {offer.name: list(offer.versions) for offer in hello.handlers}
    assert offers == {"python:*": ["*"], "shell": ["*"], "call": ["*"]}
    assert not hello.held_task_tokens and not hello.finished_task_tokens


def test_a_shared_worker_says_whom_it_serves_and_asks_for_source_where_the_task_is(
    plane: ControlPlane, start_worker: StartWorker
) -> None:
    start_worker("--other-namespace", "blue", "--other-namespace", "red")
    hello = plane.session().hello
    assert (hello.namespace, list(hello.other_namespaces)) == ("default", ["blue", "red"])
    version = plane.add_source({"jobs.py": "from glidepath import task\n@task\ndef ok():\n    return 1\n"})
    result = plane.result(plane.assign("python:jobs:ok", version=version, namespace="red"))
    assert result.HasField("success") and plane.asked_sources == [("red", version)]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "this server speaks protocol 3 to 4"),
        (grpc.StatusCode.NOT_FOUND, "namespace 'nosuch' does not exist"),
    ],
)
def test_a_refusal_is_the_end_before_the_first_welcome(
    plane: ControlPlane, tmp_path: Path, code: grpc.StatusCode, why: str
) -> None:
    plane.refuse_with = (code, why)
    command = [sys.executable, "-m", "glidepath.worker", "--address", f"127.0.0.1:{plane.port}"]
    command += ["--identity", "w", "--state-dir", str(tmp_path / "state")]
    ended = subprocess.run(command, cwd=SDK, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert why in ended.stderr


def test_a_refused_token_is_answered_with_where_to_get_one(plane: ControlPlane, tmp_path: Path) -> None:
    plane.refuse_with = (grpc.StatusCode.PERMISSION_DENIED, "Work needs the role worker, 'root' has admin")
    worker = WorkerProcess(plane, tmp_path)
    assert worker.wait() == 2
    said = worker.log.read_text()
    assert "'root' has admin" in said and "GLIDEPATH_TOKEN_FILE" in said and ".glidepath/worker.token" in said


def test_a_worker_beside_a_local_server_shows_the_workers_token(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    home = tmp_path / ".glidepath"
    home.mkdir()
    connection = {"address": f"127.0.0.1:{plane.port}", "token_file": "admin.token", "namespace": "ours"}
    (home / "connection.json").write_text(json.dumps(connection))
    (home / "admin.token").write_text("a-person")
    (home / "worker.token").write_text("a-worker")
    start_worker("--address", "")
    assert plane.session().authorization == "Bearer a-worker"
    assert plane.session().hello.namespace == "ours"


def test_a_drain_finishes_what_runs_and_exits_zero(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    worker.write("jobs", TASKS)
    token = plane.assign("python:jobs:waits_for", inputs={"path": str(tmp_path / "go")})
    plane.line(token, "waiting")
    worker.terminate()
    plane.wait(lambda: plane.draining, "the word that it leaves")
    refused = plane.assign("python:jobs:gives", inputs={"value": 1})
    assert plane.result(refused).HasField("returned")
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert plane.result(token).HasField("success")
    assert plane.credits == 4


def test_a_drain_hands_back_what_does_not_end(plane: ControlPlane, start_worker: StartWorker) -> None:
    worker = start_worker("--drain-grace", "0.2")
    worker.write("jobs", TASKS)
    token = plane.assign("python:jobs:ignores_term", grace=0.3)
    pid = int(plane.line(token, "waiting").split()[1])
    worker.terminate()
    assert worker.wait() == 0
    assert plane.result(token).HasField("returned")
    assert not alive(pid)


def test_a_second_signal_ends_at_once_and_leaves_no_body(plane: ControlPlane, start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.write("jobs", TASKS)
    token = plane.assign("python:jobs:ignores_term", grace=0.3)
    pid = int(plane.line(token, "waiting").split()[1])
    worker.terminate()
    plane.wait(lambda: plane.draining, "the word that it leaves")
    worker.terminate()
    assert worker.wait() == 130
    wait_until(lambda: not alive(pid))


def test_a_cut_is_survived_and_the_result_is_told_afterwards(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker().write("jobs", TASKS)
    running = plane.assign("python:jobs:waits_for", inputs={"path": str(tmp_path / "later")})
    ending = plane.assign("python:jobs:waits_for", inputs={"path": str(tmp_path / "now")})
    for token in (running, ending):
        plane.line(token, "waiting")
    plane.stop()
    (tmp_path / "now").touch()
    wait_until(lambda: journal_holds(tmp_path, ending))
    plane.start()
    hello = plane.session(2).hello
    assert list(hello.held_task_tokens) == [running]
    assert list(hello.finished_task_tokens) == [ending]
    assert plane.result(ending).HasField("success")
    plane.line(ending, "done")
    (tmp_path / "later").touch()
    assert plane.result(running).HasField("success")
    plane.wait(lambda: plane.credits == 4 + 3 + 1, "credits of the new session")


def test_results_survive_the_death_of_the_worker(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    worker.write("jobs", TASKS)
    plane.verdict = lambda _: None  # heard, and never acknowledged
    tokens = [plane.assign("python:jobs:gives", inline=inline, inputs={"value": 7}) for inline in (False, True)]
    for token in tokens:
        plane.result(token)
    running = plane.assign("python:jobs:ignores_term", grace=0.2)
    pid = int(plane.line(running, "waiting").split()[1])
    worker.process.send_signal(signal.SIGKILL)
    worker.wait()
    wait_until(lambda: not alive(pid))
    plane.verdict = lambda _: Verdict.VERDICT_ACCEPTED
    again = start_worker(number=2)
    hello = plane.session(2).hello
    assert hello.incarnation != plane.session(1).hello.incarnation
    assert sorted(hello.finished_task_tokens) == sorted(tokens) and not hello.held_task_tokens
    plane.wait(lambda: all(len(plane.results[token]) == 2 for token in tokens), "results told again")
    again.terminate()
    assert again.wait() == 0
    third = start_worker(number=3)
    assert not plane.session(3).hello.finished_task_tokens
    third.end()


def test_a_torn_record_costs_only_itself(plane: ControlPlane, start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker()
    worker.write("jobs", TASKS)
    plane.verdict = lambda _: None
    tokens = [plane.assign("python:jobs:gives", inputs={"value": number}) for number in range(2)]
    for token in tokens:
        plane.result(token)
    worker.process.send_signal(signal.SIGKILL)
    worker.wait()
    (segment,) = sorted((tmp_path / "state" / "journal").glob("results-*.journal"))
    with open(segment, "ab") as file:
        file.write(b"\x40\x00\x00\x00torn")
    start_worker(number=2)
    assert sorted(plane.session(2).hello.finished_task_tokens) == sorted(tokens)


def test_a_fenced_attempt_is_ended_at_welcome(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    token = plane.assign("python:jobs:ignores_term", grace=0.2)
    pid = int(plane.line(token, "waiting").split()[1])
    plane.fenced_at_welcome = {token}
    plane.sessions[-1].end()
    assert list(plane.session(2).hello.held_task_tokens) == [token]
    wait_until(lambda: not alive(pid))
    plane.wait(lambda: plane.credits == 4 + 3 + 1, "the credit of the fenced attempt")
    assert token not in plane.results


def test_a_result_that_is_answered_fenced_is_forgotten(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    plane.verdict = lambda _: Verdict.VERDICT_FENCED
    token = plane.assign("python:jobs:gives", inputs={"value": 1})
    plane.result(token)
    plane.assign("python:jobs:gives", inputs={"value": 1})
    plane.sessions[-1].end()
    assert token not in plane.session(2).hello.finished_task_tokens


def test_a_silent_server_is_left(plane: ControlPlane, start_worker: StartWorker) -> None:
    plane._interval = 0.5
    start_worker()
    plane.beats = False
    plane.session(2)


def test_every_heartbeat_is_echoed_with_the_time_of_this_host(plane: ControlPlane, start_worker: StartWorker) -> None:
    begun = time.time()
    plane._interval = 0.5
    start_worker()
    session = plane.session()
    plane.wait(lambda: session.echoes[:3] == [b"1-1", b"1-2", b"1-3"], "three echoes")
    told = session.host_times[:3]
    assert told == sorted(told) and begun - 0.001 <= told[0] and told[-1] <= time.time()


def test_an_exclusive_attempt_waits_for_its_permit(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    plane.permits = False
    token = plane.assign("python:jobs:gives", exclusive=True, inputs={"value": 1})
    plane.wait(lambda: token in plane.accepted, "its acceptance")
    other = plane.assign("python:jobs:gives", inputs={"value": 2})
    plane.result(other)
    assert token not in plane.started
    plane.sessions[-1].send(start_permits=[token])
    assert plane.result(token).HasField("success")


def test_an_exclusive_attempt_ends_before_its_lease(start_worker: StartWorker, plane: ControlPlane) -> None:
    plane.stop()
    plane._lease_ttl, plane._interval = 3.0, 0.5
    plane.start()
    start_worker().write("jobs", TASKS)
    holding = plane.assign("python:jobs:ignores_term", grace=0.2)
    token = plane.assign("python:jobs:ignores_term", grace=0.2, exclusive=True)
    pid, other = (int(plane.line(each, "waiting").split()[1]) for each in (token, holding))
    plane.confirms = False
    assert plane.result(token).returned.reason == "its lease could not be renewed in time"
    assert not alive(pid)
    assert alive(other)


def test_a_frozen_worker_does_not_keep_an_exclusive_attempt_alive(
    start_worker: StartWorker, plane: ControlPlane
) -> None:
    plane.stop()
    plane._lease_ttl, plane._interval = 3.0, 0.5
    plane.start()
    worker = start_worker()
    worker.write("jobs", TASKS)
    token = plane.assign("python:jobs:ignores_term", grace=0.2, exclusive=True)
    pid = int(plane.line(token, "waiting").split()[1])
    worker.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: not alive(pid))
    worker.process.send_signal(signal.SIGCONT)
    assert plane.result(token).HasField("returned")


def test_secrets_are_masked_and_the_workers_token_is_out_of_reach(
    plane: ControlPlane, start_worker: StartWorker
) -> None:
    environment = {"DATABASE_PASSWORD": "hunter2-hunter2", "GLIDEPATH_TOKEN": "gp_worker_1"}
    start_worker(environment=environment).write("jobs", TASKS)
    for inline in (False, True):
        token = plane.assign("python:jobs:leaks", inline=inline)
        failure = failure_of(plane.result(token))
        assert failure.message == "failed with ***"
        assert "sesame" not in failure.stack_trace
        assert [entry.text for entry in plane.logs[token]] == ["env *** registered ***", "token absent"]
    secret = {"API_TOKEN": "topsecret-value"}
    shell = plane.assign(
        "shell", inputs={"command": 'printf %s "$API_TOKEN" | base64; echo "$API_TOKEN"', "env": secret}
    )
    plane.result(shell)
    printed = [entry.text for entry in plane.logs[shell]]
    assert printed[1] == "***" and printed[0].startswith("***")


def test_two_versions_run_side_by_side(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker()
    versions = [
        plane.add_source(
            {"flow.py": f"import part\n\ndef which():\n    return [{n}, part.NAME]\n", "part.py": f"NAME = {n}\n"}
        )
        for n in (1, 2)
    ]
    for inline in (False, True):
        order = [0, 1, 0, 1, 1, 0]
        tokens = [plane.assign("python:flow:which", version=versions[n], inline=inline) for n in order]
        told = [json.loads(plane.result(token).success.output.data) for token in tokens]
        assert told == [[n + 1, n + 1] for n in order]


def test_source_that_is_not_what_its_hash_says_is_refused(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker()
    good = plane.add_source({"flow.py": "def which():\n    return 1\n"})
    plane.sources["0" * 64] = plane.sources[good]
    failure = failure_of(plane.result(plane.assign("python:flow:which", version="0" * 64)))
    assert (failure.kind, failure.type) == (FailureKind.FAILURE_KIND_INFRASTRUCTURE, "SourceRefused")
    failure = failure_of(plane.result(plane.assign("python:flow:which", version="1" * 64)))
    assert "no source" in failure.message


def test_large_outputs_travel_as_references(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    for inline in (False, True):
        token = plane.assign("python:jobs:big", inline=inline, inputs={"size": 100_000})
        output = plane.result(token).success.output
        assert output.uri == f"artifact:{output.sha256}" and output.size_bytes == 100_002
        assert json.loads(plane.artifacts[output.sha256]) == "x" * 100_000
        reader = plane.assignment("python:jobs:size_of", inline=inline)
        reader.inputs["value"].output.task_id = "upstream"
        reader.upstream_outputs["upstream"].CopyFrom(output)
        plane.sessions[-1].send(assignments=[reader])
        assert json.loads(plane.result(reader.task_token).success.output.data) == 100_000
        refused = failure_of(plane.result(plane.assign("python:jobs:big", inline=inline, inputs={"size": 2_000_000})))
        assert str(plane.limits.artifact_bytes_max) in refused.message


def test_bytes_and_artifacts(plane: ControlPlane, start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker().write("jobs", TASKS)
    output = plane.result(plane.assign("python:jobs:raw")).success.output
    assert (output.content_type, output.data) == ("application/octet-stream", b"abc")
    for inline in (False, True):
        token = plane.assign("python:jobs:stores", inline=inline, inputs={"path": str(tmp_path / f"model-{inline}")})
        reference, read = json.loads(plane.result(token).success.output.data)
        assert plane.artifacts[reference.removeprefix("artifact:")] == b"weights" and read == "weights"


def test_a_flood_of_lines_arrives_in_bounded_chunks(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    token = plane.assign("python:jobs:floods", inputs={"lines": 5000})
    plane.result(token)
    plane.line(token, "4999 ")
    sizes = [chunk.ByteSize() for frame in plane.frames for chunk in frame.log_chunks]
    assert max(sizes) <= 256 * 1024 + 1024
    numbers = plane.log_numbers[token]
    assert numbers == sorted(numbers)
    lines = [entry.text for entry in plane.logs[token]]
    dropped = sum(int(text.split()[1]) for text in lines if text.startswith("[glidepath]"))
    assert dropped + sum(not text.startswith("[glidepath]") for text in lines) == 5000


def test_a_second_worker_cannot_take_the_same_state(plane: ControlPlane, start_worker: StartWorker) -> None:
    worker = start_worker()
    command = [sys.executable, "-m", "glidepath.worker", "--address", "127.0.0.1:1", "--state-dir", str(worker.state)]
    ended = subprocess.run(command, cwd=SDK, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert f"in use by another worker (process {worker.process.pid} on " in ended.stderr
    assert "another --state-dir" in ended.stderr


def test_workers_without_a_name_get_one_each_and_keep_it(plane: ControlPlane, tmp_path: Path) -> None:
    def start(folder: str) -> WorkerProcess:
        (tmp_path / folder).mkdir(exist_ok=True)
        return WorkerProcess(plane, tmp_path / folder, identity="")

    def name(number: int) -> str:
        return plane.session(number).hello.worker_identity

    workers = [start("one")]
    try:
        plane.session(1)
        workers.append(start("two"))
        assert name(1) != name(2) and name(2).startswith(f"{socket.gethostname()}-")
        workers[0].end()
        workers.append(start("one"))
        assert name(3) == name(1)
    finally:
        for worker in workers:
            worker.end()


def journal_holds(folder: Path, token: bytes) -> bool:
    return any(token in path.read_bytes() for path in (folder / "state" / "journal").glob("results-*.journal"))


def test_an_output_in_the_spool_survives_the_death_of_the_worker(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    worker = start_worker()
    worker.write("jobs", TASKS)
    plane.artifacts_available = False
    token = plane.assign("python:jobs:big", inputs={"size": 100_000})
    wait_until(lambda: journal_holds(tmp_path, token))
    worker.process.send_signal(signal.SIGKILL)
    worker.wait()
    plane.artifacts_available = True
    start_worker(number=2)
    assert list(plane.session(2).hello.finished_task_tokens) == [token]
    output = plane.result(token).success.output
    assert json.loads(plane.artifacts[output.sha256]) == "x" * 100_000
    wait_until(lambda: not list((tmp_path / "state" / "spool").iterdir()))


def test_a_draining_replica_is_left_for_another(plane: ControlPlane, start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker().write("jobs", TASKS)
    token = plane.assign("python:jobs:waits_for", inputs={"path": str(tmp_path / "go")})
    plane.line(token, "waiting")
    plane.session().send(drain=True)
    assert list(plane.session(2).hello.held_task_tokens) == [token]
    (tmp_path / "go").touch()
    assert plane.result(token).HasField("success")


def test_plain_functions_of_a_script_are_handlers(plane: ControlPlane, tmp_path: Path) -> None:
    script = tmp_path / "my_worker.py"
    script.write_text(
        textwrap.dedent(
            f"""
            from glidepath.worker import Worker

            def double(value):
                return 2 * value

            if __name__ == "__main__":
                Worker("127.0.0.1:{plane.port}", identity="script", state_dir="{tmp_path}/state", tasks=[double]).run()
            """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(SDK)}
    worker = subprocess.Popen([sys.executable, str(script)], env=environment)
    try:
        offers = [offer.name for offer in plane.session().hello.handlers]
        assert "python:my_worker:double" in offers
        for inline in (True, False):
            token = plane.assign("python:my_worker:double", inline=inline, inputs={"value": 21})
            assert json.loads(plane.result(token).success.output.data) == 42
        worker.send_signal(signal.SIGINT)
        assert worker.wait(30) == 0
    finally:
        worker.kill()
