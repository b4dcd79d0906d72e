"""Who calls, and whether they may: one interceptor over every RPC.

The rule of a method is the `authorization` option where the method is declared in the proto; a method of ours without a
rule stops the server from starting. A token is `authorization: Bearer gp_...`. Answers about tokens are reused for at
most `token_cache_seconds`; open streams are looked at as often, so a revocation ends them too.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

from glidepath_proto.common.v1 import authorization_pb2

from .. import clock
from ..core.errors import NotFound, PermissionDenied, Unauthenticated
from ..operations.tokens import hash_of, token_id_of
from ..store import identity as store
from ..store.database import Database, Pool
from ..store.identity import ALL, TokenCheck
from ..telemetry import get_logger
from .budgets import Budgets
from .handlers import Context, refusing_handler, wrap_handler
from .streams import OpenStreams

DEFAULT_NAMESPACE = "default"
# Services of gRPC itself, which carry no rule of ours: they tell nothing but names and readiness.
OPEN_SERVICES = frozenset(
    {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection"}
)
# A role holds what stands in its row; "worker" stands apart.
INCLUDES: dict[str, frozenset[str]] = {
    "viewer": frozenset({"viewer"}),
    "operator": frozenset({"viewer", "operator"}),
    "author": frozenset({"viewer", "operator", "author"}),
    "admin": frozenset({"viewer", "operator", "author", "admin"}),
    "worker": frozenset({"worker"}),
    "everything": frozenset({"viewer", "operator", "author", "admin", "worker"}),
}
# Methods in whose namespace field "*" has a meaning; their handlers check it by `namespace_or_all`.
ALL_NAMESPACES = frozenset(
    {"/glidepath.admin.v1.AdminService/CreateToken", "/glidepath.admin.v1.AdminService/ListAuditEvents"}
)
LONG_POLLS = frozenset({"/glidepath.worker.v1.WorkerService/Claim"})
CACHED_TOKENS_MAX = 10_000

_log = get_logger("api")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who calls. `namespace` is "*" for all; `known_namespaces` are those that existed when the call was admitted."""

    name: str
    namespace: str
    role: str
    token_id: str = ""
    known_namespaces: frozenset[str] = field(default=frozenset(), repr=False, compare=False)


ANYBODY = Identity(name="anybody", namespace="", role="")
_current: ContextVar[Identity] = ContextVar("identity", default=ANYBODY)


def current_identity() -> Identity:
    """The caller of the RPC that runs in this task; ANYBODY in a public one."""
    return _current.get()


def namespace_for(request: Any, identity: Identity) -> str:
    """The namespace that a message with a `namespace` field means, once the caller is known to hold it.

    An empty one is the caller's own, or "default" for a caller that holds all. Raises PermissionDenied for a foreign
    one and NotFound for one that does not exist.
    """
    asked = request.namespace or (DEFAULT_NAMESPACE if identity.namespace == ALL else identity.namespace)
    if identity.namespace not in (ALL, asked):
        raise PermissionDenied(
            f"{identity.name!r} holds namespace {identity.namespace!r}, not {asked!r}",
            hint="use a token of that namespace",
        )
    if asked not in identity.known_namespaces:
        raise NotFound(
            f"namespace {asked!r} does not exist",
            hint="check the spelling; ListNamespaces lists them, CreateNamespace makes one",
        )
    return asked


def namespaces_beside(hello: Any, identity: Identity) -> frozenset[str]:
    """Further namespaces that a worker serves, once the caller is known to hold them: only who holds all does.

    Raises PermissionDenied and NotFound.
    """
    if hello.other_namespaces and identity.namespace != ALL:
        raise PermissionDenied(
            f"{identity.name!r} holds namespace {identity.namespace!r} only",
            hint='a worker serves several namespaces with a token that holds all ("*")',
        )
    for name in hello.other_namespaces:
        if name not in identity.known_namespaces:
            raise NotFound(
                f"namespace {name[:64]!r} does not exist",
                hint="check the spelling; ListNamespaces lists them, CreateNamespace makes one",
            )
    return frozenset(hello.other_namespaces)


