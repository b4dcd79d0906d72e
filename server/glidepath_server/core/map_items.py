"""From lists to what each instance of a mapped task is given. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import product
from typing import Any

from .definition import MapMode
from .maps import INSTANCES_MAX

ITEMS_BYTES_MAX = 16 * 1024 * 1024
# Items that are stored together: an assignment reads as many for the sake of one.
CHUNK_ITEMS = 256


class NoItems(ValueError):
    """The lists make no instances: the text says why."""


def check_list(name: str, value: Any) -> list[Any]:
    """The value as the list that the argument `name` takes its values from. Raises NoItems."""
    if not isinstance(value, list):
        found = "nothing" if value is None else f"{type(value).__name__} {json.dumps(value)[:80]}"
        raise NoItems(f"{name} is mapped over {found}, expected a list")
    return value


def item_chunks(mode: MapMode, lists: Sequence[tuple[str, list[Any]]]) -> tuple[int, list[str]]:
    """How many items there are, and their stored form: JSON lists of CHUNK_ITEMS objects, argument to value.

    Raises NoItems for lists of unequal lengths, too many items, or too large ones.
    """
    names = [name for name, _ in lists]
    lengths = {name: len(values) for name, values in lists}
    if mode is MapMode.ZIP and len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise NoItems(f"the lists have different lengths: {said}; expected one length, or mode product")
    length = math.prod(lengths.values()) if mode is MapMode.PRODUCT else next(iter(lengths.values()))
    if length > INSTANCES_MAX:
        raise NoItems(f"mapped over {length} items, at most {INSTANCES_MAX} are taken")
    values = [values for _, values in lists]
    rows = product(*values) if mode is MapMode.PRODUCT else zip(*values, strict=True)
    chunks: list[str] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        text = json.dumps(dict(zip(names, row, strict=True)), separators=(",", ":"))
        size += len(text) + 1
        if size > ITEMS_BYTES_MAX:
            raise NoItems(f"the items have more than {ITEMS_BYTES_MAX} bytes of JSON together; map over references")
        texts.append(text)
        if len(texts) == CHUNK_ITEMS:
            chunks.append(f"[{','.join(texts)}]")
            texts = []
    if texts or not chunks:
        chunks.append(f"[{','.join(texts)}]")
    return length, chunks
