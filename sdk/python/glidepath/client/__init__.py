"""Talking to a Glidepath server: `Client`, and `AsyncClient` with the same methods to await."""

from glidepath.client.approvals import message_of
from glidepath.client.backfills import BackfillOptions
from glidepath.client.clients import AsyncClient, Client
from glidepath.client.connection import Connection, ConnectionSettingsError, Tls, find_connection
from glidepath.client.runs import RunItem, RunOptions

__all__ = [
    "AsyncClient",
    "BackfillOptions",
    "Client",
    "Connection",
    "ConnectionSettingsError",
    "RunItem",
    "RunOptions",
    "Tls",
    "find_connection",
    "message_of",
]
