"""No answer of the command speaks of the wire, and each says where to look next."""

from __future__ import annotations

import json

import pytest
from cli_world import Answer, Folder

from glidepath_cli.dag_commands import diff_rows
from glidepath_cli.words import COMMANDS, ours, sent_to, where_to_look
from glidepath_proto.admin.v1 import admin_service_pb2, alert_service_pb2, capacity_service_pb2
from glidepath_proto.registry.v1 import registry_service_pb2
from glidepath_proto.registry.v1.registry_service_pb2 import DagDifference
from glidepath_proto.run.v1 import approval_service_pb2, backfill_service_pb2, run_service_pb2, value_service_pb2
from glidepath_proto.schedule.v1 import deadline_service_pb2, schedule_service_pb2

# A person has no use for these: `up`, `doctor` and the SDK ask.
UNTOLD = {"GetServerInfo", "ListSourceBundles"}
DAG = """
from glidepath import dag, task

@task(pool="words")
def a(rows: int) -> int:
    return rows

@dag
def worded(rows: int = 3) -> None:
    a(rows)
"""
WRONG = """
from glidepath import dag, task

@task(pool="none")
def a() -> int: ...

@task(pool="neither")
def b(x: int) -> int: ...

@task(queue="not this!")
def c(x: int) -> int: ...

@dag
def wrong() -> None:
    c(b(a()))
"""
CHANGING = """
from glidepath import dag, task

@task({options})
def a() -> int:
    return {value}

@dag
def changing() -> None:
    a()
"""


def test_every_method_has_its_command() -> None:
    services = [
        service
        for file in (
            admin_service_pb2,
            alert_service_pb2,
            capacity_service_pb2,
            registry_service_pb2,
            run_service_pb2,
            approval_service_pb2,
            backfill_service_pb2,
            value_service_pb2,
            schedule_service_pb2,
            deadline_service_pb2,
        )
        for service in file.DESCRIPTOR.services_by_name.values()
    ]
    methods = {method.name for service in services for method in service.methods}
    assert methods - UNTOLD == set(COMMANDS)


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        ("runs[0].params.row: got 5", "--param row: got 5"),
        ("runs[0].params: got []", "--param: got []"),
        ("runs[0].dag_id: there is no DAG 'x'", "there is no DAG 'x'"),
        ("runs[0].run_key: too long", "--run-key: too long"),
        ("make it first: SetPool", "make it first: glidepath pool set NAME SLOTS"),
        ("tasks.a.b.policy.pool_name: got 'x'", "task a.b: pool: got 'x'"),
        ("tasks.a.policy.retry.retries_max: got -1", "task a: retries: got -1"),
        (
            "tasks.a.policy.priority: got 101; tasks.b.trigger_rule: got 1",
            "task a: priority: got 101; task b: trigger_rule: got 1",
        ),
        ("pool_name: got 'x y'; slots: got -1", "POOL_NAME: got 'x y'; SLOTS: got -1"),
        ("aliases[0]: got 'x y'", "--alias: got 'x y'"),
        ("new_namespace: got ''", "NAME: got ''"),
        ("expire_time: got now", "--expires: got now"),
        (
            "no token was sent (send the metadata authorization: Bearer gp_...). "
            "Give a valid token: GLIDEPATH_TOKEN, GLIDEPATH_TOKEN_FILE or Client(token=...)",
            "no token was sent",
        ),
        ("a: got 1 (and 2 more)\n  b: got 2\n  c: got 3", "3 things are wrong:\n  a: got 1\n  b: got 2\n  c: got 3"),
        ("a trace\n  of two lines", "a trace\n  of two lines"),
        ("", ""),
        ("see ListDagVersions, not GetDag", "see glidepath dag versions DAG_ID, not glidepath dag show DAG_ID"),
    ],
)
def test_words_of_the_wire_become_ours(theirs: str, expected: str) -> None:
    assert ours(theirs) == expected


