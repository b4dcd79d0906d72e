"""A task run twice in one scratch folder: what is the same, what is not, and what is said about it."""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from glidepath import Dag, dag, external, shell, task
from glidepath.testing import CannotVerify, NotIdempotent, UpstreamFailed, Verification, verify_task
from glidepath.testing import scratch as scratch_room
from glidepath.worker import Call, Defer, Skip, current

DAY = datetime(2026, 3, 5, 6, tzinfo=UTC)


def verify(function: Any, **options: Any) -> Verification:
    """Of a DAG with this one task, called `body`."""

    @dag(dag_id="one")
    def made() -> None:
        task(function).options(task_id="body")()

    return verify_task(made, "body", **{"apart": 0, "logical_date": DAY, **options})


def texts(verification: Verification) -> list[str]:
    return [str(each) for each in verification.differences]


def test_a_pure_task_is_the_same_each_time() -> None:
    def pure() -> dict[str, Any]:
        Path("result.csv").write_text("a\nb\n")
        return {"day": f"{current().logical_date:%F}", "key": current().idempotency_key, "rows": [1, 2]}

    found = verify(pure, runs=3).check()
    assert (found.verdict, found.differences, found.notes) == ("same", (), ())
    assert [each.attempt_number for each in found.attempts] == [1, 2, 3]
    assert [each.path for each in found.attempts[0].files] == ["result.csv"]
    assert found.attempts[0].output == {"day": "2026-03-05", "key": "verify-run/body", "rows": [1, 2]}
    assert len({each.output_sha256 for each in found.attempts}) == 1


def test_attempts_are_numbered_and_find_what_the_one_before_left() -> None:
    def numbered() -> list[Any]:
        found = os.listdir()
        Path(f"{current().attempt_number}.txt").touch()
        return [current().attempt_number, found]

    assert [each.output for each in verify(numbered).attempts] == [[1, []], [2, ["1.txt"]]]


def test_a_task_that_appends_is_told_how_much() -> None:
    def appending() -> None:
        with open("log.txt", "a") as log:
            log.write("a\nb\nc\n")

    found = verify(appending)
    assert texts(found) == ["attempt 2: file log.txt: grew from 3 to 6 lines: appended?"]
    assert "os.replace" in found.advice[0]
    with pytest.raises(NotIdempotent, match=r"'body' did not do the same each time\nattempt 2: file log\.txt: grew"):
        found.check()


def test_bytes_that_grow_are_told_in_bytes_and_new_bytes_by_their_digests() -> None:
    def growing() -> None:
        with open("data.bin", "ab") as file:
            file.write(b"\0" * 10)
        Path("other.txt").write_text("x" * current().attempt_number + "y")

    grew, changed = verify(growing).differences
    assert grew.text == "grew from 10 to 20 bytes: appended?"
    assert (changed.path, changed.change) == ("other.txt", "changed") and changed.before.startswith("2 bytes, sha256 ")


def test_a_task_that_returns_the_time_is_found_although_it_is_quick() -> None:
    def clock() -> dict[str, Any]:
        return {"at": int(time.time()), "rows": 3}

    found = verify(clock, apart="1.5s")
    (difference,) = found.differences
    assert (difference.kind, difference.path) == ("output", "at")
    assert int(difference.before) < int(difference.after) and "logical_date" in difference.advice


def test_a_file_named_by_chance_appears_each_time() -> None:
    def scattering() -> None:
        Path("out").mkdir(exist_ok=True)
        Path("out", uuid.uuid4().hex).write_text("same")

    found = verify(scattering, runs=3)
    assert [(each.attempt_number, each.change) for each in found.differences] == [(2, "appeared"), (3, "appeared")]
    assert found.differences[0].path.startswith("out/") and "logical date" in found.advice[0]


def test_a_file_or_folder_that_is_gone_and_a_temporary_one_that_stays_are_told() -> None:
    def moving() -> None:
        if current().attempt_number == 1:
            Path("first").touch()
        else:
            Path("first").unlink()
        tempfile.mkdtemp(prefix="left-")

    changes = {each.path.partition("-")[0]: each.change for each in verify(moving).differences}
    assert changes == {"first": "vanished", "left": "appeared"}


