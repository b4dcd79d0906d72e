"""The whole product as its first user meets it: the README's ten minutes, command by command, and `make demo`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS_SECONDS_MAX = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder that other users may pass through, as root's Postgres has to."""
    made = Path(tempfile.mkdtemp(prefix="glidepath-whole-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GLIDEPATH_")}
    return {**kept, "PATH": f"{ROOT / '.venv' / 'bin'}:{kept['PATH']}"}


def test_the_readmes_ten_minutes_go_as_written(folder: Path, environ: dict[str, str]) -> None:
    guide = (ROOT / "README.md").read_text().partition("## Ten minutes")[2].partition("## The rooms")[0]
    program, commands = (
        re.findall(r"```python\n(.*?)```", guide, re.DOTALL),
        re.findall(r"```sh\n(.*?)```", guide, re.DOTALL),
    )
    (folder / "dags").mkdir()
    (folder / "dags" / "sales.py").write_text(program[0])
    run, broken, mended, late, by_itself = commands[2:]
    environ["GLIDEPATH_HOME"] = str(folder / ".glidepath")
    up = _up(folder, environ)
    try:
        assert _say(run, folder, environ)[-1][0] == 0
        ((failed, text), *_) = _say(broken.splitlines()[0], folder, environ)
        assert failed == 1
        run_id = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", text)[0]
        looks = _say("\n".join(broken.splitlines()[1:]).replace("RUN_ID", run_id), folder, environ)
        for (code, said), expected in zip(
            looks, (("upstream_failed",), ("reading", "Traceback"), ("FileNotFound",)), strict=True
        ):
            assert code == 0 and all(word in said for word in expected)
        *_, (code, said) = _say(mended.replace("RUN_ID", run_id), folder, environ)
        assert code == 0 and said.strip().endswith(": 7.00")
        # The last command asks a receiver of the reader's.
        for block in (late, by_itself.removesuffix("glidepath alert test ops\n")):
            done = subprocess.run(
                ["bash", "-e", "-c", block], cwd=folder, env=environ, text=True, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    finally:
        up.send_signal(signal.SIGTERM)
        assert up.wait(STEPS_SECONDS_MAX) == 0


def _up(folder: Path, environ: dict[str, str]) -> subprocess.Popen[str]:
    """`glidepath up` on a free port, once it says that it is up."""
    started = subprocess.Popen(
        ["glidepath", "up", "--port", "0"],
        cwd=folder,
        env=environ,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert started.stdout is not None
    said = []
    for line in started.stdout:
        said.append(line)
        if line.startswith("up."):
            return started
    raise AssertionError("glidepath up ended:\n" + "".join(said))


def _say(lines: str, folder: Path, environ: dict[str, str]) -> list[tuple[int, str]]:
    """Each command's exit code and what it printed."""
    ended = [
        subprocess.run(
            ["bash", "-c", line],
            cwd=folder,
            env=environ,
            text=True,
            check=False,
            timeout=STEPS_SECONDS_MAX,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for line in lines.splitlines()
    ]
    return [(each.returncode, each.stdout) for each in ended]


@pytest.mark.parametrize("chaos", [pytest.param("", id="calm"), pytest.param("1", id="chaos", marks=pytest.mark.prove)])
def test_the_demo_trains_deploys_and_leaves_nothing_running(folder: Path, environ: dict[str, str], chaos: str) -> None:
    program = (
        "import sys, pathlib; from tools import demo; demo.HOME = pathlib.Path(sys.argv[1]); sys.exit(demo.main())"
    )
    home = folder / "demo"
    environ["DEMO_CHAOS"] = chaos
    done = subprocess.run(
        [sys.executable, "-c", program, str(home)], cwd=ROOT, env=environ, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "looked for the file in vain" in done.stdout and "Deployed: random_forest" in done.stdout
    assert ("kill -9 of the server" in done.stdout) == bool(chaos)
    assert (home / "out" / "days" / "2026-11-03" / "model.joblib").is_file()
    assert not [command for command in _commands() if str(home) in command]


def _commands() -> Iterator[str]:
    """The command lines of all processes, where the system shows them as files."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield entry.read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended
