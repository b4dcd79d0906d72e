"""Who pulls work from this replica: connected sessions, their credits, and which task classes they can run.

A puller is one session whose stream (or long poll) ends here. Its credits live in this replica's memory alone: losing
them costs a round trip, never work. Pullers that offer exactly the same share a profile, so that a claim is made once
for all of them. Whether a class is limited is a hint here; the claim checks it again under the lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from ..core.matching import Offer, TaskClass, mismatch
from ..core.order import Shares


class Puller(Protocol):
    """A session as the engine sees it. The methods are called after the commit and must not block."""

    session_id: UUID
    generation: int
    offer: Offer
    # Task slots the worker has granted and that are not taken; what is left of its resources.
    free: int
    resources_free: dict[str, float]

    def assign(self, assigned: list[Any]) -> None: ...
    def acknowledge(self, acks: list[Any]) -> None: ...
    def cancel(self, orders: list[Any]) -> None: ...
    def ended(self) -> None: ...


@dataclass(slots=True, eq=False)
class Profile:
    """Equal offers: the classes they can run, per queue, apart by whether limits hold."""

    offer: Offer
    pullers: dict[UUID, Puller] = field(default_factory=dict)
    class_ids: set[int] = field(default_factory=set)
    unlimited: dict[int, list[int]] = field(default_factory=dict)
    limited: dict[int, list[int]] = field(default_factory=dict)
    # Queues in which this profile may find something: a claim that comes back short clears it.
    hopeful: set[int] = field(default_factory=set)
    turn: int = 0
    # How many rows beyond its seats the next claim looks at.
    reach: int = 0
    # By queue, its namespace; and whose turn it is, where the profile serves several.
    namespaces: dict[int, str] = field(default_factory=dict)
    shares: Shares = field(default_factory=Shares)

    @property
    def free(self) -> int:
        return sum(puller.free for puller in self.pullers.values() if puller.free > 0)

    def queues_in_turn(self, count: int, weights: Mapping[str, float]) -> list[tuple[int, int]]:
        """The hopeful queues, each time beginning with another, and the part of `count` seats that is each one's: as
        much as the others', or by the weights of their namespaces."""
        queues = sorted(self.hopeful)
        self.turn += 1
        first = self.turn % len(queues) if queues else 0
        queues = queues[first:] + queues[:first]
        if not self.offer.others:
            return [(queue_id, 1) for queue_id in queues]
        lines: dict[str, list[int]] = {}
        for queue_id in queues:
            lines.setdefault(self.namespaces[queue_id], []).append(queue_id)
        turns = self.shares.allot(count, {namespace: weights.get(namespace, 1.0) for namespace in lines})
        return [
            (queue_id, -(-(part - number) // len(lines[namespace])) if part > number else 0)
            for namespace, part in turns.items()
            for number, queue_id in enumerate(lines[namespace])
        ]

    def give_up(self, queue_id: int) -> None:
        """The queue had less than there were seats for it."""
        self.hopeful.discard(queue_id)
        namespace = self.namespaces.get(queue_id, "")
        if self.offer.others and not any(self.namespaces[each] == namespace for each in self.hopeful):
            self.shares.idle(namespace)

    def seats(self, count: int) -> list[Puller]:
        """Take up to `count` credits, one from each puller in turn."""
        taken: list[Puller] = []
        ready = [puller for puller in self.pullers.values() if puller.free > 0]
        while ready:
            for puller in ready:
                if len(taken) == count:
                    return taken
                puller.free -= 1
                taken.append(puller)
            ready = [puller for puller in ready if puller.free > 0]
        return taken


class Pullers:
    """All pullers of a replica, the task classes, and the hints about limits."""

    def __init__(self) -> None:
        self.by_session: dict[UUID, Puller] = {}
        self.profiles: dict[tuple[object, ...], Profile] = {}
        self.classes: dict[int, TaskClass] = {}
        self.capped: set[int] = set()
        # Of namespaces, as far as they are not 1.
        self.weights: Mapping[str, float] = {}

    # ---- sessions
    def add(self, puller: Puller) -> None:
        """A session connected here. Its profile starts hopeful: whatever waits may be for it."""
        self.remove(puller.session_id)
        profile = self.profiles.get(puller.offer.key())
        if profile is None:
            profile = self.profiles[puller.offer.key()] = Profile(puller.offer)
            self._match(profile, self.classes.values())
        profile.pullers[puller.session_id] = puller
        profile.hopeful.update(profile.unlimited, profile.limited)
        self.by_session[puller.session_id] = puller

    def remove(self, session_id: UUID) -> None:
        puller = self.by_session.pop(session_id, None)
        if puller is None:
            return
        profile = self.profiles[puller.offer.key()]
        del profile.pullers[session_id]
        if not profile.pullers:
            del self.profiles[puller.offer.key()]

    # ---- classes and hints
    def learn(self, classes: Iterable[TaskClass]) -> None:
        """Task classes that have appeared."""
        new = [each for each in classes if each.class_id not in self.classes]
        self.classes.update((each.class_id, each) for each in new)
        for profile in self.profiles.values():
            self._match(profile, new)

    def set_capped(self, capped: set[int]) -> None:
        """Which DAGs' task limits have a cap or are paused now."""
        if capped != self.capped:
            self.capped = capped
            for profile in self.profiles.values():
                profile.unlimited.clear()
                profile.limited.clear()
                self._match(profile, self.classes.values())

    def is_limited(self, needs: TaskClass) -> bool:
        return needs.has_limits or bool(needs.resources) or needs.tasks_limit_id in self.capped

    def left_over(self, offer: Offer, class_ids: Iterable[int]) -> dict[str, float]:
        """What of an offer is free while attempts of these classes run."""
        free = dict(offer.resources)
        for class_id in class_ids:
            needs = self.classes.get(class_id)
            for name, amount in (needs.resources if needs is not None else {}).items():
                free[name] = free.get(name, 0.0) - amount
        return free

    def _match(self, profile: Profile, classes: Iterable[TaskClass]) -> None:
        for needs in classes:
            if not mismatch(profile.offer, needs):
                profile.class_ids.add(needs.class_id)
                profile.namespaces[needs.queue_id] = needs.namespace
                side = profile.limited if self.is_limited(needs) else profile.unlimited
                side.setdefault(needs.queue_id, []).append(needs.class_id)
                profile.hopeful.add(needs.queue_id)

    # ---- looking for work
    def hope(self, queue_ids: Iterable[int]) -> None:
        """Rows may be waiting in these queues."""
        wanted = set(queue_ids)
        for profile in self.profiles.values():
            profile.hopeful |= wanted & (profile.unlimited.keys() | profile.limited.keys())

    def hope_everywhere(self) -> None:
        for profile in self.profiles.values():
            profile.hopeful.update(profile.unlimited, profile.limited)

    def hungry(self) -> Iterator[Profile]:
        """Profiles with credits that may find something."""
        return (profile for profile in list(self.profiles.values()) if profile.hopeful and profile.free > 0)

    def for_class(self, class_id: int) -> Iterator[Profile]:
        """Profiles with credits that can run the class."""
        return (p for p in self.profiles.values() if class_id in p.class_ids and p.free > 0)
