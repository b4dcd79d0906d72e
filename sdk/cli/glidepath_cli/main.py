"""The `glidepath` command. Importing it imports click and nothing heavier: what a verb needs, it imports itself."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import click

from . import exits, schedule_commands, schedule_preview  # noqa: F401 - the last two are here for the commands they add
from .admin_commands import audit, dead_letters, incidents, namespace, pool, token, workers
from .alert_commands import alert, plugin
from .approval_commands import approval
from .backfill_commands import backfill
from .capacity_commands import limit
from .completion import completion
from .dag_commands import dag
from .deadline_commands import deadline
from .doctor import doctor
from .output import say
from .run_commands import run
from .schedule_group import schedule
from .server_verbs import db, server, up, worker
from .session import Session
from .task_commands import task
from .value_commands import artifact
from .words import ours

_ENVIRONMENT = """\
  GLIDEPATH_ADDRESS                  host:port of the server
  GLIDEPATH_TOKEN, GLIDEPATH_TOKEN_FILE
  GLIDEPATH_NAMESPACE, GLIDEPATH_CA_FILE
  GLIDEPATH_HOME                     the folder of `glidepath up` (default: .glidepath here or above)
  NO_COLOR                           no colours
  GLIDEPATH_DEBUG                    tracebacks of errors"""


class Root(click.Group):
    """The top: orders the commands by use, explains exit codes, turns errors into them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, text in (("Environment", _ENVIRONMENT), ("Exit codes", exits.table())):
            with formatter.section(title):
                formatter.write(text + "\n")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except (KeyboardInterrupt, click.Abort):
            raise click.exceptions.Exit(exits.Exit.INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError):
                raise
            if os.environ.get("GLIDEPATH_DEBUG"):
                traceback.print_exc()
            raise click.exceptions.Exit(_tell(error, ctx.obj)) from error


def _tell(error: Exception, session: Session | None) -> exits.Exit:
    code, step = session.verdict(error) if session is not None else exits.verdict(error)
    text = ours(str(error) or type(error).__name__)
    say(f"error: {text}")
    if step and step not in text:
        say(f"next:  {step}")
    return code


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glidepath-cli", prog_name="glidepath")
def cli() -> None:
    """Run DAGs with Glidepath: start a server here, register DAGs, follow their runs.

    First steps: `glidepath up` in one terminal; in another `glidepath dag register dags/`, then
    `glidepath dag trigger DAG_ID` and `glidepath run watch RUN_ID`. Data goes to stdout, talk to stderr;
    `-o json` prints data for programs.
    """


for _command in (
    up,
    dag,
    task,
    run,
    deadline,
    schedule,
    backfill,
    approval,
    alert,
    plugin,
    artifact,
    doctor,
    workers,
    pool,
    limit,
    namespace,
    token,
    audit,
    incidents,
    dead_letters,
    worker,
    server,
    db,
    completion,
):
    cli.add_command(_command)


def main() -> None:
    """The entry point of the distribution."""
    sys.exit(cli(prog_name="glidepath"))
