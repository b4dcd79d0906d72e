"""A task that runs once for each item of lists: what `.map` and `.product` mean, checked where they are written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from glidepath import templates
from glidepath.authoring.suggestions import suggestion
from glidepath.authoring.values import Constant, Items, Later, Source, to_source
from glidepath.errors import AuthoringError

INSTANCES_MAX = 100_000
ACTIVE_MAX = 2_000
"""Instances that may be released at once, and the most that `map_active_max` may say."""
OPTIONS = ("map_active_max", "map_success_ratio_min", "map_empty", "map_name")
"""Options that a task has only when it is mapped."""

MapMode = Literal["zip", "product"]


@dataclass(frozen=True)
class Map:
    """The lists that arguments take their values from, and whether they go side by side or each with each."""

    inputs: dict[str, Source]
    mode: MapMode


def to_map(lists: Mapping[str, object], mode: MapMode, where: str) -> Map:
    """The map over these lists. AuthoringError says which one is no list, or does not go with the others."""
    if not lists:
        raise AuthoringError(f"{where}: a map needs a list; give at least one, by the name of its argument")
    inputs = {name: _list(value, f"{where}, argument {name!r}") for name, value in lists.items()}
    lengths = {name: len(source.value) for name, source in inputs.items() if isinstance(source, Constant)}  # type: ignore[arg-type]
    if mode == "zip" and len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        wanted = "expected one length, as they go side by side; each with each goes by product"
        raise AuthoringError(f"{where}: {told}; {wanted}")
    count = math.prod(lengths.values()) if mode == "product" else max(lengths.values(), default=0)
    if count > INSTANCES_MAX:
        raise AuthoringError(f"{where}: the lists make {count} instances, over the limit of {INSTANCES_MAX}")
    return Map(inputs, mode)


def check_map(map_: Map | None, role: str, given: Mapping[str, object], where: str) -> None:
    """What a task that is mapped, or not, may say of itself besides. AuthoringError otherwise."""
    if map_ is None:
        if option := next((each for each in OPTIONS if each in given), None):
            raise AuthoringError(f"{where}: {option} is an option of a mapped task, and this one is called, not mapped")
    elif role != "work":
        raise AuthoringError(f"{where}: role is {role!r}; expected none: a task that is mapped does work")


def check_names(map_: Map | None, text: str) -> Iterator[str]:
    """What is wrong with the names of map_item in a template of a task."""
    for name in templates.names(text):
        head, *rest = name.split(".")
        if head != "map_item":
            continue
        if map_ is None:
            yield f"template '{name}' is for a mapped task, and this one is not"
        elif rest and rest[0] not in map_.inputs:
            yield f"template '{name}' names no mapped argument; {suggestion(rest[0], map_.inputs, 'mapped arguments')}"


def check_title(map_: Map | None, text: str) -> Iterator[str]:
    """What is wrong with a `map_name`, which the server renders before anything but the item is known."""
    for name in templates.names(text):
        if name.partition(".")[0] != "map_item":
            yield f"template '{name}' stands in map_name; expected map_item, or what is in it: map_item.NAME"
    yield from check_names(map_, text)


def _list(value: object, where: str) -> Source:
    if isinstance(value, range):
        value = list(value)
    if not isinstance(value, list | tuple | Later):
        raise AuthoringError(
            f"{where} is {value!r:.80}; expected a list, a param, or the output of a task. What is the same for all "
            "instances goes into .partial(...)"
        )
    source = to_source(value, where)
    if isinstance(source, Items):
        raise AuthoringError(
            f"{where} is a list with values that only the run knows; expected constants. Make the list in a task, and "
            "map over its output"
        )
    return source
