"""Where a server may listen, and how: nobody is let in from another host without credentials and TLS by accident."""

from __future__ import annotations

import ipaddress

from ..core.errors import InvalidInput, Violation
from ..settings import Settings


def is_loopback(address: str) -> bool:
    """True when only this host can reach the address (host:port, or unix:path)."""
    if address.startswith("unix:"):
        return True
    host = host_of(address)
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(address: str) -> str:
    """The host of host:port or [v6]:port."""
    return address.rpartition(":")[0].strip("[]")


def listeners(settings: Settings) -> list[str]:
    """The addresses to listen on: one for all, or users' and workers' apart."""
    return [settings.address] + ([settings.worker_address] if settings.worker_address else [])


def all_loopback(settings: Settings) -> bool:
    return all(is_loopback(address) for address in listeners(settings))


def check_exposure(settings: Settings) -> None:
    """Raises InvalidInput when an address is no address, or reachable from other hosts without protection."""
    wrong = [
        Violation(name, repr(address), "host:port, like 127.0.0.1:7711")
        for name, address in (("address", settings.address), ("worker_address", settings.worker_address or "h:0"))
        if not _is_address(address)
    ]
    metrics = settings.metrics_address
    if metrics and (metrics.startswith("unix:") or not _is_address(metrics)):
        wrong.append(Violation("metrics_address", repr(metrics), "host:port, like 127.0.0.1:7713, or nothing"))
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), violations=wrong)
    _check_metrics(settings)
    exposed = [address for address in listeners(settings) if not is_loopback(address)]
    if not exposed:
        return
    where = f"because {' and '.join(exposed)} can be reached from other hosts"
    hints = []
    if settings.auth != "required":
        wrong.append(Violation("auth", repr(settings.auth), f"'required', {where}"))
        hints.append("set GLIDEPATH_AUTH=required, or listen on 127.0.0.1")
    if not settings.tls_certificate_file and not settings.insecure_plaintext:
        wrong.append(Violation("tls_certificate_file", "''", f"a certificate, {where}"))
        hints.append(
            "set GLIDEPATH_TLS_CERTIFICATE_FILE and GLIDEPATH_TLS_KEY_FILE, or, when something in front of "
            "the server speaks TLS, GLIDEPATH_INSECURE_PLAINTEXT=true"
        )
    if wrong:
        raise InvalidInput("; ".join(map(str, wrong)), hint="; ".join(hints), violations=wrong)


def _check_metrics(settings: Settings) -> None:
    """They are served without a token: who reaches them reads the names of namespaces and queues."""
    if not settings.metrics_address or is_loopback(settings.metrics_address) or settings.metrics_exposed:
        return
    violation = Violation("metrics_address", repr(settings.metrics_address), "an address of loopback: it asks no token")
    raise InvalidInput(
        str(violation),
        hint="set GLIDEPATH_METRICS_EXPOSED=true if only those who may read them can reach it, or listen on 127.0.0.1",
        violations=[violation],
    )


def _is_address(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return address.startswith("unix:") or (host != "" and port.isdigit() and int(port) < 65536)
