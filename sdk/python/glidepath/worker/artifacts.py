"""Artifacts between this machine and the server's store. Runs in the stream process, which owns the connection.

Content is named by its hash, so a file here is right or is not there; a download goes to a `.partial` name and is
renamed when its hash holds. Calls are repeated while the server cannot be reached: an attempt may outlive a cut.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import grpc
import grpc.aio

from glidepath.errors import GlidepathError
from glidepath.payloads import OUTPUT
from glidepath.worker.backoff import Backoff
from glidepath.worker.sources import SourceStore
from glidepath_proto.common.v1.payload_pb2 import Payload
from glidepath_proto.worker.v1.worker_service_pb2 import (
    GetArtifactRequest,
    GetOutputRequest,
    GetSourceRequest,
    GetXComRequest,
    PutArtifactRequest,
)

CHUNK_BYTES = 512 * 1024
CACHE_BYTES_MAX = 1024 * 1024 * 1024
SOURCE_BYTES_MAX = 64 * 1024 * 1024
_URI = re.compile(r"artifact:([0-9a-f]{64})")

XCOM = "xcom:"
"""Begins the reference of an XCom that had no room in its assignment; the task's id, "/" and the key follow."""

T = TypeVar("T")
Stub = Any
Connect = Callable[[], Awaitable[Stub]]
"""Gives the stub of the present connection; waits while there is none."""


class ArtifactRefused(GlidepathError):
    """The server does not store or give this artifact; `fenced` says that it is because the attempt is not live."""

    def __init__(self, message: str, fenced: bool = False, permanent: bool = True) -> None:
        self.fenced = fenced
        self.permanent = permanent
        super().__init__(message)