def test_artifacts_are_compared_by_their_bytes() -> None:
    def storing() -> None:
        for name, content in [("model.bin", os.urandom(8)), ("same.txt", b"same")]:
            Path(name).write_bytes(content)
            current().put_artifact(name)
            Path(name).unlink()

    found = verify(storing)
    (difference,) = found.differences
    assert (difference.kind, difference.path, difference.change) == ("artifact", "model.bin", "changed")
    assert [each.name for each in found.attempts[0].artifacts] == ["model.bin", "same.txt"]


def test_equal_artifacts_from_files_of_other_names_are_the_same() -> None:
    def storing() -> str:
        file = Path(uuid.uuid4().hex)
        file.write_text("same")
        reference = current().put_artifact(file)
        file.unlink()
        return reference

    verify(storing).check()


def test_a_task_that_fails_says_so_with_its_error_and_what_it_wrote() -> None:
    def failing() -> None:
        print("looking for rows")
        raise ValueError("no rows")

    found = verify(failing)
    assert found.verdict == "failed" and len(found.attempts) == 1
    assert found.attempts[0].reason == "ValueError: no rows" and found.attempts[0].log == "looking for rows\n"
    with pytest.raises(NotIdempotent, match=r"'body' failed\nattempt 1: ValueError: no rows\n[^$]*looking for rows"):
        found.check()


def test_a_task_whose_second_attempt_stumbles_over_the_first_differs() -> None:
    def once() -> None:
        Path("lock").touch(exist_ok=False)

    found = verify(once)
    (difference,) = found.differences
    assert found.verdict == "differs" and difference.before == "success"
    assert difference.after.startswith("failed: FileExistsError: ") and "exist_ok" in difference.advice


@pytest.mark.parametrize(
    ("die", "reason"),
    [
        (lambda: os._exit(3), "exit status 3"),
        (lambda: os.kill(os.getpid(), 9), "killed by SIGKILL"),
        (lambda: sys.exit("out"), "left its process with 'out'"),
    ],
)
def test_a_task_that_ends_its_process_has_failed(die: Any, reason: str) -> None:
    def dying() -> None:
        die()

    found = verify(dying)
    assert found.verdict == "failed" and reason in found.attempts[0].reason


def test_a_timeout_ends_the_task_and_what_it_started() -> None:
    @dag(dag_id="slow", defaults={"timeout": "300ms"})
    def made() -> None:
        shell("body", "echo started >&2; sleep 1000 & wait")

    found = verify_task(made, "body")
    assert (found.attempts[0].end, found.attempts[0].log) == ("timed_out", "started\n")
    assert found.attempts[0].reason == "not done after 0.3 s"


def test_what_a_task_leaves_running_holds_nobody_up() -> None:
    def leaving() -> None:
        subprocess.Popen(["sleep", "1000"])

    assert verify(leaving).attempts[1].duration_seconds < 60


def test_nothing_of_this_process_is_changed() -> None:
    before = os.getcwd(), dict(os.environ), tempfile.gettempdir(), list(sys.path)

    def looking() -> list[str]:
        places = [os.getcwd(), os.environ["HOME"], tempfile.gettempdir()]
        return sorted(set(places))

    (place,) = verify(looking).attempts[0].output  # type: ignore[misc]
    assert not Path(place).exists()
    assert before == (os.getcwd(), dict(os.environ), tempfile.gettempdir(), list(sys.path))


def test_a_scratch_folder_that_is_given_is_used_and_kept(tmp_path: Path) -> None:
    (tmp_path / "config.txt").write_text("7")

    def reading() -> int:
        Path("made.txt").touch()
        return int(Path("config.txt").read_text())

    assert verify(reading, scratch=tmp_path).check().attempts[0].output == 7
    assert sorted(os.listdir(tmp_path)) == ["config.txt", "made.txt"]


# ---- What differs within an output -------------------------------------------------------------------------------


