"""A life from a seed: actions drawn one after another, then a good end. The same seed gives the same life."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .ending import LOOPS, explain_run, heal
from .judge import Broken
from .scenario import Scenario, draw_scenario
from .world import Action, World

# How often things happen relative to each other; a seed makes its own climate of the faults and commands.
STEADY = {
    "deliver": 40,
    "step": 22,
    "work": 18,
    "look": 14,
    "pass": 8,
    "resend": 4,
    "beat": 5,
    "hello": 8,
    "trigger": 3,
}
FAULTS = {"lose": 3, "copy": 3, "kill": 1, "restart": 1, "shelve": 3}
COMMANDS = {"cancel": 1, "cancel_run": 0.4, "clear": 1.5, "rerun": 0.7, "pause": 0.4, "unpause": 0.8, "pool": 0.5}


@dataclass(slots=True)
class Life:
    """What became of a seed. `failure` is what was broken; `actions` led there."""

    scenario: Scenario
    actions: list[Action] = field(default_factory=list)
    failure: Exception | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def kind(self) -> str:
        """Failures of equal kind count as the same when a history is shrunk."""
        if isinstance(self.failure, Broken):
            return self.failure.invariant
        return type(self.failure).__name__ if self.failure is not None else ""


def live(seed: int) -> Life:
    """Draw the seed's scenario and its actions, and see what becomes of them."""
    scenario = draw_scenario(seed)
    chance = random.Random(f"actions {seed}")
    climate = _climate(chance)
    steps = chance.choice([60, 200, 600])

    def draw(world: World, life: Life) -> None:
        for _ in range(steps):
            action = next_action(world, chance, climate)
            if action is not None:
                life.actions.append(action)
                world.do(action)

    return _lived(scenario, draw)


def replay(scenario: Scenario, actions: Sequence[Action], tell: Callable[[str], None] | None = None) -> Life:
    """Carry out a history; what cannot happen is left out. `tell` gets a line for each action and what followed."""

    def act(world: World, life: Life) -> None:
        for action in actions:
            life.actions.append(action)
            if not world.do(action):
                life.actions.pop()

    return _lived(scenario, act, tell)


def _lived(scenario: Scenario, act: Callable[[World, Life], None], tell: Callable[[str], None] | None = None) -> Life:
    life = Life(scenario)
    world = World(scenario, tell)
    try:
        act(world, life)
        for name in world.db.runs:
            explain_run(world, name)
        if tell is not None:
            tell("from here on nothing goes wrong")
        heal(world)
    except Exception as error:  # whatever is raised is what was found
        life.failure = error
    life.counts = world.counts
    return life


def _climate(chance: random.Random) -> dict[str, float]:
    stormy, busy = chance.choice([0, 0.5, 1, 3]), chance.choice([0, 0.5, 1, 3])
    climate = {verb: float(weight) for verb, weight in STEADY.items()}
    climate |= {verb: weight * stormy * chance.choice([0, 1, 2]) for verb, weight in FAULTS.items()}
    return climate | {verb: weight * busy * chance.choice([0, 1, 2]) for verb, weight in COMMANDS.items()}


# ---- what may happen next
def next_action(world: World, chance: random.Random, climate: dict[str, float]) -> Action | None:
    """Something that may happen now; None when the kind that was drawn cannot."""
    [verb] = chance.choices(list(climate), list(climate.values()))
    words = _WORDS[verb](world, chance)
    return None if words is None else (verb, *words)


Words = tuple[str, ...] | None


def _replica(world: World, chance: random.Random) -> str:
    """Who gets to do something that moves runs."""
    return "A" if world.scenario.lags and chance.random() < 0.9 else chance.choice(sorted(world.replicas))


def _message(world: World, chance: random.Random) -> Words:
    return (chance.choice(sorted(world.network.bag)),) if world.network.bag else None


def _delivery(world: World, chance: random.Random) -> Words:
    message = _message(world, chance)
    return None if message is None else (*message, _replica(world, chance))


def _step(world: World, chance: random.Random) -> Words:
    """Mostly of a replica at which something has arrived; sometimes of one that only claims."""
    busy = [name for name, replica in world.replicas.items() if replica.arrived]
    if not busy and chance.random() < 0.7:
        return None
    replica = _replica(world, chance)
    if busy and not world.scenario.lags:
        replica = chance.choice(busy)
    return replica, chance.choices(["commit", "lost", "silent"], [20, 1, 1])[0]


def _work(world: World, chance: random.Random) -> Words:
    held = [
        (name, str(attempt))
        for name, worker in world.workers.items()
        for attempt, each in worker.hands.items()
        if each.report is None
    ]
    return chance.choice(held) if held else None


def _worker(world: World, chance: random.Random) -> Words:
    return (chance.choice(sorted(world.workers)),)


def _newcomer(world: World, chance: random.Random) -> Words:
    without = [name for name, worker in world.workers.items() if not worker.session]
    return (chance.choice(without),) if without else None


def _run(world: World, chance: random.Random) -> Words:
    return (chance.choice(sorted(world.db.runs)), _replica(world, chance)) if world.db.runs else None


def _trigger(world: World, chance: random.Random) -> Words:
    waiting = [name for name, _ in world.scenario.runs if name not in world.db.runs]
    return (waiting[0], _replica(world, chance)) if waiting else None


def _tasks(world: World, chance: random.Random) -> Words:
    if not world.db.runs:
        return None
    run = chance.choice(sorted(world.db.runs))
    names = world.plan(run).graph.task_ids
    chosen = chance.sample(names, min(len(names), chance.choice([1, 1, 2, 3])))
    return run, ",".join(sorted(chosen)), _replica(world, chance)


def _clear(world: World, chance: random.Random) -> Words:
    words = _tasks(world, chance)
    if words is None:
        return None
    run, tasks, replica = words
    return run, tasks, chance.choice(["downstream running", "downstream", "running", "only"]), replica


def _look(world: World, chance: random.Random) -> Words:
    return chance.choice(sorted(world.replicas)), chance.choice(LOOPS)


def _seconds(world: World, chance: random.Random) -> Words:
    return (chance.choice(["1", "1", "1", "2", "5", "10", "31", "100"]),)


def _dag(world: World, chance: random.Random) -> Words:
    return (chance.choice(sorted(world.rules.plans)),)


_WORDS: dict[str, Callable[[World, random.Random], Words]] = {
    "deliver": _delivery,
    "step": _step,
    "work": _work,
    "look": _look,
    "pass": _seconds,
    "resend": _worker,
    "beat": _worker,
    "hello": _newcomer,
    "trigger": _trigger,
    "lose": _message,
    "copy": _message,
    "kill": _worker,
    "restart": lambda world, chance: (_replica(world, chance),),
    "shelve": lambda world, chance: (_replica(world, chance),),
    "cancel": _tasks,
    "cancel_run": _run,
    "clear": _clear,
    "rerun": _run,
    "pause": _dag,
    "unpause": _dag,
    "pool": lambda world, chance: (str(chance.randint(0, 3)),),
}
