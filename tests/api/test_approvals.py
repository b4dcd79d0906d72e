"""A task that asks people waits, holds no slot, and goes by the first answer, its timeout, or an operator's command."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from runs_room import CHAIN, HANDLER, SOON_SECONDS, Hand, Room, dag, open_room, run_state
from serving import bearer, open_channel

from glidepath_proto.registry.v1 import dag_pb2, registry_service_pb2
from glidepath_proto.run.v1 import approval_service_pb2 as pb
from glidepath_proto.run.v1 import approval_service_pb2_grpc

pytestmark = pytest.mark.asyncio(loop_scope="module")
FORM = json.dumps(
    {
        "type": "object",
        "properties": {"stage": {"enum": ["canary", "all"]}, "percent": {"type": "integer", "default": 5}},
        "required": ["stage"],
    }
)
APPROVE, REJECT = dag_pb2.APPROVAL_ANSWER_APPROVE, dag_pb2.APPROVAL_ANSWER_REJECT


def asking(dag_id: str, upstream: tuple[str, ...] = (), **approval: Any) -> dag_pb2.DagSpec:
    """A DAG whose task `release` asks, and whose task `deploy` comes after it; its queue has its name."""
    spec = dag_pb2.DagSpec(dag_id=dag_id, defaults=dag_pb2.TaskPolicy(queue_name=dag_id))
    for name in upstream:
        spec.tasks.add(task_id=name, handler=dag_pb2.Handler(name=HANDLER))
    asks = dag_pb2.ApprovalSpec(**{"message": "Deploy?", **approval})
    spec.tasks.add(task_id="release", upstream_task_ids=upstream, approval=asks)
    deploy = spec.tasks.add(task_id="deploy", handler=dag_pb2.Handler(name=HANDLER))
    deploy.inputs["answer"].output.task_id = "release"
    return spec


class Approvals:
    """A client of the approval service beside a room's."""

    def __init__(self, room: Room, channel: grpc.aio.Channel) -> None:
        self.room = room
        self.stub: Any = approval_service_pb2_grpc.ApprovalServiceStub(channel)

    async def list(self, **fields: Any) -> list[pb.Approval]:
        answer = await self.stub.ListApprovals(pb.ListApprovalsRequest(**fields), metadata=self.room.metadata)
        return list(answer.approvals)

    async def answer(self, run_id: str, answer: Any = APPROVE, *, token: str = "", **fields: Any) -> pb.Approval:
        request = pb.AnswerApprovalRequest(dag_run_id=run_id, task_id="release", answer=answer, **fields)
        metadata = bearer(token) if token else self.room.metadata
        return (await self.stub.AnswerApproval(request, metadata=metadata)).approval

    async def start(self, dag_id: str) -> str:
        """A run that waits for an answer."""
        run_id = await self.room.start(dag_id)
        await self.room.watch(run_id, release="waiting")
        return run_id


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def approvals(module_database_url: str) -> AsyncIterator[Approvals]:
    async with (
        open_room(module_database_url, poll_interval_seconds=0.1) as room,
        open_channel(room.api.address) as channel,
    ):
        for spec in (
            asking("plain"),
            asking("filled", form=FORM),
            asking("named", approvers=["alice"]),
            asking("mild", on_reject=dag_pb2.APPROVAL_REJECT_SKIP),
            asking("after", upstream=("load",)),
        ):
            await room.register(spec)
        yield Approvals(room, channel)


async def hand_for(approvals: Approvals, dag_id: str) -> Hand:
    """Who works on the DAG's queue."""
    hand = Hand(approvals.room.server, 4, queue_names={dag_id}, identity=f"hand-{dag_id}")
    await hand.connect()
    return hand


def state_of(approval: pb.Approval) -> str:
    return pb.Approval.State.Name(approval.state).removeprefix("STATE_").lower()


async def reason_of(room: Room, run_id: str, task_id: str) -> str:
    answer = await room.call("ListTaskInstances", dag_run_id=run_id)
    return next(each.reason for each in answer.task_instances if each.task_id == task_id)