def test_outputs_are_compared_place_by_place() -> None:
    def changing() -> dict[str, Any]:
        number = current().attempt_number
        return {
            "rows": [{"id": 1, "elapsed": number / 10}, {"id": 2, "elapsed": number / 20}][: 3 - number],
            "kind": True if number == 1 else 1,
            f"only{number}": None,
            "long": "x" * 500 + str(number),
        }

    assert texts(verify(changing)) == [
        "attempt 2: output rows.0.elapsed: 0.1 -> 0.2",
        'attempt 2: output rows.1: vanished: was {"id": 2, "elapsed": 0.05}',
        "attempt 2: output kind: true -> 1",
        "attempt 2: output only1: vanished: was null",
        f'attempt 2: output long: ...{"x" * 20}1" -> ...{"x" * 20}2"',
        "attempt 2: output only2: appeared: null",
    ]


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        (["took"], ["rows.0.elapsed", "rows.1.elapsed"]),
        (["rows.*.elapsed"], ["took"]),
        (["rows.1", "took"], ["rows.0.elapsed"]),
        (["rows.1.elapsed", "t*k"], ["rows.0.elapsed"]),
        (["*"], []),
    ],
)
def test_paths_that_may_differ_are_ignored(ignore: list[str], left: list[str]) -> None:
    def timed() -> dict[str, Any]:
        number = current().attempt_number
        return {"rows": [{"elapsed": number}, {"elapsed": number}], "took": number}

    assert [each.path for each in verify(timed, ignore=ignore).differences] == left


def test_the_order_of_keys_is_no_difference_and_bytes_are_shown_by_their_length() -> None:
    def ordered() -> dict[str, int]:
        names = ["a", "b"] if current().attempt_number == 1 else ["b", "a"]
        return {name: ord(name) for name in names}

    def raw() -> bytes:
        return bytes([current().attempt_number])

    first, second = verify(ordered).check().attempts
    assert first.output_sha256 == second.output_sha256
    assert texts(verify(raw)) == ["attempt 2: output: 1 bytes b'\\x01' -> 1 bytes b'\\x02'"]


def test_many_places_are_counted() -> None:
    def many() -> list[int]:
        return [current().attempt_number] * 100

    assert len(verify(many).differences) == 21 and "and 80 more places" in texts(verify(many))[-1]


def test_a_skip_that_comes_second_is_a_difference_and_a_deferral_is_noted() -> None:
    def skipping() -> None:
        if current().attempt_number == 2:
            raise Skip("done already")

    def deferring() -> None:
        raise Defer(after=60)

    assert texts(verify(skipping)) == ["attempt 2: end: success -> skipped: done already"]
    assert "was not run" in verify(deferring).check().notes[0]


# ---- Files -------------------------------------------------------------------------------------------------------


def test_what_is_not_compared_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def large() -> None:
        for name in "abc":
            Path(name).write_text("x" * 10)
        os.symlink("elsewhere", "link")
        os.mkfifo("pipe")

    monkeypatch.setattr(scratch_room, "READ_BYTES_MAX", 20)
    assert verify(large, runs=2).notes[0] == "c: 10 bytes, over what is read; compared by size only"
    monkeypatch.setattr(scratch_room, "FILES_MAX", 2)
    assert verify(large).notes == ("more than 2 files: from c on they were not compared",)


def test_links_are_compared_by_where_they_point() -> None:
    def linking() -> None:
        Path("latest").unlink(missing_ok=True)
        os.symlink(f"run-{current().attempt_number}", "latest")

    assert [(each.path, each.change) for each in verify(linking).differences] == [("latest", "changed")]


# ---- Upstreams ---------------------------------------------------------------------------------------------------


@task
def extract(day: str) -> dict[str, Any]:
    Path("extracted.txt").write_text(day)
    return {"path": "extracted.txt", "reference": current().put_artifact("extracted.txt")}


@task
def load(source: dict[str, Any], weight: float = 1.0) -> str:
    stored = current().get_artifact(source["reference"]).read_text()
    Path(source["path"]).write_text("spoiled")  # what the artifact holds stays as it was
    return f"{stored} {weight}"


