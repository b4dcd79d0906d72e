"""Every RPC x everybody x ids of one's own, of another namespace, of nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import grpc
import pytest

from tests.hostile.rpc_table import RPCS, Rpc
from tests.hostile.scene import MARKS, Answer, Caller, Scene, call, open_scene

Code = grpc.StatusCode
OTHER = {"red": "blue", "blue": "red"}


def filled(value: Any, ids: Mapping[str, str]) -> Any:
    """The fields with the names in braces replaced."""
    if isinstance(value, str):
        return value.format(**ids) if "{" in value else value
    if isinstance(value, dict):
        return {key: filled(each, ids) for key, each in value.items()}
    return [filled(each, ids) for each in value] if isinstance(value, list) else value


def named(fields: Any) -> set[str]:
    """The names in braces in the fields."""
    if isinstance(fields, str):
        return {fields.partition("{")[2].partition("}")[0]} - {""}
    parts: Iterable[Any] = fields.values() if isinstance(fields, dict) else fields if isinstance(fields, list) else ()
    return set().union(*map(named, parts))


def without(text: str, ids: Mapping[str, str]) -> str:
    """The message apart from the ids that were asked for."""
    for value in ids.values():
        text = text.replace(value, "<id>")
    return text


class Matrix:
    """One scene, what was found wrong in it, and every text that came back."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.faults = scene, list[str]()
        self.texts: list[str] = []
        self.calls = 0

    async def call(self, path: str, caller: Caller, fields: Mapping[str, Any]) -> Answer:
        service, _, name = path.partition("/")
        method = next(m for m in self.scene.methods() if (m.containing_service.full_name, m.name) == (service, name))
        answer = await call(self.scene.channel, method, caller, fields)
        self.texts += [answer.text, answer.trailing]
        self.calls += 1
        return answer

    def expect(self, path: str, caller: Caller, why: str, answer: Answer, *codes: grpc.StatusCode) -> None:
        if answer.code not in codes:
            self.faults.append(f"{path} by {caller.name}, {why}: {answer.code.name} {answer.text!r}, expected {codes}")

    # ---- what must be refused
    async def refused(self, path: str, rpc: Rpc) -> None:
        for caller in self.scene.callers:
            ids = self.scene.ids.get(caller.namespace, self.scene.ids["red"])
            if rpc.public:
                continue
            if not caller.role:
                self.expect(
                    path, caller, "own", await self.call(path, caller, filled(rpc.fields, ids)), Code.UNAUTHENTICATED
                )
            elif caller.role not in rpc.may or (rpc.everywhere and caller.namespace != "*"):
                answer = await self.call(path, caller, filled(rpc.fields, ids))
                self.expect(path, caller, "own", answer, Code.PERMISSION_DENIED)
            elif caller.namespace != "*":
                await self.strange(path, rpc, caller)
                await self.elsewhere(path, rpc, caller)

    async def strange(self, path: str, rpc: Rpc, caller: Caller) -> None:
        """Ids of another namespace are answered like ids of nothing, each alone among ids of one's own."""
        own, other, nothing = (self.scene.ids[each] for each in (caller.namespace, OTHER[caller.namespace], "nothing"))
        for name in named(rpc.fields):
            foreign = await self.call(path, caller, filled(rpc.fields, {**own, name: other[name]}))
            missing = await self.call(path, caller, filled(rpc.fields, {**own, name: nothing[name]}))
            # Of a live attempt, what is not its own does not exist.
            codes = {rpc.strange, Code.NOT_FOUND} if "task_token" in named(rpc.fields) else {rpc.strange}
            self.expect(path, caller, f"foreign {name}", foreign, *codes)
            if foreign.code != missing.code or without(foreign.text, other) != without(missing.text, nothing):
                self.faults.append(f"{path} by {caller.name} tells {name} from none: {foreign} / {missing}")

    async def elsewhere(self, path: str, rpc: Rpc, caller: Caller) -> None:
        """A namespace that is not one's own is refused alike, whether it is there or not."""
        other = OTHER[caller.namespace]
        method = next(m for m in self.scene.methods() if path == f"{m.containing_service.full_name}/{m.name}")
        if "namespace" not in method.input_type.fields_by_name:
            return
        texts = set()
        for namespace in (other, "nowhere", "*"):
            fields = filled(rpc.fields, self.scene.ids[other]) | {"namespace": namespace}
            answer = await self.call(path, caller, fields)
            self.expect(path, caller, f"namespace {namespace}", answer, Code.PERMISSION_DENIED)
            texts.add(answer.text.replace(repr(namespace), "<namespace>"))
        if len(texts) != 1:
            self.faults.append(f"{path} by {caller.name} tells namespaces apart: {texts}")

    # ---- what must be allowed
    async def allowed(self, path: str, rpc: Rpc) -> None:
        for caller in self.allowed_callers(rpc):
            answer = await self.call(path, caller, filled(rpc.fields, self.scene.ids[caller.namespace]))
            self.expect(path, caller, "own", answer, *rpc.own)
            foreign = [MARKS[OTHER[caller.namespace]], OTHER[caller.namespace], *self.foreign_ids(caller)]
            held = answer.message.SerializeToString() if answer.message is not None else b""
            if leaked := [mark for mark in foreign if mark.encode() in held]:
                self.faults.append(f"{path} tells {caller.name} of {leaked}")

    def allowed_callers(self, rpc: Rpc) -> Iterator[Caller]:
        for caller in self.scene.callers:
            if caller.namespace in MARKS and caller.role in rpc.may and not rpc.everywhere:
                yield caller

    def foreign_ids(self, caller: Caller) -> list[str]:
        return list(self.scene.ids[OTHER[caller.namespace]].values())


