"""Mapped tasks in the step: reading their lists, what an attempt is given of them, gathering, clearing a part.

All of it happens inside the step's transaction, under the lock of the run whose task is mapped, but for `gather`, which
reads what does not change any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from ..core.board import FINAL, Board
from ..core.definition import JSON, Input, Literal, OutputRef, Param
from ..core.errors import InvalidInput, NotFound, StateConflict, Violation
from ..core.events import AttemptKey, MapPart, Mapped
from ..core.graph import Graph
from ..core.json_text import from_json
from ..core.map_items import CHUNK_ITEMS, NoItems, check_list, item_chunks
from ..core.states import TaskState
from ..store import engine, maps, worker_feed
from ..store.database import Connection
from .plans import Plan, Plans
from .step_types import LockedRun, Output

# Instances up to which a list of outputs travels in the assignment.
GATHERED_INLINE_MAX = 200
GATHERED_INLINE_BYTES_MAX = 64 * 1024
# Bytes up to which it travels when it is asked for.
GATHERED_BYTES_MAX = 512 * 1024
LIST_BYTES_MAX = 16 * 1024 * 1024
# Instances whose outputs are in memory at once: each may have as much as travels inline.
GATHERED_AT_ONCE = 500
INSTANCES_NAMED_MAX = 10_000
_STAYS = frozenset({int(TaskState.SUCCESS), int(TaskState.SKIPPED)})


class MappedAttempt(Protocol):
    """An attempt that is given out, and its place for what it is given."""

    key: AttemptKey
    item: str


# ---- expanding
async def expand(connection: Connection, plans: Plans, run: LockedRun) -> list[Mapped]:
    """Read the lists of the mapped tasks that were admitted, and store what their instances are given."""
    wanted, run.effects.expansions = run.effects.expansions, {}
    facts = (await plans.read_facts(connection, [run.dag_run_id]))[run.dag_run_id]
    params = json.loads(facts.params)
    found: list[Mapped] = []
    for task, at in wanted.items():
        spec = run.plan.task(task).map
        assert spec is not None
        await maps.drop_items(connection, run.dag_run_id, task)
        await maps.drop_marks(connection, run.dag_run_id, task)
        try:
            lists = [
                (each.name, check_list(each.name, await _value(connection, run, params, each.source)))
                for each in spec.inputs
            ]
            length, chunks = item_chunks(spec.mode, lists)
        except (NoItems, RecursionError) as problem:
            why = str(problem) if isinstance(problem, NoItems) else "the lists are nested too deeply"
            found.append(Mapped(task, 0, why, at))
            continue
        await maps.put_items(connection, run.dag_run_id, task, length, chunks)
        found.append(Mapped(task, length, "", at))
    return found


async def _value(connection: Connection, run: LockedRun, params: Mapping[str, Any], source: Input) -> Any:
    match source:
        case Literal(data):
            return json.loads(data)
        case Param(name):
            return params.get(name)
        case OutputRef(task_id, key):
            value = await _output(connection, run, run.plan.graph.task_ids.index(task_id), task_id)
            if not key:
                return value
            if not isinstance(value, dict) or key not in value:
                raise NoItems(f"the output of {task_id} has no key {key!r}")
            return value[key]
        case _:
            raise NoItems(f"a {type(source).__name__} is no list")


async def _output(connection: Connection, run: LockedRun, task: int, task_id: str) -> Any:
    if task in run.plan.graph.maps:
        length = (await maps.lengths(connection, [run.dag_run_id], [task])).get((run.dag_run_id, task))
        return None if length is None else await _gathered_values(connection, run.dag_run_id, task, task_id, length)
    output = run.outputs.get(task)
    if output is None:
        rows = await engine.read_outputs(connection, [run.dag_run_id], [task])
        output = Output(*(rows[0][name] for name in Output._fields)) if rows else None
    if output is None:
        raise NoItems(f"task {task_id} has no output")
    if output.content_type != JSON:
        raise NoItems(f"the output of {task_id} is {output.content_type}, expected JSON")
    body = output.body if output.body is not None else await _artifact(connection, run.plan, task_id, output)
    return _parsed(task_id, body)


def _parsed(task_id: str, body: bytes) -> Any:
    """What a worker calls JSON may be anything."""
    try:
        return from_json(body.decode())
    except ValueError as error:
        raise NoItems(f"the output of {task_id} is no JSON, whatever it says of itself: {error}"[:500]) from None


async def _artifact(connection: Connection, plan: Plan, task_id: str, output: Output) -> bytes:
    """The bytes of an output that is too large to travel inline."""
    uri, sha256 = output.uri or "", (output.uri or "").removeprefix("artifact:")
    if output.size_bytes > LIST_BYTES_MAX:
        raise NoItems(f"the output of {task_id} has {output.size_bytes} bytes, at most {LIST_BYTES_MAX} are read")
    parts: list[bytes] = []
    while (part := await worker_feed.artifact_chunk(connection, plan.namespace, sha256, len(parts))) is not None:
        parts.append(part)
    if not parts or not uri.startswith("artifact:"):
        raise NoItems(f"the output of {task_id} is at {uri[:100]!r}, which this server cannot read")
    return b"".join(parts)


# ---- what an attempt is given
async def read_items(connection: Connection, attempts: Sequence[MappedAttempt]) -> None:
    """Fill in what instances are given: a JSON object by argument."""
    items = await items_by_instance(connection, {each.key[:3] for each in attempts})
    for each in attempts:
        each.item = json.dumps(items[each.key[:3]], separators=(",", ":"))


async def items_by_instance(
    connection: Connection, instances: Collection[tuple[UUID, int, int]]
) -> dict[tuple[UUID, int, int], dict[str, Any]]:
    """What instances (run, task, map index) are given, by argument."""
    wanted = {(run_id, task, index // CHUNK_ITEMS) for run_id, task, index in instances}
    texts = await maps.read_items(connection, *map(list, zip(*wanted, strict=True))) if wanted else {}
    chunks = {place: json.loads(text) for place, text in texts.items()}
    return {
        (run_id, task, index): chunks[run_id, task, index // CHUNK_ITEMS][index % CHUNK_ITEMS]
        for run_id, task, index in instances
    }


async def items_of(connection: Connection, run_id: UUID, task: int, indexes: range) -> list[str]:
    """What these instances are given, as `read_items` has it."""
    chunks = range(indexes[0] // CHUNK_ITEMS, indexes[-1] // CHUNK_ITEMS + 1)
    texts = await maps.read_items(connection, [run_id] * len(chunks), [task] * len(chunks), list(chunks))
    items = [item for chunk in chunks for item in json.loads(texts[run_id, task, chunk])]
    return [json.dumps(items[index - chunks[0] * CHUNK_ITEMS], separators=(",", ":")) for index in indexes]


# ---- gathering
async def gathered_outputs(
    connection: Connection, wanted: Mapping[tuple[UUID, int], str]
) -> dict[tuple[UUID, int], Output]:
    """What mapped tasks, whose ids are given, have for an output: the list itself where it is short, else by name (see
    `gather`)."""
    pairs = list(wanted)
    lengths = await maps.lengths(connection, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    found: dict[tuple[UUID, int], Output] = {}
    for pair, length in lengths.items():
        body = None
        if length <= GATHERED_INLINE_MAX:
            body, _, _ = await gather(connection, *pair, length, GATHERED_INLINE_BYTES_MAX)
        uri = None if body is not None else f"output:{wanted[pair]}"
        found[pair] = Output(JSON, body, uri, len(body or b""), "")
    return found


async def gathered_output(connection: Connection, namespace: str, run_id: UUID, task: int) -> Output | None:
    """The list of a mapped task's outputs, in the caller's transaction; a large one becomes an artifact. None: it has
    none, for its lists were not read. Raises StateConflict when the outputs change while they are read."""
    length = (await maps.lengths(connection, [run_id], [task])).get((run_id, task))
    if length is None:
        return None
    body, size, sha256 = await gather(connection, run_id, task, length, GATHERED_BYTES_MAX)
    if body is not None:
        return Output(JSON, body, None, size, sha256)
    parts = _chunks(_gathered_parts(connection, run_id, task, length), sha256)
    await worker_feed.put_artifact(connection, namespace, sha256, JSON, size, parts)
    return Output(JSON, None, f"artifact:{sha256}", size, sha256)


async def gathered_list(connection: Connection, run_id: UUID, task: int) -> Output | None:
    """The list itself, one that is too large to be read by its digest; None: the task has none."""
    length = (await maps.lengths(connection, [run_id], [task])).get((run_id, task))
    if length is None:
        return None
    body, size, sha256 = await gather(connection, run_id, task, length, LIST_BYTES_MAX)
    return Output(JSON, body, None, size, sha256)


async def gather(
    connection: Connection, run_id: UUID, task: int, length: int, bytes_max: int
) -> tuple[bytes | None, int, str]:
    """The outputs of a mapped task's instances as a JSON list, in their order, null where there is none; how many bytes
    it has, and its SHA-256. No list when it has more than `bytes_max` bytes: it may be larger than any memory.

    An output that is not JSON, or too large to travel inline, stands in it as its reference.
    """
    digest, size = hashlib.sha256(), 0
    kept: list[bytes] = []
    async for part in _gathered_parts(connection, run_id, task, length):
        digest.update(part)
        size += len(part)
        if size <= bytes_max:
            kept.append(part)
        else:
            kept.clear()
    return b"".join(kept) if size <= bytes_max else None, size, digest.hexdigest()


async def _gathered_parts(connection: Connection, run_id: UUID, task: int, length: int) -> AsyncIterator[bytes]:
    """The text of the list, some instances at a time."""
    yield b"["
    for first in range(0, length, GATHERED_AT_ONCE):
        texts = ["null"] * min(GATHERED_AT_ONCE, length - first)
        for row in await maps.gathered(connection, run_id, task, first, first + len(texts)):
            texts[row["map_index"] - first] = _element(row)
        yield f"{',' if first else ''}{','.join(texts)}".encode()
    yield b"]"


async def _chunks(parts: AsyncIterator[bytes], sha256: str) -> AsyncIterator[list[bytes]]:
    """The text in chunks as artifacts have them; it must still be what it was when it was first read."""
    digest, rest = hashlib.sha256(), bytearray()
    async for part in parts:
        digest.update(part)
        rest += part
        while len(rest) >= worker_feed.CHUNK_BYTES:
            yield [bytes(rest[: worker_feed.CHUNK_BYTES])]
            del rest[: worker_feed.CHUNK_BYTES]
    if digest.hexdigest() != sha256:
        raise StateConflict("an instance of the task has ended while its outputs were gathered", hint="ask again")
    if rest:
        yield [bytes(rest)]


async def _gathered_values(connection: Connection, run_id: UUID, task: int, task_id: str, length: int) -> Any:
    body, size, _ = await gather(connection, run_id, task, length, LIST_BYTES_MAX)
    if body is None:
        raise NoItems(f"the outputs of {task_id} have {size} bytes together, at most {LIST_BYTES_MAX} are read")
    return _parsed(task_id, body)


def _element(row: Any) -> str:
    if row["content_type"] == JSON and row["body"] is not None:
        try:
            text: str = row["body"].decode()
            return text
        except UnicodeDecodeError:
            pass  # no JSON, whatever it says of itself
    reference = {name: row[name] for name in ("content_type", "uri", "size_bytes", "sha256")}
    return json.dumps({name: value for name, value in reference.items() if value is not None})


# ---- single instances
async def parts_to_clear(
    connection: Connection,
    run_id: UUID,
    graph: Graph,
    board: Board,
    tasks: Sequence[int],
    *,
    instances: Mapping[int, Sequence[int]] | None = None,
    only_failed: bool = False,
    changes: Sequence[tuple[int, int, int]] = (),
) -> dict[int, MapPart]:
    """Of the mapped tasks among these, which instances run again where that is not all of them.

    Those of `instances`, by task; with `only_failed` those that did not succeed, of tasks that have ended. Where
    something upstream runs again, too, the lists may change: the map begins as a whole once it is admitted, and nothing
    is read for it here. `changes` are of this very step.
    """
    parts: dict[int, MapPart] = {}
    for task in tasks:
        chosen = (instances or {}).get(task, ())
        if task not in board.maps or not set(graph.upstream[task]).isdisjoint(tasks):
            continue
        if not chosen and not (only_failed and board.states[task] in FINAL):
            continue
        part = await _part(connection, run_id, board, task, chosen, changes)
        if part.again or part.out or board.maps[task].left:
            parts[task] = part
    return parts


async def _part(
    connection: Connection,
    run_id: UUID,
    board: Board,
    task: int,
    chosen: Sequence[int],
    changes: Sequence[tuple[int, int, int]],
) -> MapPart:
    counts = board.maps[task]
    states = await maps.instance_states(connection, run_id, task)
    states |= {index: state for changed, index, state in changes if changed == task and index >= 0}
    known = chosen or [*range(counts.released), *sorted(counts.ahead)]
    wanted = [index for index in known if index < counts.released or index in counts.ahead]
    out = frozenset(index for index in wanted if states[index] == TaskState.RELEASED)
    again = [index for index in wanted if index not in out and (chosen or states[index] not in _STAYS)]
    made = await maps.instance_attempts(connection, run_id, task, again)
    base = board.base(task)
    return MapPart({index: (max(made.get(index, 0), base) + 1, states[index]) for index in again}, out)


async def states_of(
    connection: Connection, run_id: UUID, board: Board, task: int, indexes: Sequence[int]
) -> dict[int, int]:
    """The states (codes of TaskState) of these instances, of those that were released or have their end."""
    counts, states = board.maps[task], await maps.instance_states(connection, run_id, task)
    known = {index for index in indexes if index < counts.released or index in counts.ahead}
    return {index: states[index] for index in known}


def check_instances(graph: Graph, board: Board, instances: Mapping[int, Sequence[int]]) -> None:
    """Raise for instances that their tasks do not have: InvalidInput, NotFound."""
    count = sum(map(len, instances.values()))
    if count > INSTANCES_NAMED_MAX:
        violation = Violation("map_indexes", f"{count} indexes", f"at most {INSTANCES_NAMED_MAX} indexes")
        raise InvalidInput(str(violation), violations=[violation])
    for task, indexes in instances.items():
        name = graph.task_ids[task]
        if task not in graph.maps:
            raise NotFound(f"task {name} has no instances: it is not mapped", hint="name the task itself")
        length = board.maps[task].length if task in board.maps else 0
        for index in indexes:
            if not 0 <= index < length:
                hint = "" if length else "name the task itself while its lists have not been read"
                has = f"{length}: 0 to {length - 1}" if length else "0"
                raise NotFound(f"task {name} has no instance {index}, it has {has}", hint=hint)
