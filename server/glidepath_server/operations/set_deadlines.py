"""The deadlines that a DAG has: declared with it, or set by themselves. They are live, as a pause is: no version has
them, and runs that were created before keep what they were created with.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ..core.deadlines import DEADLINES_MAX, Deadline, check_deadline, check_target, deadline_to_json, named
from ..core.errors import InvalidDag, InvalidInput, LimitExceeded, StateConflict, Violation
from ..core.json_text import from_json
from ..store import deadlines as store
from ..store import registry
from ..store.database import Connection, database_now
from ..store.deadlines import DagDeadline
from .audit import append_audit
from .find_dag import lock_dag


async def set_deadline(
    connection: Connection, *, namespace: str, dag_id: str, deadline: Deadline, actor: str
) -> DagDeadline:
    """Give the DAG a deadline, or replace the one of that name, inside the caller's transaction.

    Raises InvalidInput, NotFound, StateConflict for one that is declared with the DAG, LimitExceeded.
    """
    _refuse(list(check_deadline(deadline, "declaration")))
    await lock_dag(connection, namespace, dag_id)
    latest = await registry.latest_version(connection, namespace, dag_id)
    assert latest is not None
    tasks = from_json(latest.text)["tasks"]
    ids, groups = [task["task_id"] for task in tasks], [task.get("group_id", "") for task in tasks]
    _refuse(list(check_target(deadline, "declaration", ids, groups)))
    deadline = named(deadline)
    known = {each.deadline.name: each for each in await store.dag_deadlines(connection, namespace, [dag_id])}
    if deadline.name in known and known[deadline.name].declared:
        raise _declared(dag_id, deadline.name)
    if deadline.name not in known and len(known) >= DEADLINES_MAX:
        raise LimitExceeded(f"DAG {dag_id} has {DEADLINES_MAX} deadlines, as many as a DAG may have")
    now = await database_now(connection)
    if await store.put_dag_deadlines(connection, namespace, dag_id, [deadline], declared=False, now=now, by=actor):
        await _audit(connection, namespace, dag_id, actor, now, set_now=[deadline])
    (found,) = [
        each
        for each in await store.dag_deadlines(connection, namespace, [dag_id])
        if each.deadline.name == deadline.name
    ]
    return found


async def delete_deadline(connection: Connection, *, namespace: str, dag_id: str, name: str, actor: str) -> None:
    """Runs that have it keep it. One that is not there is deleted already. Raises NotFound, StateConflict."""
    await lock_dag(connection, namespace, dag_id)
    known = {each.deadline.name: each for each in await store.dag_deadlines(connection, namespace, [dag_id])}
    if name not in known:
        return
    if known[name].declared:
        raise _declared(dag_id, name)
    await store.delete_dag_deadline(connection, namespace, dag_id, name)
    await _audit(connection, namespace, dag_id, actor, await database_now(connection), gone=[name])


async def declare_deadlines(
    connection: Connection, *, namespace: str, dag_id: str, declared: Sequence[Deadline], actor: str, now: datetime
) -> None:
    """Make these all that is declared with the DAG, whose row the caller holds. They were checked.

    Raises InvalidDag for a name that somebody has set by itself, and for too many with those.
    """
    known = await store.dag_deadlines(connection, namespace, [dag_id])
    if not known and not declared:
        return
    own = {each.deadline.name for each in known if not each.declared}
    wanted = [named(each) for each in declared]
    wrong = [
        Violation(f"deadlines[{index}].name", repr(each.name), "a name that SetDeadline has not set")
        for index, each in enumerate(wanted)
        if each.name in own
    ]
    if len(own) + len(wanted) > DEADLINES_MAX:
        wrong.append(Violation("deadlines", f"{len(own) + len(wanted)} deadlines", f"at most {DEADLINES_MAX} of a DAG"))
    if wrong:
        raise InvalidDag(str(wrong[0]), violations=wrong)
    gone = await store.delete_undeclared(connection, namespace, dag_id, [each.name for each in wanted])
    put = await store.put_dag_deadlines(connection, namespace, dag_id, wanted, declared=True, now=now, by=actor)
    if gone or put:
        changed = [each for each in wanted if each.name in put]
        await _audit(connection, namespace, dag_id, actor, now, set_now=changed, gone=gone)


async def _audit(
    connection: Connection,
    namespace: str,
    dag_id: str,
    actor: str,
    now: datetime,
    *,
    set_now: Sequence[Deadline] = (),
    gone: Sequence[str] = (),
) -> None:
    detail = {"set": {each.name: from_json(deadline_to_json(each)) for each in set_now}, "deleted": list(gone)}
    await append_audit(
        connection,
        namespace=namespace,
        actor=actor,
        action="deadline.set" if set_now else "deadline.delete",
        target=f"dag/{dag_id}",
        detail=detail,
        now=now,
    )


def _refuse(wrong: Sequence[Violation]) -> None:
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=list(wrong))


def _declared(dag_id: str, name: str) -> StateConflict:
    return StateConflict(
        f"deadline {name!r} was declared with DAG {dag_id}", hint="change it there and register the DAG again"
    )
