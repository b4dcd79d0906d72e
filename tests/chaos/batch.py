"""Many episodes, a few of them on one system, and what they showed together."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from tests.chaos.episode import Broken, Episode, Outcome
from tests.chaos.plan import KINDS, plan
from tests.chaos.system import System
from tests.checker import INVARIANTS
from tests.checker.facts import Moment

# A system costs seconds to start. More episodes than these would only make each judgement longer: it is of all that
# the system has done so far.
EPISODES_PER_SYSTEM = 10


class Batch:
    """Lives through seeds, each at most once. A system that broke a promise is not used again.

    Folders of systems in which all went well are removed; `kept` are those of the others, with logs and journals.
    """

    def __init__(self) -> None:
        self.kept: list[Path] = []
        self._lived: dict[int, Outcome | Broken] = {}
        self._tried: dict[int, Counter[str]] = {}
        self._system: System | None = None
        self._moments: list[Moment] = []
        self._before: Counter[str] = Counter()
        self._episodes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_system(keep=False)

    def live(self, seed: int) -> Outcome:
        """The outcome of a seed's episode. Raises Broken."""
        if seed not in self._lived:
            self._lived[seed] = self._try(seed)
        outcome = self._lived[seed]
        if isinstance(outcome, Broken):
            raise outcome
        return outcome

    def missing(self, seeds: Iterable[int]) -> tuple[list[str], list[str]]:
        """The premises, and the kinds of faults, that none of these episodes had."""
        tried, struck = Counter[str](), Counter[str]()
        for seed in seeds:
            struck += self.live(seed).struck
            tried += self._tried[seed]
        return [each for each in INVARIANTS if not tried[each]], [each for each in KINDS if not struck[each]]

    def totals(self) -> str:
        """How often each premise occurred and each kind of fault struck, in all episodes that kept their promises."""
        tried = sum(self._tried.values(), Counter[str]())
        lived = [each for each in self._lived.values() if isinstance(each, Outcome)]
        struck = sum((each.struck for each in lived), Counter[str]())
        premises = ", ".join(f"{name} {tried[name]}" for name in INVARIANTS)
        kinds = ", ".join(f"{name} {struck[name]}" for name in KINDS)
        return f"{len(lived)} of {len(self._lived)} episodes kept their promises\npremises: {premises}\nfaults: {kinds}"

    def _try(self, seed: int) -> Outcome | Broken:
        try:
            outcome = Episode(self._ready_system(), plan(seed), self._moments).live()
        except Broken as broken:
            folder = self._end_system(keep=True)
            return Broken(f"{broken}\n\nagain: python -m tests.chaos --seed {seed}\nlogs and journals: {folder}")
        tried = Counter({name: outcome.report[name].occurred for name in INVARIANTS})
        self._tried[seed], self._before = tried - self._before, tried
        return outcome

    def _ready_system(self) -> System:
        if self._system is None or self._episodes == EPISODES_PER_SYSTEM:
            self._end_system(keep=False)
            folder = Path(tempfile.mkdtemp(prefix="glidepath-chaos-"))
            self._system = System(folder).__enter__()
            self._moments, self._before, self._episodes = [], Counter(), 0
        self._episodes += 1
        return self._system

    def _end_system(self, keep: bool) -> Path | None:
        system, self._system = self._system, None
        if system is None:
            return None
        system.close()
        if keep:
            self.kept.append(system.folder)
        else:
            shutil.rmtree(system.folder, ignore_errors=True)
        return system.folder
