"""The source archive: same files, same bytes; everything a task imports is in it, or the author hears of it."""

import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from glidepath import AuthoringError, load_dags
from glidepath.authoring import Bundle, bundle_source
from glidepath.authoring.convert import to_registration

DAG_FILE = """\
from glidepath import dag, task

@task
def hello(): return "hi"

@dag
def greet():
    hello()
"""


def put(root: Path, name: str, content: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    bundles = []
    for folder, time in (("one", 1_000_000_000), ("two", 1_700_000_000)):
        file = put(tmp_path / folder, "greet.py", DAG_FILE)
        put(tmp_path / folder, "data/b.txt", "b")
        put(tmp_path / folder, "data/a.txt", "a")
        os.utime(file, (time, time))
        bundles.append(bundle_source(file, ["data"]))
    first, second = bundles
    assert first.archive == second.archive
    assert first.content_hash == hashlib.sha256(first.archive).hexdigest()
    assert first.files == ("data/a.txt", "data/b.txt", "greet.py")
    with zipfile.ZipFile(io.BytesIO(first.archive)) as archive:
        assert archive.testzip() is None and archive.read("greet.py").decode() == DAG_FILE


def test_another_byte_gives_another_hash(tmp_path: Path) -> None:
    file = put(tmp_path, "greet.py", DAG_FILE)
    before = bundle_source(file)
    file.write_text(DAG_FILE + "#")
    assert bundle_source(file).content_hash != before.content_hash


def test_a_file_in_a_package_brings_the_package(tmp_path: Path) -> None:
    for name in ("proj/__init__.py", "proj/dags/__init__.py", "proj/lib.py", "proj/__pycache__/lib.py", "proj/x.csv"):
        put(tmp_path, name)
    file = put(tmp_path, "proj/dags/greet.py", DAG_FILE)
    put(tmp_path, "beside.py")
    bundle = bundle_source(file)
    assert bundle.files == ("proj/__init__.py", "proj/dags/__init__.py", "proj/dags/greet.py", "proj/lib.py")
    registration = to_registration(load_dags(file).dags[0])
    assert registration.spec.tasks[0].handler.name == "python:proj.dags.greet:hello"
    assert registration.spec.tasks[0].handler.version == bundle.content_hash


def test_include_takes_files_folders_and_patterns(tmp_path: Path) -> None:
    file = put(tmp_path, "greet.py", DAG_FILE)
    for name in ("lib/a.py", "lib/.hidden", "lib/a.pyc", "one.sql", "two.sql", "three.txt"):
        put(tmp_path, name)
    assert bundle_source(file, ["lib", "*.sql"]).files == ("greet.py", "lib/a.py", "one.sql", "two.sql")


@pytest.mark.parametrize(
    ("include", "message"), [("gone", "no such file in"), ("../x", "lies outside"), ("/etc", "not an absolute one")]
)
def test_include_that_gives_nothing_is_an_error(tmp_path: Path, include: str, message: str) -> None:
    file = put(tmp_path, "dags/greet.py", DAG_FILE)
    put(tmp_path, "x")
    with pytest.raises(AuthoringError, match=message):
        bundle_source(file, [include])


def test_too_much_source_names_the_limit_and_the_biggest_files(tmp_path: Path) -> None:
    file = put(tmp_path, "greet.py", DAG_FILE)
    put(tmp_path, "big.bin", "x" * 2_200_000)
    with pytest.raises(AuthoringError, match=r"over the limit of 2048 KiB; biggest: big.bin \(2148 KiB\), greet.py"):
        bundle_source(file, ["big.bin"])


def test_import_from_beside_the_bundle_is_refused_with_the_remedy(tmp_path: Path) -> None:
    file = put(tmp_path, "greet.py", "import os\nimport tools.text\n" + DAG_FILE)
    put(tmp_path, "tools/__init__.py")
    put(tmp_path, "tools/text.py")
    with pytest.raises(AuthoringError, match=r"line 2: imports 'tools'.*add include=\['tools'\]"):
        bundle_source(file)
    assert bundle_source(file, ["tools"]).files == ("greet.py", "tools/__init__.py", "tools/text.py")


def _bundle(tmp_path: Path, content: str) -> Bundle:
    return bundle_source(put(tmp_path, "other.py", content))


def test_functions_that_a_worker_could_not_import_are_refused(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, "")

    def local() -> None: ...

    with pytest.raises(AuthoringError, match="not at the top level of its module"):
        bundle.handler(local)
    with pytest.raises(AuthoringError, match="which is not in the DAG's source bundle"):
        bundle.handler(put)


DECORATED = """\
import functools
from glidepath import dag, task
from shouting import loud

@task
@loud
def hello(): return "hi"

@dag(include=["shouting.py"])
def greet():
    hello()
"""


def test_a_decorated_function_is_named_by_where_it_is_written(tmp_path: Path) -> None:
    loud = "import functools\ndef loud(f):\n    @functools.wraps(f)\n    def g(*a): return f(*a)\n    return g\n"
    put(tmp_path, "shouting.py", loud)
    registration = to_registration(load_dags(put(tmp_path, "greet.py", DECORATED)).dags[0])
    assert registration.spec.tasks[0].handler.name == "python:greet:hello"
