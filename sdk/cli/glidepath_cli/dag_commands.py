"""`glidepath dag`: writing, registering, reading, triggering DAGs."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import advice, completion, drawing, watch
from .alert_commands import missing_channels
from .exits import Exit
from .output import (
    Column,
    cell,
    enum_name,
    moment,
    print_json,
    print_list,
    print_one,
    print_rows,
    print_table,
    proto_json,
    say,
)
from .params import merge_params, needs_schema, split_pairs
from .run_group import find_run
from .session import NUMBER, Moment, Session, command
from .words import ours

if TYPE_CHECKING:
    from glidepath import Dag
    from glidepath.client import RunOptions

_PATH = click.argument("path", type=click.Path(path_type=Path))


@click.group()
def dag() -> None:
    """DAGs and their versions: check, register, read, trigger, pause."""


def load(path: Path, wanted: tuple[str, ...] = ()) -> list[Dag]:
    """The DAGs of a file or folder, or those that are named. Says every error, and leaves when there is one."""
    from glidepath.authoring import load_dags

    with contextlib.redirect_stdout(sys.stderr):  # what a DAG file prints is talk
        loaded = load_dags(path)
    for error in loaded.errors:
        say(f"error: {error}")
    missing = sorted(set(wanted) - {each.dag_id for each in loaded.dags})
    for name in missing:
        say(f"error: {path} has no DAG {name!r}; it has: {', '.join(each.dag_id for each in loaded.dags) or 'none'}")
    if not loaded.dags and not loaded.errors:
        say(f"error: {path} has no DAG: no .py file there uses @dag of glidepath, and no .yaml file has a dag_id")
    if loaded.errors or missing or not loaded.dags:
        say("next:  correct what is named, then the same command again; nothing was done")
        raise click.exceptions.Exit(Exit.USAGE)
    return [each for each in loaded.dags if not wanted or each.dag_id in wanted]


def _each_valid(dags: list[Dag], path: Path, check: Any) -> list[Any]:
    """`check` of every DAG; all that is wrong is said before leaving."""
    from glidepath import AuthoringError, InvalidRequest

    found, wrong, asked_server = [], False, ""
    for each in dags:
        try:
            found.append(check(each))
        except (AuthoringError, InvalidRequest) as error:
            wrong = True
            asked_server = " --server" if getattr(error, "code", "") else asked_server
            say(f"error: {each.file}: DAG '{each.dag_id}': {ours(str(error))}")
    if wrong:
        say(f"next:  correct these, then: glidepath dag validate {path}{asked_server}")
        raise click.exceptions.Exit(Exit.USAGE)
    return found


@command(dag, "validate", example="glidepath dag validate dags/\nglidepath dag validate dags/ --server")
@_PATH
@click.option("--server", "ask_server", is_flag=True, help="Let the server check too; it stores nothing.")
def dag_validate(session: Session, path: Path, ask_server: bool) -> None:
    """Load DAG files and check everything that can be wrong, without a server."""
    from glidepath.authoring.convert import to_registration

    dags = load(path)
    registrations = _each_valid(dags, path, to_registration)
    if ask_server:
        for answer in _each_valid(dags, path, lambda each: session.client.register(each, validate_only=True)):
            _warn(answer)
    if session.json:
        print_json([proto_json(each.spec) for each in registrations])
        return
    print_table(
        ["DAG", "TASKS", "SOURCE BYTES", "FILE"],
        [
            (dag.dag_id, len(made.spec.tasks), len(made.bundle.archive) if made.bundle else 0, dag.file)
            for dag, made in zip(dags, registrations, strict=True)
        ],
    )


@command(dag, "register", example="glidepath dag register dags/ --alias production")
@_PATH
@click.option("--dag", "wanted", multiple=True, help="Only this DAG of the files; may be repeated.")
@click.option("--alias", "aliases", multiple=True, help="Point this alias at the version; may be repeated.")
def dag_register(session: Session, path: Path, wanted: tuple[str, ...], aliases: tuple[str, ...]) -> None:
    """Register the DAGs of a file or folder with their source. What has not changed keeps its version."""
    from glidepath.authoring.convert import to_registration

    dags = load(path, wanted)
    _each_valid(dags, path, to_registration)  # all or nothing, as far as can be seen from here
    answers = _each_valid(dags, path, lambda each: session.client.register(each, aliases=aliases))
    for answer in answers:
        _warn(answer)
    missing_channels(session, dags)
    columns = [
        ("DAG", lambda each: each.dag_version.dag_id),
        ("VERSION", lambda each: each.dag_version.dag_version_number),
        ("STATE", lambda each: "new" if each.created else "unchanged"),
        ("TASKS", lambda each: each.dag_version.task_count),
        ("HASH", lambda each: each.dag_version.content_hash[:12]),
    ]
    print_list(session.output, answers, columns, "nothing registered")


def _warn(answer: Any) -> None:
    for warning in answer.warnings:
        say(f"warning: {answer.dag_version.dag_id}: {warning}")


_DAG: list[Column] = [
    ("DAG", lambda each: each.dag_id),
    ("VERSION", lambda each: each.latest_version_number),
    ("PAUSED", lambda each: each.paused),
    ("OWNER", lambda each: each.owner),
    ("TAGS", lambda each: list(each.tags)),
    ("ALIASES", lambda each: [f"{name}={number}" for name, number in sorted(each.aliases.items())]),
    ("DESCRIPTION", lambda each: each.description),
]


@command(dag, "list", example="glidepath dag list --tag nightly")
@click.option("--tag", default="", help="Only DAGs that carry this tag.")
def dag_list(session: Session, tag: str) -> None:
    """DAGs of the namespace."""
    print_list(
        session.output, session.client.list_dags(tag=tag), _DAG, "no DAGs; register some: glidepath dag register PATH"
    )


_VERSION = click.option("--version", "number", type=NUMBER, default=None, help="Default: the latest.")
_ALIAS = click.option("--alias", default="", help="The version that this alias points at.")


@command(dag, "show", example="glidepath dag show training --alias production")
@click.argument("dag_id", shell_complete=completion.dag_ids)
@_VERSION
@_ALIAS
def dag_show(session: Session, dag_id: str, number: int | None, alias: str) -> None:
    """A DAG with the tasks and params of one version."""
    found = session.client.get_dag(dag_id)
    version = _version(session, dag_id, number, alias)
    if session.json:
        print_json({"dag": proto_json(found), "dagVersion": proto_json(version)})
        return
    print_rows(
        [
            *((name.lower(), get(found)) for name, get in _DAG),
            ("shown version", version.dag_version_number),
            ("registered", f"{cell(moment(version, 'create_time'))} by {version.created_by}"),
            ("params schema", version.spec.params_schema),
        ]
    )
    click.echo()
    mapped = any(map(drawing.map_text, version.spec.tasks))
    print_table(
        ["TASK", *(["MAPPED OVER"] if mapped else []), "ROLE", "AFTER", "RULE", "QUEUE", "RETRIES", "HANDLER"],
        [
            (
                each.task_id,
                *([drawing.map_text(each)] if mapped else []),
                enum_name(each, "role"),
                list(each.upstream_task_ids),
                enum_name(each, "trigger_rule"),
                each.policy.queue_name,
                each.policy.retry.retries_max,
                each.handler.name,
            )
            for each in version.spec.tasks
        ],
    )


@command(dag, "versions", example="glidepath dag versions training")
@click.argument("dag_id", shell_complete=completion.dag_ids)
def dag_versions(session: Session, dag_id: str) -> None:
    """Versions of a DAG, newest first."""
    columns = [
        ("VERSION", lambda each: each.dag_version_number),
        ("TASKS", lambda each: each.task_count),
        ("CREATED", lambda each: moment(each, "create_time")),
        ("BY", lambda each: each.created_by),
        ("HASH", lambda each: each.content_hash[:12]),
    ]
    print_list(session.output, session.client.list_dag_versions(dag_id), columns, "no versions")


@command(dag, "diff", example="glidepath dag diff training 3 4\nglidepath dag diff training")
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.argument("before", type=NUMBER, required=False)
@click.argument("after", type=NUMBER, required=False)
def dag_diff(session: Session, dag_id: str, before: int | None, after: int | None) -> None:
    """What differs between two versions, field by field (default: the latest and the one before)."""
    after = after or session.client.get_dag(dag_id).latest_version_number
    before = before or after - 1
    if before < 1:
        raise click.UsageError(f"{dag_id} has only one version; a diff needs two")
    found = session.client.diff_dag_versions(dag_id, before, after)
    if session.json:
        print_json([proto_json(each) for each in found])
    elif found:
        print_table(["", "FIELD", "BEFORE", "AFTER"], diff_rows(found))
        if all(_SOURCE.fullmatch(each.path) for each in found):
            say("source changed; nothing else did: tasks, what follows what, options and params are the same")
    else:
        say(f"versions {before} and {after} of {dag_id} do not differ")


_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_SOURCE = re.compile(r"tasks\.(.+)\.handler\.version")


def diff_rows(found: Iterable[Any]) -> list[tuple[str, str, str, str]]:
    """Differences as rows; tasks whose source alone changed share one, with the beginnings of the sources' hashes."""
    rows: list[tuple[str, str, str, str]] = []
    sources: dict[tuple[str, str], list[str]] = {}
    for each in found:
        task = _SOURCE.fullmatch(each.path)
        if task and each.before and each.after:
            sources.setdefault((each.before.strip('"')[:12], each.after.strip('"')[:12]), []).append(task[1])
        else:
            rows.append((_SIGNS.get(enum_name(each, "change"), "?"), ours(each.path), each.before, each.after))
    return rows + [("~", f"source of {', '.join(tasks)}", *hashes) for hashes, tasks in sources.items()]