class Artifacts:
    """Uploads, downloads and registered source. `folder` keeps what was downloaded, the longest unused goes first."""

    def __init__(self, connect: Connect, metadata: Any, folder: Path, sources: SourceStore, namespace: str) -> None:
        self._connect = connect
        self._metadata = metadata
        self._folder = folder
        self._sources = sources
        self._namespace = namespace
        self._fetching: dict[str, asyncio.Task[Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    async def reply(self, token: bytes, question: Mapping[str, Any], reply: Callable[[bytes], None]) -> None:
        """Do what a body asked through its context and reply with what it needs to know, or the "error" it raises."""
        try:
            answer = await self._answer(token, question)
        except (GlidepathError, OSError, KeyError) as error:
            answer = {"error": str(error)}
        reply(json.dumps(answer).encode())

    async def _answer(self, token: bytes, question: Mapping[str, Any]) -> dict[str, str]:
        match question["kind"]:
            case "put_artifact":
                return {"uri": (await self.put(token, question["path"], question["content_type"])).uri}
            case "get_artifact":
                return {"path": str(await self.get(token, question["uri"]))}
            case "get_xcom":
                return {"value": await self._xcom(token, question)}
            case other:
                return {"error": f"this worker knows no {other!r}"}

    async def put(self, token: bytes, path: str, content_type: str) -> Payload:
        """Store a file; the answer is its reference. ArtifactRefused says why not."""
        await asyncio.to_thread(_check_regular, path)

        async def call(stub: Stub) -> Payload:
            answer = await stub.PutArtifact(_upload(token, path, content_type), metadata=self._metadata)
            return answer.artifact  # type: ignore[no-any-return]

        return await self._repeat(call, f"storing {path}")

    async def get(self, token: bytes, uri: str) -> Path:
        """The file of a reference, downloaded unless it is here."""
        if uri.startswith(XCOM):
            task_id, _, key = uri.removeprefix(XCOM).partition("/")
            return await self._keep((await self._xcom(token, {"task_id": task_id, "key": key})).encode())
        if uri.startswith(OUTPUT):
            return await self._output(token, uri.removeprefix(OUTPUT))
        match = _URI.fullmatch(uri)
        if match is None:
            raise ArtifactRefused(f"{uri[:200]!r} is no artifact of the server; expected artifact:<sha256>")
        path = self._folder / match[1]
        if not path.exists():
            await self._once(uri, lambda: self._download(token, uri, match[1], path))
        return path

    async def _output(self, token: bytes, task_id: str) -> Path:
        """The output of an upstream task, asked for anew each time: another run of the same DAG has another."""

        async def call(stub: Stub) -> Payload:
            request = GetOutputRequest(task_token=token, task_id=task_id)
            answer = await stub.GetOutput(request, metadata=self._metadata)
            return answer.output  # type: ignore[no-any-return]

        payload = await self._repeat(call, f"fetching the output of {task_id}")
        if payload.uri.startswith(OUTPUT):
            raise ArtifactRefused(f"the output of {task_id} lies at {payload.uri}, which leads nowhere")
        return await self.get(token, payload.uri) if payload.uri else await self._keep(payload.data)

    async def _xcom(self, token: bytes, question: Mapping[str, Any]) -> str:
        """What an upstream task pushed, as JSON."""
        asked = {name: question[name] for name in ("task_id", "key", "map_index") if question.get(name) is not None}

        async def call(stub: Stub) -> str:
            answer = await stub.GetXCom(GetXComRequest(task_token=token, **asked), metadata=self._metadata)
            return answer.value  # type: ignore[no-any-return]

        return await self._repeat(call, f"pulling {question['key']} of {question['task_id']}")

    async def _keep(self, data: bytes) -> Path:
        path = self._folder / hashlib.sha256(data).hexdigest()
        if not path.exists():
            partial = path.with_suffix(f".{os.urandom(6).hex()}.partial")  # the same bytes may come twice at a time
            await asyncio.to_thread(partial.write_bytes, data)
            _put_in_place(partial, path)
            self._prune(keep=path)
        return path

    def source_at_hand(self, content_hash: str) -> str | None:
        """The folder of registered source if it is here."""
        return self._sources.path(content_hash)

    async def source(self, content_hash: str, namespace: str = "") -> str:
        """The folder of registered source, fetched unless it is here. SourceRefused or ArtifactRefused say why not.

        `namespace` is that of the attempt that needs it, the worker's own unless given.
        """
        path = self._sources.path(content_hash)
        if path is None:
            path = await self._once(
                f"source:{content_hash}", lambda: self._fetch_source(content_hash, namespace or self._namespace)
            )
        return path

    async def _fetch_source(self, content_hash: str, namespace: str) -> str:
        async def call(stub: Stub) -> bytes:
            request = GetSourceRequest(namespace=namespace, content_hash=content_hash)
            archive = bytearray()
            async for part in stub.GetSource(request, metadata=self._metadata):
                archive += part.chunk
                if len(archive) > SOURCE_BYTES_MAX:
                    raise ArtifactRefused(f"source {content_hash} is over {SOURCE_BYTES_MAX} bytes")
            return bytes(archive)

        archive = await self._repeat(call, f"fetching source {content_hash}")
        return await asyncio.to_thread(self._sources.add, content_hash, archive)

    async def _download(self, token: bytes, uri: str, sha256: str, path: Path) -> None:
        partial = path.with_suffix(".partial")

        async def call(stub: Stub) -> str:
            digest = hashlib.sha256()
            with open(partial, "wb") as file:
                request = GetArtifactRequest(task_token=token, uri=uri)
                async for part in stub.GetArtifact(request, metadata=self._metadata):
                    digest.update(part.chunk)
                    file.write(part.chunk)
            return digest.hexdigest()

        try:
            found = await self._repeat(call, f"fetching {uri}")
        except BaseException:
            partial.unlink(missing_ok=True)  # on a full disk it would take what room is left
            raise
        if found != sha256:
            partial.unlink(missing_ok=True)
            raise ArtifactRefused(f"{uri} arrived with hash {found}; refused")
        _put_in_place(partial, path)
        self._prune(keep=path)

    async def _once(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Several attempts want the same at the same time: it is fetched once."""
        task = self._fetching.get(name)
        if task is None:
            task = self._fetching[name] = asyncio.ensure_future(work())
            task.add_done_callback(lambda _: self._fetching.pop(name, None))
        return await asyncio.shield(task)

    async def _repeat(self, call: Callable[[Stub], Awaitable[T]], what: str) -> T:
        backoff = Backoff()
        while True:
            stub = await self._connect()
            try:
                return await call(stub)
            except grpc.aio.AioRpcError as error:
                code = error.code()
                if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN):
                    fenced = code == grpc.StatusCode.ABORTED
                    raise ArtifactRefused(f"{what}: {error.details() or code.name}", fenced) from error
            except asyncio.CancelledError:
                if _cancelled_here():
                    raise
            except OSError as error:
                raise ArtifactRefused(f"{what}: {error}") from error
            await asyncio.sleep(backoff.next())

    def _prune(self, keep: Path) -> None:
        files = [(file.stat().st_atime, file.stat().st_size, file) for file in self._folder.iterdir() if file != keep]
        surplus = sum(size for _, size, _ in files) - CACHE_BYTES_MAX
        for _, size, file in sorted(files):
            if surplus <= 0:
                break
            file.unlink(missing_ok=True)
            surplus -= size


def _put_in_place(partial: Path, path: Path) -> None:
    partial.chmod(0o400)  # others may read the same content later
    partial.rename(path)


def _cancelled_here() -> bool:
    """Whether this task is being cancelled, and not only a call because its channel was closed."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def _upload(token: bytes, path: str, content_type: str) -> AsyncIterator[PutArtifactRequest]:
    """Read in a thread: the file is where user code wanted it, and a slow disk must not delay a heartbeat."""
    with await asyncio.to_thread(_open, path) as file:
        chunk = await asyncio.to_thread(file.read, CHUNK_BYTES)
        yield PutArtifactRequest(task_token=token, content_type=content_type, chunk=chunk)
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield PutArtifactRequest(chunk=chunk)


def _open(path: str) -> BinaryIO:
    return open(path, "rb")


def _check_regular(path: str) -> None:
    if not os.path.isfile(path):
        raise ArtifactRefused(f"{path} is no regular file")
