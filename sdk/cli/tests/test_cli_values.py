"""Values between tasks as a user meets them: the README's example on a server and a worker, its artifacts in S3."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import obstore
import pytest
from cli_world import Folder, Up
from moto.server import ThreadedMotoServer
from obstore.store import S3Store

README = Path(__file__).resolve().parents[2] / "python" / "README.md"
BUCKET = "models"


def example() -> str:
    (found,) = re.findall(r"```python\n(# churn\.py\n.*?)```", README.read_text(), re.DOTALL)
    return str(found)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that speaks S3, with a bucket; what is started from here on finds it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    urllib.request.urlopen(urllib.request.Request(f"{address}/{BUCKET}", method="PUT"))
    for name, value in {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield
    server.stop()


def run_of(folder: Folder, *params: str, code: int = 0) -> str:
    words = [word for each in params for word in ("--param", each)]
    made = folder.call("dag", "trigger", "churn", "-o", "json", *words).json["dagRunId"]
    watched = folder.call("run", "watch", made)
    assert watched.code == code, watched.out + watched.err
    return str(made)


def test_the_readmes_example_leaves_values_artifacts_lineage_and_metrics(
    s3: None, folder: Folder, start_up: Callable[..., Up]
) -> None:
    (folder.path / "churn.py").write_text(example())
    start_up("--slots", "2")
    assert folder.call("dag", "register", "churn.py").code == 0
    run = run_of(folder, f"to=s3://{BUCKET}/churn", "day=2026-01-31")

    (xcom,) = folder.call("run", "xcoms", run, "-o", "json").json
    assert (xcom["attempt"]["taskId"], xcom["key"], xcom["value"]) == ("extract", "rows", "2")
    uses = folder.call("run", "artifacts", run, "-o", "json").json
    words = [
        (each["attempt"]["taskId"], each["use"]["direction"][10:], each["use"]["artifact"]["type"]) for each in uses
    ]
    assert words == [
        ("extract", "WRITE", "dataset"),
        ("train", "READ", "dataset"),
        ("train", "WRITE", "model"),
        ("judge", "READ", "model"),
        ("judge", "WRITE", "metrics"),
    ]
    model = uses[2]["use"]["artifact"]
    assert model["uri"] == f"s3://{BUCKET}/churn/{model['sha256']}/churn"

    lineage = folder.call("artifact", "lineage", model["uri"])
    assert lineage.code == 0 and re.search(r"WRITTEN BY.*\ntrain .*\n\nREAD BY.*\njudge ", lineage.out)
    assert re.search(r"MADE FROM.*\n1 +dataset +rows\.csv .*\n\nMADE INTO.*\n1 +metrics ", lineage.out)
    by_digest = folder.call("artifact", "lineage", model["sha256"], "--depth", "2", "-o", "json").json
    assert [each["attempt"]["taskId"] for each in by_digest["uses"]] == ["judge", "train"]

    other = run_of(folder)
    today = folder.call("run", "show", other)
    assert time.strftime('params  {"day":"%Y-', time.gmtime()) in today.out, "a dated param is shown as it was computed"
    table = folder.call("dag", "metrics", "churn").out.splitlines()
    assert table[0].split() == ["RUN", "VERSION", "TIME", "share"]
    assert [(line.split()[0], line.split()[-1]) for line in table[1:]] == [(other, "0.5"), (run, "0.5")]

    # What lies there is not what was written: whoever reads it is told so.
    obstore.put(S3Store(BUCKET), model["uri"].removeprefix(f"s3://{BUCKET}/"), b"spoilt")
    assert folder.call("run", "clear", run, "judge", "--wait").code == 1
    (broken,) = [each for each in folder.call("run", "attempts", run, "-o", "json").json if "failure" in each]
    assert broken["failure"]["type"] == "glidepath.artifacts.ArtifactBroken"
    assert f"was written with {model['sha256']}" in broken["failure"]["message"]


def test_what_is_not_there_is_said(running: Folder) -> None:
    answer = running.call("artifact", "lineage", "s3://nowhere/x")
    assert (answer.code, answer.out) == (3, "") and "has read or written 's3://nowhere/x'" in answer.err