@command(dag, "alias", example="glidepath dag alias training production 4")
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.argument("alias")
@click.argument("number", type=NUMBER, metavar="VERSION")
def dag_alias(session: Session, dag_id: str, alias: str, number: int) -> None:
    """Point an alias at a version; new runs by this alias take it."""
    _print_dag(session, session.client.set_dag_alias(dag_id, alias, number))


@command(dag, "pause", example="glidepath dag pause training")
@click.argument("dag_id", shell_complete=completion.dag_ids)
def dag_pause(session: Session, dag_id: str) -> None:
    """Start no further attempt of any run of the DAG; running ones go on."""
    _print_dag(session, session.client.pause_dag(dag_id))


@command(dag, "unpause", example="glidepath dag unpause training")
@click.argument("dag_id", shell_complete=completion.dag_ids)
def dag_unpause(session: Session, dag_id: str) -> None:
    """Let a paused DAG go on."""
    _print_dag(session, session.client.unpause_dag(dag_id))


@dag.group("cache")
def dag_cache() -> None:
    """Kept results of tasks that are cached."""


@command(dag_cache, "clear", example="glidepath dag cache clear training\nglidepath dag cache clear training features")
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.argument("task_id", default="")
def dag_cache_clear(session: Session, dag_id: str, task_id: str) -> None:
    """Forget what is kept of a DAG's tasks, or of one: equal calls run anew."""
    count = session.client.clear_dag_cache(dag_id, task_id)
    if session.json:
        print_json({"resultsCleared": count})
        return
    say(f"forgot {count} result{'' if count == 1 else 's'} of {dag_id}{f', task {task_id}' if task_id else ''}")


