"""Wrong calls about when runs will end, in the scene of wrong_calls.py."""

from __future__ import annotations

from wrong_calls import NOWHERE, Code, WrongCall

WRONG_ETA = (
    WrongCall(
        "when an unknown run will end",
        "GetRunEta",
        {"dag_run_id": NOWHERE},
        Code.NOT_FOUND,
        f"there is no run {NOWHERE} in namespace 'default' (list the runs of the DAG to find it)",
    ),
    WrongCall(
        "when a run will end that is named by no id",
        "GetRunEta",
        {"dag_run_id": "first"},
        Code.INVALID_ARGUMENT,
        "dag_run_id: got 'first', expected a UUID like 01890a5d-ac96-774b-bcce-b302099a8057",
    ),
)
