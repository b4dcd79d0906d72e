"""Exercises: what every plugin of a kind must pass, ours and yours, in its own CI.

def test_the_pager_keeps_the_contract(pager):
    exercise_alert_channel(
        my_plugin, "pager", {"url": pager.url, "key": "k"}, secrets=["k"],
        busy=[{"url": pager.busy_url, "key": "k"}], refusing=[{"url": pager.closed_url, "key": "k"}],
    )
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .config import describe, read
from .errors import InvalidConfig, Rejected, RetryLater
from .hookspecs import AlertChannel
from .loading import check
from .views import Alert, Fact

Config = Mapping[str, str]
DELIVERY_ID_CHARACTERS_MAX = 200
_TIME = datetime(2026, 11, 27, 3, 30, tzinfo=UTC)


def sample_alert(facts: int = 1, *, summary: str = "features has failed: load (ValueError: no such column)") -> Alert:
    """An alert about a run that failed, with so many facts."""
    cause = {"task_id": "load", "reason": "ValueError: no such column", "instances": 1}
    fact = Fact("run_failed", "problem", summary, _TIME, "", {"tasks_failed": [cause]})
    run_id = "0193a1b2-0000-7000-8000-000000000001"
    alert_id = f"0193a1b2-0000-7000-8000-{facts:012d}"
    return Alert(alert_id, "default", "ops", _TIME, "features", run_id, (fact,) * facts)


def exercise_alert_channel(
    plugin: Any,
    channel_name: str,
    config: Config,
    *,
    busy: Sequence[Config] = (),
    refusing: Sequence[Config] = (),
    secrets: Sequence[str] = (),
    timeout_seconds: float = 25.0,
) -> list[str]:
    """Try a channel against a receiver of yours. AssertionError says which promise it does not keep.

    `config` leads to a receiver that takes alerts. Each of `busy` leads to one that is away or overloaded (RetryLater
    is expected), each of `refusing` to one that will never take it (Rejected). `secrets` are values that nobody may
    see. Returns what was looked at, a line each.
    """
    channel = _channel(plugin, channel_name)
    said = [f"{channel_name}: {channel.summary}", _exercise_schema(channel, config, secrets)]
    opened = read(channel.config, config)
    for alert in (sample_alert(), sample_alert(), sample_alert(50), _odd()):
        delivery_id = _within(timeout_seconds, channel, opened, alert)
        assert isinstance(delivery_id, str), f"send returned {delivery_id!r}, expected the text of a delivery's id"
        assert 0 < len(delivery_id) <= DELIVERY_ID_CHARACTERS_MAX, (
            f"a delivery's id has {len(delivery_id)} characters, expected 1 to {DELIVERY_ID_CHARACTERS_MAX}"
        )
    said.append("takes an alert, the same again, one of 50 facts, one with odd characters")
    for kind, configs in ((RetryLater, busy), (Rejected, refusing)):
        for each in configs:
            _expect(kind, timeout_seconds, channel, read(channel.config, each), secrets)
            said.append(f"raises {kind.__name__} where it should")
    return said


def _channel(plugin: Any, name: str) -> AlertChannel:
    channels = {each.name: each for each in check(getattr(plugin, "__name__", "plugin"), plugin).channels}
    assert name in channels, f"the plugin brings {', '.join(channels)}, not {name}"
    return channels[name]


def _exercise_schema(channel: AlertChannel, config: Config, secrets: Sequence[str]) -> str:
    options = describe(channel.config)
    assert all(each.help for each in options), "every option has a help text"
    opened = read(channel.config, config)
    for secret in secrets:
        assert secret not in repr(opened), "the text of a configuration shows a secret: declare it so"
    for wrong, field in [
        ({**config, "no_such_option": "1"}, "no_such_option"),
        *(({k: v for k, v in config.items() if k != each.name}, each.name) for each in options if each.default is None),
    ]:
        try:
            read(channel.config, wrong)
        except InvalidConfig as error:
            assert field in [each.field for each in error.violations], f"{error} does not name {field}"
        else:
            raise AssertionError(f"a configuration with a wrong {field} was taken")
    return f"{len(options)} options, each wrong one is named"


def _odd() -> Alert:
    return sample_alert(
        summary="Übertragung ☃ \U0001f525 'quoted' \"twice\" <b>&amp;</b>\r\nSubject: forged " + "x" * 400
    )


def _expect(kind: type[Exception], seconds: float, channel: AlertChannel, config: Any, secrets: Sequence[str]) -> None:
    try:
        _within(seconds, channel, config, sample_alert())
    except (RetryLater, Rejected) as error:
        assert isinstance(error, kind), f"raised {error!r}, expected {kind.__name__}"
        assert error.reason, f"{kind.__name__} says why"
        assert not [secret for secret in secrets if secret in error.reason], "an error shows a secret"
    except Exception as error:
        raise AssertionError(f"raised {error!r}, expected {kind.__name__}") from error
    else:
        raise AssertionError(f"returned, expected {kind.__name__}")


def _within(seconds: float, channel: AlertChannel, config: Any, alert: Alert) -> Any:
    """The answer of `send`; AssertionError when there is none by then."""
    answer: list[Any] = []
    raised: list[BaseException] = []

    def call() -> None:
        try:
            answer.append(channel.send(config, alert))
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"send did not come back within {seconds:g} s: the server would end the process"
    if raised:
        raise raised[0]
    return answer[0]