async def test_a_question_waits_without_a_worker_and_says_what_for(approvals: Approvals) -> None:
    run_id = await approvals.start("plain")
    assert await approvals.room.states(run_id) == {"release": "waiting", "deploy": "scheduled"}
    assert await reason_of(approvals.room, run_id, "release") == "waits for an answer: Deploy?"
    (found,) = await approvals.list(dag_run_id=run_id)
    assert (found.task_id, found.message, state_of(found), found.map_index) == ("release", "Deploy?", "open", -1)
    explained = await approvals.room.call("ExplainDagRun", dag_run_id=run_id, task_id="release")
    assert explained.explanations[0].hint == f"glidepath approval answer {run_id} release --approve  # or --reject"
    assert not await approvals.room.rows("select from live_attempt where dag_run_id = $1", run_id)
    assert (await approvals.room.run(run_id)).task_counts == {"waiting": 1, "scheduled": 1}


async def test_the_approved_values_are_the_output_that_the_next_task_gets(approvals: Approvals) -> None:
    hand = await hand_for(approvals, "filled")
    run_id = await approvals.start("filled")
    given = await approvals.answer(run_id, values='{"stage": "canary"}', note="go on")
    assert (state_of(given), given.answered_by, given.values) == (
        "approved",
        "a-admin",
        '{"percent":5,"stage":"canary"}',
    )
    assigned = await hand.take("deploy")
    (output,) = assigned.upstream.values()
    assert output.body is not None
    value = json.loads(output.body)
    assert value.pop("time") and value == {
        "approved": True,
        "values": {"percent": 5, "stage": "canary"},
        "by": "a-admin",
        "note": "go on",
    }
    await hand.end("deploy")
    assert run_state(await approvals.room.watch(run_id)) == "success"
    assert await reason_of(approvals.room, run_id, "release") == "approved by a-admin: go on"
    (audit,) = await approvals.room.rows(
        "select * from audit_event where action = 'approval.answer' and target = $1", f"dag_run/{run_id}"
    )
    detail = json.loads(audit["detail"])
    assert (audit["actor"], detail["task_ids"], detail["answer"]) == ("a-admin", ["release"], "approve")
    assert json.loads(detail["values"]) == {"percent": 5, "stage": "canary"}


@pytest.mark.parametrize(
    ("dag_id", "ends"),
    [("plain", ("failed", "upstream_failed", "failed")), ("mild", ("skipped", "skipped", "success"))],
)
async def test_a_rejection_fails_or_skips_and_is_not_retried(
    approvals: Approvals, dag_id: str, ends: tuple[str, str, str]
) -> None:
    run_id = await approvals.start(dag_id)
    assert state_of(await approvals.answer(run_id, REJECT, note="not on a Friday")) == "rejected"
    run = await approvals.room.watch(run_id)
    states = await approvals.room.states(run_id)
    assert (states["release"], states["deploy"], run_state(run)) == ends
    assert await reason_of(approvals.room, run_id, "release") == "rejected by a-admin: not on a Friday"
    if ends[2] == "failed":
        assert run.reason == "release: rejected by a-admin: not on a Friday"


async def test_a_rejection_is_no_reason_to_retry_the_run(approvals: Approvals) -> None:
    spec = asking("stubborn")
    spec.run_retries_max = 3
    await approvals.room.register(spec)
    run_id = await approvals.start("stubborn")
    await approvals.answer(run_id, REJECT)
    assert run_state(await approvals.room.watch(run_id)) == "failed"
    assert len(await approvals.list(dag_run_id=run_id, include_closed=True)) == 1