@pytest.mark.parametrize(
    ("missing", "listed"),
    [
        ("there is no DAG 'x' in namespace 'default'", "dag list"),
        ("DAG x has no version 7", "dag versions x"),
        ("DAG x.y has no alias 'best' (its aliases: none)", "dag show x.y"),
        ("token 'x' does not exist", "token list"),
        ("namespace 'x' does not exist", "namespace list"),
        ("there is no run 1", "run list"),
        ("task 'x' has no output", "run show"),
    ],
)
def test_what_is_missing_says_where_to_look(missing: str, listed: str) -> None:
    assert f"glidepath {listed}" in where_to_look(missing)


def test_tasks_whose_source_changed_share_a_line() -> None:
    def change(path: str, before: str, after: str) -> DagDifference:
        return DagDifference(path=path, change="CHANGE_CHANGED", before=before, after=after)

    found = [
        change("tasks.a.handler.version", '"0123456789abcdef"', '"fedcba9876543210"'),
        change("tasks.a.policy.retry.retries_max", "1", "2"),
        change("tasks.b.handler.version", '"0123456789abcdef"', '"fedcba9876543210"'),
    ]
    assert diff_rows(found) == [
        ("~", "task a: retries", "1", "2"),
        ("~", "source of a, b", "0123456789ab", "fedcba987654"),
    ]


def test_a_missing_pool_a_wrong_param_and_a_wrong_name_say_what_to_type(running: Folder) -> None:
    file = running.path / "worded.py"
    file.write_text(DAG)
    refused = running.call("dag", "validate", str(file), "--server")
    assert refused.code == 2 and "task a: pool: got 'words'" in refused.err
    assert "glidepath pool set NAME SLOTS" in refused.err and f"glidepath dag validate {file} --server" in refused.err
    assert running.call("pool", "set", "words", "1").code == 0
    assert running.call("dag", "register", str(file)).code == 0
    wrong = running.call("dag", "trigger", "worded", "--param", "row=5")
    assert wrong.code == 2 and "--param row: got 5" in wrong.err and "did you mean rows?" in wrong.err
    missing = running.call("dag", "trigger", "wordd")
    assert missing.code == 3 and "did you mean worded?" in missing.err
    assert "next:  look at what there is: glidepath dag list\n" in missing.err


def test_namespaces_are_made_and_listed(running: Folder) -> None:
    assert running.call("namespace", "create", "research").code == 0
    listed = running.call("namespace", "list", "-o", "json")
    assert listed.json == ["default", "research"]
    assert running.call("dag", "list", "--namespace", "research").code == 0
    unknown = running.call("dag", "list", "--namespace", "reserch")
    assert unknown.code == 3 and "glidepath namespace list" in unknown.err


def test_a_refused_dag_has_a_line_for_each_thing_that_is_wrong(running: Folder) -> None:
    (running.path / "wrong.py").write_text(WRONG)
    refused = running.call("dag", "register", "wrong.py")
    assert (refused.code, refused.out) == (2, "")
    first, *things, step = refused.err.splitlines()
    assert first.endswith("DAG 'wrong': 3 things are wrong:")
    assert [each.partition(": got ")[0] for each in things] == ["  task c: queue", "  task a: pool", "  task b: pool"]
    assert step.startswith("next:  ")
    assert running.call("dag", "show", "wrong").code == 3


def test_a_diff_of_two_sources_says_that_nothing_else_changed(running: Folder) -> None:
    def changed(options: str, value: int) -> Answer:
        (running.path / "changing.py").write_text(CHANGING.format(options=options, value=value))
        assert running.call("dag", "register", "changing.py").code == 0
        return running.call("dag", "diff", "changing")

    assert changed("", 1).code == 2  # one version has nothing to differ from
    found = changed("", 2)
    assert found.code == 0 and "source of a " in found.out and "source changed; nothing else did" in found.err
    found = changed("retries=2", 3)
    assert "task a: retries" in found.out and "nothing else did" not in found.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["pool", "set", "words", "99999999999"],
        ["dag", "show", "x", "--version", "99999999999"],
        ["dag", "diff", "x", "1", "99999999999"],
        ["audit", "--limit", "99999999999"],
        ["run", "logs", "last", "--attempt", "99999999999"],
        ["run", "output", "last", "a", "--index", "99999999999"],
        ["run", "list", "--limit", "99999999999"],
    ],
    ids=" ".join,
)
def test_numbers_that_nothing_can_carry_are_usage_errors(folder: Folder, arguments: list[str]) -> None:
    answer = folder.call(*arguments)
    assert answer.code == 2 and answer.err.startswith("Usage: ")


