"""Glidepath's SDK for Python: write DAGs, talk to the server, run workers, test without either.

Importing this package imports no network library; `Client` and `AsyncClient` do when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glidepath.authoring import Dag, Handle, dag, external, group, literal, load_dags, shell, task
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
    from glidepath.client import AsyncClient, Client

__all__ = [
    "AlreadyExists",
    "AsyncClient",
    "AuthoringError",
    "Client",
    "Dag",
    "GlidepathError",
    "Handle",
    "InputError",
    "InvalidDag",
    "InvalidRequest",
    "LimitExceeded",
    "NotFound",
    "PermissionDenied",
    "RpcError",
    "StateConflict",
    "TemplateError",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "WaitTimeout",
    "dag",
    "external",
    "group",
    "literal",
    "load_dags",
    "shell",
    "task",
]


def __getattr__(name: str) -> Any:
    if name in ("Client", "AsyncClient"):
        from glidepath import client

        return getattr(client, name)
    raise AttributeError(f"module 'glidepath' has no attribute '{name}'")
