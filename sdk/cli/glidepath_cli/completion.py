"""`glidepath completion`: the script that teaches a shell the command's words."""

from __future__ import annotations

import click

from .session import ExampleCommand


@click.command(cls=ExampleCommand, example='eval "$(glidepath completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "glidepath", "_GLIDEPATH_COMPLETE").source())
