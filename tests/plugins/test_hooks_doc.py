"""docs/hooks.md says of each hook what its specification says, and of no other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from glidepath_plugin.hookspecs import AlertChannel, Hooks

DOC = Path(__file__).resolve().parents[2] / "docs" / "hooks.md"
SAID_OF_HOOKS = {"Called", "How often", "Timeout", "Exceptions", "Order", "Since"}
SAID_OF_SEND = {"Called", "Timeout", "Exceptions", "Order", "At least once", "Since"}


def tables() -> dict[str, dict[str, str]]:
    """What the page says, by heading."""
    parts = re.split(r"^### `(.+)`$", DOC.read_text(), flags=re.MULTILINE)
    rows = {
        name: re.findall(r"^\| (.+?) \| (.+) \|$", body, re.MULTILINE)
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    return {name: dict(found) for name, found in rows.items()}


def said(text: str, keys: set[str]) -> dict[str, str]:
    """The `Key: what` sentences of a docstring."""
    flat = " ".join(text.split())
    marks = "|".join(sorted(keys, key=len, reverse=True))
    parts = re.split(rf"(?:(?<=\. )|^)({marks}): ", flat)
    return {key: value.strip() for key, value in zip(parts[1::2], parts[2::2], strict=True)}


def test_the_page_says_of_each_hook_what_its_specification_says() -> None:
    specified = {name: each for name, each in vars(Hooks).items() if name.startswith("glidepath_")}
    assert set(specified) == {name for name in tables() if name.startswith("glidepath_")}
    for name, hook in specified.items():
        assert set(said(inspect.getdoc(hook) or "", SAID_OF_HOOKS)) == SAID_OF_HOOKS
        assert tables()[name] == said(inspect.getdoc(hook) or "", SAID_OF_HOOKS), name


def test_the_page_says_of_send_what_the_contract_says() -> None:
    assert tables()["AlertChannel.send(config, alert)"] == said(AlertChannel.__doc__ or "", SAID_OF_SEND)
