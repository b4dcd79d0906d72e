"""What a backfill fills while its server is killed: quick, and on some dates it fails the first time."""

from pathlib import Path

from glidepath import current, dag, task


@task(isolation="inline")
def fill(folder: str) -> None:
    attempt = current()
    with Path(folder, f"{attempt.logical_date:%m%d}.begun").open("a") as file:
        file.write(f"{attempt.attempt_number}\n")
    if Path(folder, "broken").exists():
        raise ValueError("the source is away")


@dag
def filled(folder: str) -> None:
    fill(folder)
