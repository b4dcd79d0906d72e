"""A task token speaks for one live attempt, to a caller of its namespace, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import grpc

from glidepath_proto.worker.v1 import worker_service_pb2 as pb
from glidepath_server.core.task_token import seal, unseal
from tests.hostile.scene import Answer, Caller, Scene, call, encoded, open_scene, task_token_secret

Code = grpc.StatusCode
UNKNOWN = (Code.PERMISSION_DENIED, "the task token is not known (use the token of the assignment)")
DEAD = (Code.ABORTED, "the attempt is not live any more (end its processes)")
FENCED = pb.VERDICT_FENCED
READS: dict[str, dict[str, Any]] = {
    "GetOutput": {"task_id": "load"},
    "GetXCom": {"task_id": "load", "key": "rows"},
    "PutArtifact": {"chunk": "YQ=="},
    "GetArtifact": {"uri": "artifact:0"},
}


async def forged(scene: Scene) -> dict[str, bytes]:
    """Tokens that nobody sealed, by what is wrong with them."""
    live, other = scene.live["red"], scene.live["blue"]
    secret = await task_token_secret(scene)
    key = unseal(live, secret)
    assert key is not None
    flips = {
        f"bit {bit} flipped": bytes(byte ^ (bit // 8 == at) << bit % 8 for at, byte in enumerate(live))
        for bit in range(len(live) * 8)
    }
    return flips | {
        "empty": b"",
        "truncated": live[:-1],
        "extended": live + b"\0",
        "doubled": live * 2,
        "without its seal": live[:-16],
        "with zeros for a seal": live[:-16] + bytes(16),
        "with another attempt's seal": live[:-16] + other[-16:],
        "sealed under another key": seal(key, bytes(32)),
        "sealed under no key": seal(key, b""),
    }


async def dead(scene: Scene) -> dict[str, bytes]:
    """Tokens that were sealed and are nothing to a worker of red."""
    secret = await task_token_secret(scene)
    key = unseal(scene.live["red"], secret)
    assert key is not None
    return {
        "of an attempt that has ended": scene.ended["red"],
        "of a live attempt of another namespace": scene.live["blue"],
        "of an ended attempt of another namespace": scene.ended["blue"],
        "of an attempt to come": seal(replace_key(key, attempt_number=2), secret),
        "of a task that is none": seal(replace_key(key, task=99), secret),
    }


def replace_key(key: Any, **fields: int) -> Any:
    return key._replace(**fields) if hasattr(key, "_replace") else replace(key, **fields)


async def ask(scene: Scene, caller: Caller, name: str, **fields: Any) -> Answer:
    return await call(scene.channel, scene.method(name), caller, fields)


def report(token: bytes) -> dict[str, Any]:
    """All that can be said with a token in one Report."""
    text = encoded(token)
    return {
        "results": [{"task_token": text, "failed": {"message": "by a stranger"}}],
        "progress": [{"task_token": text, "percent": 50, "checkpoint": "YQ=="}],
        "log_chunks": [{"task_token": text, "sequence_number": 7, "entries": [{"text": "by a stranger"}]}],
    }


async def test_tokens_that_nobody_sealed_are_refused_wherever_they_are_shown(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        worker, tokens = scene.caller("red", "worker"), await forged(scene)
        before = await scene.fingerprint()
        for why, token in tokens.items():
            for name, fields in READS.items():
                answer = await ask(scene, worker, name, task_token=encoded(token), **fields)
                assert (answer.code, answer.text) == UNKNOWN, (why, name)
            answer = await ask(scene, worker, "Report", session=session(scene), **report(token))
            assert [ack.verdict for ack in answer.message.result_acks] == [FENCED], why
            assert not answer.message.log_acks, why
        assert await scene.fingerprint() == before
        assert len(tokens) > 350


async def test_tokens_of_attempts_that_are_not_ones_own_are_as_good_as_dead(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        worker = scene.caller("red", "worker")
        before = await scene.fingerprint()
        for why, token in (await dead(scene)).items():
            for name, fields in READS.items():
                answer = await ask(scene, worker, name, task_token=encoded(token), **fields)
                assert (answer.code, answer.text) == DEAD, (why, name)
            # Late lines of one's own attempts are kept, under their attempt: only results and progress are judged here.
            said = {key: value for key, value in report(token).items() if key != "log_chunks"}
            answer = await ask(scene, worker, "Report", session=session(scene), **said)
            assert [ack.verdict for ack in answer.message.result_acks] == [FENCED], why
        assert await scene.fingerprint() == before


async def test_log_lines_for_another_namespace_are_not_stored(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        worker = scene.caller("red", "worker")
        before = await scene.fingerprint()
        for token in (scene.live["blue"], scene.ended["blue"]):
            chunks = report(token)["log_chunks"]
            answer = await ask(scene, worker, "Report", session=session(scene), log_chunks=chunks)
            assert answer.code is Code.OK
        assert await scene.fingerprint() == before


async def test_a_heartbeat_fences_what_is_not_its_sessions_own(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        tokens = [*(await forged(scene)).values(), *(await dead(scene)).values()]
        held = [encoded(token) for token in (scene.live["red"], *tokens)]
        answer = await ask(
            scene, scene.caller("red", "worker"), "Heartbeat", session=session(scene), held_task_tokens=held
        )
        assert set(answer.message.fenced_task_tokens) == set(tokens)


async def test_a_hello_brings_along_only_its_own_attempts(database_url: str) -> None:
    """Another worker of red, and a worker of another namespace, list what they should not have."""
    async with open_scene(database_url) as scene:
        live = await scene.rows("select * from live_attempt order by dag_run_id")
        for namespace, identity in (("red", "thief"), ("red", "worker-bbbbbbbb"), ("blue", "worker-rrrrrrrr")):
            tokens = [*(await dead(scene)).values(), scene.live["red"]]
            greeting = {
                "worker_identity": identity,
                "incarnation": "1",
                "protocol_version": 1,
                "handlers": [{"name": "none"}],
                "held_task_tokens": [encoded(token) for token in tokens],
            }
            answer = await ask(scene, scene.caller(namespace, "worker"), "Claim", hello=greeting, assignments_max=1)
            assert answer.code is Code.OK, answer
            assert set(answer.message.welcome.fenced_task_tokens) == set(tokens)
            assert not answer.message.assignments
        assert await scene.rows("select * from live_attempt order by dag_run_id") == live


async def test_a_stream_fences_every_word_about_what_is_not_its_own(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        tokens = [*(await forged(scene)).values(), *(await dead(scene)).values()]
        before = await scene.fingerprint()
        stream = scene.channel.stream_stream(
            "/glidepath.worker.v1.WorkerService/Work", pb.WorkRequest.SerializeToString, pb.WorkResponse.FromString
        )(metadata=(("authorization", f"Bearer {scene.caller('red', 'worker').token}"),))
        handlers = [pb.HandlerOffer(name="none")]
        hello = pb.Hello(worker_identity="stranger", incarnation="1", protocol_version=1, handlers=handlers)
        await stream.write(pb.WorkRequest(hello=hello))
        words = pb.WorkRequest(accepted_task_tokens=tokens, started_task_tokens=tokens)
        for token in tokens:
            words.results.add(task_token=token).failed.message = "by a stranger"
            words.progress.add(task_token=token, percent=50, checkpoint=b"a")
            if token not in (scene.ended["red"],):
                words.log_chunks.add(task_token=token, sequence_number=7).entries.add(text="by a stranger")
        await stream.write(words)
        acks: list[Any] = []
        while len(acks) < 2 * len(tokens):
            frame = await stream.read()
            acks += frame.result_acks
            assert not frame.start_permits and not frame.assignments
        assert {ack.verdict for ack in acks} == {FENCED}
        assert {ack.task_token for ack in acks} == set(tokens)
        await stream.done_writing()
        while await stream.read() is not grpc.aio.EOF:
            pass
        after = await scene.fingerprint()
        # Its own session is new, and of lines those stay that name an attempt of its namespace which is still to come.
        own = {"worker_session", "task_log_chunk", "task_log_chunk_open"}
        assert {table for table in after if after[table] != before[table]} <= own
        lines = await scene.rows(
            "select r.namespace from task_log_chunk c join dag_run r using (dag_run_id) where c.sequence_number = 7"
        )
        assert {row["namespace"] for row in lines} <= {"red"}


async def test_a_token_reaches_upstream_outputs_only(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        worker = scene.caller("red", "worker")
        for task_id in ("train", "nothing", ""):
            answer = await ask(scene, worker, "GetOutput", task_token=encoded(scene.live["red"]), task_id=task_id)
            assert answer.code is Code.PERMISSION_DENIED and "is not upstream" in answer.text
        artifact = scene.ids["blue"]["artifact"]
        answer = await ask(
            scene, worker, "GetArtifact", task_token=encoded(scene.live["red"]), uri=f"artifact:{artifact}"
        )
        assert answer.code is Code.NOT_FOUND


def session(scene: Scene) -> dict[str, Any]:
    return {"session_id": scene.ids["red"]["session"], "generation": 1}
