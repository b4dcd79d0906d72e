"""A chain of one task of each kind; the bodies write the ledger that the checker reads (tests/checker/journals.py)."""

from ledger_note import note

from glidepath import dag, task


def whole(folder: str) -> str:
    note(folder, "start")
    note(folder, "end")
    return folder


@task(lease_mode="exclusive", cancel_grace=0)
def alone(folder: str) -> str:
    return whole(folder)


@task
def forked(folder: str) -> str:
    return whole(folder)


@task(isolation="inline")
def inline(folder: str) -> str:
    return whole(folder)


@dag(dag_id="crossing", include=["ledger_note.py"])
def crossing(folder: str) -> None:
    inline(forked(alone(folder)))
