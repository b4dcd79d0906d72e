"""`glidepath completion`: the script that teaches a shell the command's words, and the names that a server knows.

Names come from the server that the line means. Whoever presses Tab wants no error: without an answer there are none.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

import click

from .session import ExampleCommand

if TYPE_CHECKING:
    from glidepath.client import Client

NAMES_MAX = 200
ANSWER_SECONDS = 2.0
Complete = Callable[[click.Context, click.Parameter, str], list[str]]


@click.command(
    cls=ExampleCommand,
    example="""eval "$(glidepath completion bash)"          # in ~/.bashrc
eval "$(glidepath completion zsh)"           # in ~/.zshrc, after compinit
glidepath completion fish > ~/.config/fish/completions/glidepath.fish""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell; its start-up file evaluates it."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "glidepath", "_GLIDEPATH_COMPLETE").source())


def _from_server(names: Callable[[Client, click.Context], Iterable[str]]) -> Complete:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        warnings.simplefilter("ignore")
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            from glidepath.client import Client

            where, space = ctx.params.get("address") or "", ctx.params.get("namespace") or ""
            with Client(where, namespace=space, timeout=ANSWER_SECONDS) as client:
                found = (name for name in names(client, ctx) if name.startswith(incomplete))
                return list(islice(dict.fromkeys(found), NAMES_MAX))
        except Exception:
            return []

    return complete


dag_ids = _from_server(lambda client, _: (each.dag_id for each in client.list_dags()))
pool_names = _from_server(lambda client, _: (each.pool_name for each in client.list_pools()))
limit_names = _from_server(lambda client, _: (each.limit_name for each in client.list_limits()))
channel_names = _from_server(lambda client, _: (each.channel_name for each in client.list_alert_channels()))
schedule_names = _from_server(
    lambda client, ctx: (
        each.declaration.schedule_name for each in client.list_schedules(ctx.params.get("dag_id") or "")
    )
)
namespaces = _from_server(lambda client, _: client.list_namespaces())
run_ids = _from_server(lambda client, _: ["last", *(each.dag_run_id for each in islice(client.list_dag_runs(), 50))])

backfill_ids = _from_server(lambda client, _: (each.backfill_id for each in client.list_backfills(include_ended=True)))


def _tasks(client: Client, ctx: click.Context) -> Iterable[str]:
    from .run_group import find_run

    run_id = find_run(client, ctx.params.get("run_id") or "")
    return (each.task_id for each in client.list_task_instances(run_id))


task_ids = _from_server(_tasks)
