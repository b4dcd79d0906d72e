"""What a task says beside its output: XComs, and the artifacts that it reads and writes. All of it goes with the end of
an attempt that succeeds, or nowhere.

Bounds are the server's (see `Success` in the contract), told where they are broken and not when the attempt ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tempfile

    from glidepath.artifacts import Artifact

XCOMS_MAX = 100
XCOMS_BYTES_MAX = 64 * 1024
USES_MAX = 200
METADATA_BYTES_MAX = 4 * 1024
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


class Said:
    """Of one attempt. `fetched` are files by their URIs, which last as long as the attempt does."""

    def __init__(self) -> None:
        self.xcoms: dict[str, str] = {}
        self.uses: dict[tuple[str, str], dict[str, Any]] = {}
        self.fetched: dict[str, Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def push(self, key: str, value: Any) -> None:
        """Keep a value; the last of a key counts."""
        from glidepath import payloads

        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"XCom key {key!r}: expected 1-200 letters, digits, '_', '.', '-', the first no mark")
        text = payloads.encode(value).data.decode() if not isinstance(value, bytes | bytearray) else None
        if text is None:
            raise TypeError(f"XCom {key!r}: bytes are no JSON value; save them as an artifact")
        pushed = {**self.xcoms, key: text}
        size = sum(len(name.encode()) + len(each.encode()) for name, each in pushed.items())
        if len(pushed) > XCOMS_MAX or size > XCOMS_BYTES_MAX:
            raise ValueError(
                f"XCom {key!r}: {len(pushed)} values with {size} bytes in all; an attempt may push {XCOMS_MAX} with "
                f"{XCOMS_BYTES_MAX} bytes: return large values, or save them as artifacts"
            )
        self.xcoms = pushed

    def wrote(self, artifact: Artifact) -> None:
        """The task has stored this."""
        size = len(json.dumps(artifact.metadata))
        if size > METADATA_BYTES_MAX:
            raise ValueError(
                f"metadata of {artifact!r} has {size} bytes as JSON; at most {METADATA_BYTES_MAX} are kept"
            )
        if ("write", artifact.uri) not in self.uses and len(self.uses) >= USES_MAX:
            raise ValueError(f"an attempt may write {USES_MAX} artifacts; pack them into folders")
        self._use("write", artifact)

    def read(self, artifact: Artifact) -> None:
        """The task was given this, or has fetched it. What it has written itself is no reading; what is over the bound
        is not told."""
        if ("write", artifact.uri) not in self.uses and len(self.uses) < USES_MAX:
            self._use("read", artifact)

    def room(self, name: str) -> Path:
        """A new folder for a file that lasts as long as the attempt. `name` tells people which it is, and may hold what
        no folder's name does."""
        import tempfile

        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="glidepath-", ignore_cleanup_errors=True)
        shown = re.sub(r"[^A-Za-z0-9_-]", "_", name[:12])
        return Path(tempfile.mkdtemp(prefix=f"{shown}-", dir=self._folder.name))

    def fields(self, given: Iterable[Artifact] = ()) -> dict[str, Any]:
        """What the end of the attempt carries; {} for nothing. `given` are the artifacts in its arguments."""
        for artifact in given:
            self.read(artifact)
        found: dict[str, Any] = {}
        if self.xcoms:
            found["xcoms"] = self.xcoms
        if self.uses:
            found["artifacts"] = list(self.uses.values())
        return found

    def _use(self, direction: str, artifact: Artifact) -> None:
        self.uses[direction, artifact.uri] = {"direction": direction, **_fields(artifact)}


def _fields(artifact: Artifact) -> Mapping[str, Any]:
    return {
        "uri": artifact.uri,
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "type": artifact.type or "file",
        "name": artifact.name,
        "content_type": artifact.content_type,
        "metadata": json.dumps(artifact.metadata, sort_keys=True),
        "numbers": dict(getattr(artifact, "numbers", {})),
    }
