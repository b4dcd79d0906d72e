"""How each kind of fault of plan.py is done, and undone."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable

from tests.chaos.plan import KINDS, Blow
from tests.chaos.system import System
from tests.faults.fault_relay import Rule

Undo = Callable[[], object]
"""Ends a fault; for a fault that may not have struck, whether it has is known afterwards."""


class Harm:
    """Does the blows of a plan to a system. `struck` counts by kind what was really done."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.struck: Counter[str] = Counter()

    def strike(self, blow: Blow) -> Undo:
        """Do it now; the answer undoes it."""
        return _DEEDS[blow.kind](self, blow)

    def heal(self) -> None:
        """Undo all that may still last, whoever did it."""
        for link in self.system.links.values():
            link.mend()
        for relay in self.system.relays.values():
            relay.mend()
        for name, member in self.system.members.items():
            self.system.go_on(name)
            member.away = False
        self.system.tend()

    def _count(self, blow: Blow, happened: object = True) -> None:
        self.struck[blow.kind] += bool(happened)

    # ---- processes
    def _kill(self, blow: Blow) -> Undo:
        self._count(blow, self.system.kill(blow.victim))
        return lambda: self.system.start(blow.victim)

    def _kill_at_crash_point(self, blow: Blow) -> Undo:
        """The replica is started anew, to kill itself when it gets there; if it never does, it lives on unarmed."""
        self.system.kill(blow.victim)
        self.system.start(blow.victim, GLIDEPATH_CRASH_POINT=blow.detail)
        log = self.system.members[blow.victim].logs[-1]

        def disarm() -> None:
            if f"crash point {blow.detail.partition('=')[0]}: kill" in log.read_text(errors="replace"):
                self._count(blow)
            else:
                self.system.kill(blow.victim)
                self.system.start(blow.victim)

        return disarm

    def _stop(self, blow: Blow) -> Undo:
        self._count(blow, self.system.stop(blow.victim))
        return lambda: self.system.go_on(blow.victim)

    # ---- links
    def _cut(self, blow: Blow) -> Undo:
        self._noted(blow)
        self.system.links[blow.victim].cut()
        return self.system.links[blow.victim].mend

    def _half_open(self, blow: Blow) -> Undo:
        self._noted(blow)
        self.system.links[blow.victim].half_open(blow.detail)
        return lambda: None

    def _one_way(self, blow: Blow) -> Undo:
        self._noted(blow)
        self.system.links[blow.victim].hold(blow.detail)
        return self.system.links[blow.victim].mend

    def _slow(self, blow: Blow) -> Undo:
        self._noted(blow)
        self.system.links[blow.victim].delay(0.25)
        return self.system.links[blow.victim].mend

    def _narrow(self, blow: Blow) -> Undo:
        self._noted(blow)
        self.system.links[blow.victim].throttle(3000)
        return self.system.links[blow.victim].mend

    def _noted(self, blow: Blow) -> None:
        self.system.note(f"{blow.kind.removesuffix(' link').replace(' ', '-')} {blow.victim}")
        self._count(blow)

    # ---- frames
    def _lose_assignments(self, blow: Blow) -> Undo:
        return self._rules(blow, [self.system.relays[blow.victim].drop("down", "assignments", int(blow.detail))])

    def _lose_answers(self, blow: Blow) -> Undo:
        return self._rules(blow, [self.system.relays[blow.victim].drop("down", "result_acks", int(blow.detail))])

    def _repeat(self, blow: Blow) -> Undo:
        relay = self.system.relays[blow.victim]
        rules = [relay.duplicate("down", kind) for kind in ("assignments", "result_acks", "start_permits")]
        rules += [relay.duplicate("up", kind) for kind in ("results", "accepted_task_tokens", "started_task_tokens")]
        return self._rules(blow, rules)

    def _rules(self, blow: Blow, rules: Iterable[Rule]) -> Undo:
        self.system.note(f"{blow.kind.replace(' ', '-')} {blow.victim}")

        def end() -> None:
            self._count(blow, sum(rule.struck for rule in rules))
            self.system.relays[blow.victim].mend()

        return end

    # ---- Postgres
    def _kill_backend(self, blow: Blow) -> Undo:
        """Of one replica: its connections are told apart by nothing, so some of all are taken."""
        self.system.note("kill backend")
        ended = self.system.rows(
            """select pg_terminate_backend(pid) from pg_stat_activity
               where backend_type = 'client backend' and pid <> pg_backend_pid() order by md5(pid::text) limit $1""",
            2 * int(blow.detail),
        )
        self._count(blow, len(ended))
        return lambda: None

    def _restart_postgres(self, blow: Blow) -> Undo:
        """A fast shutdown; `tend` starts it again."""
        return self._end_postgres(blow, "kill postgres", signal.SIGINT)

    def _crash_postgres(self, blow: Blow) -> Undo:
        """An immediate shutdown, after which it recovers from its log."""
        return self._end_postgres(blow, "crash postgres", signal.SIGQUIT)

    def _end_postgres(self, blow: Blow, what: str, number: signal.Signals) -> Undo:
        self.system.note(what)
        while (pid := self.system.postgres.pid) is None:
            self.system.tend()  # it is on its way back from an earlier end
        os.kill(pid, number)
        self._count(blow)
        return lambda: None


_DEEDS: dict[str, Callable[[Harm, Blow], Undo]] = {
    "kill server": Harm._kill,
    "kill server at a crash point": Harm._kill_at_crash_point,
    "stop server": Harm._stop,
    "kill worker": Harm._kill,
    "stop worker": Harm._stop,
    "cut link": Harm._cut,
    "half open link": Harm._half_open,
    "one-way link": Harm._one_way,
    "slow link": Harm._slow,
    "narrow link": Harm._narrow,
    "kill backend": Harm._kill_backend,
    "restart postgres": Harm._restart_postgres,
    "crash postgres": Harm._crash_postgres,
    "lose assignments": Harm._lose_assignments,
    "lose answers": Harm._lose_answers,
    "repeat frames": Harm._repeat,
}
assert _DEEDS.keys() == KINDS.keys()
