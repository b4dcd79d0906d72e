"""The group of `glidepath schedule`; its commands are in files of their own."""

from __future__ import annotations

import click


@click.group()
def schedule() -> None:
    """Schedules: when DAGs run by themselves."""
