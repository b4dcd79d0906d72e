"""Where the address, token and namespace come from."""

import json
from pathlib import Path
from typing import Any

import pytest

from glidepath.client.channel import PlainTextToken, call_metadata, channel_options, is_loopback
from glidepath.client.connection import Connection, ConnectionSettingsError, Tls, find_connection


def write_connection(home: Path, **content: Any) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    (home / "token").write_text("from-file\n")
    file = home / "connection.json"
    file.write_text(json.dumps({"address": "127.0.0.1:9", "token_file": "token", "namespace": "filed", **content}))
    return file


def test_nothing_given_is_the_local_server(tmp_path: Path) -> None:
    assert find_connection(environ={}, folder=tmp_path) == Connection("127.0.0.1:7711", "", "default", None)


def test_the_connection_file_of_a_parent_folder_is_used(tmp_path: Path) -> None:
    write_connection(tmp_path / ".glidepath")
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    assert find_connection(environ={}, folder=inner) == Connection("127.0.0.1:9", "from-file", "filed")


def test_glidepath_home_names_the_folder_of_the_file(tmp_path: Path) -> None:
    write_connection(tmp_path / ".glidepath", namespace="near")
    write_connection(tmp_path / "home", namespace="home")
    assert find_connection(environ={"GLIDEPATH_HOME": str(tmp_path / "home")}, folder=tmp_path).namespace == "home"


def test_environment_goes_before_the_file_and_arguments_before_both(tmp_path: Path) -> None:
    write_connection(tmp_path / ".glidepath")
    environ = {"GLIDEPATH_ADDRESS": "env:1", "GLIDEPATH_TOKEN": "env", "GLIDEPATH_NAMESPACE": "env"}
    assert find_connection(environ=environ, folder=tmp_path) == Connection("env:1", "env", "env")
    given = find_connection("arg:1", "arg", "arg", environ=environ, folder=tmp_path)
    assert given == Connection("arg:1", "arg", "arg")


def test_the_file_says_nothing_of_another_address(tmp_path: Path) -> None:
    write_connection(tmp_path / ".glidepath")
    assert find_connection("elsewhere:1", environ={}, folder=tmp_path) == Connection("elsewhere:1")
    assert find_connection("127.0.0.1:9", environ={}, folder=tmp_path).token == "from-file"


def test_token_file_of_the_environment_is_read(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(" secret\n")
    assert find_connection(environ={"GLIDEPATH_TOKEN_FILE": str(tmp_path / "t")}, folder=tmp_path).token == "secret"
    with pytest.raises(ConnectionSettingsError, match=r"GLIDEPATH_TOKEN_FILE: cannot read the token from .*gone"):
        find_connection(environ={"GLIDEPATH_TOKEN_FILE": str(tmp_path / "gone")}, folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"one\ntwo\n", "2 words on 2 lines"),
        (b"Bearer one", "2 words; expected one token"),
        (b"\n", "nothing"),
        (b"\xff\x00", "characters that no token has"),
    ],
)
def test_what_is_not_one_token_is_named_and_not_shown(tmp_path: Path, content: bytes, found: str) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(ConnectionSettingsError, match=f"GLIDEPATH_TOKEN_FILE: {tmp_path}/t holds {found}") as caught:
        find_connection(environ={"GLIDEPATH_TOKEN_FILE": str(tmp_path / "t")}, folder=tmp_path)
    assert "one\n" not in str(caught.value) and "Bearer" not in str(caught.value)
    file = write_connection(tmp_path / ".glidepath")
    (file.parent / "token").write_bytes(content)
    with pytest.raises(ConnectionSettingsError, match=f"token_file of {file}: .*/token holds {found}"):
        find_connection(environ={}, folder=tmp_path)


def test_a_token_of_several_lines_is_refused_wherever_it_is_given(tmp_path: Path) -> None:
    with pytest.raises(ConnectionSettingsError, match="GLIDEPATH_TOKEN holds 2 words on 2 lines"):
        find_connection(environ={"GLIDEPATH_TOKEN": "one\ntwo"}, folder=tmp_path)
    with pytest.raises(ConnectionSettingsError, match="token holds 2 words on 2 lines"):
        find_connection(token="one\ntwo", environ={}, folder=tmp_path)


