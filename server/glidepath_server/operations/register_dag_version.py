"""Register a DAG version: the same content is the same version, and everything that a version needs is stored with it.

One transaction. The DAG's row is locked first, so that versions are numbered one after the other and two calls with the
same new content make one version; then its pools are held by id, then its limits are changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ..core.canonical import canonical_json, content_hash
from ..core.deadlines import Deadline, check_deadlines
from ..core.definition import PYTHON_PREFIX, DagSpec, TaskSpec
from ..core.doubts import warnings
from ..core.draft import DagDraft, resolve
from ..core.errors import InvalidDag, Violation
from ..core.json_text import to_json
from ..core.limit_checks import limit_names
from ..core.params import ParamsSchema
from ..core.validation import LeaseTerms, check_dag, stored_violations
from ..store import limits, registry
from ..store.database import Connection, Database, database_now, transaction
from ..store.registry import LockedDag, NamedLimit, NamedPool, NewClass, Version
from .audit import append_audit
from .plans import Plans
from .requests import once
from .set_deadlines import declare_deadlines
from .set_schedules import ChangeSchedules, Declaration, check_declarations, check_params
from .tick_schedules import Ticked

SOURCES_BYTES_MAX = 2 * 1024 * 1024
SPEC_BYTES_MAX = 16 * 1024 * 1024
ALIASES_MAX = 20
WARNINGS_MAX = 20
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
ALIAS_WORDS = "1 to 100 of A-Z a-z 0-9 _ . -, beginning with a letter or digit"


@dataclass(frozen=True, slots=True)
class Bundle:
    """An archive, and the hash that its sender says it has."""

    content_hash: str
    archive: bytes


@dataclass(frozen=True, slots=True)
class RegisterCall:
    """A call as it came in: who, where, what, and what makes a repetition the same call."""

    namespace: str
    actor: str
    request_id: str
    body: bytes
    draft: DagDraft
    bundles: Sequence[Bundle] = ()
    aliases: Sequence[str] = ()
    validate_only: bool = False
    # None leaves those of the DAG as they are.
    deadlines: Sequence[Deadline] | None = None
    # None leaves the schedules of the DAG as they are.
    schedules: Sequence[Declaration] | None = None


@dataclass(frozen=True, slots=True)
class Registered:
    """The version that has this content. With `validate_only` a new one is what would have been stored."""

    version: Version
    created: bool
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid DAG as it is stored."""

    spec: DagSpec
    text: str
    content_hash: str


@dataclass(slots=True)
class RegisterDagVersion:
    """The operation. After a commit that made a version, `on_changed` is told the queues in which rows may go on;
    `on_schedules` is told of any that declared schedules, and of what was due of them."""

    database: Database
    lease: LeaseTerms
    on_changed: Callable[[set[int]], Awaitable[None]]
    plans: Plans = field(default_factory=Plans)
    on_schedules: Callable[[Ticked], None] = lambda _: None

    async def __call__(self, call: RegisterCall, encode: Callable[[Registered], bytes]) -> bytes:
        """The encoded answer, also when the request id was used before with the same body.

        Raises InvalidDag with every violation, AlreadyExists for a request id with another body: nothing is stored.
        """
        # Large DAGs take a second to check: in a thread, so that others are served meanwhile.
        found = await asyncio.to_thread(check_call, call, self.lease)
        if isinstance(found, list):
            await self._refuse(call, found)
        assert isinstance(found, Prepared)
        if call.validate_only:
            async with transaction(self.database.api, "register") as connection:
                checked = await _Registration(connection, call, found, self.plans).validate()
            return await asyncio.to_thread(encode, checked)
        work: list[_Registration] = []

        async def run() -> bytes:
            work.append(_Registration(connection, call, found, self.plans))
            return await asyncio.to_thread(encode, await work[-1].store())

        async with transaction(self.database.api, "register") as connection:
            answer = await once(
                connection,
                namespace=call.namespace,
                request_id=call.request_id,
                method="RegisterDagVersion",
                body=call.body,
                run=run,
            )
        if work and work[-1].created:
            await self.on_changed(work[-1].queues)
        if work and work[-1].ticked is not None:
            self.on_schedules(work[-1].ticked)
        return answer

    async def _refuse(self, call: RegisterCall, found: list[Violation]) -> None:
        """Raise InvalidDag with what was found and what the database adds to it."""
        async with transaction(self.database.api, "register") as connection:
            _, more = await look_up(connection, call)
        raise invalid_dag([*found, *more])


