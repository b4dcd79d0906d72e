"""Every limit, interval and address of a server, in one frozen object that is read once and passed down.

A setting `lease_ttl_seconds` is set by the environment variable GLIDEPATH_LEASE_TTL_SECONDS; explicit overrides
(command line, tests) win over the environment. Units stand last in the name. Nothing reads the environment later.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .core.cron import BadCron, read_cron
from .core.errors import InvalidInput, Violation

PREFIX = "GLIDEPATH_"
KIB = 1024
MIB = 1024 * KIB


def _setting(
    default: Any,
    doc: str,
    *,
    least: float | None = None,
    choices: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    return field(default=default, repr=not secret, metadata={"doc": doc, "least": least, "choices": choices})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a server is told. Build it by `Settings.load(...)`, which checks every value."""

    # ---- addresses and access
    address: str = _setting("127.0.0.1:7711", "host:port for users, SDK clients and, without worker_address, workers")
    worker_address: str = _setting("", "host:port for workers, a listener with its own budget; empty: address")
    auth: str = _setting(
        "required", "off admits everybody as administrator, and is refused beyond loopback", choices=("required", "off")
    )
    insecure_plaintext: bool = _setting(False, "serve beyond loopback without TLS: tokens travel readable")
    tls_certificate_file: str = _setting("", "PEM chain of the server's certificate; reloaded when the file changes")
    tls_key_file: str = _setting("", "PEM private key that belongs to tls_certificate_file")
    tls_client_ca_file: str = _setting("", "PEM of the authorities whose client certificates are demanded (mTLS)")
    token_cache_seconds: float = _setting(
        5.0, "how long an answer about a token may be reused; bounds revocation", least=0
    )
    reflection: str = _setting(
        "auto", "gRPC reflection; auto: on while every address is loopback", choices=("auto", "on", "off")
    )

    # ---- database
    database_url: str = _setting("", "postgresql://user@host:port/database", secret=True)
    auto_upgrade: bool = _setting(False, "bring the schema up to date at start instead of refusing an older one")
    engine_lanes: int = _setting(2, "step transactions at a time; each has its own connection", least=1)
    worker_pool_size: int = _setting(4, "connections for worker traffic", least=1)
    api_pool_size: int = _setting(6, "connections for users and the API", least=1)

    # ---- engine
    step_events_max: int = _setting(1000, "events in one step transaction", least=1)
    step_bytes_max: int = _setting(8 * MIB, "bytes of boards and outputs in one step transaction", least=KIB)
    poll_interval_seconds: float = _setting(1.0, "longest sleep of a loop that a lost wake-up can cause", least=0.01)

    # ---- workers
    lease_ttl_seconds: float = _setting(15.0, "life of a worker session's lease after a committed renewal", least=1)
    # Under a third of the lease: a worker that leaves a silent server after two intervals has its lease still, also
    # when the server fell silent with the last renewal unwritten.
    heartbeat_interval_seconds: float = _setting(4.0, "between two heartbeats of the server on a stream", least=0.1)
    accept_timeout_seconds: float = _setting(5.0, "an assignment not accepted by then is taken back", least=0.1)
    output_inline_bytes_max: int = _setting(64 * KIB, "larger outputs travel as artifacts", least=1)
    checkpoint_bytes_max: int = _setting(64 * KIB, "checkpoint that a progress report may carry", least=1)
    artifact_bytes_max: int = _setting(256 * MIB, "size of one artifact", least=1)

    # ---- wire
    message_bytes_max: int = _setting(4 * MIB, "largest message the server receives or sends", least=64 * KIB)
    metadata_bytes_max: int = _setting(16 * KIB, "request headers of one call", least=4 * KIB)
    streams_per_connection_max: int = _setting(
        256, "calls at a time on one connection; times message_bytes_max, what it can make the server hold", least=1
    )
    calls_max: int = _setting(10_000, "concurrent calls of one listener; more are answered RESOURCE_EXHAUSTED", least=1)
    calls_per_token_max: int = _setting(
        2500,
        "calls of one token open at a time, those that wait included; more are answered RESOURCE_EXHAUSTED",
        least=1,
    )
    calls_running_per_token_max: int = _setting(
        16, "unary calls of one user's token that run at a time; more wait, unread", least=1
    )
    worker_calls_running_per_token_max: int = _setting(
        256, "the same for a worker's token, which a fleet may share", least=1
    )
    keepalive_interval_seconds: float = _setting(30.0, "between two pings of the server on a quiet connection", least=1)
    keepalive_timeout_seconds: float = _setting(10.0, "a ping unanswered by then closes the connection", least=1)
    ping_interval_min_seconds: float = _setting(10.0, "clients that ping more often are sent away", least=0.1)
    connection_age_max_seconds: float | None = _setting(
        None, "connections older than this are moved; 0: never; unset: 1800 beyond loopback, else never", least=0
    )
    connection_idle_max_seconds: float = _setting(600.0, "connections without a call for this long are closed", least=1)
    connection_age_grace_seconds: float = _setting(30.0, "time for open calls when a connection is moved", least=0)
    shutdown_grace_seconds: float = _setting(10.0, "time for open calls when the server stops", least=0)

    # ---- plugins and alerts
    plugin_path: str = _setting("", "folders with plugins beside those that are installed, separated as in PATH")
    plugins_blocked: str = _setting("", "names of plugins that are not used, with commas between them")
    plugin_load_timeout_seconds: float = _setting(10.0, "how long a plugin may take to be imported", least=0.1)
    plugin_call_timeout_seconds: float = _setting(30.0, "how long a plugin may take for one call", least=0.1)
    plugin_memory_bytes_max: int = _setting(
        512 * MIB, "address space of a plugin's process; what asks for more fails in it", least=64 * MIB
    )

    alert_group_seconds: float = _setting(
        5.0, "facts of a run that come within this are one alert; it is sent after it", least=0
    )
    alert_attempts_max: int = _setting(25, "tries of an alert; what fails that often is dead", least=1)
    alert_age_seconds_max: float = _setting(86_400.0, "how long an alert is tried; what is older is dead", least=1)

    # ---- prediction
    learn_interval_seconds: float = _setting(
        5.0, "between two looks for runs that have ended, to learn how long their tasks take", least=0.01
    )
    risk_interval_seconds: float = _setting(5.0, "between two looks ahead at open deadlines", least=0.01)
    risk_probability: float = _setting(
        0.75, "probability to be missed from which on a deadline is at risk; it is until half of that", least=0.01
    )
    risk_runs_max: int = _setting(100, "runs with deadlines that are looked ahead at in one round", least=1)

    # ---- keeping and forgetting
    history_retention_days: int = _setting(
        90,
        "runs that ended before are forgotten, by whole months of their making, and outcomes of ticks; 0: all is kept",
        least=0,
    )
    history_cron: str = _setting("17 3 * * *", "when history is dropped: five fields of cron, UTC")
    request_retention_days: int = _setting(7, "how long a request id and its answer are kept", least=7)
    session_retention_days: int = _setting(
        30, "how long an ended worker session is kept; its attempts name no worker afterwards", least=1
    )
    fact_retention_days: int = _setting(7, "how long a fact is kept in the outbox once it was routed", least=1)
    alert_retention_days: int = _setting(30, "how long an alert is kept that was delivered or is dead", least=1)
    prune_interval_seconds: float = _setting(600.0, "between two rounds of the pruner", least=0.1)
    prune_rows_max: int = _setting(1000, "rows that the pruner deletes in one statement", least=1)

    # ---- telemetry
    log_format: str = _setting(
        "auto", "auto: console on a terminal, JSON otherwise", choices=("auto", "console", "json")
    )
    log_level: str = _setting("info", "least level that is written", choices=("debug", "info", "warning", "error"))
    metrics_address: str = _setting("", "host:port of /metrics (Prometheus), /healthz and /readyz; empty: off")
    metrics_exposed: bool = _setting(False, "serve metrics_address beyond loopback, to everybody who reaches it")
    otlp_endpoint: str = _setting(
        "",
        "http://host:4317 or https://host:4317 of an OTLP/gRPC receiver of spans; the same on all replicas; empty: off",
    )
    otlp_headers: str = _setting("", "sent with spans: name=value,name=value", secret=True)
    trace_backlog_max: int = _setting(
        100_000, "spans kept while the receiver takes none; older ones are dropped and counted", least=0
    )

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
        """Settings from overrides, then the environment, then defaults. Raises InvalidInput with every wrong value."""
        hints = typing.get_type_hints(cls)
        values: dict[str, Any] = dict(overrides)
        wrong: list[Violation] = []
        for each in fields(cls):
            text = environ.get(PREFIX + each.name.upper())
            if each.name in overrides or text is None:
                continue
            try:
                values[each.name] = _parse(text.strip(), hints[each.name])
            except ValueError as error:
                wrong.append(Violation(PREFIX + each.name.upper(), repr(text), str(error)))
        settings = cls(**values)
        wrong += _violations(settings)
        if wrong:
            raise InvalidInput("settings: " + "; ".join(map(str, wrong)), violations=wrong)
        return settings