def namespace_or_all(request: Any, identity: Identity) -> str:
    """Like `namespace_for`, and "*" for a caller that holds all namespaces."""
    return ALL if request.namespace == ALL == identity.namespace else namespace_for(request, identity)


@dataclass(frozen=True, slots=True)
class Rule:
    """The least role of a method; None for a public one."""

    role: str | None


def rules_of(services: Iterable[ServiceDescriptor]) -> dict[str, Rule]:
    """The rule of each method by its path ("/package.Service/Method"). ValueError names the methods without one."""
    rules, missing = {}, []
    for service in services:
        for method in service.methods:
            rule = _rule(method)
            if rule is None:
                missing.append(method.full_name)
            else:
                rules[f"/{service.full_name}/{method.name}"] = rule
    if missing:
        raise ValueError("no authorization rule on " + ", ".join(missing) + ": give the method a role in its proto")
    return rules


def _rule(method: MethodDescriptor) -> Rule | None:
    extensions: Any = method.GetOptions().Extensions
    option = extensions[authorization_pb2.authorization]
    if option.public:
        return Rule(None)
    if option.role == authorization_pb2.ROLE_UNSPECIFIED:
        return None
    return Rule(authorization_pb2.Role.Name(option.role).removeprefix("ROLE_").lower())


class Authenticator:
    """Turns a bearer token into an Identity, asking the database at most every `cache_seconds` for each token."""

    def __init__(
        self,
        database: Database,
        *,
        required: bool,
        cache_seconds: float,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self.required = required
        self._database, self._cache_seconds, self._monotonic = database, cache_seconds, monotonic
        self._tokens: dict[str, tuple[float, TokenCheck]] = {}
        self._namespaces: tuple[float, frozenset[str]] = (float("-inf"), frozenset())

    async def identify(self, metadata: Mapping[str, str | bytes]) -> Identity:
        """The caller by its metadata. Raises Unauthenticated."""
        known = await self._known_namespaces()
        if not self.required:
            return Identity("local", ALL, "everything", known_namespaces=known)
        text = _bearer(metadata)
        token_id = token_id_of(text)
        # Each kind of traffic on its own pool: a dashboard that keeps one busy does not keep workers out.
        pool = self._database.worker if text.startswith("gp_worker_") else self._database.api
        found = await self._token(token_id, pool) if token_id is not None else None
        if found is None or not hmac.compare_digest(found.secret_hash, hash_of(text)):
            raise Unauthenticated("the token is not known", hint="check that it was copied whole")
        if not found.valid:
            raise _no_longer_valid()
        return Identity(found.name, found.namespace, found.role, found.token_id, known)

    async def _token(self, token_id: str, pool: Pool) -> TokenCheck | None:
        fresh_until, found = self._tokens.get(token_id, (float("-inf"), None))
        now = self._monotonic()
        if fresh_until > now:
            return found
        async with pool.acquire() as connection:
            read = await store.token_by_id(connection, token_id)
        # Unknown ones are not kept: strangers could fill the cache with them.
        if read is not None:
            if len(self._tokens) >= CACHED_TOKENS_MAX:
                self._tokens.clear()
            self._tokens[token_id] = (now + self._cache_seconds, read)
        return read

    async def _known_namespaces(self) -> frozenset[str]:
        fresh_until, found = self._namespaces
        now = self._monotonic()
        if fresh_until > now:
            return found
        async with self._database.worker.acquire() as connection:
            found = await store.namespaces(connection)
        self._namespaces = (now + self._cache_seconds, found)
        return found

    def forget(self) -> None:
        """Ask the database again for every token and namespace; called when this replica has changed one."""
        self._tokens.clear()
        self._namespaces = (float("-inf"), frozenset())

    async def end_revoked_streams(self, streams: OpenStreams) -> None:
        """Look at the tokens of all open streams at once, and end the streams whose token is no longer valid."""
        token_ids = streams.token_ids()
        if not token_ids:
            return
        async with self._database.worker.acquire() as connection:
            gone = set(await store.tokens_no_longer_valid(connection, token_ids))
        for each in streams.end(lambda stream: stream.token_id in gone, _no_longer_valid):
            _log.info("stream_ended_by_revocation", token_id=each.token_id, method=each.method)


def _no_longer_valid() -> Unauthenticated:
    return Unauthenticated("the token was revoked or has expired", hint="ask for a new one")


def _bearer(metadata: Mapping[str, str | bytes]) -> str:
    value = metadata.get("authorization")
    if value is None:
        raise Unauthenticated("no token was sent", hint="send the metadata authorization: Bearer gp_...")
    scheme, _, text = str(value).partition(" ")
    if scheme.lower() != "bearer" or not text:
        raise Unauthenticated("the authorization metadata is no bearer token", hint="send authorization: Bearer gp_...")
    return text.strip()


class AuthInterceptor(grpc.aio.ServerInterceptor):
    """Admits a call by its method's rule before anything of its request is read, and then holds the request's namespace
    against the caller's: a stranger costs no more than its headers."""

    def __init__(
        self,
        authenticator: Authenticator,
        rules: Mapping[str, Rule],
        streams: OpenStreams,
        budgets: Mapping[str, Budgets],
    ) -> None:
        """`budgets` are those of "worker" and of "user" tokens."""
        self._authenticator, self._rules, self._streams, self._budgets = authenticator, rules, streams, budgets

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(details)
        method = details.method
        if handler is None or method.lstrip("/").partition("/")[0] in OPEN_SERVICES:
            return handler
        rule = self._rules.get(method)
        if rule is None:
            raise LookupError(f"{method} has a handler and no rule")
        streams = handler.request_streaming or handler.response_streaming
        try:
            identity = await self._admit(method, rule.role, dict(details.invocation_metadata or ()))
            await self._take_place(method, identity, streams)
        except Exception as error:  # said by the outermost interceptor, which sees only what a handler raises
            return refusing_handler(error, streams=handler.request_streaming)
        return wrap_handler(handler, partial(self._for, identity, method, streams), reads=True)

    async def _admit(self, method: str, role: str | None, metadata: Mapping[str, str | bytes]) -> Identity:
        """The caller, once known to have the role. Raises Unauthenticated and PermissionDenied."""
        if role is None:
            return ANYBODY
        identity = await self._authenticator.identify(metadata)
        if role not in INCLUDES.get(identity.role, ()):
            name = method.rpartition("/")[2]
            raise PermissionDenied(
                f"{name} needs the role {role}, {identity.name!r} has {identity.role}",
                hint=f"use a token with the role {role}",
            )
        return identity

    async def _take_place(self, method: str, identity: Identity, streams: bool) -> None:
        """Raises LimitExceeded. Without authentication there are no peers to tell apart."""
        if self._authenticator.required:
            budgets = self._budgets["worker" if identity.role == "worker" else "user"]
            await budgets.enter(identity.token_id, runs=not streams and method not in LONG_POLLS)

    @asynccontextmanager
    async def _for(
        self, identity: Identity, method: str, streams: bool, request: Any, _context: Context
    ) -> AsyncIterator[None]:
        """Around a call of an admitted caller. Raises PermissionDenied and NotFound for its namespace."""
        if request is not None and identity is not ANYBODY and "namespace" in request.DESCRIPTOR.fields_by_name:
            (namespace_or_all if method in ALL_NAMESPACES else namespace_for)(request, identity)
        # Never reset: each call has a task of its own, and with it a context of its own.
        _current.set(identity)
        async with self._streams.hold(method, identity.token_id) if streams else nullcontext():
            yield
