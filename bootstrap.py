#!/usr/bin/env python3
"""Make the virtual environments that this repository is worked in. Standard library only; run it as often as you like.

    python3 bootstrap.py                  .venv with all distributions, the tools and what the demo needs
    python3 bootstrap.py demo             .venv without the development tools
    python3 bootstrap.py codegen          .venv-codegen: the protobuf compiler that the generated code is made with

Every version comes from constraints.txt. A stamp beside each environment records the inputs it was made from, so a run
that has nothing to do takes milliseconds. Exit code 0 means that the environment is ready; else the last line says what
to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "constraints.txt"
PYPROJECTS = [
    ROOT / "pyproject.toml",
    *(
        ROOT / room / "pyproject.toml"
        for room in ("sdk/python", "plugins/api", "plugins/alert_email", "plugins/alert_webhook", "server", "sdk/cli")
    ),
]
DISTRIBUTIONS = [
    "sdk/python",
    "plugins/api",
    "plugins/alert_email",
    "plugins/alert_webhook",
    "server[alerts,embedded,otlp]",
    "sdk/cli[server]",
]
GROUPS = ("dev", "demo", "codegen")
PYTHON_MIN = (3, 11)


class BootstrapError(Exception):
    """Something is missing; the message says what to do about it."""


def main(arguments: list[str]) -> int:
    try:
        check_python()
        groups = check_groups(arguments or ["dev", "demo"])
        with (ROOT / ".bootstrap.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if "codegen" in groups:
                ensure(ROOT / ".venv-codegen", ["codegen"], [])
            if wanted := [group for group in groups if group != "codegen"]:
                ensure(ROOT / ".venv", wanted, DISTRIBUTIONS)
    except BootstrapError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 1
    return 0


def check_python() -> None:
    if sys.version_info < PYTHON_MIN:
        have = ".".join(map(str, sys.version_info[:3]))
        raise BootstrapError(f"this is Python {have}; run it with Python 3.11 or later")


def check_groups(groups: list[str]) -> list[str]:
    for group in groups:
        if group not in GROUPS:
            raise BootstrapError(f"group {group!r} is not one of {', '.join(GROUPS)}")
    return groups


def ensure(venv: Path, groups: list[str], distributions: list[str]) -> None:
    """Bring `venv` up to date. Groups installed earlier stay in, so that `demo` after `dev` has nothing to do."""
    stamp = venv / "bootstrap-stamp"
    recorded, *installed = stamp.read_text().split() if stamp.exists() else [""]
    fingerprint = hash_inputs()
    usable = recorded == fingerprint and (venv / "bin" / "python").exists()
    if usable and set(groups) <= set(installed):
        say(f"{venv.name} is up to date")
        return
    groups = sorted({*groups, *installed})
    make_venv(venv)
    install(venv, requirements(groups), distributions)
    stamp.write_text(" ".join([fingerprint, *groups]) + "\n")
    say(f"{venv.name} is ready ({', '.join(groups)})")


def hash_inputs() -> str:
    """Any Python from 3.11 on will do, so which one made the environment is not an input; where it stands is."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in [Path(__file__), CONSTRAINTS, *PYPROJECTS]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def requirements(groups: list[str]) -> list[str]:
    import tomllib  # new in 3.11: an older Python must get as far as check_python's message

    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return [requirement for group in groups for requirement in tables[group]]


def make_venv(venv: Path) -> None:
    """Debian ships Python without ensurepip, and then `venv` can only make an environment without pip."""
    if stands(venv):
        return
    shutil.rmtree(venv, ignore_errors=True)
    say(f"making {venv.name} with Python {'.'.join(map(str, sys.version_info[:3]))}")
    without_pip = shutil.which("uv") is not None or importlib.util.find_spec("ensurepip") is None
    run([sys.executable, "-m", "venv", *(["--without-pip"] if without_pip else []), str(venv)])


def stands(venv: Path) -> bool:
    """Whether it was made here and its Python is still there. Its scripts hold absolute paths: it cannot be moved."""
    config = venv / "pyvenv.cfg"
    return (venv / "bin" / "python").exists() and config.exists() and str(venv) in config.read_text()


def install(venv: Path, needed: list[str], distributions: list[str]) -> None:
    editable = [part for room in distributions for part in ("--editable", room)]
    say(f"installing {len(needed)} tools and {len(distributions)} distributions into {venv.name}")
    pins = ["--constraint", str(CONSTRAINTS)] if distributions else []  # the codegen group pins its own
    run([*installer(venv), *pins, *needed, *editable])


def installer(venv: Path) -> list[str]:
    """The first of these that exists: uv, the environment's own pip, this Python's pip installing over there."""
    python = str(venv / "bin" / "python")
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", python]
    options = ["install", "--quiet", "--disable-pip-version-check"]
    if list(venv.glob("lib/python*/site-packages/pip")):
        return [python, "-m", "pip", *options]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", python, *options]
    raise BootstrapError(
        "found neither uv nor pip; install one of them (Debian: apt install python3-venv) and run this again"
    )


def run(command: list[str]) -> None:
    """Other environments must not leak in: an active virtualenv or PYTHONPATH changes what is installed where."""
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    environment["PIP_ROOT_USER_ACTION"] = "ignore"
    finished = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if finished.returncode:
        raise BootstrapError(
            f"this failed with exit code {finished.returncode}, its reason is above: {' '.join(command)}"
        )


def say(text: str) -> None:
    print(f"bootstrap: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
