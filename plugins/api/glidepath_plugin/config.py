"""Configuration as a declared, typed schema: a frozen dataclass whose fields are made by `option`.

    @dataclass(frozen=True)
    class PagerConfig:
        url: str = option("Where to page.")
        key: str = option("The key of the pager.", secret=True)
        tries: int = option("How often to ring.", default=3, least=1, most=10)

        def check(self) -> Iterable[Violation]:
            if not self.url.startswith("https://"):
                yield Violation("url", repr(self.url), "an address that begins with https://")

A field is text, a whole number, a number, true or false, or a list of texts (`str`, `int`, `float`, `bool`,
`tuple[str, ...]`). Values come as text and are read by that type. `check` is optional.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .errors import InvalidConfig, Misfit, Violation

MASKED = "***"
TYPES: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    tuple[str, ...]: "list of texts, with commas between them",
}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Option(NamedTuple):
    """One option of a schema, as people and forms see it. `default` is text; None: it must be given."""

    name: str
    type: str
    help: str
    default: str | None
    secret: bool
    choices: tuple[str, ...]
    least: float | None
    most: float | None


def option(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    secret: bool = False,
    choices: Sequence[str] = (),
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A field of a configuration. Without a default it must be given. What is secret is never shown again."""
    metadata = {"help": help, "secret": secret, "choices": tuple(choices), "least": least, "most": most}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def describe(schema: type) -> list[Option]:
    """The options of a schema, in order. Raises Misfit for what is no schema."""
    if not dataclasses.is_dataclass(schema) or not schema.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise Misfit(f"{schema!r} is no frozen dataclass")
    hints = typing.get_type_hints(schema)
    found = []
    for each in dataclasses.fields(schema):
        if "help" not in each.metadata:
            raise Misfit(f"{schema.__name__}.{each.name} is not made by option(...)")
        if hints[each.name] not in TYPES:
            raise Misfit(f"{schema.__name__}.{each.name}: {hints[each.name]} is none of {', '.join(TYPES.values())}")
        about = dict(each.metadata)
        default = None if each.default is dataclasses.MISSING else to_text(each.default)
        found.append(Option(each.name, TYPES[hints[each.name]], about.pop("help"), default, **about))
    return found


def to_text(value: Any) -> str:
    """A value as it is given in a configuration."""
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def read(schema: type, given: Mapping[str, str]) -> Any:
    """An instance of the schema. Raises InvalidConfig with all that is wrong; values of secrets are not repeated."""
    options = {each.name: each for each in describe(schema)}
    hints = typing.get_type_hints(schema)
    known = ", ".join(options)
    wrong = [Violation(name, "not an option", f"one of {known}") for name in given if name not in options]
    values: dict[str, Any] = {}
    for name, about in options.items():
        if name not in given:
            if about.default is None:
                wrong.append(Violation(name, "nothing", about.type))
            continue
        try:
            values[name] = _parse(given[name], hints[name], about)
        except ValueError as error:
            wrong.append(Violation(name, MASKED if about.secret else repr(given[name]), str(error)))
    if wrong:
        raise InvalidConfig(wrong)
    config = schema(**values)
    if wrong := list(config.check()) if hasattr(config, "check") else []:
        raise InvalidConfig(wrong)
    return config


def _parse(text: str, hint: Any, about: Option) -> Any:
    value: Any = text
    if hint is bool:
        if text.lower() not in _WORDS:
            raise ValueError("true or false")
        return _WORDS[text.lower()]
    if hint in (int, float):
        try:
            value = hint(text)
        except ValueError:
            raise ValueError(f"a {about.type}") from None
        least, most = about.least, about.most
        if not (least is None or value >= least) or not (most is None or value <= most) or value != value:
            bounds = [
                f"at least {least:g}" if least is not None else "",
                f"at most {most:g}" if most is not None else "",
            ]
            raise ValueError(" and ".join(filter(None, bounds)) or "a number")
    elif hint is not str:
        value = tuple(part.strip() for part in text.split(",") if part.strip())
    if about.choices and value not in about.choices:
        raise ValueError("one of " + ", ".join(about.choices))
    if not value and value != 0 and about.default is None:
        raise ValueError(about.type + ", not empty")
    return value
