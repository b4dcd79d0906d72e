"""The webhook channel against a real HTTP server: what is signed, what each answer means, where it may go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest
from receivers import KEY, Receiver, dripping, http_receiver

import glidepath_alert_webhook as plugin
from glidepath_alert_webhook.config import WebhookConfig
from glidepath_alert_webhook.send import is_public, retry_after, send
from glidepath_plugin import InvalidConfig, Rejected, RetryLater
from glidepath_plugin.config import read
from glidepath_plugin.testing import exercise_alert_channel, sample_alert


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as found:
        yield found


def config(receiver: Receiver, path: str = "/", **more: str) -> WebhookConfig:
    opened: WebhookConfig = read(WebhookConfig, receiver.config(path, **more))
    return opened


def test_it_keeps_the_contract_of_alert_channels(receiver: Receiver) -> None:
    receiver.answers = {"/busy": (429, {}), "/broken": (500, {}), "/gone": (410, {}), "/hangs-up": (0, {})}
    busy = [receiver.config(path) for path in ("/busy", "/broken", "/hangs-up")]
    busy.append({**receiver.config(), "url": "http://127.0.0.1:1/"})
    busy.append(receiver.config("/slow", timeout_seconds="0.2"))
    said = exercise_alert_channel(
        plugin, "webhook", receiver.config(), busy=busy, refusing=[receiver.config("/gone")], secrets=[KEY, KEY[6:]]
    )
    assert len(said) == 9 and said[0].startswith("webhook: ")


def test_a_receiver_can_check_who_has_sent_it_and_when(receiver: Receiver) -> None:
    alert = sample_alert()
    assert send(config(receiver), alert) == alert.alert_id
    ((_, headers, body),) = receiver.got
    assert headers["webhook-id"] == alert.alert_id
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60
    signed = f"{alert.alert_id}.{headers['webhook-timestamp']}.".encode() + body
    expected = hmac.new(base64.b64decode(KEY.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    data = json.loads(body)
    assert (data["type"], data["data"]["alert_id"], data["data"]["dag_id"]) == (
        "glidepath.alert",
        alert.alert_id,
        "features",
    )
    assert data["data"]["facts"][0]["details"]["tasks_failed"][0]["task_id"] == "load"


@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [
        (429, {"retry-after": "120"}, 120.0),
        (503, {"retry-after": "99999999"}, 86400.0),
        (503, {"retry-after": "soon"}, None),
        (500, {}, None),
        (408, {}, None),
    ],
)
def test_what_may_go_well_later_is_tried_again_when_the_receiver_says(
    receiver: Receiver, status: int, headers: dict[str, str], after: float | None
) -> None:
    receiver.answers["/"] = (status, headers)
    with pytest.raises(RetryLater, match=f"answered {status} .*: because of this") as raised:
        send(config(receiver), sample_alert())
    assert raised.value.after == after


def test_a_receiver_that_drips_its_answer_is_left_when_its_time_is_over() -> None:
    """Else the server would end the plugin for it, with what it sends to others."""
    for scheme, begin in (("http", b"HTTP/1.1 200 OK\r\nx: "), ("https", b"\x16\x03\x03\x40\x00\x02")):
        with dripping(begin) as port:
            url = f"{scheme}://127.0.0.1:{port}/"
            given = {"url": url, "secret": KEY, "allow_private": "true", "timeout_seconds": "0.4"}
            begun = time.monotonic()
            with pytest.raises(RetryLater):
                send(read(WebhookConfig, given), sample_alert())
            assert time.monotonic() - begun < 5


def test_a_host_of_many_silent_addresses_is_left_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has a name in the DNS could cost everybody the plugin by it."""
    look_up, waited = socket.getaddrinfo, list[float]()

    def found(host: str, *arguments: Any, **more: Any) -> Any:
        if host != "many.example":
            return look_up(host, *arguments, **more)
        waited.append(5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 80)) for number in range(1, 51)]

    def connect(raw: socket.socket, address: object) -> None:
        waited.append(min(raw.gettimeout() or 60, 7))
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "getaddrinfo", found)
    monkeypatch.setattr(socket.socket, "connect", connect)
    given = {"url": "http://many.example/", "secret": KEY, "allow_private": "true", "timeout_seconds": "20"}
    monkeypatch.setattr(time, "monotonic", lambda: sum(waited))
    with pytest.raises(RetryLater, match=r"many\.example does not answer: timed out"):
        send(read(WebhookConfig, given), sample_alert())
    assert waited == [5, 7, 7, 1], "the look-up counts, too"


def test_a_date_in_retry_after_is_seconds_from_now() -> None:
    assert 50 < (retry_after(formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
def test_what_is_refused_is_not_tried_again(receiver: Receiver, status: int) -> None:
    receiver.answers["/"] = (status, {"location": "http://169.254.169.254/"})
    with pytest.raises(Rejected, match=f"answered {status}"):
        send(config(receiver), sample_alert())
    assert len(receiver.got) == 1


def test_an_address_of_this_machine_is_refused_unless_that_is_allowed(receiver: Receiver) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        url = f"http://{host}:{receiver.port}/"
        with pytest.raises(Rejected, match="of this machine or a private network"):
            send(read(WebhookConfig, {"url": url, "secret": KEY}), sample_alert())
    assert receiver.got == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("224.0.0.1", False),
        ("100.64.0.1", False),
    ],
)
def test_which_addresses_are_out_in_the_world(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://host/"}, "url"),
        ({"url": "http:///path"}, "url"),
        ({"url": "http://user:pw@host/"}, "url"),
        ({"url": "http://host/\r\nx: y"}, "url"),
        ({"url": "http://host:99999/"}, "url"),
        ({"secret": "plain"}, "secret"),
        ({"secret": "whsec_c2hvcnQ="}, "secret"),
        ({"secret": "whsec_***"}, "secret"),
        ({"timeout_seconds": "0"}, "timeout_seconds"),
        ({"timeout_seconds": "nan"}, "timeout_seconds"),
        ({"allow_private": "perhaps"}, "allow_private"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_configuration_names_the_option_and_shows_no_secret(wrong: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        read(WebhookConfig, {"url": "https://host.example/", "secret": KEY, **wrong})
    assert [each.field for each in raised.value.violations] == [field]
    assert "plain" not in str(raised.value) and "c2hvcnQ" not in str(raised.value)
