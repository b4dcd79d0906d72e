"""One text per JSON value: sorted keys, no spaces, ASCII. What is not JSON, or is JSON in name only, is refused."""

from __future__ import annotations

import json
import math
from typing import Any


def to_json(value: Any) -> str:
    """The one text of a value."""
    return _ENCODER.encode(value)


def from_json(text: str) -> Any:
    """The value of a text. Raises ValueError for what is no JSON, for repeated keys, for numbers without a value."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def normalised_json(text: str) -> str:
    """The one text of the value that a text means. Raises ValueError."""
    value = from_json(text)
    try:
        return to_json(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the key {name[:80]!r} is given twice")
        found[name] = value
    return found


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_number, parse_constant=_constant)
