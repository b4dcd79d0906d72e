"""`glidepath task`: trying one task of a DAG here, without a server."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .dag_commands import load
from .exits import Exit
from .output import print_json, print_table, printable, say, span
from .params import merge_params, split_pairs
from .session import local_command

if TYPE_CHECKING:
    from glidepath import Dag
    from glidepath.testing import Verification, VerifiedAttempt


@click.group()
def task() -> None:
    """One task of a DAG, tried here: is it safe to run again?"""


_VERDICTS = {
    "same": "the same each time: output, artifacts and files. What it does outside of its folder was not looked at",
    "differs": "not the same each time: a retry would leave something else than the first attempt",
    "failed": "the task failed, so there is nothing to compare",
}


@local_command(
    task,
    "verify",
    example="glidepath task verify dags/training.py train --param day=2026-01-31 --input 'extract={\"rows\": 3}'\n"
    "glidepath task verify dags/training.py load --ignore 'rows.*.elapsed'",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("task_id")
@click.option("--dag", "dag_id", default="", help="The DAG, where the file has several.")
@click.option(
    "-p", "--param", "pairs", multiple=True, metavar="NAME=VALUE", help="A param of the run; may be repeated."
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="TASK=JSON",
    help="The output of an upstream task, which is not run then; may be repeated.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATH",
    help="What may differ in the output: keys and positions with dots, * for any; may be repeated.",
)
@click.option("--runs", type=click.IntRange(2, 100), default=2, show_default=True, help="How often to run the task.")
@click.option("--keep", is_flag=True, help="Leave the scratch folder and say where it is.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How to print data.")
def task_verify(
    file: Path,
    task_id: str,
    dag_id: str,
    pairs: tuple[str, ...],
    inputs: tuple[str, ...],
    ignore: tuple[str, ...],
    runs: int,
    keep: bool,
    output: str,
) -> None:
    """Run a task twice in a scratch folder, as an attempt and its retry, and show what was not the same.

    Each attempt is a new interpreter with that folder as current folder, HOME and TMPDIR. Upstream tasks are run
    once for their outputs, unless --input gives them. What the task does elsewhere, it does: twice.
    """
    given = _split_inputs(inputs)
    texts = split_pairs(pairs)
    dag = _the_dag(file, dag_id)
    params = merge_params("", texts, json.dumps(dag.params_schema))
    scratch = tempfile.mkdtemp(prefix="glidepath-verify-") if keep else ""
    try:
        found = _verify(dag, task_id, params, given, runs, ignore, scratch)
    finally:
        if os.path.exists(scratch):
            say(f"scratch folder: {scratch}")
    if output == "json":
        print_json(_as_json(found, scratch))
    else:
        _show(found)
    if found.verdict != "same":
        raise click.exceptions.Exit(Exit.FAILED)


def _split_inputs(pairs: Sequence[str]) -> dict[str, Any]:
    """TASK=JSON texts by task id; all that are wrong are told at once."""
    found: dict[str, Any] = {}
    wrong = []
    for pair in pairs:
        task_id, equals, text = pair.partition("=")
        if not (task_id and equals):
            wrong.append(f"--input {pair!r}: expected TASK=JSON, such as --input 'extract={{\"rows\": 3}}'")
            continue
        try:
            found[task_id] = json.loads(text)
        except ValueError as error:
            wrong.append(f"--input {task_id}: {text!r:.80} is not JSON ({error}); text is written '\"text\"'")
    if wrong:
        raise click.UsageError("\n".join(wrong))
    return found


def _the_dag(file: Path, dag_id: str) -> Dag:
    dags = load(file, (dag_id,) if dag_id else ())
    if len(dags) > 1:
        names = ", ".join(each.dag_id for each in dags)
        raise click.UsageError(f"{file} has several DAGs: {names}; name one: --dag {dags[0].dag_id}")
    return dags[0]


def _verify(
    dag: Dag,
    task_id: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, Any],
    runs: int,
    ignore: Sequence[str],
    scratch: str,
) -> Verification:
    from glidepath.testing import CannotVerify, UpstreamFailed, verify_task

    try:
        return verify_task(
            dag, task_id, params, inputs=inputs, runs=runs, ignore=ignore, scratch=scratch or None, fresh=True
        )
    except CannotVerify as error:
        for problem in error.problems:
            say(f"error: {problem}")
        say(
            "next:  correct what is named; --param NAME=VALUE gives a param, --input TASK=JSON the output of an "
            "upstream task; nothing was run"
        )
        if scratch:
            os.rmdir(scratch)
        raise click.exceptions.Exit(Exit.USAGE) from None
    except UpstreamFailed as error:
        _say_log(f"{error.task_id} wrote", error.log)
        say(f"error: {printable(str(error))}")
        say(f"next:  correct it, or give its output: --input {error.task_id}=JSON")
        raise click.exceptions.Exit(Exit.FAILED) from None


def _show(found: Verification) -> None:
    print_table(
        ["ATTEMPT", "STATE", "TOOK", "OUTPUT", "ARTIFACTS", "FILES"],
        [
            (
                each.attempt_number,
                each.end,
                span(each.duration_seconds),
                each.output_sha256[:12] or "none",
                len(each.artifacts),
                len(each.files),
            )
            for each in found.attempts
        ],
    )
    if found.differences:
        click.echo()
        print_table(
            ["ATTEMPT", "WHAT", "WHERE", "DIFFERENCE"],
            [(each.attempt_number, each.kind, each.path, each.text) for each in found.differences],
        )
    for each in found.attempts:
        if each.failed:
            _say_failure(each)
    for note in found.notes:
        say(f"note:  {printable(note)}")
    click.echo()
    click.echo(f"{found.task_id}: {_VERDICTS[found.verdict]}")
    for advice in found.advice:
        say(f"next:  {advice}")


def _say_failure(attempt: VerifiedAttempt) -> None:
    _say_log(f"attempt {attempt.attempt_number} wrote", attempt.log)
    trace = attempt.failure.stack_trace.rstrip() if attempt.failure else ""
    say(f"error: attempt {attempt.attempt_number}: {printable(trace or attempt.reason)}")


def _say_log(title: str, log: str) -> None:
    if log.strip():
        say(f"{title}:")
        for line in log.splitlines():
            say(f"  {printable(line)}")


def _as_json(found: Verification, scratch: str) -> dict[str, Any]:
    return {
        "dagId": found.dag_id,
        "taskId": found.task_id,
        "verdict": found.verdict,
        "attempts": [_attempt_as_json(each) for each in found.attempts],
        "differences": [
            {**_camel(asdict(each)), "text": each.text, "advice": each.advice} for each in found.differences
        ],
        "advice": found.advice,
        "upstreams": list(found.upstreams),
        "notes": list(found.notes),
        "scratch": scratch,
    }


def _attempt_as_json(attempt: VerifiedAttempt) -> dict[str, Any]:
    """Bytes of an output are base64, as in the protocol's own JSON."""
    fields = _camel(asdict(attempt))
    if isinstance(attempt.output, bytes):
        fields["output"] = base64.b64encode(attempt.output).decode()
    failure = attempt.failure
    fields["failure"] = failure and {
        "type": failure.type,
        "message": failure.message,
        "stackTrace": failure.stack_trace,
        "kind": failure.kind,
    }
    fields["artifacts"] = [{**_camel(asdict(each)), "sha256": each.sha256} for each in attempt.artifacts]
    fields["files"] = [_camel(asdict(each)) for each in attempt.files]
    return fields


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    def name(field: str) -> str:
        first, *rest = field.split("_")
        return first + "".join(each.capitalize() for each in rest)

    return {name(field): value for field, value in fields.items()}
