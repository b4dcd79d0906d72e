"""Which server takes the mail, from whom it comes, and who gets it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from glidepath_plugin import Violation, option

# One address without a name; what is stricter would refuse addresses that exist.
ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")
RECIPIENTS_MAX = 50
# The server ends a process whose `send` takes 30 s, and a conversation has several answers to wait for.
TIMEOUT_SECONDS_MAX = 20


@dataclass(frozen=True)
class EmailConfig:
    """A name and a password travel only over TLS."""

    host: str = option("The SMTP server.")
    sender: str = option("The address that the mail comes from.")
    recipients: tuple[str, ...] = option("Who gets it: addresses.")
    port: int = option("The server's port.", default=587, least=1, most=65535)
    security: str = option(
        "starttls: refuses a server without it; tls: from the first byte on; none: readable on the way",
        default="starttls",
        choices=("starttls", "tls", "none"),
    )
    ca_file: str = option("A PEM file of the authorities to trust; empty: those of this machine.", default="")
    username: str = option("Who logs in; empty: nobody.", default="")
    password: str = option("The password of username.", default="", secret=True)
    timeout_seconds: float = option("How long each answer may take.", default=10.0, least=0.1, most=TIMEOUT_SECONDS_MAX)

    def check(self) -> Iterable[Violation]:
        if not ADDRESS.fullmatch(self.sender):
            yield Violation("sender", repr(self.sender), "one address: name@host")
        wrong = [each for each in self.recipients if not ADDRESS.fullmatch(each)]
        if wrong or not 1 <= len(self.recipients) <= RECIPIENTS_MAX:
            value = repr(wrong[0]) if wrong else f"{len(self.recipients)} addresses"
            yield Violation("recipients", value, f"1 to {RECIPIENTS_MAX} addresses: name@host")
        if bool(self.username) != bool(self.password):
            yield Violation("password", "***" if self.password else "nothing", "set together with username")
        if self.username and self.security == "none":
            yield Violation("security", "'none'", "starttls or tls: a password does not travel readable")
