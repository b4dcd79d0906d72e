"""The email channel against a real SMTP server: STARTTLS, passwords, what each answer means."""

from __future__ import annotations

import datetime
import email
import email.policy
import ipaddress
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from receivers import Mailbox, dripping, mail_server

import glidepath_alert_email as plugin
from glidepath_alert_email.config import EmailConfig
from glidepath_alert_email.send import send
from glidepath_plugin import InvalidConfig, Rejected, RetryLater
from glidepath_plugin.config import read
from glidepath_plugin.testing import exercise_alert_channel, sample_alert


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as found:
        yield found


def config(mailbox: Mailbox, **more: str) -> dict[str, str]:
    return {
        "host": "127.0.0.1",
        "port": str(mailbox.port),
        "security": "none",
        "sender": "glidepath@house.example",
        "recipients": "ops@house.example, oncall@house.example",
        **more,
    }


def test_it_keeps_the_contract_of_alert_channels(mailbox: Mailbox) -> None:
    mailbox.answers = {"grey@house.example": "450 later", "nobody@house.example": "550 no such user"}
    said = exercise_alert_channel(
        plugin,
        "email",
        config(mailbox),
        busy=[config(mailbox, recipients="grey@house.example"), config(mailbox, port="1")],
        refusing=[config(mailbox, recipients="nobody@house.example"), config(mailbox, security="starttls")],
    )
    assert len(said) == 7


def test_a_mail_says_what_has_failed_and_can_be_known_again(mailbox: Mailbox) -> None:
    opened = read(EmailConfig, config(mailbox))
    ids = {send(opened, sample_alert()) for _ in range(2)}
    assert ids == {f"<{sample_alert().alert_id}@house.example>"}
    envelope = mailbox.mails[0]
    assert envelope.rcpt_tos == ["ops@house.example", "oncall@house.example"]
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert mail["subject"] == "[glidepath] features has failed: load (ValueError: no such column)"
    assert "  load: ValueError: no such column" in mail.get_content()
    assert mail["auto-submitted"] == "auto-generated"


def test_a_fact_cannot_forge_a_header(mailbox: Mailbox) -> None:
    send(read(EmailConfig, config(mailbox)), sample_alert(summary="x\r\nBcc: everybody@world.example"))
    mail = email.message_from_bytes(mailbox.mails[0].content, policy=email.policy.default)
    assert mail["bcc"] is None and "everybody@world.example" in mail["subject"]


def test_a_mail_that_some_have_got_is_sent(mailbox: Mailbox) -> None:
    mailbox.answers = {"oncall@house.example": "550 no such user"}
    send(read(EmailConfig, config(mailbox)), sample_alert())
    assert [mail.rcpt_tos for mail in mailbox.mails] == [["ops@house.example"]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def guarded(certificate: Path) -> Iterator[Mailbox]:
    """A server that takes mail over TLS alone, from who knows the password."""

    def login(server: Any, session: Any, envelope: Any, mechanism: str, given: LoginPassword) -> AuthResult:
        return AuthResult(success=given.password == b"secret", handled=False)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with mail_server(tls_context=context, require_starttls=True, auth_required=True, authenticator=login) as found:
        yield found


def login(guarded: Mailbox, certificate: Path, **more: str) -> EmailConfig:
    given = {"security": "starttls", "ca_file": str(certificate), "username": "me", "password": "secret", **more}
    opened: EmailConfig = read(EmailConfig, config(guarded, **given))
    return opened


def test_a_password_goes_over_starttls(guarded: Mailbox, certificate: Path) -> None:
    send(login(guarded, certificate), sample_alert())
    assert len(guarded.mails) == 1


def test_a_wrong_password_is_refused(guarded: Mailbox, certificate: Path) -> None:
    with pytest.raises(Rejected, match="535"):
        send(login(guarded, certificate, password="guess"), sample_alert())


def test_a_server_that_nobody_vouches_for_gets_nothing(guarded: Mailbox, certificate: Path) -> None:
    with pytest.raises(RetryLater, match="CERTIFICATE_VERIFY_FAILED"):
        send(login(guarded, certificate, ca_file=""), sample_alert())
    assert guarded.mails == []


@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_server_that_drips_its_words_is_left_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, security: str
) -> None:
    """Else Glidepath would end the plugin for it, with what it sends to others."""
    monkeypatch.setattr(sys.modules[send.__module__], "CONVERSATION_SECONDS", 0.4)
    with dripping(b"220-" if security == "none" else b"\x16\x03\x03\x40\x00\x02") as port:
        begun = time.monotonic()
        with pytest.raises(RetryLater, match="no answer"):
            send(read(EmailConfig, config(Mailbox(port), security=security)), sample_alert())
        assert time.monotonic() - begun < 5


def test_a_server_of_many_addresses_that_all_stay_silent_is_left_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A firewall that drops what goes out by SMTP is met at each of them."""
    waited: list[float] = []

    def connect(raw: socket.socket, address: object) -> None:
        waited.append(min(raw.gettimeout() or 60, 7))
        raise TimeoutError("timed out")

    def look_up(*_: object, **__: object) -> Any:
        waited.append(5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 587)) for number in range(1, 51)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(time, "monotonic", lambda: sum(waited))
    with pytest.raises(RetryLater, match=r"no answer of 127\.0\.0\.1:587: TimeoutError: timed out"):
        send(read(EmailConfig, config(Mailbox(587), timeout_seconds="20")), sample_alert())
    assert waited == [5, 7, 7, 1], "the look-up counts, too"


@pytest.fixture
def all_tls(certificate: Path) -> Iterator[Mailbox]:
    """A server that speaks TLS from the first byte on."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    with mail_server(ssl_context=context) as found:
        yield found


def test_a_mail_goes_over_tls_from_the_first_byte_on(all_tls: Mailbox, certificate: Path) -> None:
    send(read(EmailConfig, config(all_tls, security="tls", ca_file=str(certificate))), sample_alert())
    assert len(all_tls.mails) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"sender": "me"}, "sender"),
        ({"recipients": "a@b.example,nobody"}, "recipients"),
        ({"recipients": ","}, "recipients"),
        ({"port": "0"}, "port"),
        ({"security": "some"}, "security"),
        ({"username": "me", "security": "tls"}, "password"),
        ({"username": "me", "password": "secret"}, "security"),
    ],
)
def test_a_wrong_configuration_names_the_option(wrong: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidConfig) as raised:
        read(EmailConfig, config(Mailbox(25), **wrong))
    assert [each.field for each in raised.value.violations] == [field]
    assert "secret" not in str(raised.value)
