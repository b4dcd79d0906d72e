"""Plugins in processes of their own: whatever one does, it is cut off, tried again, given up; nobody else notices."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from strangers import HEAD, SENDS, install

from glidepath_plugin.testing import sample_alert
from glidepath_server.core.errors import InvalidInput, NotFound
from glidepath_server.plugin_host import host as module
from glidepath_server.plugin_host.frames import pack
from glidepath_server.plugin_host.host import FAULTS_MAX, PluginFault, PluginHost, PluginUnavailable, mask
from glidepath_server.settings import Settings

ALERT = sample_alert().to_json()
MakeHost = Callable[..., PluginHost]


@pytest_asyncio.fixture
async def make_host(tmp_path: Path) -> AsyncIterator[MakeHost]:
    hosts: list[PluginHost] = []

    def make(**settings: Any) -> PluginHost:
        quick = {"plugin_load_timeout_seconds": 20.0, "plugin_call_timeout_seconds": 20.0}
        host = PluginHost(Settings(**{"plugin_path": str(tmp_path), **quick, **settings}))
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        await host.stop()


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS_FIRST", 0.0)


async def send(host: PluginHost, how: str = "", name: str = "good") -> dict[str, Any]:
    return await host.send(name, name, {"how": how}, ALERT)


async def state(host: PluginHost, name: str = "good") -> tuple[str, str]:
    with suppress(PluginFault, PluginUnavailable):
        await host.named(name).load()
    found = host.named(name).state()
    return found.state, found.reason


async def test_a_plugin_is_asked_in_a_process_of_its_own_that_goes_with_the_server(
    make_host: MakeHost, tmp_path: Path
) -> None:
    install(tmp_path, "good")
    host = make_host()
    process_id = int((await send(host))["delivery_id"])
    assert process_id != os.getpid()
    assert await send(host, "later") == {"retry_later": "busy", "after": 17.0}
    assert await send(host, "never") == {"rejected": "unwanted"}
    assert int((await send(host))["delivery_id"]) == process_id
    await host.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


async def test_a_plugin_is_not_given_what_is_the_servers(
    make_host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIDEPATH_DATABASE_URL", "postgresql://me:secret@host/db")
    install(tmp_path, "good")
    assert await send(make_host(), "environment") == {"delivery_id": "nothing"}


def test_a_process_ends_with_a_server_that_was_killed_and_has_left_an_answer_unread() -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "glidepath_server.plugin_host.child", str(theirs.fileno()), "none", str(2**29)]
    child = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    ours.sendall(pack({"id": 1, "call": "load"}))
    ours.recv(1)
    ours.close()
    assert child.wait(20) == 0


@pytest.mark.parametrize("how", ["start", "start apart"])
async def test_nobody_waits_for_what_a_plugin_has_started(make_host: MakeHost, tmp_path: Path, how: str) -> None:
    """It holds the pipe on which the plugin could write; what has not left the plugin's session goes with it."""
    install(tmp_path, "good")
    host = make_host()
    started = int((await send(host, how))["delivery_id"])
    try:
        async with asyncio.timeout(5):
            await host.stop()
            while how == "start" and Path(f"/proc/{started}/stat").read_text().split()[2] != "Z":
                await asyncio.sleep(0.01)
    except FileNotFoundError:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.kill(started, signal.SIGKILL)


async def test_an_end_is_seen_though_what_the_plugin_has_started_lives_on(
    make_host: MakeHost, tmp_path: Path, no_pause: None
) -> None:
    install(tmp_path, "good")
    host = make_host()
    async with asyncio.timeout(15):
        with pytest.raises(PluginFault, match="its process has ended"):
            await send(host, "start and exit")
        assert "delivery_id" in await send(host)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("raise", "ValueError: no luck with"),
        ("leak", "MemoryError"),
        ("flood_stderr", "bytes to stderr within a second"),
        ("flood_socket", "an answer that nobody has asked for"),
        ("huge_answer", ""),
        ("no_text", "send returned int"),
        ("exit", "exit code 3"),
        ("crash", "signal 6"),
    ],
)
async def test_a_plugin_that_breaks_a_rule_is_a_fault_and_is_well_again_with_the_next_answer(
    make_host: MakeHost, tmp_path: Path, no_pause: None, how: str, says: str
) -> None:
    install(tmp_path, "good")
    host = make_host(plugin_memory_bytes_max=256 * 1024 * 1024)
    if how == "huge_answer":
        # Cut to what an id may have.
        assert await send(host, how) == {"delivery_id": "x" * 200}
        return
    with pytest.raises(PluginFault, match=says):
        await send(host, how)
    assert (await send(host))["delivery_id"].isdecimal()
    assert (await state(host)) == ("running", "")


