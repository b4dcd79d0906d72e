"""How attempts end: every end is told apart, with what its author needs to know."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
import time
from pathlib import Path

from control_plane import ControlPlane

from conftest import StartWorker
from glidepath_proto.common.v1.failure_pb2 import Failure, FailureKind
from glidepath_proto.worker.v1.task_pb2 import AttemptResult, LogEntry

TASKS = textwrap.dedent(
    """
    import os, signal, subprocess, sys, time

    from glidepath.worker import Defer, Fail, Retry, Skip, current


    def add(a, b):
        print("adding", a, b)
        return {"sum": a + b}

    async def later():
        return "later"

    def raises():
        try:
            {}["missing"]
        except KeyError as error:
            raise ValueError("no such column") from error

    def exits():
        sys.exit(3)

    def crashes():
        os.kill(os.getpid(), signal.SIGSEGV)

    def eats():
        hoard = []
        while True:
            hoard.append(bytearray(8 * 1024 * 1024))

    def skips():
        raise Skip("nothing new")

    def asks_for_retry():
        raise Retry("busy", after=90)

    def gives_up():
        raise Fail("wrong key")

    def defers():
        from datetime import datetime, timezone
        raise Defer(until=datetime(2030, 1, 1, tzinfo=timezone.utc), checkpoint=b"page 7")

    def returns_object():
        return object()

    def tells():
        task = current()
        known = [task.attempt_number, task.params["rate"], task.logical_date.isoformat(), task.checkpoint.decode()]
        return [*known, os.environ["GLIDEPATH_RUN_ID"], os.environ["TRACEPARENT"], task.idempotency_key]

    def tells_inline():
        task = current()
        return [task.attempt_number, task.params["rate"], task.logical_date.isoformat(), task.checkpoint.decode(),
                task.run_id, task.traceparent, task.idempotency_key]

    def goes_on():
        current().progress(40, "epoch 4", checkpoint=b"4")
        current().logger.info("model saved")
        current().progress(50, "epoch 5")
        os.kill(os.getpid(), signal.SIGKILL)

    def waits():
        print("waiting", os.getpid(), flush=True)
        time.sleep(600)

    def logs(configure):
        import logging

        exec(configure)
        logging.info("begins")
        logging.debug("not of interest")
        logging.warning("two\\nlines")
        logging.getLogger("library").info("connected")
        print("not logged", file=sys.stderr)
        print([handler for handler in logging.root.handlers if type(handler) is logging.StreamHandler])

    def prints_until_killed(path):
        print("before")
        while not os.path.exists(path):
            time.sleep(0.01)
        print("after", time.time())
        print("last")
        os.kill(os.getpid(), signal.SIGKILL)
    """
)


def test_a_function_returns_json_and_prints_to_its_log(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    token = plane.assign("python:jobs:add", inputs={"a": 1, "b": 2})
    result = plane.result(token)
    assert json.loads(result.success.output.data) == {"sum": 3}
    assert result.success.output.content_type == "application/json"
    assert result.start_time.seconds <= result.end_time.seconds
    assert [(e.stream, e.text) for e in plane.logs[token]] == [("stdout", "adding 1 2")]
    assert {token} <= plane.accepted and {token} <= plane.started


def test_a_line_is_told_when_it_is_printed_and_survives_a_kill(
    plane: ControlPlane, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker().write("jobs", TASKS)
    for inline in (False, True):
        go = tmp_path / f"go-{inline}"
        token = plane.assign("python:jobs:prints_until_killed", inline=inline, inputs={"path": str(go)})
        plane.line(token, "before")  # while the task runs
        let_go = time.time()
        go.touch()
        assert failure_of(plane.result(token)).signal_number == 9
        plane.line(token, "last")
        before, after, last = plane.logs[token]
        printed = float(after.text.split()[1])
        assert time_of(before) < let_go < time_of(after)
        assert printed - 0.001 < time_of(after) < printed + 1
        assert time_of(last) >= time_of(after)


def test_a_python_program_that_a_command_starts_is_seen_at_once(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker()
    code = "import os; print(1); os.kill(os.getpid(), 9)"
    token = plane.assign("shell", inputs={"command": f"exec {sys.executable} -c '{code}'"})
    assert failure_of(plane.result(token)).signal_number == 9
    plane.line(token, "1")


def test_credits_are_granted_once_and_given_back_with_each_result(
    plane: ControlPlane, start_worker: StartWorker
) -> None:
    start_worker().write("jobs", TASKS)
    plane.wait(lambda: plane.credits == 4, "the first credits")
    tokens = [plane.assign("python:jobs:add", inline=inline, inputs={"a": 1, "b": 2}) for inline in (True, False)]
    for token in tokens:
        plane.result(token)
    assert plane.credits == 6
    with_results = [frame for frame in plane.frames if frame.results]
    assert [sum(credit.amount for credit in frame.credits) for frame in with_results] == [
        len(frame.results) for frame in with_results
    ]


def test_a_coroutine_function_is_awaited(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    assert json.loads(plane.result(plane.assign("python:jobs:later")).success.output.data) == "later"


def test_an_exception_is_told_with_trace_and_cause(plane: ControlPlane, start_worker: StartWorker) -> None:
    worker = start_worker()
    worker.write("jobs", TASKS)
    failure = failure_of(plane.result(plane.assign("python:jobs:raises")))
    assert (failure.kind, failure.type) == (FailureKind.FAILURE_KIND_APPLICATION, "ValueError")
    assert failure.message == "no such column"
    assert_blames(failure.stack_trace, *[f"{worker.tasks}/jobs.py"] * 2)
    assert failure.stack_trace.endswith("\nValueError: no such column\n")
    assert failure.stack_trace.count("direct cause") == 1 and "KeyError: 'missing'" in failure.stack_trace
    assert "ValueError" not in failure.causes[0].stack_trace
    assert [(cause.type, cause.message) for cause in failure.causes] == [("KeyError", "'missing'")]
    assert not failure.HasField("retryable")


def test_a_trace_names_files_by_their_place_in_the_source(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker()
    text = """
        import logging
        from glidepath import task
        from lib.deep import divide

        @task
        def share(of):
            try:
                divide(of)
            except ZeroDivisionError as error:
                logging.exception("told")
                raise ValueError("nobody") from error

        @task
        def broken():
            import lib.wrong
    """
    deep = "def divide(of):\n    return 1 / of\n"
    version = plane.add_source(
        {"sales.py": textwrap.dedent(text), "lib/__init__.py": "", "lib/deep.py": deep, "lib/wrong.py": "def (:\n"}
    )
    for inline in (False, True):
        token = plane.assign("python:sales:share", version=version, inline=inline, inputs={"of": 0})
        trace = failure_of(plane.result(token)).stack_trace
        assert_blames(trace, "sales.py", "lib/deep.py", "sales.py")
        assert "    return 1 / of\n" in trace and 'raise ValueError("nobody") from error' in trace
        plane.line(token, "ZeroDivisionError: division by zero")
        assert_blames("\n".join(entry.text for entry in plane.logs[token]), "sales.py", "lib/deep.py")
        wrong = plane.assign("python:sales:broken", version=version, inline=inline)
        assert_blames(failure_of(plane.result(wrong)).stack_trace, "sales.py", "lib/wrong.py")


def test_an_exit_status_is_a_failure_of_the_application(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    failure = failure_of(plane.result(plane.assign("python:jobs:exits")))
    assert (failure.kind, failure.type) == (FailureKind.FAILURE_KIND_APPLICATION, "exit status 3")


def test_a_signal_is_named(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    failure = failure_of(plane.result(plane.assign("python:jobs:crashes")))
    assert failure.kind == FailureKind.FAILURE_KIND_KILLED_BY_SIGNAL
    assert (failure.type, failure.signal_number) == ("SIGSEGV", 11)


def test_memory_over_the_limit_is_told_apart_from_a_signal(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    failure = failure_of(plane.result(plane.assign("python:jobs:eats", memory_limit_mb=200)))
    assert failure.kind == FailureKind.FAILURE_KIND_OUT_OF_MEMORY
    assert "200 MiB" in failure.message


def test_a_task_says_how_it_ends(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    assert plane.result(plane.assign("python:jobs:skips")).skipped.reason == "nothing new"
    retry = failure_of(plane.result(plane.assign("python:jobs:asks_for_retry")))
    assert retry.retryable and retry.retry_after.seconds == 90
    final = failure_of(plane.result(plane.assign("python:jobs:gives_up")))
    assert final.HasField("retryable") and not final.retryable
    deferred = plane.result(plane.assign("python:jobs:defers")).deferred
    assert deferred.until.ToJsonString() == "2030-01-01T00:00:00Z"
    assert deferred.checkpoint == b"page 7"


def test_what_json_cannot_hold_is_refused_by_name(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    failure = failure_of(plane.result(plane.assign("python:jobs:returns_object")))
    assert "returned object" in failure.message and "put_artifact" in failure.message


def test_a_task_knows_its_attempt(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    for handler, inline in (("tells", False), ("tells_inline", True)):
        assignment = plane.assignment(
            f"python:jobs:{handler}", attempt_number=2, checkpoint=b"c", params='{"rate": 0.5}', inline=inline,
            traceparent="00-abc-def-01", idempotency_key="key",
        )  # fmt: skip
        assignment.logical_date.FromJsonString("2026-03-01T00:00:00Z")
        plane.sessions[-1].send(assignments=[assignment])
        told = json.loads(plane.result(assignment.task_token).success.output.data)
        assert told == [2, 0.5, "2026-03-01T00:00:00+00:00", "c", "run-1", "00-abc-def-01", "key"]


def test_progress_and_checkpoint_survive_the_death_of_the_body(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    token = plane.assign("python:jobs:goes_on")
    assert failure_of(plane.result(token)).signal_number == 9
    progress = plane.progress[token]
    assert (progress.percent, progress.note, progress.checkpoint) == (50, "epoch 5", b"4")
    assert [(entry.stream, entry.text) for entry in plane.logs[token]] == [("INFO", "model saved")]


def test_logging_goes_to_the_log_with_its_level(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    for inline in (False, True):
        token = plane.assign("python:jobs:logs", inline=inline, inputs={"configure": ""})
        assert plane.result(token).HasField("success")
        assert [(entry.stream, entry.text) for entry in plane.logs[token]] == [
            ("INFO", "begins"),
            ("WARNING", "two"),
            ("WARNING", "lines"),
            ("INFO", "library: connected"),
            ("stderr", "not logged"),
            ("stdout", "[]"),
        ]


def test_a_task_that_configures_logging_has_it_alone(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    for configure, expected in (
        (
            "from logging import basicConfig; basicConfig(); basicConfig(force=True)",
            ["WARNING:root:two", "lines", "not logged"],
        ),
        ("logging.basicConfig(format='(%(message)s)')", ["(two", "lines)", "not logged"]),
        ("logging.root.addHandler(logging.StreamHandler())", ["two", "lines", "not logged"]),
        (
            "logging.root.setLevel(logging.INFO); logging.root.addHandler(logging.StreamHandler())",
            ["begins", "two", "lines", "connected", "not logged"],
        ),
        (
            "import logging.config; logging.config.dictConfig({'version': 1, 'root': {'level': 'ERROR'}})",
            ["not logged"],
        ),
    ):
        token = plane.assign("python:jobs:logs", inputs={"configure": configure})
        assert plane.result(token).HasField("success")
        assert [entry.text for entry in plane.logs[token] if entry.stream == "stderr"] == expected
        assert {entry.stream for entry in plane.logs[token]} == {"stderr", "stdout"}


def test_a_handler_that_is_not_there_is_named(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    for inline in (False, True):
        failure = failure_of(plane.result(plane.assign("python:jobs:nothing", inline=inline)))
        assert failure.kind == FailureKind.FAILURE_KIND_INFRASTRUCTURE
        assert "'nothing'" in failure.message


def test_an_input_that_cannot_be_made_is_bad_input(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    for inline in (False, True):
        assignment = plane.assignment("python:jobs:add", inline=inline)
        assignment.inputs["a"].param = "absent"
        plane.sessions[-1].send(assignments=[assignment])
        failure = failure_of(plane.result(assignment.task_token))
        assert failure.kind == FailureKind.FAILURE_KIND_BAD_INPUT
        assert "absent" in failure.message


def test_a_command_runs_with_its_variables(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker()
    command = 'echo "$GREETING from $GLIDEPATH_TASK_ID/$GLIDEPATH_ATTEMPT_NUMBER"; echo "{\\"rows\\": 3}"'
    token = plane.assign("shell", inputs={"command": command, "env": {"GREETING": "hello"}, "output": "json"})
    assert json.loads(plane.result(token).success.output.data) == {"rows": 3}
    assert plane.logs[token][0].text == "hello from task-1/1"
    silent = plane.assign("shell", inputs={"command": "echo 3"})
    assert not plane.result(silent).success.HasField("output")
    missing = failure_of(plane.result(plane.assign("shell", inputs={"command": "no-such-program"})))
    assert (missing.type, missing.kind) == ("exit status 127", FailureKind.FAILURE_KIND_APPLICATION)
    killed = failure_of(plane.result(plane.assign("shell", inputs={"command": "kill -9 $$"})))
    assert killed.signal_number == 9


def test_a_command_that_promised_json_and_printed_none_fails(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker()
    secret = {"API_TOKEN": "topsecret-value"}
    for command, shown in (
        ("echo '{}'; echo done with $API_TOKEN", "'done with ***' (Expecting value"),
        ("echo NaN", "'NaN' (JSON knows no NaN)"),
        ("true", "it printed none"),
    ):
        token = plane.assign("shell", inputs={"command": command, "env": secret, "output": "json"})
        failure = failure_of(plane.result(token))
        assert (failure.kind, failure.type) == (FailureKind.FAILURE_KIND_APPLICATION, "OutputRefused")
        assert "output='json'" in failure.message and shown in failure.message
        assert not failure.HasField("retryable")


def test_a_timeout_ends_a_tree_that_resists(plane: ControlPlane, start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker()
    worker.write("stubborn", STUBBORN)
    token = plane.assign("python:stubborn:resists", timeout=1.0, grace=0.5)
    pids = [int(word) for word in plane.line(token, "tree").split()[1:]]
    result = plane.result(token)
    assert result.timed_out.failure.kind == FailureKind.FAILURE_KIND_TIMEOUT
    assert "1 s" in result.timed_out.failure.message
    assert [pid for pid in pids if alive(pid)] == []


def test_a_cancel_ends_the_tree_and_is_told_as_cancelled(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("stubborn", STUBBORN)
    token = plane.assign("python:stubborn:resists")
    pids = [int(word) for word in plane.line(token, "tree").split()[1:]]
    plane.cancel(token, 0.3, "operator")
    plane.cancel(token, 0.3, "operator")
    result = plane.result(token)
    assert result.cancelled.reason == "operator"
    assert [pid for pid in pids if alive(pid)] == []


def test_a_cancel_may_overtake_its_assignment(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    assignment = plane.assignment("python:jobs:waits")
    plane.cancel(assignment.task_token, 1)
    plane.sessions[-1].send(assignments=[assignment])
    assert plane.result(assignment.task_token).HasField("cancelled")
    assert assignment.task_token not in plane.started


def test_what_a_body_leaves_behind_is_ended(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("stubborn", STUBBORN)
    token = plane.assign("python:stubborn:leaves_a_daemon")
    daemon = int(plane.line(token, "daemon").split()[1])
    assert plane.result(token).HasField("success")
    wait_until(lambda: not alive(daemon))


def test_what_a_body_left_behind_is_ended_also_when_the_worker_dies_at_once(
    plane: ControlPlane, start_worker: StartWorker
) -> None:
    worker = start_worker()
    worker.write("stubborn", STUBBORN)
    token = plane.assign("python:stubborn:leaves_a_daemon")
    daemon = int(plane.line(token, "daemon").split()[1])
    assert plane.result(token).HasField("success")
    worker.end()
    wait_until(lambda: not alive(daemon))


def test_an_inline_task_that_kills_its_process_harms_no_other(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    bad = plane.assignment("python:jobs:crashes", inline=True)
    good = [plane.assignment("python:jobs:add", inline=True, inputs={"a": 1, "b": n}) for n in range(3)]
    plane.sessions[-1].send(assignments=[bad, *good])
    assert failure_of(plane.result(bad.task_token)).signal_number == 11
    for assignment in good:
        assert plane.result(assignment.task_token).HasField("success")


def test_an_inline_task_over_its_time_is_ended(plane: ControlPlane, start_worker: StartWorker) -> None:
    start_worker().write("jobs", TASKS)
    slow = plane.assignment("python:jobs:waits", inline=True, timeout=1.5)
    after = plane.assignment("python:jobs:add", inline=True, inputs={"a": 1, "b": 1})
    plane.sessions[-1].send(assignments=[slow, after])
    plane.wait(lambda: after.task_token in plane.accepted, "the acceptance of what waits behind it")
    assert after.task_token not in plane.results
    assert plane.result(slow.task_token).timed_out.failure.kind == FailureKind.FAILURE_KIND_TIMEOUT
    assert plane.logs[slow.task_token][0].text.startswith("waiting")
    assert plane.result(after.task_token).HasField("success")


STUBBORN = textwrap.dedent(
    """
    import os, signal, subprocess, sys, time

    def resists():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        child = subprocess.Popen([sys.executable, "-c", code])
        apart = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        print("tree", os.getpid(), child.pid, apart.pid, _daemon(), flush=True)
        time.sleep(600)

    def leaves_a_daemon():
        print("daemon", _daemon(), flush=True)

    def _daemon():
        # Forks twice without exec, leaves session and group, lets its parent die.
        readable, writable = os.pipe()
        first = os.fork()
        if first == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.write(writable, str(os.getpid()).encode())
                time.sleep(600)
            os._exit(0)
        os.waitpid(first, 0)
        return int(os.read(readable, 20))
    """
)


def failure_of(result: AttemptResult) -> Failure:
    assert result.WhichOneof("outcome") == "failed", result
    return result.failed


def assert_blames(trace: str, *files: str) -> None:
    """Whether the trace has frames in these files, in this order, and no others."""
    found = re.findall(r'File "(.*?)", line', trace)
    assert found == list(files)


def time_of(entry: LogEntry) -> float:
    return entry.time.ToNanoseconds() / 1e9


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(condition: object, seconds: float = 20.0) -> None:
    """Other processes set no events of ours: look again until it is so."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        os.sched_yield()
