"""Every verb against a real server and a real worker, as a user calls them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import Any

import pytest
from cli_world import COMMAND, Answer, Folder, environment

DAG_FILE = '''
from glidepath import dag, group, task


@task
def read(day: str, rate: float) -> dict[str, float]:
    print("reading", day, type(day).__name__)
    return {"rate": rate}


@task
def part(rate: float, number: int) -> float:
    if rate < 0:
        raise ValueError("negative rate")
    return rate * number


@task
def total(parts: list[float]) -> float:
    return sum(parts)


@dag(tags=["sums"])
def sales(day: str = "2026-01-01", rate: float = 1.0) -> None:
    """Sum up."""
    rate_read = read(day, rate)["rate"]
    with group("parts"):
        parts = [part(rate_read, number) for number in range(2)]
    total(parts)
'''
WAITING = """
from glidepath import dag, shell


@dag
def waiting() -> None:
    shell("stay", "true", queue="nobody")
"""


@pytest.fixture(scope="module")
def sales(running: Folder) -> Folder:
    dags = running.path / "dags"
    dags.mkdir()
    (dags / "sales.py").write_text(DAG_FILE)
    (dags / "waiting.py").write_text(WAITING)
    answer = running.call("dag", "register", "dags", "--alias", "production", "-o", "json")
    assert answer.code == 0, answer.err
    assert [(each["dagVersion"]["dagId"], each["created"]) for each in answer.json] == [
        ("sales", True),
        ("waiting", True),
    ]
    return running


@pytest.fixture(scope="module")
def failed_run(sales: Folder) -> str:
    answer = sales.call("dag", "trigger", "sales", "-p", "rate=-1", "--wait", "-o", "json")
    assert answer.code == 1 and answer.json["state"] == "RUN_STATE_FAILED"
    assert "parts.part failed: ValueError: negative rate" in answer.err and "glidepath run rerun" in answer.err
    run_id: str = answer.json["dagRunId"]
    return run_id


def trigger(folder: Folder, dag_id: str, *arguments: str) -> Any:
    answer = folder.call("dag", "trigger", dag_id, *arguments, "-o", "json")
    assert answer.code == 0, answer.err
    return answer.json


def lines(answer: Answer) -> list[str]:
    assert answer.code == 0, answer.err
    return answer.out.splitlines()


def test_a_run_goes_to_its_end_and_prints_its_tree(sales: Folder) -> None:
    answer = sales.call("dag", "trigger", "sales", "-p", "day=2026", "-p", "rate=2", "--wait")
    head, *tree = lines(answer)
    assert "sales v" in head and "4 success" in head
    assert [line.partition("  success")[0] for line in tree] == [
        "├─ ✓ read",
        "├─ ✓ parts",
        "│  ├─ ✓ part",
        "│  └─ ✓ part_2",
        "└─ ✓ total",
    ]
    assert "critical path" in answer.err
    run_id = head.split()[3]
    assert lines(sales.call("run", "output", run_id, "total")) == ["2"]
    # The schema wants text for `day`, so 2026 stays text.
    assert "reading 2026 str" in sales.call("run", "logs", run_id, "--task", "read").out


def test_the_same_key_is_the_same_run_and_other_params_are_a_conflict(sales: Folder) -> None:
    first = trigger(sales, "sales", "--run-key", "k1", "-p", "rate=1")
    again = trigger(sales, "sales", "--run-key", "k1", "-p", "rate=1")
    assert first["created"] and not again["created"] and first["dagRunId"] == again["dagRunId"]
    other = sales.call("dag", "trigger", "sales", "--run-key", "k1", "-p", "rate=5")
    assert (other.code, other.out) == (6, "") and "next:" in other.err


def test_watching_prints_a_line_per_change_or_a_message_per_line(sales: Folder, failed_run: str) -> None:
    plain = sales.call("run", "watch", failed_run)
    assert plain.code == 1
    assert "✗ total  upstream_failed" in plain.out and "critical path" in plain.err
    messages = [json.loads(line) for line in sales.call("run", "watch", failed_run, "-o", "json").out.splitlines()]
    assert messages[-1]["dagRun"]["state"] == "RUN_STATE_FAILED"


def test_watching_on_a_terminal_ends_with_the_whole_tree(sales: Folder) -> None:
    run_id = trigger(sales, "sales")["dagRunId"]
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [*COMMAND, "run", "watch", run_id],
        cwd=sales.path,
        env=environment(TERM="xterm"),
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that nobody holds the other end any more
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert watching.communicate()[1] and watching.returncode == 0
    last = seen.decode().rpartition("sales v1")[2]
    assert all(name in last for name in ("read", "parts", "part_2", "total")) and "4 success" in last
    assert "\x1b[" in seen.decode()


def test_a_failed_run_can_be_read_from_every_side(sales: Folder, failed_run: str) -> None:
    assert "parts  failed" in sales.call("run", "show", failed_run).out
    shown = sales.call("run", "show", failed_run, "-o", "json").json
    assert {each["taskId"]: each["state"] for each in shown["taskInstances"]}["total"] == "TASK_STATE_UPSTREAM_FAILED"
    attempts = sales.call("run", "attempts", failed_run, "-o", "json").json
    assert attempts[0]["taskId"] == "read" and len(attempts) == 3
    assert "ValueError: negative rate" in sales.call("run", "attempts", failed_run, "--task", "parts.part").out
    logs = sales.call("run", "logs", failed_run, "--task", "parts.part")
    assert logs.err == "" and "in part\n" in logs.out and "ValueError: negative rate" in logs.out
    assert "Traceback" not in sales.call("run", "logs", failed_run, "--task", "read").out
    assert "total" in sales.call("run", "explain", failed_run, "--task", "total").out
    listed = sales.call("run", "list", "--dag", "sales", "--state", "failed", "-o", "json").json
    assert failed_run in [each["dagRunId"] for each in listed]
    assert sales.call("run", "output", failed_run, "total").code == 3


def test_rerun_and_clear_let_tasks_run_again(sales: Folder) -> None:
    run_id = sales.call("dag", "trigger", "sales", "-p", "rate=-1", "--wait", "-o", "json").json["dagRunId"]
    again = sales.call("run", "rerun", run_id, "-o", "json").json
    assert sorted(again["clearedTaskIds"]) == ["parts.part", "parts.part_2", "total"]
    assert sales.call("run", "watch", run_id).code == 1
    cleared = sales.call("run", "clear", run_id, "read", "--downstream", "-o", "json").json
    assert len(cleared["clearedTaskIds"]) == 4
    assert sales.call("run", "watch", run_id).code == 1
    assert len(sales.call("run", "attempts", run_id, "--task", "parts.part", "-o", "json").json) == 3


def test_a_run_that_waits_is_explained_and_cancelled_and_waiting_for_it_times_out(sales: Folder) -> None:
    late = sales.call("dag", "trigger", "waiting", "--wait", "--timeout", "0.5")
    assert late.code == 7 and "run watch" in late.err
    run_id = sales.call("run", "list", "--dag", "waiting", "-o", "json").json[0]["dagRunId"]
    explained = sales.call("run", "explain", run_id, "-o", "json").json["explanations"]
    assert [each["wait"] for each in explained] == ["WAIT_WORKER"]
    assert sales.call("run", "cancel", run_id, "--reason", "enough").code == 0
    assert sales.call("run", "watch", run_id).code == 1
    shown = sales.call("run", "show", run_id, "-o", "json").json
    assert shown["dagRun"]["state"] == "RUN_STATE_CANCELLED"


def test_dags_have_versions_that_can_be_compared_and_aliases_that_move(sales: Folder, tmp_path_factory: Any) -> None:
    file = tmp_path_factory.mktemp("two") / "growing.py"
    text = "from glidepath import dag, shell\n\n\n@dag(owner='me')\ndef growing():\n    shell('a', 'true'{})\n"
    for options in ("", ", retries=2"):
        file.write_text(text.format(options))
        assert sales.call("dag", "register", str(file)).code == 0
    assert "unchanged" in sales.call("dag", "register", str(file)).out
    differences = sales.call("dag", "diff", "growing", "-o", "json").json
    assert any(each["path"].endswith("retries_max") for each in differences), differences
    assert "task a: retries" in sales.call("dag", "diff", "growing", "1", "2").out
    assert [each["dagVersionNumber"] for each in sales.call("dag", "versions", "growing", "-o", "json").json] == [2, 1]
    assert sales.call("dag", "alias", "growing", "stable", "1", "-o", "json").json["aliases"] == {"stable": 1}
    shown = sales.call("dag", "show", "growing", "--alias", "stable", "-o", "json").json
    assert shown["dagVersion"]["dagVersionNumber"] == 1 and shown["dag"]["latestVersionNumber"] == 2
    assert "shell" in sales.call("dag", "show", "growing").out
    assert sales.call("dag", "pause", "growing", "-o", "json").json["paused"] is True
    assert sales.call("dag", "unpause", "growing", "-o", "json").json["paused"] is False
    assert sales.call("dag", "graph", "sales", "-o", "json").json[0]["tasks"][1]["upstreamTaskIds"] == ["read"]
    assert [each["dagId"] for each in sales.call("dag", "list", "--tag", "sums", "-o", "json").json] == ["sales"]
    assert lines(sales.call("dag", "validate", str(file), "--server"))[1].startswith("growing")


def test_alerts_go_by_channels_and_routes(running: Folder) -> None:
    plugins = {each["pluginName"]: each for each in running.call("plugin", "list", "-o", "json").json}
    assert {"email", "webhook"} <= set(plugins)
    assert "must be given" in running.call("plugin", "show", "email").out
    config = {
        "host": "127.0.0.1",
        "port": "1",
        "security": "none",
        "sender": "a@b.example",
        "recipients": "c@d.example",
    }
    given = [part for name, value in config.items() for part in ("--config", f"{name}={value}")]
    channel = ("alert", "channel", "set", "ops", "--plugin", "email")
    wrong = running.call(*channel, *given, "--config", "port=smtp")
    assert wrong.code == 2 and "--config port: got 'smtp', expected a whole number" in wrong.err
    assert running.call(*channel, *given, "-o", "json").json["config"]["port"] == "1"
    tried = running.call("alert", "test", "ops")
    assert tried.code == 1 and "not taken" in tried.out and "no answer of 127.0.0.1:1" in tried.out
    assert "glidepath alert channel set ops --plugin email --config host=127.0.0.1" in tried.err
    route = ("alert", "route", "set", "failures")
    assert running.call(*route, "--on", "fails", "--channel", "ops").code == 2
    assert running.call(*route, "--on", "run_failed", "--channel", "ops").code == 0
    assert running.call("alert", "route", "list", "-o", "json").json[0]["kinds"] == ["run_failed"]
    held = running.call("alert", "channel", "delete", "ops")
    assert held.code == 6 and "named by route failures" in held.err
    assert running.call("alert", "list", "--state", "dead", "-o", "json").json == []
    assert running.call("alert", "resend").code == 2
    assert "0 alerts are tried anew" in running.call("alert", "resend", "--channel", "ops").err
    assert running.call("alert", "route", "delete", "failures").code == 0
    assert running.call("alert", "channel", "delete", "ops").code == 0
    assert "no channels" in running.call("alert", "channel", "list").err


def test_pools_tokens_and_the_audit_trail(running: Folder) -> None:
    assert running.call("pool", "set", "gpu", "4", "-o", "json").json["slots"] == 4
    assert lines(running.call("pool", "list"))[1].split() == ["gpu", "4", "0", "0"]
    assert running.call("pool", "delete", "gpu").code == 0
    assert running.call("limit", "set", "api", "4", "--rate", "100/1m", "-o", "json").json["rate"]["starts"] == 100
    assert lines(running.call("limit", "list"))[1].split() == ["api", "4", "0", "0", "of", "100", "in", "60", "s", "0"]
    nothing = running.call("limit", "set", "gpu")
    assert nothing.code == 2 and "SLOTS: got nothing, expected slots, or a rate" in nothing.err
    assert running.call("limit", "set", "gpu", "--rate", "often").code == 2
    assert "limit api is deleted" in running.call("limit", "delete", "api").err
    made = running.call("token", "create", "reader", "--role", "viewer", "--expires", "1h")
    secret = made.out.strip()
    assert running.call("pool", "list", GLIDEPATH_TOKEN=secret).code == 0
    denied = running.call("pool", "set", "gpu", "1", GLIDEPATH_TOKEN=secret)
    assert denied.code == 4 and "next:" in denied.err
    (token_id,) = [
        each["tokenId"] for each in running.call("token", "list", "-o", "json").json if each["name"] == "reader"
    ]
    assert "revoked" in running.call("token", "revoke", token_id).out
    actions = [each["action"] for each in running.call("audit", "--limit", "3", "-o", "json").json]
    assert "token.revoke" in actions and len(actions) == 3
    assert running.call("incidents", "-o", "json").json == []


def test_what_is_not_there_and_who_is_not_known_have_exit_codes(running: Folder) -> None:
    assert running.call("dag", "show", "nothing").code == 3
    assert running.call("run", "show", "01a2182c-357d-731b-b81d-df6277ae84d0").code == 3
    assert running.call("run", "list", GLIDEPATH_TOKEN="gp_wrong").code == 4
    assert running.call("dag", "trigger", "nothing").code == 3


def test_doctor_finds_everything_well_and_a_wrong_token(running: Folder) -> None:
    checks = running.call("doctor", "-o", "json")
    assert checks.code == 0
    names = ["connection", "versions", "clocks", "token", "workers", "worker clocks", "incidents"]
    names += ["schedules", "alerts", "plugins", "disk"]
    assert {each["name"]: each["state"] for each in checks.json} == dict.fromkeys(names, "ok")
    assert len(running.call("workers", "-o", "json").json) == 1
    assert running.call("doctor", GLIDEPATH_TOKEN="gp_wrong").code == 1


def test_the_database_verbs_use_the_postgres_that_runs(running: Folder) -> None:
    status = running.call("db", "status", "-o", "json").json
    assert status["usable"] and status["revision"] == status["head"] and status["pending"] == []
    assert running.call("db", "upgrade", "-o", "json").json == {"applied": []}
    assert lines(running.call("db", "shell", "--", "-Atc", "select 40 + 2")) == ["42"]
    assert running.call("db", "url").out.startswith("postgresql://")