async def test_the_same_answer_again_changes_nothing_and_another_is_refused(approvals: Approvals) -> None:
    run_id = await approvals.start("filled")
    first = await approvals.answer(run_id, values='{"stage": "all"}', request_id="one")
    before = await approvals.room.run(run_id)
    assert await approvals.answer(run_id, values='{"stage": "all"}', request_id="one") == first
    assert await approvals.answer(run_id, values='{"percent": 5, "stage": "all"}', note="me too") == first
    assert (await approvals.room.run(run_id)).revision == before.revision
    with pytest.raises(grpc.aio.AioRpcError) as other:
        await approvals.answer(run_id, values='{"stage": "canary"}')
    assert other.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert (other.value.details() or "").startswith(
        'task release was approved by a-admin with {"percent":5,"stage":"all"} at 20'
    )
    with pytest.raises(grpc.aio.AioRpcError) as changed:
        await approvals.answer(run_id, REJECT, request_id="one")
    assert changed.value.code() is grpc.StatusCode.ALREADY_EXISTS
    with pytest.raises(grpc.aio.AioRpcError, match="was approved by a-admin"):
        await approvals.answer(run_id, REJECT)
    audited = "select from audit_event where action = 'approval.answer' and target = $1"
    assert len(await approvals.room.rows(audited, f"dag_run/{run_id}")) == 1


async def test_only_the_approvers_may_answer(approvals: Approvals) -> None:
    run_id = await approvals.start("named")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await approvals.answer(run_id)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert refused.value.details() == "'a-admin' may not answer for task release (its approvers: alice)"
    assert await approvals.room.states(run_id) == {"release": "waiting", "deploy": "scheduled"}
    alice = await approvals.room.api.token("operator", name="alice")
    assert (await approvals.answer(run_id, token=alice)).answered_by == "alice"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"values": '{"stage": "half"}'}, 'values.stage: got "half", expected one of "canary", "all"'),
        ({"values": ""}, "values.stage: got nothing, expected a value (required)"),
        ({"values": '{"stag": "all"}'}, 'values.stag: got "all", expected a value of this form; did you mean stage?'),
        ({"values": "[]"}, "values: got [], expected a JSON object"),
        (
            {"answer": REJECT, "values": '{"stage": "all"}'},
            'values: got \'{"stage": "all"}\', expected nothing: to reject takes no values',
        ),
        ({"answer": 0}, "answer: got 0, expected APPROVAL_ANSWER_APPROVE or APPROVAL_ANSWER_REJECT"),
        ({"note": "n" * 1001}, "note: got 1001 characters, expected at most 1000 characters"),
        ({"map_index": -2}, "map_index: got -2, expected 0 to"),
    ],
)
async def test_an_answer_that_does_not_fit_names_what_is_wrong(
    approvals: Approvals, fields: dict[str, Any], message: str
) -> None:
    run_id = await approvals.start("filled")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await approvals.answer(run_id, **{"answer": APPROVE, **fields})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.value.details() or "").startswith(message)
    assert (await approvals.room.states(run_id))["release"] == "waiting"


async def test_a_task_that_asks_nothing_cannot_be_answered(approvals: Approvals) -> None:
    run_id = await approvals.room.start("after")
    with pytest.raises(grpc.aio.AioRpcError, match="task release does not ask for approval yet"):
        await approvals.answer(run_id)
    request = pb.AnswerApprovalRequest(dag_run_id=run_id, task_id="load", answer=APPROVE)
    with pytest.raises(
        grpc.aio.AioRpcError, match="task_id: got 'load', expected a task that asks for approval: release"
    ):
        await approvals.stub.AnswerApproval(request, metadata=approvals.room.metadata)


async def expire(room: Room, run_id: str) -> None:
    """Two days later, as far as this question goes."""
    await room.rows(
        "update approval set timeout_time = glidepath_now() where dag_run_id = $1 and state = 'open'", run_id
    )


