"""Where the server is and who is calling: from arguments, the environment, or the file that `glidepath up` leaves.

Each of address, token and namespace is taken from the first place that has it:

1. the argument;
2. GLIDEPATH_ADDRESS; GLIDEPATH_TOKEN or GLIDEPATH_TOKEN_FILE; GLIDEPATH_NAMESPACE;
3. `connection.json` in GLIDEPATH_HOME, else in `.glidepath/` of the current folder or its nearest parent that has one:
   {"address": "host:port", "token_file": "path, relative to the file", "namespace": "name"};
4. 127.0.0.1:7711, no token, namespace "default".

Token and namespace belong to a server: those of the file are not used for an address that came from elsewhere.
A worker takes the token of `worker.token` beside that file if there is one, since a person's token admits no worker.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from glidepath.errors import GlidepathError

WORKER_TOKEN = "worker.token"
ADDRESS_DEFAULT = "127.0.0.1:7711"
NAMESPACE_DEFAULT = "default"


_TOKEN = re.compile(r"[!-~]+")
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s/:\[\]]+):(\d{1,5})")
# Names in gRPC's own notation are gRPC's to read.
_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")


class ConnectionSettingsError(GlidepathError, ValueError):
    """A connection file, token file or environment variable cannot be used; the message names it."""


@dataclass(frozen=True)
class Tls:
    """How to talk TLS. `ca_file` is a PEM file of trusted authorities (the system's when empty).

    `certificate_file` and `key_file` (PEM) are shown to a server that asks for them (mTLS). `server_name` is what the
    server's certificate must be made out to when that is not the host of the address.
    """

    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""


@dataclass(frozen=True)
class Connection:
    """One server as one caller sees it. `tls` None means plain text."""

    address: str = ADDRESS_DEFAULT
    token: str = field(default="", repr=False)
    namespace: str = NAMESPACE_DEFAULT
    tls: Tls | None = None


def find_connection(
    address: str = "",
    token: str = "",
    namespace: str = "",
    tls: Tls | bool | None = None,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    worker: bool = False,
) -> Connection:
    """Fill in what the arguments leave empty. `folder` is where the search for `.glidepath/` starts."""
    address = _one_address(address, "address") or _one_address(
        environ.get("GLIDEPATH_ADDRESS", ""), "GLIDEPATH_ADDRESS"
    )
    token = _one_token(token, "token") if token else _environment_token(environ)
    namespace = namespace or environ.get("GLIDEPATH_NAMESPACE", "")
    found = Connection()
    if not (address and token and namespace):
        found = _read_connection_file(environ, folder or Path.cwd(), worker)
        if address not in ("", found.address):
            found = Connection()
    return Connection(
        address=address or found.address,
        token=token or found.token,
        namespace=namespace or found.namespace,
        tls=_choose_tls(tls, environ),
    )


def _choose_tls(tls: Tls | bool | None, environ: Mapping[str, str]) -> Tls | None:
    if isinstance(tls, Tls):
        return tls
    ca_file = environ.get("GLIDEPATH_CA_FILE", "")
    return Tls(ca_file=ca_file) if tls or (tls is None and ca_file) else None


def _environment_token(environ: Mapping[str, str]) -> str:
    if token := environ.get("GLIDEPATH_TOKEN", ""):
        return _one_token(token, "GLIDEPATH_TOKEN")
    token_file = environ.get("GLIDEPATH_TOKEN_FILE", "")
    return _read_token(Path(token_file), "GLIDEPATH_TOKEN_FILE") if token_file else ""


def _read_connection_file(environ: Mapping[str, str], folder: Path, worker: bool) -> Connection:
    path = _connection_file(environ, folder)
    if path is None:
        return Connection()
    try:
        content = json.loads(path.read_text())
        own = worker and (path.parent / WORKER_TOKEN).is_file()
        token_file = WORKER_TOKEN if own else content.get("token_file", "")
        return Connection(
            address=content["address"],
            token=_read_token(path.parent / token_file, f"{'beside' if own else 'token_file of'} {path}")
            if token_file
            else "",
            namespace=content.get("namespace", "") or NAMESPACE_DEFAULT,
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, ConnectionSettingsError):
            raise
        raise ConnectionSettingsError(
            f"{path}: expected a JSON object with address, token_file and namespace ({error!r}); "
            "`glidepath up` writes it anew"
        ) from error


def _connection_file(environ: Mapping[str, str], folder: Path) -> Path | None:
    home = environ.get("GLIDEPATH_HOME", "")
    homes = [Path(home)] if home else [each / ".glidepath" for each in (folder, *folder.parents)]
    return next((path for each in homes if (path := each / "connection.json").is_file()), None)


def _one_address(text: str, where: str) -> str:
    """The address, "" for none."""
    found = _HOST_AND_PORT.fullmatch(text)
    if text and not text.startswith(_SCHEMES) and not (found and 0 < int(found[2]) < 1 << 16):
        raise ConnectionSettingsError(f"{where}: got {text!r}, expected HOST:PORT, such as {ADDRESS_DEFAULT}")
    return text


def _read_token(path: Path, named_by: str) -> str:
    try:
        return _one_token(path.read_text(errors="replace"), f"{named_by}: {path}")
    except OSError as error:
        raise ConnectionSettingsError(f"{named_by}: cannot read the token from {path}: {error.strerror}") from error


def _one_token(text: str, where: str) -> str:
    """The token, without blanks around it. The error shows nothing of it."""
    token = text.strip()
    if not _TOKEN.fullmatch(token):
        lines, words = len(token.splitlines()), len(token.split())
        found = f"{words} words on {lines} lines" if lines > 1 else f"{words} words"
        if words < 2:
            found = "characters that no token has" if words else "nothing"
        raise ConnectionSettingsError(f"{where} holds {found}; expected one token, on one line and without blanks")
    return token
