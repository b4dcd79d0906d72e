"""What a task may know and say about its own attempt while it runs: `current()`.

    from glidepath.worker import current

    def train(rate: float) -> str:
        task = current()
        for epoch in range(epochs_done(task.checkpoint), 10):
            ...
            task.progress(10 * epoch, f"epoch {epoch}", checkpoint=str(epoch).encode())
        return task.put_artifact("model.bin")

Everything said here goes through the worker's own connection; a body holds no credentials.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from glidepath.errors import GlidepathError
from glidepath.worker.saying import Said

if TYPE_CHECKING:
    import logging

    from glidepath.artifacts import Artifact, Metrics

Kind = TypeVar("Kind", bound="Artifact")


class NotInTask(GlidepathError, RuntimeError):
    """`current()` was called where no task runs."""


class WorkerRefused(GlidepathError):
    """The worker could not do what the task asked for (store or fetch an artifact); the message says why."""


class Link(Protocol):
    """How a context reaches the worker that runs its task."""

    def tell(self, kind: str, message: Mapping[str, Any]) -> None:
        """Say something that has no answer."""

    def ask(self, kind: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Say something and wait for the answer. WorkerRefused when it could not be done."""


@dataclass(frozen=True)
class ChildRun:
    """The end of a run that the task has called with `resume`. `state` is "success", "failed" or "cancelled"."""

    run_id: str
    dag_id: str
    state: str
    reason: str = ""
    content_type: str = field(default="", repr=False)
    data: bytes = field(default=b"", repr=False)
    uri: str = ""
    link: Link | None = field(default=None, repr=False, compare=False)

    @property
    def output(self) -> Any:
        """What the run gave, as `Call(output=...)` asked for it; None when it gave nothing."""
        if not self.content_type:
            return None
        from glidepath.payloads import decode  # bodies hold no protobuf until they need it
        from glidepath_proto.common.v1.payload_pb2 import Payload

        data = self.data
        if self.uri:
            if self.link is None:
                raise WorkerRefused("this context has no worker behind it that could fetch the output")
            data = Path(self.link.ask("get_artifact", {"uri": self.uri})["path"]).read_bytes()
        return decode(Payload(content_type=self.content_type, data=data))


