"""`glidepath plugin check` runs the exercise of an installed plugin where it is called, without a server."""

from __future__ import annotations

from click.testing import CliRunner
from receivers import http_receiver

from glidepath_cli.main import cli


def check(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, ["plugin", "check", *arguments])
    return done.exit_code, done.output


def options(config: dict[str, str]) -> list[str]:
    return [part for name, value in config.items() for part in ("--config", f"{name}={value}")]


def test_a_plugin_that_keeps_its_promises_says_what_was_looked_at() -> None:
    with http_receiver() as receiver:
        code, said = check("webhook", *options(receiver.config()))
        assert (code, len(receiver.got)) == (0, 4), said
        assert "takes an alert, the same again, one of 50 facts" in said


def test_one_whose_receiver_refuses_says_so() -> None:
    with http_receiver() as receiver:
        receiver.answers["/"] = (401, {})
        code, said = check("webhook", *options(receiver.config()))
    assert code == 1 and "error: webhook: answered 401" in said


def test_one_that_is_not_installed_is_named_with_those_that_are() -> None:
    code, said = check("pager")
    assert code == 2 and "there is no plugin 'pager'; there are: email, webhook" in said
