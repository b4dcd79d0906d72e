"""The task that `forking.rehearse` runs. In a folder of its own, as registered source is."""

from glidepath import task


@task
def nothing() -> None:
    """Do nothing, like a task of a DAG file."""
