"""No secret comes into the log by the traceback of an error, in either format."""

from __future__ import annotations

import io

import pytest
import structlog

from glidepath_server.telemetry import configure, get_logger
from tests.api.serving import running


def fail(token: str, task_token: bytes) -> None:
    """An error with secrets in its frame and in its message."""
    raise RuntimeError(f"nobody has the token {token}")


@pytest.mark.parametrize("log_format", ["console", "json"])
async def test_tracebacks_show_no_secrets(database_url: str, log_format: str) -> None:
    async with running(database_url) as api:
        token = await api.token("viewer")
    out, sealed = io.StringIO(), bytes(range(97, 123))
    try:
        configure(log_format, stream=out)
        try:
            fail(token, sealed)
        except RuntimeError as error:
            get_logger("api").error("call_failed", incident="1", exc_info=error, detail=f"by {token}")
    finally:
        structlog.reset_defaults()
    text = out.getvalue()
    assert "call_failed" in text and "RuntimeError" in text and "in fail" in text
    assert token.rpartition("_")[2] not in text
    assert sealed.decode() not in text
