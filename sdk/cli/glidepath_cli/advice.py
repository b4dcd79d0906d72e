"""What to do next about a run: commands, with what a person should know of them behind "  # "."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glidepath.client import Client

PARAMS_CHARACTERS_MAX = 200


def lines(step: str) -> list[str]:
    """The command alone on its line, so that every shell takes it as it is, and below it what to know of it."""
    command, _, note = step.partition("  # ")
    return [command, f"  ({note})"] if note else [command]


def paused(client: Client, dag_id: str) -> str:
    """A warning when no run of the DAG goes on, "" otherwise."""
    if not client.get_dag(dag_id).paused:
        return ""
    return f"warning: {dag_id} is paused: its runs wait until: glidepath dag unpause {dag_id}"


def newer_version(client: Client, run: Any) -> str:
    """What there is to say about versions to somebody who lets a run go on, "" when it has the latest."""
    latest = client.get_dag(run.dag_id).latest_version_number
    if latest <= run.dag_version_number:
        return ""
    return (
        f"the run stays on version {run.dag_version_number}; version {latest} is registered, a new run has it: "
        f"{_trigger(client, run)}"
    )


def after_failure(client: Client, run: Any) -> list[str]:
    """Commands for a run that did not succeed: look, then the same code again, or other code."""
    own, latest = run.dag_version_number, client.get_dag(run.dag_id).latest_version_number
    trigger = _trigger(client, run)
    return [
        f"glidepath run logs {run.dag_run_id}",
        f"glidepath run rerun {run.dag_run_id}  # what failed, again; the run stays on version {own}",
        f"{trigger}  # a new run, of version {latest}"
        if latest > own
        else f"glidepath dag register PATH && {trigger}  # changed code: it takes a new version and a new run",
    ]


def _trigger(client: Client, run: Any) -> str:
    """The command that makes a run with the same params; those that are the version's defaults are left out."""
    params = json.loads(run.params or "{}")
    schema = client.get_dag_version(run.dag_id, run.dag_version_number).spec.params_schema
    properties = json.loads(schema).get("properties", {}) if schema else {}
    chosen = {
        name: value
        for name, value in params.items()
        if "default" not in (known := properties.get(name) or {}) or known["default"] != value
    }
    options = [word for name, value in chosen.items() for word in ("--param", f"{name}={_text(value)}")]
    command = shlex.join(["glidepath", "dag", "trigger", run.dag_id, *options])
    return (
        command if len(command) <= PARAMS_CHARACTERS_MAX else f"glidepath dag trigger {run.dag_id} --params-file FILE"
    )


def _text(value: Any) -> str:
    """As --param reads it: JSON, or text that is none."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)
