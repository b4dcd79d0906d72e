"""What runs leave beside their outputs: `run xcoms`, `run artifacts`, `artifact lineage`, `dag metrics`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from . import completion, tree
from .dag_commands import dag
from .output import Column, cell, enum_name, moment, print_json, print_list, print_rows, print_table, proto_json, say
from .run_group import run_command
from .session import Session, command

DIGEST_SHOWN = 12
_LAST = click.IntRange(1, 100)


@run_command("xcoms", example="glidepath run xcoms RUN_ID\nglidepath run xcoms last -o json")
def run_xcoms(session: Session, run_id: str) -> None:
    """The small values that the tasks of a run pushed beside their outputs."""
    columns: list[Column] = [
        ("TASK", lambda each: tree.label(each.attempt)),
        ("KEY", lambda each: each.key),
        ("VALUE", lambda each: each.value),
        ("ATTEMPT", lambda each: each.attempt.attempt_number),
    ]
    nothing = "no task of this run that succeeded has pushed a value"
    print_list(session.output, session.client.list_xcoms(run_id), columns, nothing)


_ARTIFACT: list[Column] = [
    ("TYPE", lambda each: each.use.artifact.type),
    ("NAME", lambda each: each.use.artifact.name),
    ("BYTES", lambda each: each.use.artifact.size_bytes),
    ("SHA256", lambda each: each.use.artifact.sha256[:DIGEST_SHOWN]),
    ("URI", lambda each: each.use.artifact.uri),
]


@run_command("artifacts", example="glidepath run artifacts RUN_ID")
def run_artifacts(session: Session, run_id: str) -> None:
    """Which artifacts the tasks of a run read and wrote."""
    columns = [("TASK", lambda each: tree.label(each.attempt)), ("", _word), *_ARTIFACT]
    nothing = "no task of this run that succeeded has read or written an artifact"
    print_list(session.output, session.client.list_artifact_uses(run_id), columns, nothing)


@click.group()
def artifact() -> None:
    """Artifacts: who wrote and who read them, over all runs."""


@command(artifact, "lineage", example="glidepath artifact lineage s3://models/churn.bin --depth 3")
@click.argument("artifact_id", metavar="URI|SHA256")
@click.option("--depth", type=click.IntRange(1, 10), default=1, show_default=True, help="Steps up and down.")
def artifact_lineage(session: Session, artifact_id: str, depth: int) -> None:
    """Who wrote an artifact and who read it, what it was made from and what was made from it."""
    found = session.client.get_artifact_lineage(artifact_id, depth=depth)
    if session.json:
        print_json(proto_json(found))
        return
    newest = found.uses[0].use.artifact
    print_rows([("type", newest.type), ("name", newest.name), ("sha256", newest.sha256), ("uri", newest.uri)])
    _print_uses("WRITTEN BY", [each for each in found.uses if _word(each) == "write"])
    _print_uses("READ BY", [each for each in found.uses if _word(each) == "read"])
    _print_steps("MADE FROM", found.upstream)
    _print_steps("MADE INTO", found.downstream)
    if found.truncated:
        say("there is more than is shown; look at one of these to go on from there")


def _print_uses(title: str, uses: list[Any]) -> None:
    if uses:
        click.echo()
        print_table(
            [title, "DAG", "RUN", "ATTEMPT", "TIME"],
            [
                (
                    tree.label(each.attempt),
                    each.dag_id,
                    each.attempt.dag_run_id,
                    each.attempt.attempt_number,
                    _time(each),
                )
                for each in uses
            ],
        )


def _print_steps(title: str, steps: Iterable[Any]) -> None:
    rows = [
        (
            each.distance,
            *(get(each.use) for _, get in _ARTIFACT),
            tree.label(each.use.attempt),
            each.use.attempt.dag_run_id,
        )
        for each in steps
    ]
    if rows:
        click.echo()
        print_table([title, *(name for name, _ in _ARTIFACT), "TASK", "RUN"], rows)


@command(dag, "metrics", example="glidepath dag metrics training --last 5")
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.option("--last", "runs", type=_LAST, default=10, show_default=True, help="So many of its newest runs.")
def dag_metrics(session: Session, dag_id: str, runs: int) -> None:
    """The numbers that a DAG's newest runs saved as metrics, run by run."""
    found = session.client.list_metrics(dag_id, runs=runs)
    if session.json:
        print_json([proto_json(each) for each in found])
    elif found:
        print_table(*metrics_table(found))
    else:
        say(f"the newest {runs} runs of {dag_id} saved no metrics; a task does so with current().save_metrics(...)")


def metrics_table(metrics: Iterable[Any]) -> tuple[list[str], list[list[object]]]:
    """One row per run, one column per number; what has several rows of a name is told apart by its task."""
    found = list(metrics)
    several = len({(each.attempt.task_id, each.name) for each in found}) > 1
    runs: dict[str, dict[str, object]] = {}
    first: dict[str, Any] = {}
    for each in found:
        row = runs.setdefault(each.attempt.dag_run_id, {})
        first.setdefault(each.attempt.dag_run_id, each)
        prefix = f"{tree.label(each.attempt)}." if several else ""
        row.update({f"{prefix}{name}": f"{number:.6g}" for name, number in each.numbers.items()})
    names = sorted({name for row in runs.values() for name in row})
    rows = [
        [run_id, first[run_id].dag_version_number, _time(first[run_id]), *(row.get(name, "") for name in names)]
        for run_id, row in runs.items()
    ]
    return ["RUN", "VERSION", "TIME", *names], rows


def _word(stored: Any) -> str:
    return enum_name(stored.use, "direction")


def _time(stored: Any) -> str:
    return cell(moment(stored, "time"))
