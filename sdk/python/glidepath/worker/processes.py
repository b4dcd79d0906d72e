"""Process trees as /proc shows them: who descends from whom, how much memory they use, ending all of them.

Signals are sent to every process of a tree, not to its group alone, because a process may leave its group. Trees stay
whole because the leader of each attempt is a child subreaper: what its children leave behind becomes its own child.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_prctl = ctypes.CDLL(None).prctl
_prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def adopt_orphans() -> None:
    """From now on what descendants leave behind becomes a child of this process."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Be killed when the parent dies, however it dies."""
    _prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def children_by_parent() -> dict[int, list[int]]:
    """All processes, by the id of their parent, as of now."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (parent := _parent_of(name)) is not None:
            found.setdefault(parent, []).append(int(name))
    return found


def own_children() -> list[int] | None:
    """Children of this process, which has one thread; None where the kernel does not list them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb") as file:
            return [int(pid) for pid in file.read().split()]
    except FileNotFoundError:
        return None


def descendants(root: int, table: dict[int, list[int]] | None = None) -> list[int]:
    """Everything below a process, parents before children."""
    table = children_by_parent() if table is None else table
    found: list[int] = []
    waiting = [root]
    while waiting:
        children = table.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to each; those that are gone are passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def signal_tree(leader: int, number: int) -> None:
    """Send a signal to a leader's group and to everything below the leader."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        pass
    signal_all(descendants(leader), number)


def memory_bytes(pids: Iterable[int]) -> int:
    """Memory that these processes hold and do not share with files, in bytes."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm", "rb") as file:
                _, resident, shared, *_ = file.read().split()
        except OSError:
            continue
        total += (int(resident) - int(shared)) * _PAGE_BYTES
    return total


def marked(mark: str) -> list[int]:
    """Processes whose environment held this entry ("NAME=value") when they were last executed, or forked since."""
    entry = b"\0" + mark.encode() + b"\0"
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdecimal():
                with open(f"/proc/{name}/environ", "rb") as file:
                    if entry in b"\0" + file.read():
                        found.append(int(name))
        except OSError:
            pass  # it has ended, or belongs to someone else
    return found


def kernel_out_of_memory_kills() -> int:
    """How often the kernel has killed a process for want of memory since boot; 0 where it does not say."""
    try:
        with open("/proc/vmstat") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def exited() -> list[tuple[int, int]]:
    """Children that have ended since the last call, with their wait status."""
    found = []
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            found.append((pid, status))
    except ChildProcessError:
        pass
    return found


def group_exists(group: int) -> bool:
    """Whether any process is in this group."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _parent_of(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            stat = file.read()
    except OSError:
        return None
    return int(stat[stat.rindex(b")") + 2 :].split(None, 2)[1])
