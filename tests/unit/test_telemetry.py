"""Log lines: every name is registered, JSON is one object a line, and tokens do not get into it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

import glidepath_server
from glidepath_server import clock, telemetry
from glidepath_server.telemetry.names import LOG_EVENTS, LOG_FIELDS

LEVELS = {"debug", "info", "warning", "error", "exception", "critical"}


def logged() -> Iterator[tuple[str, str, set[str]]]:
    """Every call of a logger in the server: where, the event, the fields."""
    for path in sorted(Path(glidepath_server.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in ("log", "_log")
            ):
                (event,) = node.args
                assert isinstance(event, ast.Constant), f"{path.name}:{node.lineno}: the event is not a plain word"
                yield f"{path.name}:{node.lineno}", event.value, {each.arg or "**" for each in node.keywords}


def test_every_event_and_field_is_registered_and_used() -> None:
    found = list(logged())
    for where, event, fields in found:
        assert event in LOG_EVENTS, f"{where}: {event} is not in telemetry/names.py"
        assert fields <= LOG_FIELDS.keys(), f"{where}: {fields - LOG_FIELDS.keys()} not in telemetry/names.py"
    assert {event for _, event, _ in found} == LOG_EVENTS.keys()
    assert {field for _, _, fields in found for field in fields} | {"service"} == LOG_FIELDS.keys()


@pytest.fixture
def lines() -> Iterator[StringIO]:
    stream = StringIO()
    telemetry.configure("json", "info", stream)
    yield stream
    telemetry.configure()


def test_a_line_is_one_json_object_with_time_level_and_service(lines: StringIO) -> None:
    telemetry.get_logger("server").info("server_started", address="127.0.0.1:1", reason="two\nlines")
    telemetry.get_logger("server").debug("pruned")
    (line,) = lines.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("timestamp").endswith("Z")
    assert found == {
        "event": "server_started",
        "level": "info",
        "service": "server",
        "address": "127.0.0.1:1",
        "reason": "two\nlines",
    }


def test_a_token_is_masked_in_fields_and_in_tracebacks(lines: StringIO) -> None:
    token = f"gp_admin_{clock.token_name()}_{clock.token_secret()}abcdefg"
    log = telemetry.get_logger("api")
    log.warning("call_failed", error=f"bad header {token}!")
    try:
        raise ValueError(token)
    except ValueError as error:
        log.error("call_failed", exc_info=error)
    assert token not in lines.getvalue() and token.split("_")[3] not in lines.getvalue()
    assert lines.getvalue().count("gp_***") >= 2