@pytest.mark.timeout(240)
async def test_everybody_gets_what_the_table_says(database_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with open_scene(database_url) as scene:
        matrix = Matrix(scene)
        for path, rpc in RPCS.items():
            before = await scene.fingerprint()
            await matrix.refused(path, rpc)
            after = await scene.fingerprint()
            matrix.faults += [f"{path} changed {table}" for table in after if after[table] != before[table]]
        for path, rpc in RPCS.items():
            await matrix.allowed(path, rpc)
        assert matrix.calls > 1000
        logged = "".join(capfd.readouterr())
        told = [secret for secret in scene.secrets() if any(secret in text for text in (*matrix.texts, logged))]
        assert not told, "these secrets were told or logged"
        assert "call_failed" not in logged, "the server met an error that it had not foreseen"
    assert not matrix.faults, "\n".join(matrix.faults)


async def test_the_table_has_every_rpc_that_the_server_serves(database_url: str) -> None:
    async with open_scene(database_url) as scene:
        served = {f"{method.containing_service.full_name}/{method.name}" for method in scene.methods()}
    assert served == set(RPCS)


async def test_a_caller_without_bounds_meets_nothing_and_nowhere(database_url: str) -> None:
    """Who holds every namespace is bound by role alone, and each namespace still has its own ids."""
    async with open_scene(database_url) as scene:
        matrix = Matrix(scene)
        for path, rpc in RPCS.items():
            method = next(m for m in scene.methods() if path == f"{m.containing_service.full_name}/{m.name}")
            if "namespace" not in method.input_type.fields_by_name:
                continue
            caller = next(each for each in scene.callers if each.namespace == "*" and each.role in rpc.may)
            fields = filled(rpc.fields, scene.ids["red"])
            matrix.expect(
                path,
                caller,
                "nowhere",
                await matrix.call(path, caller, {**fields, "namespace": "nowhere"}),
                Code.NOT_FOUND,
            )
            if named(rpc.fields):
                answer = await matrix.call(path, caller, {**fields, "namespace": "blue"})
                matrix.expect(path, caller, "ids of red in blue", answer, rpc.strange)
    assert not matrix.faults, "\n".join(matrix.faults)