@pytest.mark.parametrize(
    ("default", "state", "ends"),
    [
        (APPROVE, "approved", ("success", "queued")),
        (REJECT, "rejected", ("failed", "upstream_failed")),
        (dag_pb2.APPROVAL_ANSWER_UNSPECIFIED, "expired", ("failed", "upstream_failed")),
    ],
)
async def test_the_timeout_answers_by_default_or_fails_the_task(
    approvals: Approvals, default: Any, state: str, ends: tuple[str, str]
) -> None:
    spec = asking(f"late-{state}", default=default)
    spec.tasks[0].approval.timeout.FromSeconds(2 * 86_400)
    await approvals.room.register(spec)
    run_id = await approvals.start(spec.dag_id)
    await expire(approvals.room, run_id)
    await approvals.room.watch(run_id, release=ends[0], deploy=ends[1])
    (found,) = await approvals.list(dag_run_id=run_id, include_closed=True)
    assert (state_of(found), found.answered_by) == (state, "")
    with pytest.raises(grpc.aio.AioRpcError, match="in time" if state == "expired" else "by default"):
        await approvals.answer(run_id, REJECT if state == "approved" else APPROVE)
    letters = await approvals.room.call("ListDeadLetters", dag_id=spec.dag_id)
    assert [each.reason for each in letters.dead_letters] == (
        ["nobody answered within 172800 s"] if state == "expired" else []
    )


@pytest.mark.parametrize("command", ["cancel", "mark", "clear"])
async def test_an_operators_command_takes_the_question_back(approvals: Approvals, command: str) -> None:
    run_id = await approvals.start("plain")
    tasks = {"dag_run_id": run_id, "task_ids": ["release"]}
    if command == "cancel":
        await approvals.room.call("CancelTaskInstances", **tasks)
    elif command == "mark":
        await approvals.room.call("MarkTaskInstances", **tasks, state="TASK_STATE_SKIPPED")
    else:
        await approvals.room.call("ClearTaskInstances", **tasks)
    found = await approvals.list(dag_run_id=run_id, include_closed=True)
    states = await approvals.room.states(run_id)
    if command == "clear":  # it asks anew
        assert [(state_of(each), each.attempt_number) for each in found] == [("open", 2), ("withdrawn", 1)]
        assert states["release"] == "waiting"
        assert (await approvals.answer(run_id)).attempt_number == 2
        return
    assert [state_of(each) for each in found] == ["withdrawn"]
    assert states["release"] == {"cancel": "cancelled", "mark": "skipped"}[command]
    with pytest.raises(grpc.aio.AioRpcError, match="does not ask any more: it was cancelled, cleared or marked"):
        await approvals.answer(run_id)


async def test_clearing_what_comes_before_asks_again_once_it_has_ended(approvals: Approvals) -> None:
    await approvals.room.register(asking("cleared", upstream=("load",)))
    hand = await hand_for(approvals, "cleared")
    run_id = await approvals.room.start("cleared")
    await hand.end("load")
    await approvals.room.watch(run_id, release="waiting")
    await approvals.room.call("ClearTaskInstances", dag_run_id=run_id, task_ids=["load"], downstream=True)
    assert (await approvals.room.states(run_id))["release"] == "scheduled"
    with pytest.raises(grpc.aio.AioRpcError, match="does not ask any more"):
        await approvals.answer(run_id)
    await hand.end("load")
    await approvals.room.watch(run_id, release="waiting")
    await approvals.answer(run_id)
    await hand.end("deploy")
    assert run_state(await approvals.room.watch(run_id)) == "success"
    attempts = (await approvals.room.call("ListAttempts", dag_run_id=run_id, task_id="release")).attempts
    assert [(each.attempt_number, each.state) for each in attempts] == [(1, 8), (2, 2)]


async def test_of_answers_at_once_one_counts_and_the_others_learn_whose(approvals: Approvals) -> None:
    run_id = await approvals.start("plain")
    tokens = [await approvals.room.api.token("operator", name=f"person{number}") for number in range(6)]
    answers = [
        approvals.answer(run_id, REJECT if each % 2 else APPROVE, token=token) for each, token in enumerate(tokens)
    ]
    async with asyncio.timeout(SOON_SECONDS):
        results = await asyncio.gather(*answers, return_exceptions=True)
    (found,) = await approvals.list(dag_run_id=run_id, include_closed=True)
    for number, result in enumerate(results):
        if (number % 2 == 0) == (state_of(found) == "approved"):
            assert result == found
        else:
            assert isinstance(result, grpc.aio.AioRpcError)
            assert f"was {state_of(found)} by {found.answered_by} at" in (result.details() or "")
    audited = await approvals.room.rows(
        "select actor from audit_event where action = 'approval.answer' and target = $1", f"dag_run/{run_id}"
    )
    assert [row["actor"] for row in audited] == [found.answered_by]


