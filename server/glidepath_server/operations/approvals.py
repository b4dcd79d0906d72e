"""Questions that tasks ask people: listing them, and answering one, as an event of its run's step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from ..core.approvals import DECIDED, Answer, ApprovalSpec, ApprovalState, Decision, form_of
from ..core.errors import InvalidInput, PermissionDenied, StateConflict, Violation
from ..core.events import ApprovalAnswered
from ..core.params import InvalidParams
from ..store import approvals as store
from ..store.approvals import Approval
from ..store.runs_read import snapshot
from .command_runs import CommandCall, RunCommander
from .plans import Plan
from .read_runs import RunReader, task_index

NOTE_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """A stored question with what its DAG version says of it."""

    approval: Approval
    spec: ApprovalSpec


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as it came in. `values` is JSON text."""

    task_id: str
    map_index: int
    decision: Decision
    values: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Approvals:
    """Questions of any namespace; the caller has checked that the namespace may be read or steered."""

    reader: RunReader
    commander: RunCommander

    async def list(
        self, namespace: str, dag_id: str, dag_run_id: UUID | None, *, closed: bool, below: int, limit: int
    ) -> list[Question]:
        """Newest first, below an id. Raises NotFound for a DAG or a run that does not exist."""
        async with snapshot(self.reader.database) as connection:
            if dag_run_id is not None:
                await self.reader.load(connection, namespace, dag_run_id)
            if dag_id:
                await self.reader.check_dag(connection, namespace, dag_id)
            found = await store.list_approvals(
                connection, namespace, dag_id=dag_id, dag_run_id=dag_run_id, closed=closed, below=below, limit=limit
            )
            await self.reader.plans.load(connection, {each.dag_version_id for each in found})
        return [self._question(each) for each in found]

    def _question(self, approval: Approval) -> Question:
        graph = self.reader.plans.versions[approval.dag_version_id].graph
        # A task that was removed since, or is none any more, has no words.
        return Question(approval, graph.approvals.get(approval.task_index, ApprovalSpec()))

    async def answer(self, call: CommandCall, given: Given) -> Question:
        """Answer what a task instance asks; the same again changes nothing.

        Raises NotFound, InvalidInput, PermissionDenied, and StateConflict for a question that has another answer.
        """
        _check_note(given.note)
        if await self.commander.stored(call) is not None:
            _, question = await self._newest(call, given)
            return question
        plan, question = await self._newest(call, given)
        answer = _answer(call, question.spec, given)
        if question.approval.state is ApprovalState.OPEN:
            try:
                await self._carry_out(call, plan, question.approval, answer)
            except StateConflict:
                _, now = await self._newest(call, given)
                if now.approval.attempt_number != question.approval.attempt_number or _is_open(now):
                    raise
                _check_same(now.approval, answer)  # somebody was faster
            _, question = await self._newest(call, given)
        else:
            _check_same(question.approval, answer)
        return question

    async def _newest(self, call: CommandCall, given: Given) -> tuple[Plan, Question]:
        async with snapshot(self.reader.database) as connection:
            _, plan = await self.reader.load(connection, call.namespace, call.dag_run_id)
            task = task_index(plan, given.task_id)
            if task not in plan.graph.approvals:
                raise _asks_nothing(plan, given.task_id)
            approval = await store.newest(connection, call.dag_run_id, task, given.map_index)
        if approval is None:
            raise StateConflict(
                f"task {given.task_id} does not ask for approval yet", hint="wait until what comes before it has ended"
            )
        return plan, self._question(approval)

    async def _carry_out(self, call: CommandCall, plan: Plan, approval: Approval, answer: Answer) -> None:
        event = ApprovalAnswered(approval.task_index, approval.map_index, approval.attempt_number, answer)
        detail = {
            "answer": answer.decision.value,
            "values": answer.values,
            "note": answer.note,
            "attempt_number": approval.attempt_number,
        }
        await self.commander.carry_out(call, plan, event, "approval.answer", detail)


def _asks_nothing(plan: Plan, task_id: str) -> InvalidInput:
    asks = [plan.graph.task_ids[each] for each in plan.graph.approvals]
    expected = f"a task that asks for approval: {', '.join(asks[:10]) or 'none does'}"
    violation = Violation("task_id", repr(task_id), expected)
    return InvalidInput(str(violation), violations=[violation])


def _is_open(question: Question) -> bool:
    return question.approval.state is ApprovalState.OPEN


def _answer(call: CommandCall, spec: ApprovalSpec, given: Given) -> Answer:
    """The answer, complete. Raises PermissionDenied or InvalidInput."""
    if spec.approvers and call.actor not in spec.approvers:
        raise PermissionDenied(
            f"{call.actor!r} may not answer for task {given.task_id}",
            hint=f"its approvers: {', '.join(spec.approvers)}",
        )
    if given.decision is Decision.REJECT:
        if given.values not in ("", "{}"):
            violation = Violation("values", repr(given.values[:80]), "nothing: to reject takes no values")
            raise InvalidInput(str(violation), violations=[violation])
        return Answer(given.decision, call.actor, "{}", given.note)
    try:
        values = form_of(spec).complete(given.values, "values")
    except InvalidParams as error:
        more = f" (and {len(error.violations) - 1} more)" if len(error.violations) > 1 else ""
        raise InvalidInput(f"{error.violations[0]}{more}", violations=error.violations) from None
    return Answer(given.decision, call.actor, values, given.note)


def _check_same(approval: Approval, answer: Answer) -> None:
    """Raise StateConflict for a question that was closed by something else than this answer."""
    if approval.state is DECIDED[answer.decision] and approval.answer == answer.values:
        return
    raise StateConflict(f"task {approval.task_id} {''.join(_said(approval))}", hint=_HINTS[approval.state])


def _said(approval: Approval) -> Iterator[str]:
    words = {
        ApprovalState.APPROVED: "was approved",
        ApprovalState.REJECTED: "was rejected",
        ApprovalState.EXPIRED: "was not answered in time",
        ApprovalState.WITHDRAWN: "does not ask any more: it was cancelled, cleared or marked",
    }
    yield words[approval.state]
    if approval.state in DECIDED.values():
        yield f" by {approval.answered_by}" if approval.answered_by is not None else " by default"
        if approval.state is ApprovalState.APPROVED and approval.answer != "{}":
            yield f" with {approval.answer}"
    if approval.close_time is not None:
        yield f" at {approval.close_time:%Y-%m-%d %H:%M:%S} UTC"


_HINTS = dict.fromkeys(ApprovalState, "clear the task to have it ask again")


def _check_note(note: str) -> None:
    if len(note) > NOTE_CHARACTERS_MAX:
        violation = Violation("note", f"{len(note)} characters", f"at most {NOTE_CHARACTERS_MAX} characters")
        raise InvalidInput(str(violation), violations=[violation])
