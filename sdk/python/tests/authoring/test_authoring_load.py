"""Finding DAGs in files and folders: every mistake with its file and line, and the rest still loads."""

import sys
from pathlib import Path

import pytest

from glidepath import load_dags

GOOD = """\
from glidepath import dag, task

@task
def hello(): return 1

@dag
def {dag_id}():
    hello()
"""


def put(root: Path, name: str, content: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_a_folder_gives_its_dags_and_its_errors(tmp_path: Path) -> None:
    put(tmp_path, "a.py", GOOD.format(dag_id="one"))
    put(tmp_path, "sub/a.py", GOOD.format(dag_id="two"))
    put(tmp_path, ".hidden/b.py", GOOD.format(dag_id="hidden"))
    put(tmp_path, "script.py", "raise SystemExit('a script of no concern')\n")
    syntax = put(tmp_path, "b.py", "import glidepath\ndef (:\n")
    raising = put(tmp_path, "c.py", "import glidepath\n\nint('x')\n")
    leaving = put(tmp_path, "d.py", "import glidepath, sys\nsys.exit(3)\n")
    wrong = put(tmp_path, "e.py", GOOD.format(dag_id="three") + "    hello(5)\n")
    empty = put(tmp_path, "f.py", "from glidepath import dag\n\n\n@dag\ndef none(): pass\n")
    loaded = load_dags(tmp_path)
    assert [each.dag_id for each in loaded.dags] == ["one", "two"]
    found = {(each.file, each.line): each.message for each in loaded.errors}
    assert found[(syntax, 2)].startswith("SyntaxError: ")
    assert found[(raising, 3)].startswith("ValueError: ")
    assert found[(leaving, 2)] == "SystemExit: 3"
    assert "task 'hello': too many positional arguments" in found[(wrong, 9)]
    assert "no task" in found[(empty, 4)]
    assert len(found) == 5


def test_all_wrong_options_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = """\
from glidepath import dag, task

@task(retires=2, timeout="soon")
def one(): pass

@task(retries=1)
def two(): pass

@dag(defaults={"prioritty": 1})
def made():
    one()
    two.options(queue="")()

@dag
def harmless():
    two()
"""
    file = put(tmp_path, "a.py", text)
    put(tmp_path, "b.py", GOOD.format(dag_id="good"))
    loaded = load_dags(tmp_path)
    assert [each.dag_id for each in loaded.dags] == ["good"]
    found = [(each.file, each.line, each.message.partition("; ")[0]) for each in loaded.errors]
    assert found == [
        (file, 3, "task 'one': unknown option 'retires'"),
        (file, 3, "task 'one': timeout is 'soon'"),
        (file, 9, "DAG 'made': defaults: unknown option 'prioritty'"),
        (file, 12, "task 'two': queue is ''"),
    ]
    assert "did you mean 'retries'?" in loaded.errors[0].message


def test_a_syntax_error_shows_the_place(tmp_path: Path) -> None:
    file = put(tmp_path, "a.py", "import glidepath\n\nx = [1, 2\ny = 3\n")
    (error,) = load_dags(file).errors
    assert str(error).splitlines() == [
        f"{file}:3: SyntaxError: '[' was never closed",
        "    x = [1, 2",
        "        ^",
    ]


def test_error_in_an_imported_module_blames_the_line_that_imports_it(tmp_path: Path) -> None:
    put(tmp_path, "broken.py", "def (:\n")
    file = put(tmp_path, "a.py", "import glidepath\nimport broken\n")
    (error,) = load_dags(file).errors
    assert (error.file, error.line) == (file, 2)
    assert error.message.splitlines() == ["SyntaxError: invalid syntax (broken.py, line 1)", "    def (:", "        ^"]
    assert str(error).startswith(f"{file}:2: ")


def test_one_dag_id_in_two_files_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "a.py", GOOD.format(dag_id="same"))
    put(tmp_path, "b.py", GOOD.format(dag_id="same"))
    loaded = load_dags(tmp_path)
    assert len(loaded.dags) == 1 and "is used in" in loaded.errors[0].message


def test_a_dag_that_is_imported_belongs_to_its_own_file(tmp_path: Path) -> None:
    put(tmp_path, "a.py", GOOD.format(dag_id="one"))
    put(tmp_path, "b.py", "from a import one\nfrom glidepath import dag\n")
    loaded = load_dags(tmp_path)
    assert [each.dag_id for each in loaded.dags] == ["one"] and not loaded.errors


def test_loading_again_reads_the_files_anew_with_what_they_import(tmp_path: Path) -> None:
    put(tmp_path, "pack/__init__.py", "")
    names = put(tmp_path, "pack/names.py", "NAME = 'old'\n")
    text = "from glidepath import dag, task\nfrom .names import NAME\n@task\ndef t(): pass\n"
    file = put(tmp_path, "pack/d.py", text + "@dag(dag_id=NAME)\ndef d(): t()\n")
    assert load_dags(file).dags[0].dag_id == "old"
    names.write_text("NAME = 'newer'\n")
    assert load_dags(file).dags[0].dag_id == "newer"
    assert not [name for name in sys.modules if name.startswith("pack")] and str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("name", "message"), [("gone.py", "no such file or folder"), ("a.py", "no @dag at the top level")]
)
def test_a_path_without_a_dag_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    put(tmp_path, "a.py", "x = 1\n")
    loaded = load_dags(tmp_path / name)
    assert not loaded.dags and message in loaded.errors[0].message
