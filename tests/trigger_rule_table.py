"""What every trigger rule makes of every mixture of upstream states, written down by hand.

A row is a mixture: which kinds of states occur among the upstreams, however often. `good` is success, `bad` is failed,
upstream_failed or cancelled, `skip` is skipped, `open` is any state before an end. A column is a rule. An entry is what
becomes of the task: `run` (released), `skip` (skipped), `fail` (upstream_failed), `wait` (stays scheduled).
"""

from __future__ import annotations

from collections.abc import Iterable

_TABLE = """
mixture             all_success  all_failed  all_done  all_skipped  one_success  one_failed  one_done
good                run          skip        run       skip         run          skip        run
bad                 fail         run         run       skip         fail         run         run
skip                skip         skip        run       run          skip         skip        skip
open                wait         wait        wait      wait         wait         wait        wait
good bad            fail         skip        run       skip         run          run         run
good skip           skip         skip        run       skip         run          skip        run
good open           wait         skip        wait      skip         run          wait        run
bad skip            fail         skip        run       skip         fail         run         run
bad open            fail         wait        wait      skip         wait         run         run
skip open           wait         skip        wait      wait         wait         wait        wait
good bad skip       fail         skip        run       skip         run          run         run
good bad open       fail         skip        wait      skip         run          run         run
good skip open      wait         skip        wait      skip         run          wait        run
bad skip open       fail         skip        wait      skip         wait         run         run
good bad skip open  fail         skip        wait      skip         run          run         run

mixture             none_failed  none_failed_min_one_success  none_skipped  always
good                run          run                          run           run
bad                 fail         fail                         run           run
skip                run          skip                         skip          run
open                wait         wait                         wait          run
good bad            fail         fail                         run           run
good skip           run          run                          skip          run
good open           wait         wait                         wait          run
bad skip            fail         fail                         skip          run
bad open            fail         fail                         wait          run
skip open           wait         wait                         skip          run
good bad skip       fail         fail                         skip          run
good bad open       fail         fail                         wait          run
good skip open      wait         wait                         skip          run
bad skip open       fail         fail                         skip          run
good bad skip open  fail         fail                         skip          run
"""
KINDS = {
    "success": "good",
    # Nothing is downstream of it.
    "removed": "good",
    "failed": "bad",
    "upstream_failed": "bad",
    "cancelled": "bad",
    "skipped": "skip",
    "scheduled": "open",
    "released": "open",
    "waiting": "open",
    "restarting": "open",
}
"""Every state of a task, and what kind of an upstream it makes."""

VERDICTS: dict[tuple[str, frozenset[str]], str] = {}
"""Entry by rule and mixture."""

for _half in _TABLE.strip().split("\n\n"):
    _head, *_rows = _half.splitlines()
    for _row in _rows:
        _mixture = frozenset(_row[:20].split())
        VERDICTS |= {(rule, _mixture): entry for rule, entry in zip(_head[20:].split(), _row[20:].split(), strict=True)}


def verdict(rule: str, upstream: Iterable[str]) -> str:
    """The table's entry for the states of at least one upstream, by their names in lower case."""
    return VERDICTS[rule, frozenset(KINDS[state] for state in upstream)]
