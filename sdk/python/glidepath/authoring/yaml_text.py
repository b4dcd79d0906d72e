"""YAML text to the values of JSON, with the lines they stand on: the core schema of YAML 1.2 and nothing beyond it.

PyYAML says where a scalar begins and ends. What a plain one means is decided here: PyYAML reads YAML 1.1, in which
`on`, `2026-01-01`, `0644` and `1:30` are not what they look like. There are no tags, so nothing is constructed, and no
anchors, so a small file cannot become a large value.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from glidepath.errors import AuthoringError

YAML_BYTES_MAX = 1024 * 1024
"""Largest file that is read."""
DEPTH_MAX = 50
DIGITS_MAX = 400
"""As many names as a mistake lists."""

Path = tuple[str | int, ...]
"""Keys and indexes on the way from a document to one of its values."""


@dataclass(frozen=True)
class Mistake:
    """What is wrong in a file, and where; `line` counts from 1."""

    line: int
    message: str


@dataclass
class Document:
    """One document, `whole` once its end was read. `texts` holds numbers, booleans and nulls as they were written."""

    value: object = None
    whole: bool = False
    lines: dict[Path, int] = field(default_factory=dict)
    texts: dict[Path, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    unread: set[int] = field(default_factory=set)
    """Lines with something that could not be read as it was meant: what is found besides in them may be no mistake."""

    def say(self, path: Path, message: str, line: int = 0) -> None:
        """Add a mistake about `path`; its line is the given one, else that of the nearest thing that stands there."""
        near = path
        while near and near not in self.lines:
            near = near[:-1]
        text = f"{path_text(path)}: {message}" if path else message
        self.mistakes.append(Mistake(line or self.lines.get(near, 1), text))

    @contextmanager
    def noting(self, path: Path) -> Iterator[None]:
        """Within the block an AuthoringError ends the block and is a mistake about `path`."""
        try:
            yield
        except AuthoringError as error:
            self.say(path, str(error))

    def check_each(
        self, path: Path, given: Mapping[str, Any], check: Callable[[Mapping[str, Any], str], Any], where: str
    ) -> dict[str, Any]:
        """The options at `path` that `check` takes, as it gives them: each by itself first, then all together."""
        good: dict[str, Any] = {}
        for name, value in given.items():
            with self.noting((*path, name)):
                good |= check({name: value}, where)
        with self.noting(path):
            return dict(check(good, where))
        return {}


def read_documents(content: bytes) -> list[Document]:
    """The documents of a file, empty ones left out. What cannot be read is a mistake of the last, its value None."""
    documents: list[Document] = []
    try:
        reader = _Reader(_decode(content), documents)
        reader.read()
    except _Unreadable as error:
        if not documents or documents[-1].whole:
            documents.append(Document())
        documents[-1].mistakes.append(error.mistake)
    return [each for each in documents if each.mistakes or each.value is not None]


def path_text(path: Path) -> str:
    """As errors write it: tasks.load.retry_delay[0]."""
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path).removeprefix(".")


@cache
def _yaml() -> Any:
    """Imported when the first YAML file is read: a worker has none, and need not have the library."""
    try:
        return importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise AuthoringError("reading YAML needs PyYAML, which is not installed here: pip install pyyaml") from None


class _Unreadable(Exception):
    def __init__(self, line: int, message: str) -> None:
        self.mistake = Mistake(line, message)
        super().__init__(message)


def _decode(content: bytes) -> str:
    if len(content) > YAML_BYTES_MAX:
        raise _Unreadable(
            1, f"the file is over the limit of {YAML_BYTES_MAX // 1024} KiB; write a DAG of this size in Python"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _Unreadable(line, f"byte {error.object[error.start]:#04x} is not UTF-8; save the file as UTF-8") from None


class _Reader:
    def __init__(self, text: str, documents: list[Document]) -> None:
        self._yaml = _yaml()
        self._events = self._parse(text)
        self._documents = documents
        self._document = Document()

    def read(self) -> None:
        for event in self._events:
            if isinstance(event, self._yaml.DocumentStartEvent):
                self._document = Document()
                self._documents.append(self._document)
                self._document.value = self._value(next(self._events), ())
                self._document.whole = True

    def _parse(self, text: str) -> Iterator[Any]:
        """libyaml's parser where PyYAML was built with it: the same events, sooner."""
        loader = getattr(self._yaml, "CBaseLoader", self._yaml.BaseLoader)
        try:
            yield from self._yaml.parse(text, Loader=loader)
        except self._yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            words = ", ".join(filter(None, (error.context, error.problem)))
            raise _Unreadable(mark.line + 1 if mark else 1, f"this is not YAML: {words}") from None
        except self._yaml.YAMLError as error:  # a character that YAML does not have
            line = text.count("\n", 0, getattr(error, "position", 0)) + 1
            raise _Unreadable(line, f"this is not YAML: {str(error).splitlines()[0]}") from None

    def _value(self, event: Any, path: Path, line: int = 0) -> object:
        line = line or event.start_mark.line + 1
        if len(path) > DEPTH_MAX:
            raise _Unreadable(line, f"{path_text(path[:3])}: nested over {DEPTH_MAX} levels deep; expected fewer")
        self._document.lines[path] = line
        self._refuse_extras(event, path)
        if isinstance(event, self._yaml.AliasEvent):
            return None
        if isinstance(event, self._yaml.ScalarEvent):
            return self._scalar(event, path)
        if isinstance(event, self._yaml.SequenceStartEvent):
            return self._list(path)
        return self._mapping(path)

    def _refuse_extras(self, event: Any, path: Path) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, self._yaml.AliasEvent):
            self._refuse(path, f"alias *{event.anchor}: aliases are not taken; write the value out", line)
            return
        if event.anchor is not None:
            self._refuse(path, f"anchor &{event.anchor}: anchors are not taken; write the value out", line)
        if event.tag is not None:
            self._refuse(path, f"tag {event.tag}: tags are not taken; write text in quotes", line)

    def _list(self, path: Path) -> list[object]:
        found: list[object] = []
        while not isinstance(event := next(self._events), self._yaml.SequenceEndEvent):
            found.append(self._value(event, (*path, len(found))))
        return found

    def _mapping(self, path: Path) -> dict[str, object]:
        found: dict[str, object] = {}
        while not isinstance(event := next(self._events), self._yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            key = self._key(event, path)
            inner = (*path, key)
            if key in found:
                earlier = self._document.lines[inner]
                self._document.say(inner, f"the key stands on line {earlier} already; expected it once", line)
            found[key] = self._value(next(self._events), inner, line)
        return found

    def _key(self, event: Any, path: Path) -> str:
        if isinstance(event, self._yaml.SequenceStartEvent | self._yaml.MappingStartEvent):
            self._value(event, (*path, "?"))
            wanted = "expected text. A template stands in quotes: '{{ ds }}'"
            self._refuse(path, f"a key is a list or a mapping; {wanted}", event.start_mark.line + 1)
            return "?"
        self._refuse_extras(event, path)
        if isinstance(event, self._yaml.AliasEvent):
            return "?"
        if event.implicit[0] and not isinstance(plain_value(event.value), str):
            line = event.start_mark.line + 1
            self._refuse(path, f"the key {event.value or 'null'} is no text; write it in quotes", line)
        return str(event.value)

    def _scalar(self, event: Any, path: Path) -> object:
        text: str = event.value
        value = plain_value(text) if event.implicit[0] else text
        if isinstance(value, float) and not math.isfinite(value):
            line = event.start_mark.line + 1
            self._refuse(path, f"{text:.40} is no number of JSON; write text in quotes", line)
            return text
        if not isinstance(value, str):
            self._document.texts[path] = text
        return value

    def _refuse(self, path: Path, message: str, line: int) -> None:
        self._document.unread.add(line)
        self._document.say(path, message, line)


_WORDS: dict[str, object] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
}
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)


def plain_value(text: str) -> object:
    """What a plain scalar means in the core schema: null, a boolean, a number, else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > DIGITS_MAX:
        return math.inf if _FLOAT.fullmatch(text) else text
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
