"""One mail: what it says, and what the server's answers mean."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from email.message import EmailMessage
from email.utils import format_datetime

from glidepath_plugin import Alert, Rejected, RetryLater
from glidepath_plugin.patience import Conversation, at_most

from .config import EmailConfig

SUBJECT_CHARACTERS_MAX = 150
TEXT_CHARACTERS_MAX = 100_000
# The server ends a process whose `send` takes 30 s; there are names to be looked up before.
CONVERSATION_SECONDS = 22.0


def send(config: EmailConfig, alert: Alert) -> str:
    """Send the mail; its Message-ID, which is the same when it is sent again.

    Raises RetryLater when the server is away, busy or greylists (4xx), Rejected when it refuses (5xx). A mail that some
    recipients have got is sent: what it cannot reach is said by the server that takes it.
    """
    mail = compose(config, alert)
    try:
        with at_most(CONVERSATION_SECONDS) as conversation, _connect(config, conversation) as server:
            if config.username:
                server.login(config.username, config.password)
            server.send_message(mail, config.sender, list(config.recipients))
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _by_code(min(codes), f"every recipient was refused: {_first(error)}") from error
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        raise _by_code(error.smtp_code, f"{type(error).__name__}: {error.smtp_code} {said}") from error
    except smtplib.SMTPNotSupportedError as error:
        raise Rejected(f"the server cannot do what security={config.security} needs: {error}") from error
    except (OSError, smtplib.SMTPException) as error:
        raise RetryLater(f"no answer of {config.host}:{config.port}: {type(error).__name__}: {error}") from error
    return str(mail["Message-ID"])


def compose(config: EmailConfig, alert: Alert) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = " ".join(alert.title.split())[:SUBJECT_CHARACTERS_MAX]
    mail["From"], mail["To"] = config.sender, ", ".join(config.recipients)
    mail["Date"] = format_datetime(alert.create_time)
    mail["Message-ID"] = f"<{alert.alert_id}@{config.sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if alert.dag_run_id:
        # Mails of one run are one conversation.
        mail["References"] = f"<{alert.dag_run_id}@{config.sender.rpartition('@')[2]}>"
    mail.set_content(alert.text[:TEXT_CHARACTERS_MAX])
    return mail


class _Server(smtplib.SMTP):
    """What it connects is held by the conversation, from before the server's first word."""

    default_port = smtplib.SMTP_PORT

    def __init__(self, config: EmailConfig, conversation: Conversation, wrap: ssl.SSLContext | None) -> None:
        self.conversation, self.wrap = conversation, wrap
        super().__init__(config.host, config.port, timeout=config.timeout_seconds)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        raw = _reach(host, port, timeout)
        self.conversation.holds(raw)
        return raw if self.wrap is None else self.wrap.wrap_socket(raw, server_hostname=host)


def _reach(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to the first of its addresses that answers, within the timeout over all of them and their look-up."""
    until = time.monotonic() + timeout
    last: OSError = TimeoutError(f"its addresses were not found within {timeout:g} s")
    for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if (left := until - time.monotonic()) <= 0:
            break
        raw = socket.socket(family, socket.SOCK_STREAM)
        try:
            raw.settimeout(left)
            raw.connect(address)
        except OSError as error:
            raw.close()
            last = error
            continue
        raw.settimeout(timeout)
        return raw
    raise last


def _connect(config: EmailConfig, conversation: Conversation) -> smtplib.SMTP:
    trusted = ssl.create_default_context(cafile=config.ca_file or None)
    server = _Server(config, conversation, trusted if config.security == "tls" else None)
    if config.security == "starttls":
        try:
            server.starttls(context=trusted)
        except BaseException:
            server.close()
            raise
    return server


def _first(error: smtplib.SMTPRecipientsRefused) -> str:
    address, (code, said) = next(iter(error.recipients.items()))
    return f"{address}: {code} {said.decode(errors='replace')}"


def _by_code(code: int, reason: str) -> RetryLater | Rejected:
    return RetryLater(reason) if 400 <= code < 500 or code < 0 else Rejected(reason)