def test_a_pool_that_is_not_there_is_not_said_to_be_deleted(running: Folder) -> None:
    assert running.call("pool", "set", "spare", "1").code == 0
    answer = running.call("pool", "delete", "spar")
    assert answer.code == 0 and "there was no pool spar (there is: " in answer.err and "deleted" not in answer.err
    assert "pool spare is deleted" in running.call("pool", "delete", "spare").err


def test_tokens_are_those_of_the_namespace_that_is_asked_for(running: Folder) -> None:
    assert running.call("token", "create", "here", "--role", "viewer").code == 0
    names = {each["name"] for each in running.call("token", "list", "--namespace", "elsewhere", "-o", "json").json}
    assert "first-admin" in names and "here" not in names
    assert "here" in {each["name"] for each in running.call("token", "list", "-o", "json").json}


def test_doctor_tells_a_wrong_namespace_from_a_lost_server(running: Folder) -> None:
    answer = running.call("doctor", "--namespace", "reserch", "-o", "json")
    found = {each["name"]: each for each in answer.json}
    assert answer.code == 1 and found["connection"]["state"] == "ok"
    assert found["namespace"]["state"] == "fail" and "glidepath namespace list" in found["namespace"]["next"]


def test_without_a_token_nothing_of_the_wire_is_told(running: Folder, folder: Folder) -> None:
    address = json.loads((running.path / ".glidepath" / "connection.json").read_text())["address"]
    answer = folder.call("dag", "list", "--address", address)
    assert answer.code == 4 and answer.err.startswith("error: no token was sent\nnext:  set GLIDEPATH_TOKEN")
    doctor = folder.call("doctor", "--address", address, "-o", "json")
    assert [each["message"] for each in doctor.json if each["name"] == "token"] == ["no token was sent"]


@pytest.mark.parametrize("address", ["localhost", "localhost:99999", "http://localhost:7711"])
def test_an_address_that_is_none_is_a_usage_error(folder: Folder, address: str) -> None:
    answer = folder.call("dag", "list", "--address", address)
    assert answer.code == 2 and f"--address: got '{address}', expected HOST:PORT" in answer.err


def test_a_folder_whose_up_has_ended_says_to_start_it_again(folder: Folder) -> None:
    (folder.path / ".glidepath").mkdir()
    answer = folder.call("dag", "list", GLIDEPATH_HOME=str(folder.path / ".glidepath"))
    assert answer.code == 5 and f"nothing runs for {folder.path}/.glidepath: start it again: glidepath up" in answer.err
    gone = folder.call("dag", "list", GLIDEPATH_HOME=str(folder.path / "gone"))
    assert f"GLIDEPATH_HOME is {folder.path}/gone, and there is no such folder" in gone.err


def test_without_a_folder_of_up_it_says_that_there_is_none(folder: Folder) -> None:
    answer = folder.call("run", "list")
    assert answer.code == 5 and "there is no .glidepath/ in this folder or above it" in answer.err
    assert "ipv4" not in answer.err


def complete(folder: Folder, words: str, **variables: str) -> list[str]:
    """What pressing Tab behind these words offers."""
    place = str(len(words.split(" ")) - 1)
    asked = folder.call(_GLIDEPATH_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=place, **variables)
    assert asked.err == ""
    return [each.partition(",")[2] for each in asked.out.split()]