async def test_one_that_hangs_is_ended_while_others_are_asked(
    make_host: MakeHost, tmp_path: Path, no_pause: None
) -> None:
    install(tmp_path, "good")
    install(tmp_path, "bad")
    host = make_host(plugin_call_timeout_seconds=1.5)
    await asyncio.gather(send(host), send(host, name="bad"))
    hanging = asyncio.create_task(send(host, "hang", "bad"))
    for _ in range(10):
        await send(host)
    assert not hanging.done()
    with pytest.raises(PluginFault, match=r"send has taken more than 1\.5 s"):
        await hanging


async def test_many_calls_in_a_process_that_ends_are_one_fault(
    make_host: MakeHost, tmp_path: Path, no_pause: None
) -> None:
    install(tmp_path, "good")
    host = make_host(plugin_call_timeout_seconds=1.0)
    await send(host)
    ended = await asyncio.gather(*(send(host, "hang") for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in ended] == [PluginFault] * 3
    assert host.named("good").faults == 1


async def test_who_asks_may_go_and_the_plugin_is_not_blamed_for_answering(make_host: MakeHost, tmp_path: Path) -> None:
    install(tmp_path, "good", head=HEAD + "\ntime.sleep(0.5)\n")
    for while_loading in (PluginHost.load_all, send):
        host = make_host()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(while_loading(host), 0.2)
        first = await send(host)
        assert host.named("good").faults == 0
    beside = asyncio.create_task(send(host, "slow"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send(host, "slow"), 0.2)
    assert await beside == await send(host) == first


async def test_a_call_whose_asker_has_gone_is_cut_off_as_any_other(
    make_host: MakeHost, tmp_path: Path, no_pause: None
) -> None:
    install(tmp_path, "good")
    host = make_host(plugin_call_timeout_seconds=0.5)
    await send(host)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(send(host, "hang"), 0.1)
    async with asyncio.timeout(10):
        while host.named("good").faults == 0:
            await asyncio.sleep(0.01)
    assert "send has taken more than" in host.named("good").last_fault


async def test_a_stop_is_no_fault_of_a_plugin_that_was_asked(
    make_host: MakeHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "good")
    host = make_host()
    await send(host)
    asked = asyncio.create_task(send(host, "hang"))
    await asyncio.sleep(0)
    await host.stop()
    with pytest.raises(PluginFault, match="was stopped"):
        await asked
    assert host.named("good").faults == 0
    assert "plugin_fault" not in "".join(capsys.readouterr())


async def test_what_a_plugin_says_can_be_stored(make_host: MakeHost, tmp_path: Path, no_pause: None) -> None:
    """Postgres has no text with NUL, nor with halves of characters: for what one plugin says, no alert would go out."""
    install(tmp_path, "good")
    host = make_host()
    with pytest.raises(PluginFault, match="was expected") as raised:
        await send(host, "odd_fault")
    for text in (str(raised.value), host.named("good").last_fault, (await send(host, "odd_id"))["delivery_id"]):
        assert "\0" not in text and text.encode().decode() == text


async def test_what_a_plugin_says_does_not_hold_its_secrets(
    make_host: MakeHost, tmp_path: Path, no_pause: None, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path, "good")
    host = make_host()

    async def tell(how: str) -> dict[str, Any]:
        return await host.send("good", "good", {"how": how, "key": "hush-7"}, ALERT)

    with pytest.raises(PluginFault, match=r"ValueError: no luck with \*\*\*"):
        await tell("tell")
    assert host.named("good").state().reason == "ValueError: no luck with ***"
    assert (await tell("tell_later"))["retry_later"] == "no answer of ***"
    assert (await tell("tell_never"))["rejected"] == "*** is unknown"
    said = ""
    async with asyncio.timeout(10):
        while "with ***" not in said:
            await asyncio.sleep(0.01)
            said += "".join(capsys.readouterr())
    assert "hush-7" not in said


async def test_a_process_that_cannot_be_started_is_no_fault_of_the_plugin(
    make_host: MakeHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(*_: object) -> None:
        raise OSError(24, "Too many open files")

    install(tmp_path, "good")
    host = make_host()
    with monkeypatch.context() as full:
        full.setattr(module.PluginProcess, "start", start)
        with pytest.raises(PluginUnavailable, match=r"cannot be started: .*Too many open files"):
            await send(host)
    assert (await send(host))["delivery_id"]


async def test_after_five_faults_in_a_row_a_plugin_is_given_up_and_that_is_told_once(
    make_host: MakeHost, tmp_path: Path, no_pause: None
) -> None:
    install(tmp_path, "good")
    host = make_host()
    await send(host)
    for _ in range(FAULTS_MAX):
        assert host.given_up() == []
        with pytest.raises(PluginFault):
            await send(host, "raise")
    with pytest.raises(PluginUnavailable, match="is disabled: 5 faults in a row, the last: ValueError"):
        await send(host)
    assert [name for name, _ in host.given_up()] == ["good"]
    host.told("good")
    assert host.given_up() == []
    host.named("good").enable()
    assert (await send(host))["delivery_id"]


async def test_after_a_fault_a_plugin_is_left_alone_for_a_while(make_host: MakeHost, tmp_path: Path) -> None:
    install(tmp_path, "good")
    host = make_host()
    with pytest.raises(PluginFault):
        await send(host, "exit")
    with pytest.raises(PluginUnavailable, match="is paused: its process has ended"):
        await send(host)


async def test_a_killed_process_is_made_anew(make_host: MakeHost, tmp_path: Path, no_pause: None) -> None:
    install(tmp_path, "good")
    host = make_host()
    first = int((await send(host))["delivery_id"])
    os.kill(first, signal.SIGKILL)
    async with asyncio.timeout(10):
        while host.named("good").state().state == "running":
            await asyncio.sleep(0.01)
    assert int((await send(host))["delivery_id"]) != first


async def test_a_plugin_that_takes_a_minute_to_import_is_cut_off(make_host: MakeHost, tmp_path: Path) -> None:
    install(tmp_path, "slow", head=HEAD + "\ntime.sleep(60)\n")
    host = make_host(plugin_load_timeout_seconds=0.5)
    with pytest.raises(PluginFault, match=r"load has taken more than 0\.5 s"):
        await host.channel("slow")


@pytest.mark.parametrize(
    ("head", "body", "says"),
    [
        (HEAD.replace("(1, 1)", "(2, 3)"), SENDS, "works with versions 2 to 3 of the plugin API, this is version 1"),
        (HEAD.replace("GLIDEPATH_API = (1, 1)", ""), SENDS, "does not say with which versions of the API it works"),
        (HEAD, SENDS + "\n@hookimpl\ndef glidepath_wishes():\n    pass\n", "glidepath_wishes"),
        (HEAD.replace('option("A secret.", default="", secret=True)', '""'), SENDS, "is not made by option"),
        (HEAD.replace("(frozen=True)", ""), SENDS, "no frozen dataclass"),
    ],
)
async def test_a_plugin_that_does_not_fit_is_refused_and_says_why(
    make_host: MakeHost, tmp_path: Path, head: str, body: str, says: str
) -> None:
    install(tmp_path, "odd", body, head=head)
    host = make_host()
    found, reason = await state(host, "odd")
    assert found == "refused" and says in reason
    with pytest.raises(PluginUnavailable, match="is refused"):
        await send(host, name="odd")
    assert host.given_up() == []


async def test_of_two_plugins_of_one_name_neither_is_used(make_host: MakeHost, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    install(tmp_path, "good")
    install(tmp_path / "again", "good", distribution="usurper")
    host = make_host(plugin_path=f"{tmp_path}{os.pathsep}{tmp_path / 'again'}")
    assert await state(host) == ("refused", "stranger_good and usurper both bring a plugin good")


async def test_what_is_blocked_is_not_started(make_host: MakeHost, tmp_path: Path) -> None:
    install(tmp_path, "good")
    host = make_host(plugins_blocked="other, good")
    with pytest.raises(PluginUnavailable, match="is blocked: named by plugins_blocked"):
        await send(host)


async def test_the_installed_plugins_of_the_house_are_found(make_host: MakeHost) -> None:
    found = {each.name: each for each in await make_host().load_all()}
    assert {"email", "webhook"} <= set(found)
    assert (found["webhook"].state, found["webhook"].api) == ("running", (1, 1))
    assert [each.name for each in found["webhook"].channels[0].options][:2] == ["url", "secret"]


async def test_a_configuration_is_checked_by_the_plugin_with_the_option_named(make_host: MakeHost) -> None:
    host = make_host()
    channel = await host.channel("webhook")
    with pytest.raises(InvalidInput) as raised:
        await host.check_config(channel, {"url": "gopher://x", "secret": "whsec_" + "QUFB" * 8})
    assert [each.field for each in raised.value.violations] == ["config.url"]
    assert mask(channel, {"url": "u", "secret": "s"}) == {"url": "u", "secret": "***"}
    assert mask(None, {"url": "u"}) == {"url": "***"}


async def test_a_plugin_that_is_not_there_is_not_found(make_host: MakeHost) -> None:
    with pytest.raises(NotFound, match="there is no plugin 'pager'"):
        await make_host().channel("pager")
