"""docs/settings.md says what settings.py says, of every setting."""

from __future__ import annotations

from dataclasses import fields

from glidepath_server.settings import PREFIX, Settings
from tools import settings_doc


def test_the_page_is_current() -> None:
    assert settings_doc.PAGE.read_text() == settings_doc.render(), "run python -m tools.settings_doc"


def test_every_setting_is_on_the_page() -> None:
    text = settings_doc.render()
    assert all(f"`{PREFIX}{each.name.upper()}`" in text for each in fields(Settings))
