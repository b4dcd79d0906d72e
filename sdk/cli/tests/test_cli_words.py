"""No answer of the command speaks of the wire, and each says where to look next."""

from __future__ import annotations

import pytest
from cli_world import Folder

from glidepath_cli.dag_commands import diff_rows
from glidepath_cli.words import COMMANDS, ours, where_to_look
from glidepath_proto.admin.v1 import admin_service_pb2
from glidepath_proto.registry.v1 import registry_service_pb2
from glidepath_proto.registry.v1.registry_service_pb2 import DagDifference
from glidepath_proto.run.v1 import run_service_pb2

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


def test_every_method_has_its_command() -> None:
    services = [
        service
        for file in (admin_service_pb2, registry_service_pb2, run_service_pb2)
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
        ("see ListDagVersions, not GetDag", "see glidepath dag versions DAG_ID, not glidepath dag show DAG_ID"),
    ],
)
def test_words_of_the_wire_become_ours(theirs: str, expected: str) -> None:
    assert ours(theirs) == expected


@pytest.mark.parametrize(
    ("missing", "listed"),
    [
        ("there is no DAG 'x' in namespace 'default'", "dag list"),
        ("DAG x has no version 7", "dag versions"),
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
        ("~", "tasks.a.policy.retry.retries_max", "1", "2"),
        ("~", "source of a, b", "0123456789ab", "fedcba987654"),
    ]


def test_a_missing_pool_a_wrong_param_and_a_wrong_name_say_what_to_type(running: Folder) -> None:
    file = running.path / "worded.py"
    file.write_text(DAG)
    refused = running.call("dag", "validate", str(file), "--server")
    assert refused.code == 2 and "glidepath pool set NAME SLOTS" in refused.err
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


def test_without_a_folder_of_up_it_says_that_there_is_none(folder: Folder) -> None:
    answer = folder.call("run", "list")
    assert answer.code == 5 and "there is no .glidepath/ in this folder or above it" in answer.err
    assert "ipv4" not in answer.err


def complete(folder: Folder, words: str) -> list[str]:
    """What pressing Tab behind these words offers."""
    asked = folder.call(
        _GLIDEPATH_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1)
    )
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
