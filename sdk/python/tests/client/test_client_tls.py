"""TLS as a client sees it: the server proves itself, and the client where it is asked to."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from glidepath import AsyncClient, Client, Unavailable
from glidepath.client import Tls

NAME = "glidepath.test"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cert.pem, made out to NAME and its own authority, and key.pem."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder


@pytest.fixture(params=[False, True], ids=["tls", "mtls"])
def secured(request: Any, server: Any, certificate: Path) -> Iterator[tuple[str, bool]]:
    """Address of a TLS listener that answers as `server` does, and whether it asks for a certificate."""
    pem, key = (certificate / "cert.pem").read_bytes(), (certificate / "key.pem").read_bytes()
    listener = grpc.server(ThreadPoolExecutor(4), handlers=[server])
    credentials = grpc.ssl_server_credentials([(key, pem)], pem, require_client_auth=request.param)
    port = listener.add_secure_port("127.0.0.1:0", credentials)
    listener.start()
    yield f"127.0.0.1:{port}", request.param
    listener.stop(None).wait()


def _tls(certificate: Path, mutual: bool) -> Tls:
    own = str(certificate / "cert.pem")
    if not mutual:
        return Tls(ca_file=own, server_name=NAME)
    return Tls(ca_file=own, server_name=NAME, certificate_file=own, key_file=str(certificate / "key.pem"))


async def test_both_clients_speak_tls(secured: tuple[str, bool], certificate: Path, server: Any) -> None:
    address, mutual = secured
    tls = _tls(certificate, mutual)
    with Client(address, token="secret", tls=tls) as client:
        client.get_server_info()
    async with AsyncClient(address, token="secret", tls=tls) as asynchronous:
        await asynchronous.get_server_info()
    assert [each["authorization"] for each in server.metadata] == ["Bearer secret"] * 2


def test_a_server_of_another_name_gets_no_token(secured: tuple[str, bool], certificate: Path, server: Any) -> None:
    address, mutual = secured
    tls = Tls(**{**vars(_tls(certificate, mutual)), "server_name": ""})
    with Client(address, token="secret", tls=tls) as client, pytest.raises(Unavailable):
        client.get_server_info()
    assert server.calls == []
