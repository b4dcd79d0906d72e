"""The guide's code runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def _blocks() -> dict[str, str]:
    """Python blocks by the file name in their first line."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return {block.split("\n")[0].removeprefix("# "): block for block in blocks}


def test_the_guides_dag_passes_the_guides_tests(tmp_path: Path) -> None:
    blocks = _blocks()
    for name in ("training.py", "test_training.py"):
        (tmp_path / name).write_text(blocks[name])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_training.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_the_mapped_dag_passes_its_test(tmp_path: Path) -> None:
    blocks = _blocks()
    for name in ("mapped.py", "test_mapped.py"):
        (tmp_path / name).write_text(blocks[name])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mapped.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_names_that_the_guide_lists_exist() -> None:
    from glidepath import templates
    from glidepath.authoring.options import TaskOptions
    from glidepath.client import AsyncClient, Client

    text = README.read_text()
    client_part = text[text.index("## The client") : text.index("`watch`, `wait` and")]
    listed = set(re.findall(r"`([a-z_]+)`", client_part))
    methods = {name for name in dir(Client) if not name.startswith("_")} - {"close", "connection"}
    assert listed == methods and all(hasattr(AsyncClient, name) for name in listed)
    options = text[text.index("| Option |") : text.index("**Other bodies.**")]
    assert set(TaskOptions.__annotations__) <= set(re.findall(r"`([a-z_]+)`", options))
    assert all(f"`{name}`" in text for name in [*templates.NAMES, *templates.DATE_FORMATS])
