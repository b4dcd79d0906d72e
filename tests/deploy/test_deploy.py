"""The files in deploy/ fit the programs: their variables are settings, their commands parse, their ports agree."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import bootstrap
from glidepath.worker.__main__ import _parser as worker_parser
from glidepath_server.__main__ import _parser as server_parser
from glidepath_server.api.exposure import check_exposure
from glidepath_server.api.otlp import check_otlp
from glidepath_server.settings import PREFIX, Settings, documented

ROOT = Path(bootstrap.__file__).parent
DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose"
SYSTEMD = DEPLOY / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
COMMAND = "/opt/glidepath/bin/glidepath"
INTERPOLATED = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")
ENVIRONMENT = {"POSTGRES_PASSWORD": "secret", "OTLP_ENDPOINT": "http://collector:4317"}


def interpolated(value: Any) -> Any:
    """As compose fills in variables, from ENVIRONMENT."""
    if isinstance(value, dict):
        return {name: interpolated(each) for name, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each) for each in value]
    return INTERPOLATED.sub(lambda m: ENVIRONMENT.get(m[1], ""), value) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = interpolated(yaml.safe_load((COMPOSE / "compose.yaml").read_text()))["services"]
    return found


def variables(path: Path, *, all_of_them: bool = False) -> dict[str, str]:
    """An environment file; `all_of_them`: with those that a comment offers."""
    lines = [re.sub(r"^#(?=GLIDEPATH_)", "", line) if all_of_them else line for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def unit(path: Path) -> dict[str, str]:
    """The settings of a unit; of those that stand twice, the last."""
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if re.match(r"[A-Z]\w*=", line))


def port(address: str) -> str:
    return address.rpartition(":")[2]


def option(words: list[str], name: str) -> str:
    return next(word.partition("=")[2] for word in words if word.startswith(f"{name}="))


# ---- variables
SERVER_VARIABLES = {f"{PREFIX}{name.upper()}" for name, _, _ in documented()}


@cache
def command_variables() -> frozenset[str]:
    """Those that `glidepath --help` names: the client's and the worker's."""
    program = Path(sys.executable).with_name("glidepath")
    said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    return frozenset(re.findall(r"GLIDEPATH_\w+", said))


def named() -> Iterator[tuple[str, str]]:
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            for name in re.findall(r"GLIDEPATH_[A-Z_]+", path.read_text()):
                yield str(path.relative_to(DEPLOY)), name


def test_every_variable_that_is_named_exists() -> None:
    found = list(named())
    assert len(found) > 15
    assert [each for each in found if each[1] not in SERVER_VARIABLES | command_variables()] == []


def test_what_a_server_is_given_is_for_servers_and_what_a_worker_is_given_for_workers(services: dict[str, Any]) -> None:
    given = {**services["server"]["environment"], **variables(SYSTEMD / "server.env", all_of_them=True)}
    assert given.keys() <= SERVER_VARIABLES
    given = {**services["worker"]["environment"], **variables(SYSTEMD / "worker.env", all_of_them=True)}
    assert given.keys() <= command_variables()


def test_servers_start_with_what_they_are_given(services: dict[str, Any]) -> None:
    """As far as that can be said before there is a database."""
    offered = variables(SYSTEMD / "server.env", all_of_them=True)
    for environment in (services["server"]["environment"], variables(SYSTEMD / "server.env"), offered):
        settings = Settings.load(environment)
        check_exposure(settings)
        if settings.otlp_endpoint:
            check_otlp(settings)
        assert settings.database_url.startswith("postgresql://")


def test_without_a_receiver_of_spans_compose_leaves_them_off() -> None:
    text = (COMPOSE / "compose.yaml").read_text()
    assert "${OTLP_ENDPOINT:-}" in text and "${POSTGRES_PASSWORD:?" in text
    asked = {match[1] for match in INTERPOLATED.finditer(text)}
    assert asked == variables(COMPOSE / "example.env").keys()


# ---- commands
def parse(words: list[str]) -> Any:
    """What the program makes of the words after `glidepath`. SystemExit for what it does not take."""
    verb, *arguments = words
    return {"server": server_parser, "worker": worker_parser}[verb]().parse_args(arguments)


def test_every_command_is_one_that_the_programs_take(services: dict[str, Any]) -> None:
    for name in ("server", "worker"):
        parse(services[name]["command"])
    for path in UNITS:
        program, *words = shlex.split(unit(path)["ExecStart"])
        assert program == COMMAND
        parse(words)
    with pytest.raises(SystemExit):
        parse(["server", "--no-such-option"])
    scripts = tomllib.loads((ROOT / "sdk/cli/pyproject.toml").read_text())["project"]["scripts"]
    assert "glidepath" in scripts and 'ENTRYPOINT ["glidepath"]' in (COMPOSE / "Dockerfile").read_text()


def test_stopping_gives_longer_than_the_programs_take(services: dict[str, Any]) -> None:
    grace = Settings().shutdown_grace_seconds
    drain = parse(services["worker"]["command"]).drain_grace
    assert int(services["server"]["stop_grace_period"][:-1]) > grace
    assert int(services["worker"]["stop_grace_period"][:-1]) > drain
    server, worker = (unit(SYSTEMD / f"glidepath-{name}.service") for name in ("server", "worker"))
    assert int(server["TimeoutStopSec"]) > grace
    assert int(worker["TimeoutStopSec"]) > parse(shlex.split(worker["ExecStart"])[1:]).drain_grace


# ---- compose
def test_ports_agree_and_are_open_to_this_machine_alone(services: dict[str, Any]) -> None:
    server, worker = services["server"], services["worker"]
    given = server["environment"]
    listening = {port(given["GLIDEPATH_ADDRESS"]), port(given["GLIDEPATH_METRICS_ADDRESS"])}
    published = [each.rpartition(":") for each in server["ports"]]
    assert {inner for _, _, inner in published} == listening
    assert all(outer == f"127.0.0.1:{inner}" for outer, _, inner in published)
    assert [name for name, each in services.items() if "ports" in each] == ["server"]
    assert worker["environment"]["GLIDEPATH_ADDRESS"] == f"server:{port(given['GLIDEPATH_ADDRESS'])}"
    (code,) = (word for word in server["healthcheck"]["test"] if "urlopen" in word)
    compile(code, "healthcheck", "exec")
    assert f":{port(given['GLIDEPATH_METRICS_ADDRESS'])}/readyz" in code


def test_the_database_is_the_one_that_the_server_is_told(services: dict[str, Any]) -> None:
    given = services["postgres"]["environment"]
    user, password, name = (given[f"POSTGRES_{each}"] for each in ("USER", "PASSWORD", "DB"))
    url = services["server"]["environment"]["GLIDEPATH_DATABASE_URL"]
    assert url == f"postgresql://{user}:{password}@postgres:5432/{name}"
    assert services["server"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["worker"]["depends_on"] == {"server": {"condition": "service_healthy"}}


def test_workers_have_their_own_token_and_no_other(services: dict[str, Any]) -> None:
    mounts = {
        name: dict(reversed(each.split(":")[:2]) for each in services[name]["volumes"] if ":" in each)
        for name in ("server", "worker")
    }
    token = Path(services["worker"]["environment"]["GLIDEPATH_TOKEN_FILE"])
    words = services["server"]["command"]
    assert option(words, "--bootstrap-worker-token-file") == str(token)
    assert mounts["worker"] == {str(token.parent): mounts["server"][str(token.parent)]}
    assert mounts["server"][str(Path(option(words, "--bootstrap-token-file")).parent)] != mounts["worker"].popitem()[1]
    declared = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["volumes"].keys()
    assert set(mounts["server"].values()) | {"postgres"} == declared


def test_containers_may_little(services: dict[str, Any]) -> None:
    for name in ("server", "worker"):
        each = services[name]
        assert each["read_only"] and each["cap_drop"] == ["ALL"] and each["mem_limit"]
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert each["build"] == {"context": "../..", "dockerfile": "deploy/compose/Dockerfile"}
    assert (COMPOSE / services["server"]["build"]["context"]).resolve() == ROOT


# ---- the image
def test_the_image_holds_every_distribution_and_only_what_it_is_made_of() -> None:
    text = (COMPOSE / "Dockerfile").read_text()
    rooms = {each.partition("[")[0] for each in bootstrap.DISTRIBUTIONS}
    installed = {each.partition("[")[0] for each in re.findall(r'[ "]\./([\w/\[\],-]+)', text)}
    assert installed == rooms
    copied = [each for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M) for each in line.split()]
    ignore = (COMPOSE / "Dockerfile.dockerignore").read_text().splitlines()
    assert all((ROOT / each).exists() and f"!{each}" in ignore for each in copied)
    assert {room.split("/")[0] for room in rooms} <= set(copied)
    users = re.findall(r"^USER (\w+)$", text, re.M)
    assert users and users[-1] != "root"


# ---- systemd
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_confined_bounded_and_comes_back(path: Path) -> None:
    found = unit(path)
    assert found["Restart"] == "always" and found["RestartPreventExitStatus"] == "2"
    assert found["MemoryMax"] and found["TasksMax"] and found["StateDirectory"] and found["User"] != "root"
    assert found["NoNewPrivileges"] == "yes" and found["ProtectSystem"] == "strict"
    assert (SYSTEMD / Path(found["EnvironmentFile"]).name).exists()
    words = shlex.split(found["ExecStart"])
    for file in (word.partition("=")[2] for word in words if "=/" in word):
        assert file.startswith(f"/var/lib/{found['StateDirectory']}"), "elsewhere the unit may not write"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_the_unit(path: Path, tmp_path: Path) -> None:
    """With the command where it is here: systemd looks whether it can be run."""
    copy = tmp_path / path.name
    copy.write_text(path.read_text().replace(COMMAND, str(Path(sys.executable).with_name("glidepath"))))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if path.name in line]
    assert complaints == [] and done.returncode == 0, done.stderr
