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
from glidepath.client import ConnectionSettingsError, Tls

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


@pytest.mark.parametrize(
    ("tls", "cause"),
    [
        (lambda own: Tls(ca_file=own), "its certificate is made out to another name"),
        (lambda own: Tls(), "no authority of GLIDEPATH_CA_FILE vouches for its certificate"),
        (lambda own: False, "it may want TLS"),
    ],
    ids=["name", "authority", "plain"],
)
def test_what_is_wrong_with_tls_is_said_without_the_words_of_its_library(
    secured: tuple[str, bool], certificate: Path, tls: Any, cause: str
) -> None:
    with Client(secured[0], tls=tls(str(certificate / "cert.pem"))) as client, pytest.raises(Unavailable) as caught:
        client.get_server_info()
    assert cause in str(caught.value)


def test_tls_to_a_server_in_plain_text_says_so(certificate: Path, server: Any) -> None:
    own = Tls(ca_file=str(certificate / "cert.pem"))
    with Client(server.address, tls=own) as client, pytest.raises(Unavailable, match="it does not speak TLS"):
        client.get_server_info()


def test_a_file_of_tls_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"cannot read .*/none\.pem: No such file"):
        Client("127.0.0.1:1", tls=Tls(ca_file=str(tmp_path / "none.pem")))
