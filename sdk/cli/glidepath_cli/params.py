"""Params of a run from the command line. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click


def split_pairs(pairs: Sequence[str], option: str = "--param") -> dict[str, str]:
    """NAME=VALUE texts by name; the last of a name counts."""
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise click.UsageError(f"{option} {pair!r}: expected NAME=VALUE, such as {option} rate=0.1")
        found[name] = value
    return found


def needs_schema(texts: Mapping[str, str]) -> bool:
    """Whether a value could be text as well as something else, so that only the DAG's schema knows."""
    return any(_json(text) is not None and not isinstance(_json(text), str) for text in texts.values())


def merge_params(document: str, texts: Mapping[str, str], schema: str) -> dict[str, Any]:
    """The JSON object of a file ("" for none), then single values over it."""
    params = _object(document) if document.strip() else {}
    properties = json.loads(schema).get("properties", {}) if schema else {}
    return {**params, **{name: parse_value(text, properties.get(name)) for name, text in texts.items()}}


def parse_value(text: str, schema: Any) -> Any:
    """JSON where it is JSON and the schema does not want text; text as it stands otherwise."""
    wanted = schema.get("type") if isinstance(schema, dict) else None
    if wanted == "string" and not isinstance(_json(text), str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _object(document: str) -> dict[str, Any]:
    try:
        found = json.loads(document)
    except ValueError as error:
        raise click.UsageError(f"--params-file: not JSON ({error}); expected an object with the params") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"--params-file: {type(found).__name__}; expected a JSON object with the params")
    return found
