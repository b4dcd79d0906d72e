"""Plugins of strangers, installed for real in a folder: each a module and the metadata of its distribution."""

from __future__ import annotations

import textwrap
from pathlib import Path

HEAD = """
import os, sys, time
from dataclasses import dataclass
from glidepath_plugin import AlertChannel, RetryLater, Rejected, hookimpl, option

GLIDEPATH_API = (1, 1)

@dataclass(frozen=True)
class Config:
    how: str = option("What to do.", default="")
    key: str = option("A secret.", default="", secret=True)
"""
TAIL = """
@hookimpl
def glidepath_alert_channels():
    return [AlertChannel(NAME, "A channel.", Config, send)]
"""
# What `send` does by the option `how`; one module for all, so that one process can be seen to go from good to bad.
SENDS = """
def send(config, alert):
    kept = globals().setdefault("kept", [])
    if config.how == "raise":
        raise ValueError("no luck with " + alert.alert_id)
    if config.how == "hang":
        time.sleep(3600)
    if config.how == "leak":
        while True:
            kept.append(bytearray(16 * 1024 * 1024))
    if config.how == "flood_stderr":
        while True:
            os.write(2, b"x" * 65536)
    if config.how == "flood_socket":
        server = next(each for each in __import__("gc").get_objects() if type(each).__name__ == "Child").server
        while True:
            server.sendall(b"\\0\\0\\0\\x02{}")
    if config.how == "huge_answer":
        return "x" * (64 * 1024 * 1024)
    if config.how == "no_text":
        return 17
    if config.how == "exit":
        os._exit(3)
    if config.how == "crash":
        os.abort()
    if config.how.startswith("start"):
        apart = config.how.endswith("apart")
        child = __import__("subprocess").Popen(["sleep", "30"], start_new_session=apart)
        if "exit" in config.how:
            os._exit(3)
        return str(child.pid)
    if config.how == "slow":
        time.sleep(0.7)
    if config.how == "odd_fault":
        raise ValueError("not \\0 what \\ud800 was expected")
    if config.how == "odd_id":
        return "id \\0 of \\udfff"
    if config.how == "tell":
        print(f"with {config.key}", file=sys.stderr)
        raise ValueError(f"no luck with {config.key}")
    if config.how == "tell_later":
        raise RetryLater(f"no answer of {config.key}")
    if config.how == "tell_never":
        raise Rejected(f"{config.key} is unknown")
    if config.how == "later":
        raise RetryLater("busy", after=17)
    if config.how == "never":
        raise Rejected("unwanted")
    if config.how == "environment":
        return ",".join(sorted(name for name in os.environ if name.startswith("GLIDEPATH")))  or "nothing"
    print("said by the plugin", file=sys.stderr)
    return f"{os.getpid()}"
"""


def install(folder: Path, name: str, body: str = SENDS, *, head: str = HEAD, distribution: str = "") -> None:
    """Make a plugin that can be found when `folder` is in the path."""
    module = f"stranger_{name.replace('-', '_')}"
    tail = TAIL.replace("NAME", repr(name))
    (folder / f"{module}.py").write_text(textwrap.dedent(head) + textwrap.dedent(body) + tail)
    owner = distribution or module
    about = folder / f"{owner}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {owner}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[glidepath.plugins]\n{name} = {module}\n")
