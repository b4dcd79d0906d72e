"""What a seed stands for: which faults strike whom and when, and what work is asked for meanwhile. Pure: data only."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.shapes import SHAPES, Shape

FAULT_SECONDS = 12.0
# Tasks asked for in a second; see shapes.py for how many a run of each shape has.
TASKS_PER_SECOND = 20.0
LEASE_SECONDS = 3.0
SERVERS = ("server-1", "server-2", "server-3")
JOURNALLING = ("journal-1", "journal-2", "journal-3", "journal-4", "journal-5", "journal-6")
PYTHONS = ("python-1", "python-2")
WORKERS = JOURNALLING + PYTHONS
CLIENTS = "clients"
POSTGRES = "postgres"
# Where a replica may be made to kill itself: a step or a word of the work that every episode has.
CRASH_POINTS = (
    *(f"{name}.before_commit" for name in ("step", "claim", "report", "renewal", "trigger")),
    *(f"{name}.after_commit" for name in ("step", "claim", "report", "renewal", "trigger")),
    "assignment.before_send",
    "ack.before_send",
)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: whom it can strike, how long it lasts (seconds, from and to), and its weight in the draw."""

    victims: Sequence[str]
    least: float
    most: float
    weight: int = 2


KINDS = {
    "kill server": Kind(SERVERS, 0.2, 1.5, 4),
    "kill server at a crash point": Kind(SERVERS, 3.0, 4.0, 3),
    "stop server": Kind(SERVERS, 1.0, 5.0, 3),
    "kill worker": Kind(WORKERS, 0.1, 1.5, 4),
    "stop worker": Kind(WORKERS, LEASE_SECONDS + 1.0, LEASE_SECONDS + 2.5, 3),
    "cut link": Kind((*WORKERS, CLIENTS), 0.5, LEASE_SECONDS + 1.5, 3),
    "half open link": Kind((*WORKERS, CLIENTS), 0.1, 0.1, 3),
    "one-way link": Kind(WORKERS, 1.0, LEASE_SECONDS + 2.0, 3),
    "slow link": Kind((*WORKERS, CLIENTS), 1.0, 4.0),
    "narrow link": Kind((*WORKERS, CLIENTS), 1.0, 3.0),
    "kill backend": Kind((POSTGRES,), 0.1, 0.1, 3),
    "restart postgres": Kind((POSTGRES,), 0.3, 0.3, 1),
    "crash postgres": Kind((POSTGRES,), 0.3, 0.3, 1),
    "lose assignments": Kind(PYTHONS, 2.0, 4.0),
    "lose answers": Kind(PYTHONS, 2.0, 4.0),
    "repeat frames": Kind(PYTHONS, 2.0, 4.0),
}
FAULTS_PER_EPISODE = (11, 16)


@dataclass(frozen=True, order=True)
class Blow:
    """One fault: `at` seconds after the start, for `seconds`. `detail` is a way, a crash point, or a number as text."""

    at: float
    kind: str
    victim: str
    seconds: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.at:6.2f} s  {self.kind:29} {self.victim:10} {self.seconds:4.1f} s  {self.detail}".rstrip()


@dataclass(frozen=True, order=True)
class Work:
    """One thing that a client does: a run of a shape, with its follow-up `after` seconds, each sent `times` times."""

    at: float
    shape: str
    after: float
    times: int

    def __str__(self) -> str:
        again = f", sent {self.times} times" if self.times > 1 else ""
        return f"{self.at:6.2f} s  {self.shape}{again}"


@dataclass(frozen=True)
class Plan:
    seed: int
    blows: tuple[Blow, ...]
    work: tuple[Work, ...]

    def __str__(self) -> str:
        lines = [f"plan of seed {self.seed}", *map(str, self.blows), "work", *map(str, self.work)]
        return "\n".join(lines)


def plan(seed: int) -> Plan:
    """The plan of a seed: the same one each time."""
    chance = random.Random(f"chaos {seed}")
    return Plan(seed, tuple(sorted(_blows(chance))), tuple(_work(chance)))


def _blows(chance: random.Random) -> Iterator[Blow]:
    """Nobody is struck again before the last fault of his has passed."""
    spans: dict[str, list[tuple[float, float]]] = {}
    names = list(KINDS)
    weights = [KINDS[name].weight for name in names]
    for kind in chance.choices(names, weights, k=chance.randint(*FAULTS_PER_EPISODE)):
        victim = chance.choice(KINDS[kind].victims)
        seconds = chance.uniform(KINDS[kind].least, KINDS[kind].most)
        at = chance.uniform(0.3, FAULT_SECONDS - seconds)
        detail = _detail(chance, kind)
        if all(at > end + 0.5 or at + seconds < start - 0.5 for start, end in spans.get(victim, ())):
            spans.setdefault(victim, []).append((at, at + seconds))
            yield Blow(round(at, 2), kind, victim, round(seconds, 2), detail)


def _detail(chance: random.Random, kind: str) -> str:
    if kind in ("half open link", "one-way link"):
        return chance.choice(("up", "down"))
    if kind == "kill server at a crash point":
        return f"{chance.choice(CRASH_POINTS)}=kill@{chance.randint(1, 12)}"
    return str(chance.randint(1, 4)) if kind in ("lose assignments", "lose answers", "kill backend") else ""


def _work(chance: random.Random) -> Iterator[Work]:
    names = list(SHAPES)
    weights = [SHAPES[name].weight for name in names]
    at = 0.0
    while at < FAULT_SECONDS:
        name = chance.choices(names, weights)[0]
        shape: Shape = SHAPES[name]
        yield Work(round(at, 2), name, round(chance.uniform(0.2, 1.8), 2), chance.choice((1, 1, 2, 3)))
        at += chance.uniform(0.5, 1.5) * shape.tasks / TASKS_PER_SECOND