@dataclass(frozen=True)
class TaskContext:
    """One attempt, seen from its task. Dates are UTC and None for a run without one."""

    namespace: str
    dag_id: str
    dag_version_number: int
    run_id: str
    run_key: str
    task_id: str
    map_index: int | None
    """Which instance of a mapped task this is, from 0."""
    attempt_number: int
    idempotency_key: str
    """Equal for all attempts of this task of this run: hand it to systems that must not do a thing twice."""
    params: Mapping[str, Any]
    logical_date: datetime | None = None
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None
    data_interval_zone: str = "UTC"
    deadline: datetime | None = None
    map_item: Mapping[str, Any] | None = None
    """What this instance of a mapped task is given, by argument."""
    checkpoint: bytes = b""
    """What an earlier attempt left behind, b"" when there was none."""
    child: ChildRun | None = None
    """How the run ended that an earlier attempt has called with `resume`; None for one that follows a failure."""
    traceparent: str = ""
    tracestate: str = ""
    link: Link | None = field(default=None, repr=False, compare=False)
    said: Said = field(default_factory=Said, repr=False, compare=False)
    """What it has said beside its output."""

    @property
    def logger(self) -> logging.Logger:
        """Named after the task. Like all of `logging`, it goes to the attempt's log from INFO on (see `printing`)."""
        import logging  # costs every fork something, and most tasks print

        return logging.getLogger(f"glidepath.task.{self.task_id}")

    def progress(self, percent: float, note: str = "", *, checkpoint: bytes | None = None) -> None:
        """Show how far the task is (0-100). Sent a few times a second at most; the newest wins.

        `checkpoint`, at most 64 KiB, is given to the next attempt if this one does not succeed.
        """
        message: dict[str, Any] = {"percent": min(100.0, max(0.0, float(percent))), "note": note}
        if checkpoint is not None:
            message["checkpoint"] = base64.b64encode(checkpoint).decode()
        self._link().tell("progress", message)

    def push(self, key: str, value: Any) -> None:
        """Leave a small JSON value beside the output: `current().push("rows", 5)`. It counts once the attempt succeeds.

        At most 100 values of 64 KiB together. Downstream: `extract.xcom("rows")` in the DAG, or `pull` in the task.
        """
        self.said.push(key, value)

    def pull(self, task_id: str, key: str, *, map_index: int | None = None) -> Any:
        """What a task directly before this one has pushed. WorkerRefused when it pushed no such value.

        `map_index` names the instance of a mapped task.
        """
        from glidepath.artifacts import revive

        question = {"task_id": task_id, "key": key, "map_index": map_index}
        value, found = revive(json.loads(self._link().ask("get_xcom", question)["value"]))
        for artifact in found:
            self.said.read(artifact)
        return value

    def save(
        self,
        path: str | Path,
        kind: type[Kind] | None = None,
        *,
        to: str = "",
        name: str = "",
        metadata: Mapping[str, Any] | None = None,
        content_type: str = "application/octet-stream",
    ) -> Kind:
        """Store a file or a folder as an artifact: `return current().save("model.bin", Model)`.

        `to` is where: the server's store unless it is the URI of a folder, "file:///shared/models" or
        "s3://bucket/models". `kind` is File unless given.
        """
        from glidepath import artifacts, stores

        source = Path(path).resolve(strict=True)
        packed = source
        if source.is_dir():
            packed, content_type = self.said.room("pack") / f"{source.name}.tar", artifacts.FOLDER
            stores.pack(source, packed)
        uri, sha256, size = stores.put(self, packed, to, name or packed.name, content_type)
        made: Any = (kind or artifacts.File)(
            uri, sha256, size, name=name or source.name, content_type=content_type, metadata=metadata
        )
        self.said.wrote(made)
        return made  # type: ignore[no-any-return]

    def save_metrics(
        self, numbers: Mapping[str, float], *, name: str = "metrics", metadata: Mapping[str, Any] | None = None
    ) -> Metrics:
        """Store numbers that can be compared over runs: `current().save_metrics({"accuracy": 0.93})`."""
        from glidepath.artifacts import Metrics

        values = {str(each): float(number) for each, number in numbers.items()}
        if any(number - number for number in values.values()):  # infinite, or no number
            raise ValueError(f"metrics {values} are not all finite; leave out what is not")
        file = self.said.room(name) / "metrics.json"
        file.write_text(json.dumps(values, sort_keys=True))
        uri = self.put_bytes_of(file, "application/json")
        more: dict[str, Any] = {"name": name, "content_type": "application/json", "metadata": metadata}
        made = Metrics(uri, uri.removeprefix("artifact:"), file.stat().st_size, numbers=values, **more)
        self.said.wrote(made)
        return made

    def put_artifact(self, path: str | Path, *, content_type: str = "application/octet-stream") -> str:
        """Store a file with the server; the answer is its reference ("artifact:<sha256>"). Waits until it is stored."""
        from glidepath.artifacts import File

        file = Path(path).resolve(strict=True)
        uri = self.put_bytes_of(file, content_type)
        size = file.stat().st_size
        self.said.wrote(File(uri, uri.removeprefix("artifact:"), size, name=file.name, content_type=content_type))
        return uri

    def get_artifact(self, reference: str) -> Path:
        """The file that a reference names, fetched unless it is here already. Read it; do not change it."""
        from glidepath.artifacts import File

        path = self.fetch_bytes_of(reference)
        self.said.read(File(reference, reference.removeprefix("artifact:"), path.stat().st_size))
        return path

    def put_bytes_of(self, file: Path, content_type: str) -> str:
        """Store a file with the server, and tell nobody that the task wrote it."""
        return str(self._link().ask("put_artifact", {"path": str(file), "content_type": content_type})["uri"])

    def fetch_bytes_of(self, uri: str) -> Path:
        """The file of a reference of the server's store."""
        return Path(self._link().ask("get_artifact", {"uri": uri})["path"])

    def register_secret(self, value: str) -> None:
        """Replace this value by *** in all log lines and failure messages from now on."""
        self._link().tell("secret", {"value": value})

    def _link(self) -> Link:
        if self.link is None:
            raise WorkerRefused("this context has no worker behind it; progress and artifacts need one")
        return self.link


class _Making:
    """A context that is made once, when it is first asked for: most tasks never do."""

    def __init__(self, make: Callable[[], TaskContext]) -> None:
        self._make = make
        self.made: TaskContext | None = None

    def __call__(self) -> TaskContext:
        if self.made is None:
            self.made = self._make()
        return self.made


_current: ContextVar[_Making | None] = ContextVar("glidepath_task", default=None)
# Of a process that runs one attempt: its other threads see it as well.
_fallback: _Making | None = None


def current() -> TaskContext:
    """The attempt that runs here. NotInTask outside of one."""
    making = _current.get() or _fallback
    if making is None:
        raise NotInTask("no task runs here: current() has a meaning only while a worker runs a task")
    return making()


def said(given: Sequence[Artifact] = ()) -> dict[str, Any]:
    """What the attempt that runs here has said beside its output; `given` are the artifacts in its arguments."""
    making = _current.get() or _fallback
    if making is None or (making.made is None and not given):
        return {}
    return making().said.fields(given)


@contextmanager
def running(context: TaskContext | Callable[[], TaskContext]) -> Iterator[None]:
    """Make `context` the current one within the block (inline tasks, tests); a callable makes it when it is needed."""
    token = _current.set(_Making((lambda: context) if isinstance(context, TaskContext) else context))
    try:
        yield
    finally:
        _current.reset(token)


def run_alone(make: Callable[[], TaskContext]) -> None:
    """Make what `make` returns the current context of the whole process, once it is asked for."""
    global _fallback
    _fallback = _Making(make)


def from_fields(fields: Mapping[str, Any], link: Link | None) -> TaskContext:
    """The context of an attempt as it travels between processes: dates are seconds since the epoch."""
    values = dict(fields)
    for name in ("logical_date", "data_interval_start", "data_interval_end", "deadline"):
        if values.get(name) is not None:
            values[name] = datetime.fromtimestamp(values[name], UTC)
    if values.get("child") is not None:
        values["child"] = ChildRun(**values["child"], link=link)
    return TaskContext(**values, link=link)