def test_a_worker_takes_its_own_token_beside_the_connection_file(tmp_path: Path) -> None:
    file = write_connection(tmp_path / ".glidepath")
    assert find_connection(environ={}, folder=tmp_path, worker=True).token == "from-file"
    (file.parent / "worker.token").write_text("of-workers\n")
    assert find_connection(environ={}, folder=tmp_path, worker=True).token == "of-workers"
    assert find_connection(environ={}, folder=tmp_path).token == "from-file"
    assert find_connection("elsewhere:1", environ={}, folder=tmp_path, worker=True).token == ""
    assert find_connection(environ={"GLIDEPATH_TOKEN": "env"}, folder=tmp_path, worker=True).token == "env"
    (file.parent / "worker.token").write_text("")
    with pytest.raises(ConnectionSettingsError, match=f"beside {file}: .*/worker.token holds nothing"):
        find_connection(environ={}, folder=tmp_path, worker=True)


def test_a_broken_file_does_not_matter_when_all_is_given(tmp_path: Path) -> None:
    write_connection(tmp_path / ".glidepath").write_text("{")
    assert find_connection("a:1", "t", "n", environ={}, folder=tmp_path) == Connection("a:1", "t", "n")


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_broken_connection_file_is_named(tmp_path: Path, text: str) -> None:
    file = write_connection(tmp_path / ".glidepath")
    file.write_text(text)
    with pytest.raises(ConnectionSettingsError, match=r"connection.json: expected a JSON object with address"):
        find_connection(environ={}, folder=tmp_path)


def test_tls_is_what_is_asked_for() -> None:
    assert find_connection(tls=True, environ={}).tls == Tls()
    assert find_connection(environ={"GLIDEPATH_CA_FILE": "ca.pem"}).tls == Tls(ca_file="ca.pem")
    assert find_connection(tls=False, environ={"GLIDEPATH_CA_FILE": "ca.pem"}).tls is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1:7711", True),
        ("127.8.0.1:1", True),
        ("localhost:1", True),
        ("[::1]:1", True),
        ("dns:///localhost:1", True),
        ("unix:/run/g.sock", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("ipv6:[::1]:1", True),
        ("10.0.0.1:1", False),
        ("localhost.example.com:1", False),
    ],
)
def test_only_this_machine_is_reached_without_a_proxy(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected
    assert (("grpc.enable_http_proxy", 0) in channel_options(Connection(address))) is expected


def test_a_token_in_plain_text_to_another_host_is_warned_of() -> None:
    with pytest.warns(PlainTextToken, match="10.0.0.1:1"):
        call_metadata(Connection("10.0.0.1:1", "secret"))
    assert call_metadata(Connection("127.0.0.1:1", "secret")) == (("authorization", "Bearer secret"),)


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(Connection("a:1", "secret"))


@pytest.mark.parametrize(
    "address", ["localhost", "localhost:", "h:0", "h:65536", "http://h:7711", "no host:7711", "::1"]
)
def test_what_is_no_address_is_named(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConnectionSettingsError, match=r"^address: got .*expected HOST:PORT"):
        find_connection(address, environ={}, folder=tmp_path)
    with pytest.raises(ConnectionSettingsError, match=r"^GLIDEPATH_ADDRESS: got .*expected HOST:PORT"):
        find_connection(environ={"GLIDEPATH_ADDRESS": address}, folder=tmp_path)


@pytest.mark.parametrize(
    "address", ["h:1", "[::1]:7711", "a-b.c:65535", "unix:/run/x", "dns:///h:7711", "ipv6:[::1]:1"]
)
def test_addresses_are_taken_as_they_are(tmp_path: Path, address: str) -> None:
    assert find_connection(address, environ={}, folder=tmp_path).address == address
