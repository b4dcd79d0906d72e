"""What a plugin may raise, and what is raised about a plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class PluginError(Exception):
    """The base of all errors of this distribution."""


class RetryLater(PluginError):
    """Not now: the other side is busy, or away. `after` is in seconds; None: whoever called knows when."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.after = reason, after


class Rejected(PluginError):
    """Never: the other side does not want it, and will not want it later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Violation(NamedTuple):
    """What is wrong with an option of a configuration: its name, what it was, what was expected."""

    field: str
    value: str
    expected: str

    def __str__(self) -> str:
        return f"{self.field}: {self.value}, expected {self.expected}"


class InvalidConfig(PluginError):
    """A configuration that does not fit its schema."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = tuple(violations)


class Misfit(PluginError):
    """A plugin that cannot be used: it is for another API, or does not keep the contract."""