@dag
def loading(day: str, table: str = "sales") -> None:
    weight = external("weigh", "go.weigh")
    load(extract(day), weight) >> shell("publish", "echo {{ params.table }} >> published.txt")


def test_upstream_tasks_run_once_in_the_same_folder_or_their_outputs_are_given() -> None:
    found = verify_task(loading, "load", {"day": "monday"}, inputs={"weigh": 0.5}, apart=0).check()
    assert found.upstreams == ("extract",) and found.attempts[0].output == "monday 0.5"
    alone = verify_task(loading, "publish", {"day": "monday"}, inputs={"load": "x"}, apart=0)
    assert alone.upstreams == () and texts(alone)[0].startswith("attempt 2: file published.txt: grew from 1 to 2 lines")


def test_an_upstream_task_that_fails_is_named_with_what_it_wrote() -> None:
    @dag
    def broken() -> None:
        shell("first", "echo no rows; exit 3") >> shell("second", "true")

    with pytest.raises(UpstreamFailed, match=r"upstream task 'first' gave no output: .*exit status 3") as caught:
        verify_task(broken, "second")
    assert (caught.value.task_id, caught.value.log) == ("first", "no rows\n")


@pytest.mark.parametrize(
    ("task_id", "options", "problems"),
    [
        (
            "laod",
            {},
            ["DAG 'loading' has no task 'laod'; did you mean 'load'? known tasks: extract, load, publish, weigh"],
        ),
        (
            "load",
            {"params": {"dya": 1}, "inputs": {"publish": 1, "extract": object()}, "runs": 1, "ignore": [""]},
            [
                "DAG 'loading' has no param 'dya'; did you mean 'day'? known params: day, table",
                "DAG 'loading' needs the params ['day'], which are not given",
                "input 'publish': 'load' does not come after it; known upstreams: extract, weigh",
                "task 'weigh' has the handler 'go.weigh', which no code here runs; give its output: the input 'weigh'",
                "runs is 1; expected 2 or more, to have something to compare",
                "ignore: '' is no path; expected keys joined by dots",
                "input 'extract': cannot be an output: object is not a JSON value: return JSON values or bytes",
            ],
        ),
        (
            "weigh",
            {"params": {"day": "x"}},
            [
                "task 'weigh' has the handler 'go.weigh', which no code here runs; only Python and shell tasks can be "
                "verified"
            ],
        ),
    ],
)
def test_everything_that_does_not_fit_is_told_at_once(task_id: str, options: Any, problems: list[str]) -> None:
    with pytest.raises(CannotVerify) as caught:
        verify_task(loading, task_id, **options)
    assert list(caught.value.problems) == problems


# ---- New interpreters --------------------------------------------------------------------------------------------

FRESH = """
import os
from glidepath import dag, task

LOADED = os.urandom(4).hex()

@task
def importing():
    import beside
    return [LOADED, beside.NAME]

@dag
def at_import():
    importing()
"""


def load_dag(file: Path) -> Dag:
    from glidepath.authoring import load_dags

    (found,) = load_dags(file).dags
    return found


def test_a_fresh_interpreter_shows_what_the_file_itself_takes_from_chance(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FRESH)
    (tmp_path / "beside.py").write_text("NAME = 'beside'")
    made = load_dag(tmp_path / "flow.py")
    assert verify_task(made, "importing", apart=0).verdict == "same"
    assert [each.path for each in verify_task(made, "importing", apart=0, fresh=True).differences] == ["0"]


def test_a_dag_that_a_fresh_interpreter_does_not_find_is_a_failure_that_says_why() -> None:
    def pure() -> int:
        return 1

    found = verify(pure, fresh=True)
    assert found.verdict == "failed" and "could not be loaded anew" in found.attempts[0].reason


def test_a_task_that_calls_a_dag_is_said_to_have_no_run_made() -> None:
    def calling() -> Call:
        return Call("train", {"day": "today"})

    found = verify(calling)
    assert [each.end for each in found.attempts] == ["called", "called"]
    assert found.notes == ("'body' calls a DAG: no run of that was made",)
