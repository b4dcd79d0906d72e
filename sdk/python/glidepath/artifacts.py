"""Artifacts: files and folders that tasks hand to each other by name and digest.

    @task
    def train(rows: Dataset) -> Model:
        fit(rows.path()).save("model.bin")
        return current().save("model.bin", Model, metadata={"library": "sklearn"})

A value of one of these classes says where a content lies and what it must be; `path()` fetches it when it is asked for,
and refuses what does not have its digest. Between tasks it travels as a JSON object with the key "glidepath.artifact".
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from glidepath.errors import GlidepathError

KEY = "glidepath.artifact"
"""The key whose value says of a JSON object that it is an artifact, and of which type."""
MARK = b'"glidepath.artifact"'
FOLDER = "application/x-tar"
"""Media type of a folder."""


class ArtifactBroken(GlidepathError):
    """An artifact cannot be had, or what was had is not what was written."""


class Artifact:
    """A content by name and digest. Immutable; equal when the digests are."""

    type: ClassVar[str] = ""

    def __init__(
        self,
        uri: str,
        sha256: str,
        size_bytes: int = 0,
        *,
        name: str = "",
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.uri, self.sha256, self.size_bytes = uri, sha256, size_bytes
        self.name, self.content_type = name, content_type
        self.metadata: Mapping[str, Any] = dict(metadata or {})

    def path(self) -> Path:
        """The file, or the folder, fetched unless it is here. Read it; do not change it. Only inside a task.

        ArtifactBroken when it is not there, or has another digest.
        """
        # Later, and so that writing a DAG, which may name artifacts, needs nothing of a worker.
        found: Path = importlib.import_module("glidepath.stores").fetch(self)
        return found

    def to_json(self) -> dict[str, Any]:
        """As it travels between tasks."""
        fields: dict[str, Any] = {KEY: self.type, "uri": self.uri, "sha256": self.sha256, "size_bytes": self.size_bytes}
        for name, value in (("name", self.name), ("metadata", self.metadata)):
            if value:
                fields[name] = value
        return {**fields, "content_type": self.content_type}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Artifact:
        return cls(
            str(fields["uri"]),
            str(fields["sha256"]),
            int(fields.get("size_bytes", 0)),
            name=str(fields.get("name", "")),
            content_type=str(fields.get("content_type", "")),
            metadata=dict(fields.get("metadata", {})),
        )

    @classmethod
    def artifact_schema(cls) -> dict[str, Any]:
        """The type that a hint with this class is (see `authoring.hints`)."""
        kind = {"const": cls.type} if cls.type else {"type": "string"}
        return {"type": "object", "properties": {KEY: kind}, "required": [KEY]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artifact) and (self.type, self.sha256) == (other.type, other.sha256)

    def __hash__(self) -> int:
        return hash(self.sha256)

    def __repr__(self) -> str:
        return f"<{self.type or 'artifact'} {self.name or self.uri} sha256:{self.sha256[:12]}>"


class File(Artifact):
    """Any file or folder."""

    type = "file"


class Dataset(Artifact):
    """Data that tasks read."""

    type = "dataset"


class Model(Artifact):
    """What a training left."""

    type = "model"


class Metrics(Artifact):
    """Numbers by name, which can be compared over runs: `current().save_metrics({"accuracy": 0.93})`."""

    type = "metrics"

    def __init__(
        self, uri: str, sha256: str, size_bytes: int = 0, *, numbers: Mapping[str, float], **more: Any
    ) -> None:
        super().__init__(uri, sha256, size_bytes, **more)
        self.numbers: Mapping[str, float] = dict(numbers)

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "numbers": self.numbers}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Artifact:
        plain = Artifact.from_json(fields)
        more = {"name": plain.name, "content_type": plain.content_type, "metadata": plain.metadata}
        return cls(plain.uri, plain.sha256, plain.size_bytes, numbers=dict(fields.get("numbers", {})), **more)


Kind = TypeVar("Kind", bound=Artifact)
_TYPES: dict[str, type[Artifact]] = {each.type: each for each in (File, Dataset, Model, Metrics)}


def revive(value: Any) -> tuple[Any, list[Artifact]]:
    """The value with artifacts in place of the JSON objects that stand for them, and these artifacts."""
    found: list[Artifact] = []
    return _revived(value, found), found


def _revived(value: Any, found: list[Artifact]) -> Any:
    if isinstance(value, dict):
        kind = value.get(KEY)
        if isinstance(kind, str) and isinstance(value.get("uri"), str) and isinstance(value.get("sha256"), str):
            made = _TYPES.get(kind, File).from_json(value)
            found.append(made)
            return made
        return {name: _revived(each, found) for name, each in value.items()}
    return [_revived(each, found) for each in value] if isinstance(value, list) else value
