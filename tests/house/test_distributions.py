"""What the distributions ask for and what importing them brings in."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from repository import ROOT

ROOMS = ("sdk/python", "sdk/cli", "server")
# What plugins import, and plugins: they ask for a range of it, as a stranger's would.
PLUGIN_ROOMS = ("plugins/api", "plugins/alert_email", "plugins/alert_webhook")


def project(room: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / room / "pyproject.toml").read_text())["project"]


def canonical(requirement: str) -> str:
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")


def test_the_sdk_needs_grpcio_and_protobuf_only() -> None:
    assert sorted(map(canonical, project("sdk/python")["dependencies"])) == ["grpcio", "protobuf"]
    optional = project("sdk/python")["optional-dependencies"]
    extras = {name: list(map(canonical, asked)) for name, asked in optional.items()}
    assert extras == {"yaml": ["pyyaml"], "s3": ["obstore"]}


def test_all_distributions_have_one_version_and_ask_for_it() -> None:
    versions = {room: project(room)["version"] for room in (*ROOMS, *PLUGIN_ROOMS)}
    assert len(set(versions.values())) == 1, versions
    own = [
        requirement
        for room in ROOMS
        for table in (project(room)["dependencies"], *project(room).get("optional-dependencies", {}).values())
        for requirement in table
        if canonical(requirement).startswith("glidepath")
    ]
    assert own
    assert not [requirement for requirement in own if not requirement.endswith(f"=={versions['server']}")]


def test_a_plugin_needs_nothing_of_ours_but_what_all_plugins_import() -> None:
    for room in PLUGIN_ROOMS[1:]:
        own = [each for each in project(room)["dependencies"] if canonical(each).startswith("glidepath")]
        assert own == ["glidepath-plugin>=0.1.0,<0.2"]
        assert list(project(room)["entry-points"]) == ["glidepath.plugins"]
    assert list(map(canonical, project("plugins/api")["dependencies"])) == ["pluggy"]


def test_every_requirement_is_pinned() -> None:
    """Else two machines would be made of different versions."""
    pinned = {canonical(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    asked = {canonical(requirement) for group in ("dev", "demo") for requirement in groups[group]}
    for room in (*ROOMS, *PLUGIN_ROOMS):
        asked |= {canonical(requirement) for requirement in project(room)["dependencies"]}
    for extra in project("sdk/python")["optional-dependencies"].values():
        asked |= set(map(canonical, extra))
    assert not {name for name in asked if not name.startswith("glidepath")} - pinned
    assert not [requirement for requirement in groups["codegen"] if "==" not in requirement]


@pytest.mark.parametrize(
    ("imported", "absent"),
    [
        ("glidepath.authoring", ("grpc", "asyncio", "ssl")),
        ("glidepath_server.core.advance", ("grpc", "google.protobuf", "sqlalchemy", "asyncpg", "asyncio")),
        ("glidepath_cli.main", ("sqlalchemy", "glidepath_server", "grpc")),
    ],
)
def test_importing_one_thing_does_not_bring_in_another(imported: str, absent: tuple[str, ...]) -> None:
    """A fresh interpreter, so what other tests imported does not count."""
    script = f"import {imported}, sys; print(*[name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
