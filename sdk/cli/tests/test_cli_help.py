"""The face of the command: help, examples, exit codes, speed, completion; and what it says without a server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_world import Folder
from click.testing import CliRunner, Result

from glidepath_cli.exits import MEANINGS
from glidepath_cli.main import cli

README = Path(__file__).parents[1] / "README.md"
NOWHERE = "127.0.0.1:1"


def commands(group: click.Command = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(group, click.Group):
        for name, each in group.commands.items():
            yield from commands(each, (*path, name))
    else:
        yield path, group


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, env={"GLIDEPATH_ADDRESS": NOWHERE, "GLIDEPATH_TOKEN": "t"})


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_command_has_help_with_an_example_that_it_can_read(path: tuple[str, ...]) -> None:
    command = dict(commands())[path]
    result = call(*path, "--help")
    assert result.exit_code == 0
    examples = result.output.partition("Example:\n")[2].strip().splitlines()
    assert any(f"glidepath {' '.join(path)}" in line for line in examples), result.output
    assert (command.help or "").strip()


def test_the_top_explains_every_exit_code_and_so_does_the_readme() -> None:
    top, readme = call("--help").output, README.read_text()
    for code, meaning in MEANINGS.items():
        assert f"{code.value:<4} {meaning}" in top
        assert f"| {code.value} | {meaning} |" in readme


def test_the_readme_names_every_command() -> None:
    readme = README.read_text()
    assert [
        " ".join(path)
        for path, _ in commands()
        if f"`{path[-1]}`" not in readme and f"`glidepath {' '.join(path)}" not in readme
    ] == []


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, glidepath_cli.main as m\ntry: m.cli(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'grpc', 'google', 'rich', 'sqlalchemy', 'asyncpg', 'glidepath', 'glidepath_server'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_asks_the_command(shell: str) -> None:
    result = call("completion", shell)
    assert result.exit_code == 0 and "_GLIDEPATH_COMPLETE" in result.output


def test_without_a_server_it_says_where_it_looked_and_what_to_do(folder: Folder) -> None:
    answer = folder.call("dag", "list", GLIDEPATH_ADDRESS=NOWHERE)
    assert (answer.code, answer.out) == (5, "")
    assert NOWHERE in answer.err and "glidepath up" in answer.err and "\nnext:  " in answer.err


def test_doctor_without_a_server_fails_in_json_too(folder: Folder) -> None:
    answer = folder.call("doctor", "-o", "json", GLIDEPATH_ADDRESS=NOWHERE)
    assert answer.code == 5
    assert {each["name"]: each["state"] for each in answer.json} == {"connection": "fail", "disk": "ok"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["dag", "trigger", "x", "--param", "novalue"],
        ["dag", "trigger", "x", "--version", "1", "--alias", "a"],
        ["dag", "trigger", "x", "--logical-date", "2026-01-31T06:00"],
        ["pool", "set", "gpu", "-1"],
        ["token", "create", "x", "--role", "king"],
        ["token", "create", "x", "--role", "admin", "--expires", "soon"],
        ["run", "list", "--state", "odd"],
        ["nothing"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_usage_errors_before_anything_is_sent(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and "Error: " in result.output


def test_a_connection_file_that_cannot_be_read_is_named(folder: Folder) -> None:
    (folder.path / ".glidepath").mkdir()
    (folder.path / ".glidepath" / "connection.json").write_text("[]")
    answer = folder.call("dag", "list")
    assert answer.code == 2 and "connection.json" in answer.err


def test_validate_tells_every_broken_file_and_prints_no_data(folder: Folder) -> None:
    dags = folder.path / "dags"
    dags.mkdir()
    (dags / "a.py").write_text("import glidepath\n1 / 0\n")
    (dags / "b.py").write_text("from glidepath import dag\n@dag\ndef empty(): pass\n")
    answer = folder.call("dag", "validate", "dags")
    assert (answer.code, answer.out) == (2, "")
    assert "a.py:2: ZeroDivisionError" in answer.err and "b.py" in answer.err and "next:" in answer.err


def test_validate_prints_the_messages_as_json_and_what_files_print_is_talk(folder: Folder) -> None:
    (folder.path / "d.py").write_text(
        "from glidepath import dag, shell\nprint('noise')\n@dag\ndef one():\n    shell('a', 'true')\n"
    )
    answer = folder.call("dag", "validate", "d.py", "-o", "json")
    assert answer.code == 0 and "noise" in answer.err
    assert [(each["dagId"], each["tasks"][0]["taskId"]) for each in answer.json] == [("one", "a")]


def test_no_color_is_respected(folder: Folder) -> None:
    (folder.path / "d.py").write_text("from glidepath import dag, shell\n@dag\ndef one():\n    shell('a', 'true')\n")
    assert "\x1b[1m" in folder.call("dag", "validate", "d.py", FORCE_COLOR="1", TERM="xterm").out
    plain = folder.call("dag", "validate", "d.py", FORCE_COLOR="1", NO_COLOR="1", TERM="xterm").out
    assert "\x1b[3" not in plain


def test_the_worker_verb_hands_its_arguments_on(folder: Folder) -> None:
    answer = folder.call("worker", "--label", "wrong")
    assert answer.code == 2 and "expected NAME=VALUE" in answer.err
