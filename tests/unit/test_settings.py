"""Settings: read once, checked all at once, named with their units."""

from __future__ import annotations

import dataclasses
import re

import pytest

from glidepath_server.core.errors import InvalidInput
from glidepath_server.settings import Settings, documented


def test_overrides_win_over_the_environment_and_the_environment_over_defaults() -> None:
    environment = {"GLIDEPATH_ENGINE_LANES": "3", "GLIDEPATH_API_POOL_SIZE": "9", "GLIDEPATH_AUTO_UPGRADE": "yes"}
    settings = Settings.load(environment, engine_lanes=4)
    assert (settings.engine_lanes, settings.api_pool_size, settings.auto_upgrade) == (4, 9, True)
    assert settings.worker_pool_size == Settings().worker_pool_size


def test_all_wrong_values_are_named_at_once_with_what_was_expected() -> None:
    environment = {
        "GLIDEPATH_ENGINE_LANES": "many",
        "GLIDEPATH_LEASE_TTL_SECONDS": "x",
        "GLIDEPATH_AUTO_UPGRADE": "maybe",
        "GLIDEPATH_AUTH": "none",
        "GLIDEPATH_STEP_EVENTS_MAX": "0",
    }
    with pytest.raises(InvalidInput) as caught:
        Settings.load(environment)
    assert {str(each) for each in caught.value.violations} == {
        "GLIDEPATH_ENGINE_LANES: got 'many', expected a whole number",
        "GLIDEPATH_LEASE_TTL_SECONDS: got 'x', expected a number",
        "GLIDEPATH_AUTO_UPGRADE: got 'maybe', expected true or false",
        "auth: got 'none', expected one of required, off",
        "step_events_max: got 0, expected at least 1",
    }


def test_an_unset_number_may_be_written_as_nothing() -> None:
    assert Settings.load({"GLIDEPATH_CONNECTION_AGE_MAX_SECONDS": ""}).connection_age_max_seconds is None
    assert Settings.load({"GLIDEPATH_CONNECTION_AGE_MAX_SECONDS": "0"}).connection_age_max_seconds == 0


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        ({"lease_ttl_seconds": 9.0, "heartbeat_interval_seconds": 5.0}, "lease_ttl_seconds"),
        ({"tls_certificate_file": "a"}, "tls_key_file"),
        ({"tls_client_ca_file": "a"}, "tls_client_ca_file"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.load({}, **overrides)
    assert [each.field for each in caught.value.violations] == [field]


def test_settings_are_frozen_and_do_not_show_the_database_password() -> None:
    settings = Settings.load({}, database_url="postgresql://me:hunter2@host/db")
    assert "hunter2" not in repr(settings)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.engine_lanes = 1  # type: ignore[misc]


def test_every_setting_is_documented_and_carries_its_unit() -> None:
    for name, _, doc in documented():
        assert len(doc) > 10 and not doc.endswith("."), name
    for name, default, _ in documented():
        if re.fullmatch(r"[\d.]+", default):
            assert re.search(r"_(seconds|days|bytes_max|max|size|lanes|probability)$", name), name
