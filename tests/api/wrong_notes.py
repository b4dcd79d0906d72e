"""Wrong calls about notes of runs, in the scene of wrong_calls.py."""

from __future__ import annotations

from wrong_calls import NOWHERE, Code, WrongCall

WRONG_NOTES = (
    WrongCall(
        "a note without a text",
        "AddNote",
        {"dag_run_id": "{run}", "text": "  "},
        Code.INVALID_ARGUMENT,
        "text: got nothing, expected 1 to 4000 characters",
    ),
    WrongCall(
        "notes of an unknown run",
        "ListNotes",
        {"dag_run_id": NOWHERE},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
)
