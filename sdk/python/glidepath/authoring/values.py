"""What an argument of a task may be: a constant, or something that only the run knows.

`to_source` is the one place that turns what an author wrote into a source; `convert` turns sources into messages.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glidepath import templates
from glidepath.errors import AuthoringError, TemplateError

if TYPE_CHECKING:
    from glidepath.authoring.nodes import Node


@dataclass(frozen=True)
class Constant:
    """A JSON value, or bytes."""

    value: object


@dataclass(frozen=True)
class Template:
    """Text with names in double braces."""

    text: str


@dataclass(frozen=True)
class Output:
    """The output of an upstream node, or one key of it; with an XCom key, what it pushed by that instead."""

    node: Node
    key: str
    xcom_key: str = ""


@dataclass(frozen=True)
class Param:
    """One run param, with its type."""

    name: str


@dataclass(frozen=True)
class Items:
    """A list of sources, in order."""

    sources: tuple[Source, ...]


Source = Constant | Template | Output | Param | Items


class Later(ABC):
    """Base of what stands for a value that does not exist while the DAG's function runs.

    In text (an f-string) it becomes a template. Anything that would need the value now is an error, because the
    answer would silently be wrong.
    """

    @abstractmethod
    def source(self) -> Source: ...

    @abstractmethod
    def __str__(self) -> str: ...

    def __format__(self, spec: str) -> str:
        if spec:
            raise self._refusal(f"formatted with {spec!r}")
        return str(self)

    def _refusal(self, what: str) -> AuthoringError:
        return AuthoringError(
            f"{self!s} cannot be {what} here: its value is known only when the run is. "
            "Pass it to a task and do this inside the task"
        )

    def __bool__(self) -> bool:
        raise self._refusal("tested")

    def __iter__(self) -> Iterator[object]:
        raise self._refusal("iterated")

    def __len__(self) -> int:
        raise self._refusal("measured")

    def __eq__(self, other: object) -> bool:
        raise self._refusal("compared")

    def __lt__(self, other: object) -> bool:
        raise self._refusal("compared")

    __le__ = __gt__ = __ge__ = __lt__

    def __add__(self, other: object) -> object:
        raise self._refusal("calculated with")

    __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __mod__ = __add__

    __hash__ = object.__hash__


class ParamRef(Later):
    """A param of the run: what the parameters of a DAG's function are while it runs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def source(self) -> Source:
        return Param(self.name)

    def __str__(self) -> str:
        return f"{{{{ params.{self.name} }}}}"

    def __repr__(self) -> str:
        return f"<param {self.name}>"


class literal(str):
    """Text that is never a template, whatever braces it holds."""


def to_source(value: object, where: str) -> Source:
    """What `value` means as an argument. AuthoringError says where it stands and what was expected."""
    if isinstance(value, Later):
        return value.source()
    if isinstance(value, literal):
        return Constant(str.__str__(value))
    if isinstance(value, str) and templates.is_template(value):
        return _template(value, where)
    if isinstance(value, list | tuple):
        sources = tuple(to_source(each, f"{where}[{index}]") for index, each in enumerate(value))
        if not all(isinstance(each, Constant) for each in sources):
            return Items(sources)
    return Constant(_constant(value, where))


def to_sources(name: str, value: object, where: str) -> dict[str, Source]:
    """Inputs of one argument by name. A dict with values that only the run knows becomes one input per entry."""
    if isinstance(value, Mapping):
        entries = {str(key): to_source(each, f"{where}[{key!r}]") for key, each in value.items()}
        if not all(isinstance(each, Constant) for each in entries.values()):
            return {f"{name}.{key}": source for key, source in entries.items()}
    return {name: to_source(value, where)}


def _template(text: str, where: str) -> Template:
    try:
        templates.check(text)
    except TemplateError as error:
        raise AuthoringError(f"{where}: {error}. Text that is no template is written literal(...)") from error
    return Template(text)


def _constant(value: object, where: str) -> object:
    if isinstance(value, bytes):
        return value
    plain = _plain(value, where)
    try:
        json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AuthoringError(
            f"{where} is {value!r:.120}; expected a JSON value, bytes, a task's output or a param ({error})"
        ) from error
    return plain


def _plain(value: object, where: str) -> object:
    """The value itself, after a look inside: nested places take no references, and must not lose any silently."""
    if isinstance(value, Later) or (isinstance(value, str) and templates.is_template(value) and type(value) is str):
        raise AuthoringError(
            f"{where}: a task's output, a param or a template may stand in a list or in a dict of an argument, "
            "not deeper; pass it as an argument of its own"
        )
    if isinstance(value, Mapping):
        return {key: _plain(each, f"{where}[{key!r}]") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{where}[{index}]") for index, each in enumerate(value)]
    return str.__str__(value) if isinstance(value, literal) else value