def documented() -> list[tuple[str, str, str]]:
    """(name, default as text, meaning) of every setting, in order: the source of the table in the docs."""
    return [
        (each.name, "" if each.default is None else str(each.default), each.metadata["doc"])
        for each in fields(Settings)
    ]


def _parse(text: str, hint: Any) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if text == "" and type(None) in kinds:
        return None
    kind = kinds[0]
    if kind is bool:
        return _parse_bool(text)
    try:
        return kind(text)
    except ValueError:
        raise ValueError({int: "a whole number", float: "a number"}.get(kind, "text")) from None


def _parse_bool(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("", "0", "false", "no", "off"):
        return False
    raise ValueError("true or false")


def _violations(settings: Settings) -> list[Violation]:
    found = []
    for each in fields(settings):
        value, least, choices = getattr(settings, each.name), each.metadata["least"], each.metadata["choices"]
        if least is not None and value is not None and value < least:
            found.append(Violation(each.name, str(value), f"at least {least}"))
        if choices and value not in choices:
            found.append(Violation(each.name, repr(value), "one of " + ", ".join(choices)))
    if bool(settings.tls_certificate_file) != bool(settings.tls_key_file):
        found.append(Violation("tls_key_file", repr(settings.tls_key_file), "set together with tls_certificate_file"))
    if settings.tls_client_ca_file and not settings.tls_certificate_file:
        found.append(
            Violation("tls_client_ca_file", repr(settings.tls_client_ca_file), "set only with tls_certificate_file")
        )
    try:
        read_cron(settings.history_cron, "history")
    except BadCron as error:
        found.append(Violation("history_cron", repr(settings.history_cron), f"a cron expression: {error}"))
    if settings.lease_ttl_seconds < 2 * settings.heartbeat_interval_seconds:
        found.append(
            Violation(
                "lease_ttl_seconds",
                str(settings.lease_ttl_seconds),
                "at least two heartbeat intervals, or every lost heartbeat ends a lease",
            )
        )
    return found
