"""`glidepath schedule preview`: the next ticks of a rule, with no server anywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from glidepath_cli import server_verbs
from glidepath_cli.main import cli


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["schedule", "preview", *arguments], env={"GLIDEPATH_ADDRESS": "127.0.0.1:1"})


def previewed(*arguments: str) -> list[dict[str, Any]]:
    result = call(*arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


NEW_YORK = ("--cron", "30 2 * * *", "--zone", "America/New_York", "--from", "2024-03-09", "--count", "3")


def test_it_shows_utc_and_local_time_with_offset_and_abbreviation() -> None:
    found = previewed(*NEW_YORK)
    assert [each["tickTime"] for each in found] == [
        "2024-03-09T07:30:00Z",
        "2024-03-10T07:00:00Z",
        "2024-03-11T06:30:00Z",
    ]
    assert [(each["localTime"], each["abbreviation"], each["note"]) for each in found[:2]] == [
        ("2024-03-09T02:30:00-05:00", "EST", ""),
        ("2024-03-10T03:00:00-04:00", "EDT", "the clocks go forward"),
    ]


def test_its_json_has_the_names_that_the_json_of_all_commands_has() -> None:
    from glidepath_proto.schedule.v1 import schedule_pb2

    shared = {field.json_name for field in schedule_pb2.Tick.DESCRIPTOR.fields} - {
        "outcome", "dagRunId", "reason", "decideTime",
    }  # fmt: skip
    (found,) = previewed("--cron", "@daily", "--zone", "UTC", "--count", "1")
    assert shared <= set(found) and not [name for name in found if "_" in name]


def test_a_skip_has_its_reason_in_both_outputs() -> None:
    options = (*NEW_YORK, "--gap", "skip", "--exclude-weekday", "Monday")
    assert [each["skip"] for each in previewed(*options)] == [
        "",
        "the clocks jump over the local time",
        "excluded weekday Monday",
    ]
    table = call(*options)
    assert table.exit_code == 0 and "skipped: excluded weekday Monday" in table.stdout


def test_both_passes_of_an_hour_are_told_apart() -> None:
    found = previewed(
        *("--cron", "30 1 * * *", "--zone", "America/New_York", "--from", "2024-11-03", "--count", "2"),
        *("--overlap-hours", "both"),
    )
    assert [each["note"] for each in found] == ["first of two passes", "second of two passes"]


def test_intervals_and_dates_are_previewed_with_their_data() -> None:
    found = previewed("--interval", "90m", "--zone", "UTC", "--from", "2026-01-01T00:00Z", "--data-interval", "before")
    assert found[0]["tickTime"] == "2026-01-01T00:00:00Z"
    assert (found[0]["dataIntervalStart"], found[0]["dataIntervalEnd"]) == (
        "2025-12-31T22:30:00Z",
        "2026-01-01T00:00:00Z",
    )
    result = call("--dates", "2026-01-02T02:00,2026-01-01", "--zone", "Asia/Kolkata", "--from", "2026-01-01")
    assert "2026-01-01 00:00:00+05:30 IST" in result.stdout and "no further tick" in result.stderr


def test_the_seed_decides_the_jitter_and_a_missing_one_is_told() -> None:
    options = ("--cron", "H 2 * * *", "--zone", "UTC", "--from", "2026-01-01", "--jitter", "10m", "--count", "1")
    one, two = previewed(*options, "--seed", "default/a/main"), previewed(*options, "--seed", "default/b/main")
    assert one != two and one[0]["dueTime"] >= one[0]["tickTime"]
    assert "--seed NAMESPACE/DAG/SCHEDULE" in call(*options).stderr
    assert "--seed" not in call(*options, "--seed", "default/a/main").stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--cron", "0 2 * * *"), "--zone is missing; expected the name of an IANA zone: --zone Asia/Kolkata"),
        (("--cron", "0 2 * *", "--zone", "UTC"), "Error: --cron: got '0 2 * *'"),
        (("--cron", "0 2 * * *", "--zone", "IST"), "Error: --zone: got 'IST'"),
        (("--every", "0.5s", "--zone", "UTC"), "Error: --every: got 0.5 s"),
        (("--zone", "UTC"), "expected one of --cron, --every, --at"),
        (("--zone", "UTC", "--cron", "@daily", "--every", "1h"), "expected one of"),
        (("--zone", "UTC", "--cron", "@daily", "--anchor", "2026-01-01"), "--anchor goes with --every"),
        (("--zone", "Europe/Berln", "--cron", "x", "--start", "2026-01-01"), "did you mean Europe/Berlin?"),
        (("--zone", "UTC", "--cron", "R 2 * * *"), "R in minute is random"),
        (("--zone", "UTC", "--cron", "@daily", "--from", "soon"), "'soon' is no time"),
        (("--zone", "UTC", "--cron", "@daily", "--exclude-date", "christmas"), "'christmas' is no date"),
        (("--zone", "UTC", "--every", "often"), "--every is 'often'"),
        (("--zone", "UTC", "--cron", "@daily", "--count", "0"), "--count"),
        (("--zone", "UTC", "--cron", "@daily", "--from", "9999-12-31T23:59-12:00"), "to 2200-01-01"),
        (("--zone", "UTC", "--cron", "@daily", "--from", "0001-01-01"), "1970"),
    ],
)
def test_wrong_options_say_what_was_expected(options: tuple[str, ...], said: str) -> None:
    result = call(*options)
    assert result.exit_code == 2 and said in result.stderr, result.output


def test_without_the_server_installed_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_verbs, "HAS_SERVER", False)
    result = call(*NEW_YORK)
    assert result.exit_code == 2 and "pip install 'glidepath-cli[server]'" in result.stderr