def test_tab_offers_what_the_server_knows_and_nothing_without_one(running: Folder, folder: Folder) -> None:
    (running.path / "worded.py").write_text(DAG)
    running.call("pool", "set", "words", "1")
    running.call("dag", "register", "worded.py")
    run = running.call("dag", "trigger", "worded", "-o", "json").json
    assert complete(running, "glidepath dag trigger wor") == ["worded"]
    assert complete(running, "glidepath pool set wor") == ["words"]
    assert run["dagRunId"] in complete(running, "glidepath run show ")
    assert complete(running, f"glidepath run output {run['dagRunId']} ") == ["a"]
    assert complete(folder, "glidepath dag trigger wor") == []
    nobody = {"GLIDEPATH_ADDRESS": "nobody.invalid:7711", "GLIDEPATH_TOKEN": "t"}
    assert complete(folder, "glidepath dag trigger wor", **nobody) == []
    assert complete(folder, "glidepath dag trigger wor", GLIDEPATH_ADDRESS="wrong") == []


def test_a_token_that_crosses_the_network_readable_is_warned_of_in_a_line(folder: Folder) -> None:
    answer = folder.call("dag", "list", "--address", "nobody.invalid:7711", GLIDEPATH_TOKEN="t")
    warning, error, _ = answer.err.splitlines()
    assert warning.startswith("warning: the token for nobody.invalid:7711 is sent unencrypted")
    assert answer.code == 5 and "(no host is known by that name)" in error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("glidepath run watch 1", "glidepath run watch --namespace a 1"),
        (
            "look: glidepath dag list, glidepath workers",
            "look: glidepath dag list --namespace a, glidepath workers --namespace a",
        ),
        ("glidepath up starts one", "glidepath up starts one"),
        ("glidepath run logs --namespace b 1", "glidepath run logs --namespace b 1"),
    ],
)
def test_a_command_that_is_named_goes_where_this_one_went(text: str, expected: str) -> None:
    assert sent_to(text, " --namespace a") == expected


def test_hints_keep_the_namespace_that_was_given(running: Folder) -> None:
    running.call("namespace", "create", "hints")
    empty = running.call("run", "list", "--namespace", "hints")
    assert "glidepath dag trigger --namespace hints DAG_ID" in empty.err


def test_debug_adds_the_traceback_and_changes_nothing_else(running: Folder) -> None:
    plain = running.call("dag", "show", "nosuch")
    traced = running.call("dag", "show", "nosuch", GLIDEPATH_DEBUG="1")
    assert (traced.code, traced.out) == (plain.code, plain.out)
    assert "Traceback" in traced.err and traced.err.endswith(plain.err) and "Traceback" not in plain.err


def test_a_run_is_found_by_the_end_of_its_id_and_releasing_a_healthy_one_says_so(running: Folder) -> None:
    (running.path / "worded.py").write_text(DAG)
    running.call("pool", "set", "words", "1")
    running.call("dag", "register", "worded.py")
    run_id = running.call("dag", "trigger", "worded", "-o", "json").json["dagRunId"]
    shown = running.call("run", "show", run_id[-8:], "-o", "json")
    assert shown.json["dagRun"]["dagRunId"] == run_id
    assert "is not quarantined" in running.call("run", "release", run_id).err
    nobody = running.call("run", "show", "ffffffff")
    assert nobody.code == 3 and "none of the newest 500 ends with it" in nobody.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("declaration.spec.cron: got 'x'", "--cron: got 'x'"),
        ("declaration.spec.end_time: got 'x'", "--end: got 'x'"),
        ("declaration.spec.zone: got 'x'", "--zone: got 'x'"),
        ("DAG 'a': schedules[0].spec.cron: got 'x'", "DAG 'a': schedules[0]: cron: got 'x'"),
        ("spec.cron: got 'x'", "--cron: got 'x'"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said_of_its_option(text: str, expected: str) -> None:
    assert ours(text) == expected