def check_call(call: RegisterCall, lease: LeaseTerms) -> Prepared | list[Violation]:
    """The DAG as it would be stored, or everything that is wrong with the call without asking the database."""
    checked = check_dag(call.draft, lease)
    found = [*checked.violations, *_bundle_violations(call.bundles), *alias_violations(call.aliases)]
    if call.deadlines:
        tasks = call.draft.tasks
        ids, groups = {task.task_id for task in tasks}, {task.group_id for task in tasks}
        found += check_deadlines(call.deadlines, "deadlines", ids, groups)
    found += check_declarations(call.schedules or ())
    if found:
        return found
    spec = resolve(call.draft, checked.order)
    text = canonical_json(spec)
    if len(text) > SPEC_BYTES_MAX:
        return [Violation("spec", f"{len(text)} bytes", f"at most {SPEC_BYTES_MAX} bytes of canonical content")]
    return Prepared(spec, text, content_hash(text))


def alias_violations(aliases: Sequence[str]) -> Iterator[Violation]:
    if len(aliases) > ALIASES_MAX:
        yield Violation("aliases", f"{len(aliases)} aliases", f"at most {ALIASES_MAX} aliases")
    for index, alias in enumerate(aliases[:ALIASES_MAX]):
        if not _ALIAS.fullmatch(alias):
            yield Violation(f"aliases[{index}]", repr(alias[:80]), ALIAS_WORDS)


def _bundle_violations(bundles: Sequence[Bundle]) -> Iterator[Violation]:
    size = sum(len(each.archive) for each in bundles)
    if size > SOURCES_BYTES_MAX:
        yield Violation("sources", f"{size} bytes", f"at most {SOURCES_BYTES_MAX} bytes in all")
        return
    for index, each in enumerate(bundles):
        actual = hashlib.sha256(each.archive).hexdigest()
        if each.content_hash != actual:
            yield Violation(
                f"sources[{index}].content_hash", repr(each.content_hash[:80]), f"{actual}, the SHA-256 of its archive"
            )


@dataclass(frozen=True, slots=True)
class Named:
    """What the DAG names of the namespace, held until the transaction ends."""

    pools: dict[str, NamedPool]
    limits: dict[str, NamedLimit]


async def look_up(connection: Connection, call: RegisterCall) -> tuple[Named, list[Violation]]:
    """The pools and limits that the DAG names, held, and what of it only the database can refute."""
    draft = call.draft
    named = {draft.defaults.pool_name, *(task.policy.pool_name for task in draft.tasks)}
    pools = await registry.hold_pools(connection, call.namespace, _storable({name for name in named if name}))
    versions = {task.handler.version for task in draft.tasks if task.handler.name.startswith(PYTHON_PREFIX)}
    sent = {each.content_hash for each in call.bundles}
    stored = await registry.stored_sources(connection, call.namespace, _storable(versions - sent))
    limits = await registry.hold_limits(connection, call.namespace, _storable(limit_names(draft)))
    return Named(pools, limits), stored_violations(
        draft,
        pools={name: pool.capacity for name, pool in pools.items()},
        limits={name: limit.capacity for name, limit in limits.items()},
        sources=sent | stored,
    )


def _storable(names: set[str]) -> list[str]:
    """Postgres has no text with NUL; such a name is refused, and not looked up."""
    return sorted(name for name in names if "\0" not in name)


def invalid_dag(found: Sequence[Violation]) -> InvalidDag:
    """The error of these violations; its message is the first."""
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return InvalidDag(f"{found[0]}{more}", violations=list(found))


