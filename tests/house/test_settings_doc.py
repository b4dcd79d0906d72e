"""docs/settings.md says what settings.py says, of every setting."""

from __future__ import annotations

from dataclasses import fields

from glidepath_server.settings import PREFIX, Settings
from tools import settings_doc

ROOT = settings_doc.PAGE.parent.parent


def test_the_page_is_current() -> None:
    assert settings_doc.PAGE.read_text() == settings_doc.render(), "run python -m tools.settings_doc"


def test_every_setting_is_on_the_page() -> None:
    text = settings_doc.render()
    assert all(f"`{PREFIX}{each.name.upper()}`" in text for each in fields(Settings))


def test_every_setting_changes_something() -> None:
    """A setting that no code reads promises what does not happen."""
    code = [
        path.read_text() for path in (ROOT / "server" / "glidepath_server").rglob("*.py") if path.name != "settings.py"
    ]
    unread = [each.name for each in fields(Settings) if not any(f".{each.name}" in text for text in code)]
    assert unread == []
