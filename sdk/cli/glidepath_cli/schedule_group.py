"""The group of `glidepath schedule`, whose commands are in files of their own, and the options that they share."""

from __future__ import annotations

import zoneinfo

import click


@click.group()
def schedule() -> None:
    """Schedules: when DAGs run by themselves."""


def zones(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Completion of zones, whatever the case of what was typed."""
    return sorted(each for each in zoneinfo.available_timezones() if each.lower().startswith(incomplete.lower()))


def _given(ctx: click.Context, param: click.Parameter, value: str) -> str:
    # Not click's own `required`: the reader is to hear what a zone looks like.
    if not value and not ctx.resilient_parsing:
        raise click.UsageError(
            "--zone is missing; expected the name of an IANA zone: --zone Asia/Kolkata, or --zone UTC", ctx
        )
    return value


zone_option = click.option(
    "--zone", default="", callback=_given, shell_complete=zones, help="IANA zone: Asia/Kolkata, UTC. Must be given."
)