@dataclass(slots=True)
class _Registration:
    """One valid call at work, inside its transaction."""

    connection: Connection
    call: RegisterCall
    prepared: Prepared
    plans: Plans
    created: bool = False
    ticked: Ticked | None = None
    queues: set[int] = field(default_factory=set)

    async def validate(self) -> Registered:
        """What `store` would answer."""
        await self._check()
        now = await database_now(self.connection)
        existing = await self._existing()
        latest = await registry.latest_version(self.connection, self.call.namespace, self.prepared.spec.dag_id)
        version = existing or self._version(latest.dag_version_number + 1 if latest else 1, now)
        return self._answer(version, existing is None)

    async def store(self) -> Registered:
        call, spec, now = self.call, self.prepared.spec, await database_now(self.connection)
        dag = await registry.lock_dag(self.connection, call.namespace, spec.dag_id)
        if dag is None:
            # What a DAG needs is made only for one that is stored: an error below takes it back with everything else.
            await registry.create_dag(
                self.connection,
                call.namespace,
                spec.dag_id,
                tasks_active_max=spec.tasks_active_max,
                runs_active_max=spec.runs_active_max,
                now=now,
            )
            dag = await registry.lock_dag(self.connection, call.namespace, spec.dag_id)
            assert dag is not None
        named = await self._check()
        if call.deadlines is not None:
            await declare_deadlines(
                self.connection,
                namespace=call.namespace,
                dag_id=spec.dag_id,
                declared=call.deadlines,
                actor=call.actor,
                now=now,
            )
        if call.schedules is not None:
            # Before limits are: whoever gives ticks their runs holds schedules first.
            await self._declare(call.schedules, dag.paused, now)
        await registry.insert_bundles(
            self.connection,
            call.namespace,
            sorted({each.content_hash: each.archive for each in call.bundles}.items()),
            now,
        )
        version = await self._existing()
        if version is None:
            version = await self._create(dag, named, now)
        moved = await registry.point_aliases(
            self.connection, call.namespace, spec.dag_id, call.aliases, version.dag_version_number
        )
        if self.created or moved:
            await append_audit(
                self.connection,
                namespace=call.namespace,
                actor=call.actor,
                action="dag_version.register",
                target=f"dag/{spec.dag_id}",
                now=now,
                detail={
                    "dag_version_number": version.dag_version_number,
                    "content_hash": version.content_hash,
                    "created": self.created,
                    "aliases": moved,
                },
            )
        return self._answer(version, self.created)

    async def _check(self) -> Named:
        """The pools and limits of the DAG, held. Raises InvalidDag."""
        named, found = await look_up(self.connection, self.call)
        if found:
            raise invalid_dag(found)
        return named

    async def _declare(self, declared: Sequence[Declaration], dag_paused: bool, now: datetime) -> None:
        """Make these the schedules that the DAG declares. Raises InvalidInput."""
        spec = self.prepared.spec
        schema = ParamsSchema(spec.params_schema, spec.param_defaults)
        wrong = [
            found
            for index, each in enumerate(declared)
            if each.version_number is None and each.alias is None
            for found in check_params(each, schema, now, f"schedules[{index}]")
        ]
        if wrong:
            raise invalid_dag(wrong)
        changes = ChangeSchedules(self.connection, self.plans, self.call.namespace, spec.dag_id, self.call.actor)
        await changes.declare(declared, dag_paused)
        self.ticked = changes.ticked

    async def _existing(self) -> Version | None:
        return await registry.version_by_hash(
            self.connection, self.call.namespace, self.prepared.spec.dag_id, self.prepared.content_hash
        )

    async def _create(self, dag: LockedDag, named: Named, now: datetime) -> Version:
        version = self._version(dag.latest_version_number + 1, now)
        spec = self.prepared.spec
        caps = {each.task_id: each.policy.active_max for each in spec.tasks if each.policy.active_max is not None}
        own = await registry.ensure_task_limits(self.connection, self.call.namespace, spec.dag_id, caps)
        class_ids, reroute_class_ids = await self._class_ids(dag, named, own)
        await registry.insert_version(
            self.connection,
            self.call.namespace,
            version.dag_id,
            version.dag_version_number,
            content_hash=version.content_hash,
            text=version.text,
            class_ids=class_ids,
            reroute_class_ids=reroute_class_ids,
            now=now,
            created_by=version.created_by,
        )
        # Last: claims of the DAG wait for us from here on.
        await self._set_caps(dag, {each.limit_id: caps.get(task_id) for task_id, each in own.items()})
        self.created = True
        return version

    async def _set_caps(self, dag: LockedDag, of_tasks: dict[int, int | None]) -> None:
        """The caps of the latest version are the DAG's and its tasks'. Changed in the order in which steps lock: that
        on active runs before all others, for a step that has begun a run of the DAG may then give out tasks of it."""
        spec = self.prepared.spec
        of_dag = {dag.runs_limit_id: spec.runs_active_max, dag.tasks_limit_id: spec.tasks_active_max}
        wanted = dict([*of_dag.items(), *sorted(of_tasks.items())])
        current = await registry.capacities(self.connection, wanted)
        if current[dag.runs_limit_id][1] is not spec.runs_in_order:
            await limits.set_in_order(self.connection, dag.runs_limit_id, spec.runs_in_order)
        for limit_id, capacity in wanted.items():
            if current[limit_id][0] != capacity:
                self.queues |= await limits.set_capacity(self.connection, limit_id, capacity)

    async def _class_ids(self, dag: LockedDag, named: Named, own: dict[str, NamedLimit]) -> tuple[list[int], list[int]]:
        """The class of each task, by task index; and the one it has in another queue (0: none), if any task has one."""
        spec, namespace = self.prepared.spec, self.call.namespace
        again = {index: _rerouted(task) for index, task in enumerate(spec.tasks) if task.policy.retry.reroute_queue}
        tasks = [*spec.tasks, *again.values()]
        queues = await registry.ensure_queues(self.connection, namespace, {task.policy.queue_name for task in tasks})
        classes = await asyncio.to_thread(
            lambda: [_class_of(task, namespace, spec, dag, queues, named, own) for task in tasks]
        )
        distinct = list({each.class_hash: each for each in classes}.values())
        ids = await registry.ensure_classes(self.connection, namespace, spec.dag_id, dag.tasks_limit_id, distinct)
        found = [ids[each.class_hash] for each in classes]
        rerouted = dict(zip(again, found[len(spec.tasks) :], strict=True))
        return found[: len(spec.tasks)], [rerouted.get(index, 0) for index in range(len(spec.tasks))] if again else []

    def _version(self, number: int, now: datetime) -> Version:
        prepared = self.prepared
        return Version(
            prepared.spec.dag_id,
            number,
            prepared.content_hash,
            now,
            self.call.actor,
            len(prepared.spec.tasks),
            prepared.text,
        )

    def _answer(self, version: Version, created: bool) -> Registered:
        found = warnings(self.prepared.spec)
        more = [f"and {len(found) - WARNINGS_MAX} more"] if len(found) > WARNINGS_MAX else []
        return Registered(version, created, [*found[:WARNINGS_MAX], *more])