async def test_a_message_is_handed_out_as_written_with_the_values_it_names(approvals: Approvals) -> None:
    schema = '{"type": "object", "properties": {"model": {"default": "tree"}, "secret": {"default": "hidden"}}}'
    spec = asking("templated", message="Deploy {{ params.model }} of {{ ds }}?")
    spec.params_schema = schema
    await approvals.room.register(spec)
    run_id = await approvals.start("templated")
    (found,) = await approvals.list(dag_run_id=run_id)
    assert (found.message, found.params) == ("Deploy {{ params.model }} of {{ ds }}?", '{"model":"tree"}')


async def test_lists_are_by_dag_and_run_and_paged(approvals: Approvals) -> None:
    await approvals.room.register(asking("many"))
    runs = [await approvals.start("many") for _ in range(3)]
    assert [each.dag_run_id for each in await approvals.list(dag_id="many")] == runs[::-1]
    request = pb.ListApprovalsRequest(dag_id="many", page_size=2)
    first = await approvals.stub.ListApprovals(request, metadata=approvals.room.metadata)
    request.page_token = first.next_page_token
    second = await approvals.stub.ListApprovals(request, metadata=approvals.room.metadata)
    assert [each.dag_run_id for each in (*first.approvals, *second.approvals)] == runs[::-1]
    assert not second.next_page_token


async def test_a_version_with_an_approval_can_be_registered_again_as_it_is_handed_out(approvals: Approvals) -> None:
    spec = asking("again", form=FORM, approvers=["bob", "alice"], default=REJECT)
    spec.tasks[0].approval.timeout.FromSeconds(60)
    await approvals.room.register(spec)
    request = registry_service_pb2.GetDagVersionRequest(dag_id="again")
    found = await approvals.room.registry.GetDagVersion(request, metadata=approvals.room.metadata)
    assert await approvals.room.register(found.dag_version.spec) == 1
    assert list(found.dag_version.spec.tasks[0].approval.approvers) == ["alice", "bob"]


@pytest.mark.parametrize(
    ("approval", "message"),
    [
        ({"message": ""}, "approval.message: got nothing, expected what is asked"),
        ({"message": "{{ outputs.load }}"}, "approval.message: got 'outputs.load', expected params.NAME"),
        ({"message": "{{ params.model }}"}, "approval.message: got 'params.model', expected a param of params_schema"),
        ({"default": REJECT}, "approval.timeout: got nothing, expected the time after which the default answers"),
        ({"form": "[]"}, "approval.form: got"),
        ({"on_reject": 9}, "approval.on_reject: got 9, expected one of fail, skip"),
    ],
)
async def test_a_wrong_approval_is_refused_by_field(
    approvals: Approvals, approval: dict[str, Any], message: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=message):
        await approvals.room.register(asking("wrong", **approval))


async def test_an_approval_takes_nothing_that_only_a_worker_could_use(approvals: Approvals) -> None:
    spec = dag("wrong", CHAIN)
    spec.tasks[1].approval.message = "Go on?"
    spec.tasks[1].policy.pool_name = "gpu"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await approvals.room.register(spec)
    assert "tasks.train.handler.name: got 'test:task', expected nothing" in (refused.value.details() or "")


async def test_approving_by_default_needs_a_form_that_is_complete(approvals: Approvals) -> None:
    spec = asking("wrong", form=FORM, default=APPROVE)
    spec.tasks[0].approval.timeout.FromSeconds(60)
    with pytest.raises(grpc.aio.AioRpcError, match="expected a form that its defaults fill in"):
        await approvals.room.register(spec)
