"""What differs between two attempts at one thing: their ends, outputs and artifacts. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from glidepath.testing.isolated import ArtifactSeen

Kind = Literal["end", "output", "artifact", "file"]
Change = Literal["appeared", "vanished", "changed", "grew"]

OUTPUT_DIFFERENCES_MAX = 20
_SHOWN_CHARS = 80
_BEFORE_THE_CHANGE_CHARS = 20

_ADVICE: dict[tuple[Kind, Change], str] = {
    ("file", "grew"): "do not append: write the whole file to a temporary name and move it into place (os.replace)",
    ("file", "appeared"): "make the file's name depend on the logical date or the run key, not on the clock or chance, "
    "and remove temporary files",
    ("file", "changed"): "write the same bytes for the same logical date: no clock, seeded chance, sorted order",
    ("file", "vanished"): "make again what an attempt removes, or leave what the attempt before it has made",
}
_ADVICE_OF_KIND: dict[Kind, str] = {
    "end": "let an attempt find what the one before it left: open with 'w', exist_ok=True, insert or update",
    "output": "return what follows from inputs and params: current().logical_date instead of the clock, chance seeded "
    "with current().idempotency_key, sorted order; keys that may differ can be ignored",
    "artifact": "make the same bytes for the same inputs: no clock (gzip and zip files hold one), seeded chance",
    "file": "",
}


@dataclass(frozen=True)
class Difference:
    """An attempt that is not as the one before it.

    `path` is dotted within an output ("" for all of it), the file's below the scratch folder otherwise. `before` and
    `after` are short texts for people, "" where there is nothing; `attempt_number` is that of the later attempt.
    """

    attempt_number: int
    kind: Kind
    path: str
    change: Change
    before: str
    after: str

    @property
    def advice(self) -> str:
        """What to do about it."""
        return _ADVICE.get((self.kind, self.change)) or _ADVICE_OF_KIND[self.kind]

    @property
    def text(self) -> str:
        """What happened to the thing at `path`."""
        match self.change:
            case "appeared":
                return f"appeared: {self.after}"
            case "vanished":
                return f"vanished: was {self.before}"
            case "grew":
                return f"grew from {self.before} to {self.after}: appended?"
        return f"{self.before} -> {self.after}"

    def __str__(self) -> str:
        what = f"{self.kind} {self.path}" if self.path else self.kind
        return f"attempt {self.attempt_number}: {what}: {self.text}"


def compare_artifacts(number: int, before: Sequence[ArtifactSeen], after: Sequence[ArtifactSeen]) -> list[Difference]:
    """By content, which is all that a server keeps of an artifact; what is left is paired by name, then by order."""
    lost, new = _without_common(before, after)
    pairs: list[tuple[ArtifactSeen | None, ArtifactSeen | None]] = []
    for each in list(lost):
        match = next((other for other in new if other.name == each.name), None)
        if match is not None:
            pairs.append((each, match))
            lost.remove(each)
            new.remove(match)
    pairs += zip_longest(lost, new)
    return [_artifact_difference(number, *pair) for pair in pairs]


def _without_common(
    before: Sequence[ArtifactSeen], after: Sequence[ArtifactSeen]
) -> tuple[list[ArtifactSeen], list[ArtifactSeen]]:
    common = Counter(each.uri for each in before) & Counter(each.uri for each in after)

    def rest(artifacts: Sequence[ArtifactSeen]) -> list[ArtifactSeen]:
        left, found = Counter(common), []
        for each in artifacts:
            if left[each.uri]:
                left[each.uri] -= 1
            else:
                found.append(each)
        return found

    return rest(before), rest(after)


def _artifact_difference(number: int, before: ArtifactSeen | None, after: ArtifactSeen | None) -> Difference:
    shown = [f"sha256 {each.sha256[:12]}" if each else "" for each in (before, after)]
    name = after.name if after else before.name if before else ""
    change: Change = "appeared" if before is None else "vanished" if after is None else "changed"
    return Difference(number, "artifact", name, change, shown[0], shown[1])


# ---- Outputs -----------------------------------------------------------------------------------------------------

_NOTHING = object()


def compare_outputs(number: int, before: object, after: object, ignore: Sequence[str]) -> list[Difference]:
    """Decoded outputs, place by place. A path of `ignore` takes out what is at it and below it.

    The steps of a path are keys and positions, joined by dots; `*` stands for any one step or part of it.
    """
    found = []
    for path, old, new in _walk((), before, after):
        if not _is_ignored(path, ignore):
            found.append(_output_difference(number, path, old, new))
    if len(found) > OUTPUT_DIFFERENCES_MAX:
        more = f"and {len(found) - OUTPUT_DIFFERENCES_MAX} more places"
        found[OUTPUT_DIFFERENCES_MAX:] = [Difference(number, "output", "...", "changed", more, more)]
    return found


def _walk(path: tuple[str, ...], before: object, after: object) -> Iterator[tuple[str, object, object]]:
    """Yield (path, before, after) of the deepest places that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _walk((*path, str(key)), before.get(key, _NOTHING), after.get(key, _NOTHING))
    elif isinstance(before, list) and isinstance(after, list):
        for position, (old, new) in enumerate(zip_longest(before, after, fillvalue=_NOTHING)):
            yield from _walk((*path, str(position)), old, new)
    elif type(before) is not type(after) or before != after:
        yield ".".join(path), before, after


def _is_ignored(path: str, ignore: Sequence[str]) -> bool:
    return any(re.fullmatch(re.escape(each).replace(r"\*", r"[^.]*") + r"(\..*)?", path, re.DOTALL) for each in ignore)


def _output_difference(number: int, path: str, before: object, after: object) -> Difference:
    change: Change = "appeared" if before is _NOTHING else "vanished" if after is _NOTHING else "changed"
    return Difference(number, "output", path, change, *_shown(_text(before), _text(after)))


def _text(value: object) -> str:
    if value is _NOTHING:
        return ""
    return f"{len(value)} bytes {value[:40]!r}" if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)


def _shown(before: str, after: str) -> tuple[str, str]:
    """Long texts from shortly before their first difference on."""
    same = next(
        (n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(map(len, (before, after)))
    )
    start = max(0, same - _BEFORE_THE_CHANGE_CHARS) if max(map(len, (before, after))) > _SHOWN_CHARS else 0

    def cut(text: str) -> str:
        end = start + _SHOWN_CHARS
        return ("..." if start and text else "") + text[start:end] + ("..." if len(text) > end else "")

    return cut(before), cut(after)
