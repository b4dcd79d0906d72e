"""The two clients: the same methods, blocking or awaited."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from glidepath.client.admin import AdminMethods
from glidepath.client.alerts import AlertMethods
from glidepath.client.approvals import ApprovalMethods
from glidepath.client.backfills import BackfillMethods
from glidepath.client.calls import AsyncCaller, Caller
from glidepath.client.capacity import CapacityMethods
from glidepath.client.connection import Tls, find_connection
from glidepath.client.deadlines import DeadlineMethods
from glidepath.client.registry import RegistryMethods
from glidepath.client.runs import RunMethods
from glidepath.client.schedules import ScheduleMethods
from glidepath.client.values import ValueMethods

TIMEOUT_SECONDS = 30.0


class Client(
    RegistryMethods,
    RunMethods,
    BackfillMethods,
    ScheduleMethods,
    DeadlineMethods,
    ValueMethods,
    ApprovalMethods,
    AdminMethods,
    AlertMethods,
    CapacityMethods,
    Caller,
):
    """A blocking client. Threads may share one; `with Client() as client:` closes it.

    What is not given is found as `glidepath.client.connection` says. `timeout` is in seconds per call; streams have
    none. Errors are those of `glidepath.errors`.
    """

    def __init__(
        self,
        address: str = "",
        *,
        token: str = "",
        namespace: str = "",
        tls: Tls | bool | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(find_connection(address, token, namespace, tls), timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient(
    RegistryMethods,
    RunMethods,
    BackfillMethods,
    DeadlineMethods,
    ScheduleMethods,
    ValueMethods,
    ApprovalMethods,
    AdminMethods,
    AlertMethods,
    CapacityMethods,
    AsyncCaller,
):
    """Like `Client`, for asyncio: methods are awaited, lists and streams take `async for`."""

    def __init__(
        self,
        address: str = "",
        *,
        token: str = "",
        namespace: str = "",
        tls: Tls | bool | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        super().__init__(find_connection(address, token, namespace, tls), timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