@command(dag, "graph", example="glidepath dag graph training\nglidepath dag graph dags/training.py --format mermaid")
@click.argument("dag_id", metavar="DAG_ID|FILE", shell_complete=completion.dag_ids)
@_VERSION
@_ALIAS
@click.option("--format", "kind", type=click.Choice(["text", "mermaid", "dot"]), default="text", show_default=True)
def dag_graph(session: Session, dag_id: str, number: int | None, alias: str, kind: str) -> None:
    """Draw the tasks and what follows what, of a registered DAG or of a file. With -o json, the edges."""
    if dag_id.endswith((".py", ".yaml", ".yml")):
        from glidepath.authoring.convert import to_spec

        specs = [to_spec(each, None) for each in load(Path(dag_id))]
    else:
        specs = [_version(session, dag_id, number, alias).spec]
    tasks = [[(task.task_id, drawing.upstreams(task)) for task in spec.tasks] for spec in specs]
    if session.json:
        print_json(
            [
                {"dagId": spec.dag_id, "tasks": [{"taskId": name, "upstreamTaskIds": ups} for name, ups in each]}
                for spec, each in zip(specs, tasks, strict=True)
            ]
        )
        return
    for each in tasks:
        click.echo(drawing.draw(each, kind))


@command(dag, "trigger", example="glidepath dag trigger training --param day=2026-01-31 --param rate=0.1 --wait")
@click.argument("dag_id", shell_complete=completion.dag_ids)
@click.option(
    "-p",
    "--param",
    "pairs",
    multiple=True,
    metavar="NAME=VALUE",
    help="JSON, or text where the DAG's schema wants text; may be repeated.",
)
@click.option("--params-file", type=click.File(), help="A JSON object with params; - reads stdin.")
@click.option("--run-key", default="", help="Unique per DAG: the same key again gives the run that exists.")
@click.option("--logical-date", type=Moment(), default=None, help="The instant the run stands for. Default: now.")
@click.option(
    "--like",
    metavar="RUN_ID",
    default="",
    help="With the params, logical date and data interval of this run of the DAG.",
)
@click.option("--no-cache", is_flag=True, help="Cached tasks run anew, and what they give replaces what is kept.")
@click.option("--pause-at", "pause_at", multiple=True, metavar="TASK", help="Paused at this task; may be repeated.")
@click.option("--only", multiple=True, metavar="TASK", help="Only this task of the DAG; may be repeated.")
@click.option("--with-upstream", is_flag=True, help="With --only: and all that comes before.")
@click.option("--with-downstream", is_flag=True, help="With --only: and all that comes after.")
@_VERSION
@_ALIAS
@watch.waiting
def dag_trigger(
    session: Session,
    dag_id: str,
    pairs: tuple[str, ...],
    params_file: Any,
    run_key: str,
    logical_date: str | None,
    like: str,
    no_cache: bool,
    pause_at: tuple[str, ...],
    only: tuple[str, ...],
    with_upstream: bool,
    with_downstream: bool,
    number: int | None,
    alias: str,
    wait: bool,
    timeout: float | None,
) -> None:
    """Create a run of a DAG, also --like an earlier one: on the latest version, or on the one that is named."""
    if number and alias:
        raise click.UsageError("--version and --alias are both given; a run has one version")
    if (with_upstream or with_downstream) and not only:
        raise click.UsageError("--with-upstream and --with-downstream say what comes along with --only TASK")
    pattern = _pattern(session, dag_id, like) if like else {}
    texts = split_pairs(pairs)
    schema = _version(session, dag_id, number, alias).spec.params_schema if needs_schema(texts) else ""
    given = merge_params(params_file.read() if params_file else "", texts, schema)
    options: RunOptions = {**pattern, "params": {**pattern.get("params", {}), **given}}
    if run_key:
        options["run_key"] = run_key
    if logical_date:
        options["logical_date"] = logical_date
    if number:
        options["version"] = number
    if alias:
        options["alias"] = alias
    if no_cache:
        options["refresh_cache"] = True
    if pause_at:
        options["pause_at"] = pause_at
    if only:
        options |= {"only": only, "only_with_upstream": with_upstream, "only_with_downstream": with_downstream}
    made = session.client.trigger(dag_id, **options)
    if not made.created:
        say(f"run key {made.run_key} exists already: this is its run")
    if warning := advice.paused(session.client, dag_id):
        say(warning)
    if not wait:
        print_one(
            session.output,
            made,
            [
                ("run", made.dag_run_id),
                ("key", made.run_key),
                ("version", made.dag_version_number),
                ("created", made.created),
            ],
        )
        say(f"next:  glidepath run watch {made.dag_run_id}")
        return
    watch.wait(session, made.dag_run_id, timeout)


def _pattern(session: Session, dag_id: str, like: str) -> RunOptions:
    """What a run was created with, for another one of its DAG."""
    found = session.client.get_dag_run(find_run(session.client, like))
    if found.dag_id != dag_id:
        raise click.UsageError(f"--like: run {found.dag_run_id} is one of DAG {found.dag_id}, not of {dag_id}")
    return {
        "params": json.loads(found.params or "{}"),
        "logical_date": found.logical_date.ToJsonString(),
        "data_interval_start": found.data_interval_start.ToJsonString(),
        "data_interval_end": found.data_interval_end.ToJsonString(),
    }


def _version(session: Session, dag_id: str, number: int | None, alias: str) -> Any:
    if number and alias:
        raise click.UsageError("--version and --alias are both given; one names the version")
    return session.client.get_dag_version(dag_id, number, alias=alias)


def _print_dag(session: Session, found: Any) -> None:
    print_one(session.output, found, [(name.lower(), get(found)) for name, get in _DAG])
