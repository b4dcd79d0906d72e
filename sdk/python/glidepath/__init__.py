"""Glidepath's SDK for Python: write DAGs, talk to the server, run workers, test without either.

What most DAG files need is here; the rest is in `glidepath.client`, `glidepath.worker` and `glidepath.testing`.
Importing this package imports no network library; `Client` and `AsyncClient` do when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from glidepath.authoring import (
    Continuous,
    Cron,
    Dag,
    Dates,
    Deadline,
    Every,
    Handle,
    approval,
    call_dag,
    dag,
    dated,
    external,
    group,
    literal,
    load_dags,
    loop,
    shell,
    task,
)
from glidepath.errors import (
    AlreadyExists,
    AuthoringError,
    GlidepathError,
    InputError,
    InvalidDag,
    InvalidRequest,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    RpcError,
    StateConflict,
    TemplateError,
    Unauthenticated,
    Unavailable,
    Violation,
    WaitTimeout,
)

if TYPE_CHECKING:
    from glidepath.artifacts import Artifact, Dataset, File, Metrics, Model
    from glidepath.client import AsyncClient, Client
    from glidepath.worker import Call, Defer, Fail, Retry, Skip, current

__all__ = [
    "AlreadyExists",
    "Artifact",
    "AsyncClient",
    "AuthoringError",
    "Call",
    "Client",
    "Continuous",
    "Cron",
    "Dag",
    "Dataset",
    "Dates",
    "Deadline",
    "Defer",
    "Every",
    "Fail",
    "File",
    "GlidepathError",
    "Handle",
    "InputError",
    "InvalidDag",
    "InvalidRequest",
    "LimitExceeded",
    "Metrics",
    "Model",
    "NotFound",
    "PermissionDenied",
    "Retry",
    "RpcError",
    "Skip",
    "StateConflict",
    "TemplateError",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "WaitTimeout",
    "approval",
    "call_dag",
    "current",
    "dag",
    "dated",
    "external",
    "group",
    "literal",
    "load_dags",
    "loop",
    "shell",
    "task",
]


_LATER = {
    **dict.fromkeys(("Artifact", "Dataset", "File", "Metrics", "Model"), "glidepath.artifacts"),
    "AsyncClient": "glidepath.client",
    "Call": "glidepath.worker",
    "Client": "glidepath.client",
    "Defer": "glidepath.worker",
    "Fail": "glidepath.worker",
    "Retry": "glidepath.worker",
    "Skip": "glidepath.worker",
    "current": "glidepath.worker",
}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(_LATER[name]), name)
    raise AttributeError(f"module 'glidepath' has no attribute '{name}'")