def _rerouted(task: TaskSpec) -> TaskSpec:
    """The task as it is in the queue that its retry policy sends it to."""
    return replace(task, policy=replace(task.policy, queue_name=task.policy.retry.reroute_queue))


def _class_of(
    task: TaskSpec,
    namespace: str,
    spec: DagSpec,
    dag: LockedDag,
    queues: dict[str, int],
    named: Named,
    own: dict[str, NamedLimit],
) -> NewClass:
    policy = task.policy
    pool = named.pools[policy.pool_name] if policy.pool_name is not None else None
    further = {named.limits[name].limit_id: slots for name, slots in policy.limits.items()}
    if policy.active_max is not None:
        further[own[task.task_id].limit_id] = 1
    needs = NewClass(
        queue_id=queues[policy.queue_name],
        handler_name=task.handler.name,
        handler_version=task.handler.version,
        worker_selector=to_json(policy.worker_selector),
        resources=to_json(policy.resources),
        pool_limit_id=pool.limit_id if pool else None,
        pool_slots=policy.pool_slots if pool else 0,
        class_hash=b"",
        limits=tuple(sorted(further.items())),
        run_limited=spec.run_tasks_active_max is not None,
    )
    parts: list[object] = [
        namespace,
        spec.dag_id,
        dag.tasks_limit_id,
        needs.queue_id,
        needs.handler_name,
        needs.handler_version,
        needs.worker_selector,
        needs.resources,
        needs.pool_limit_id,
        needs.pool_slots,
    ]
    # Said only where they are: classes that were stored before there were limits keep their hashes.
    if needs.limits or needs.run_limited:
        parts += [needs.limits, needs.run_limited]
    return replace(needs, class_hash=hashlib.sha256(to_json(parts).encode()).digest())
