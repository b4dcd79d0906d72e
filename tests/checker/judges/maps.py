"""Of mapped tasks, for I5: what their instances do, and that each task ends by its instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.checker.facts import Attempt, Audit, Facts, RunEvent
from tests.checker.instances import Instances, in_order, named_instances
from tests.checker.judges.instance_words import Words
from tests.checker.machines import CLEARS, ENDS_BEHIND, TASK_FINAL
from tests.checker.replay import Arrow, Cancel, History, cancels, marks, retries_run
from tests.checker.report import Break

INSTANCE_ENDS = frozenset({"success", "failed", "skipped", "cancelled"})


def broken_maps(facts: Facts, history: History) -> Iterator[Break]:
    if any(task.map is not None for task in history.version.tasks):
        yield from _Maps(facts, history).judge()
    for event in history.events:
        for _, task_id, index, _ in event.instances:
            if history.version.task(task_id).map is None:
                yield Break.of(f"{task_id}[{index}] is an instance of a task that is not mapped", event)


class _Maps:
    """The mapped tasks of one run."""

    def __init__(self, facts: Facts, history: History) -> None:
        self.facts, self.history = facts, history
        self.maps = {task.task_id: Instances(task) for task in history.version.tasks if task.map is not None}
        self.board = dict.fromkeys(self.maps, "scheduled")
        self.told = cancels(facts, history)
        self.words = Words(facts.audits_by_run.get(history.run.run_id, ()))
        self.orders: dict[int, Audit] = {}
        for audit in facts.audits_by_run.get(history.run.run_id, ()):
            if audit.action in CLEARS:
                self.orders[audit.transaction] = audit
        self.to_come: dict[tuple[str, int], int] = defaultdict(int)
        """Times that an instance may run again which had not ended when it was chosen."""
        self.ended: dict[tuple[str, int, int], Attempt] = {
            (each.key.task_id, each.key.map_index, each.transaction): each
            for each in facts.attempts
            if each.key.run_id == history.run.run_id and each.key.map_index >= 0
        }

    def judge(self) -> Iterator[Break]:
        for event in self.history.events:
            order = self.orders.get(event.transaction)
            self.words.hear(event.transaction)
            for task_id, indexes in named_instances(order).items() if order else ():
                for index in indexes:
                    self.to_come[task_id, index] += 1
            for task_id, index, now in in_order(event):
                if task_id not in self.maps:
                    continue
                if index >= 0:
                    yield from self._instance(event, task_id, index, now)
                else:
                    yield from self._task(event, task_id, now)
            yield from self._as_said(event)

    # ---- instances
    def _instance(self, event: RunEvent, task_id: str, index: int, now: str) -> Iterator[Break]:
        instances, name = self.maps[task_id], f"{task_id}[{index}]"
        was = instances.states.get(index, "scheduled")
        if now == "released":
            yield from self._released(event, task_id, index, was)
            self.words.forget(task_id, index)
        elif now == "scheduled" and was in INSTANCE_ENDS:
            if not self._again(event, task_id, index, was):
                yield Break.of(f"{name} left {was} without an operator's action on it", event)
            self.words.forget(task_id, index)
        elif self._said_now(task_id, index, was, now):
            pass
        elif now not in INSTANCE_ENDS or was != "released":
            yield Break.of(f"no arrow leads {name} from {was} to {now}", event)
        elif (said := self.words.marked(task_id, index)) not in ("", now) and not self._whole_told(event, task_id, now):
            yield Break.of(f"{name} was marked {said} and became {now}", event)
        elif not self.words.said(task_id, index, now) and not self._caused(event, task_id, index, now):
            yield Break.of(f"{name} became {now}, and nothing stands behind it", event)
        instances.note(index, now)

    def _said_now(self, task_id: str, index: int, was: str, now: str) -> bool:
        """Whether an operator gives an end in this step to an instance that nobody is at; what has ended is not
        cancelled."""
        at_rest = was == "scheduled" or (was in INSTANCE_ENDS and now not in (was, "cancelled"))
        return at_rest and now in INSTANCE_ENDS and self.words.says_now(task_id, index, now)

    def _released(self, event: RunEvent, task_id: str, index: int, was: str) -> Iterator[Break]:
        instances, name = self.maps[task_id], f"{task_id}[{index}]"
        window = instances.task.map.window if instances.task.map else 0
        if self.board[task_id] != "released":
            yield Break.of(f"{name} was released while {task_id} was {self.board[task_id]}", event)
        if was == "scheduled":
            if index != instances.next:
                yield Break.of(f"{name} was released, and the next one is {task_id}[{instances.next}]", event)
            if instances.out >= window and not instances.chosen:
                yield Break.of(f"{name} was released beside {instances.out} others, at most {window} may be out", event)
        elif not self._again(event, task_id, index, was):
            yield Break.of(f"{name} left {was} without an operator's action on it", event)
        else:
            instances.chosen = True

    def _again(self, event: RunEvent, task_id: str, index: int, was: str) -> bool:
        """Whether it was chosen to run again: in this step, or when the attempt that it had then has ended."""
        order = self.orders.get(event.transaction)
        if was != "released" and ((order and not named_instances(order)) or retries_run(self.history.version, event)):
            return was not in ("success", "skipped")
        at_hand = self.to_come[task_id, index]
        self.to_come[task_id, index] = 0
        return at_hand > 0

    def _caused(self, event: RunEvent, task_id: str, index: int, now: str) -> bool:
        """An instance ends by its attempt, a reuse, or what its task was told."""
        attempt = self.ended.get((task_id, index, event.transaction))
        state = attempt.state if attempt is not None else ""
        if state in ENDS_BEHIND[now] and (now != "cancelled" or state == "cancelled"):
            return True
        if now == "cancelled":
            return self._whole_told(event, task_id, now)
        reuses = self.facts.reuses_by_run.get(event.run_id, ())
        taken = any(
            (r.key.task_id, r.key.map_index, r.transaction) == (task_id, index, event.transaction) for r in reuses
        )
        return (now == "success" and taken) or event.run_id in self.facts.quarantined

    def _whole_told(self, event: RunEvent, task_id: str, now: str) -> bool:
        return now == "cancelled" and (self.board[task_id] == "restarting" or self._is_told(event, task_id))

    def _is_told(self, event: RunEvent, task_id: str) -> bool:
        ends = ("success", "failed", "skipped")
        arrows = (Arrow(event, task_id, "released", state) for state in ends)
        return self._cancelled(event, task_id) or any(marks(self.facts, self.history, each) for each in arrows)

    def _cancelled(self, event: RunEvent, task_id: str) -> bool:
        def holds(cancel: Cancel) -> bool:
            return cancel.covers(task_id) and cancel.holds_at(event.revision)

        return any(map(holds, self.told))

    # ---- the task
    def _task(self, event: RunEvent, task_id: str, now: str) -> Iterator[Break]:
        instances, was = self.maps[task_id], self.board[task_id]
        self.board[task_id] = now
        if now == "scheduled":
            self.words.whole.discard(task_id)
        if now == "scheduled" and was in (*TASK_FINAL, "restarting"):
            retried = retries_run(self.history.version, event)
            instances.cleared(event, was, self.orders.get(event.transaction), retried=retried)
        elif now in TASK_FINAL and was in ("released", "restarting"):
            if instances.out:
                yield Break.of(f"{task_id} became {now} while {instances.out} of its instances had not ended", event)
            elif not marks(self.facts, self.history, Arrow(event, task_id, was, now)):
                yield from self._end(event, task_id, now)

    def _as_said(self, event: RunEvent) -> Iterator[Break]:
        """What operators say of instances is so from then on, but of those whose attempts have yet to end; and tasks
        that have ended follow, unless they were marked as a whole."""
        for task_id in self.words.now.keys() & self.maps.keys():
            instances, end = self.maps[task_id], self.board[task_id]
            for index in self.words.now[task_id].indexes:
                is_now, said = instances.states.get(index, "scheduled"), self.words.marked(task_id, index)
                if said and is_now not in (said, "released") and not self._whole_told(event, task_id, is_now):
                    yield Break.of(f"{task_id}[{index}] was marked {said} and is {is_now}", event)
            if end in TASK_FINAL and task_id not in self.words.whole and self._is_newest(event, task_id):
                comes_to = instances.comes_to(self.facts.lengths.get((event.run_id, task_id), 0))
                if end == "cancelled" and comes_to not in ("success", "skipped"):
                    continue
                # There is no mark for a cancel.
                expected = "failed" if comes_to == "cancelled" else comes_to
                if end != expected and not self._cancelled(event, task_id):
                    yield Break.of(f"{task_id} is {end}; by what was said of its instances it is {expected}", event)

    def _end(self, event: RunEvent, task_id: str, now: str) -> Iterator[Break]:
        instances = self.maps[task_id]
        told, comes_to = self._cancelled(event, task_id), instances.comes_to()
        if told and (now == "cancelled" or (now == "failed" and instances.count("failed"))):
            return
        if not instances.states:
            yield from self._nothing_ran(event, task_id, now)
            return
        if now != comes_to:
            yield Break.of(f"{task_id} became {now}; by its instances it is {comes_to}", event)
        length = self.facts.lengths.get((event.run_id, task_id))
        if self._is_newest(event, task_id) and length is not None and length != len(instances.states):
            yield Break.of(
                f"{task_id} became {now} when {len(instances.states)} of {length} instances had ended", event
            )

    def _nothing_ran(self, event: RunEvent, task_id: str, now: str) -> Iterator[Break]:
        """It was mapped over nothing, or its lists could not be read, of which a dead letter speaks until a clear."""
        instances, newest = self.maps[task_id], self._is_newest(event, task_id)
        assert instances.task.map is not None
        if now == "failed":
            if newest and (event.run_id, task_id) not in self.facts.unread:
                yield Break.of(f"{task_id} failed without an instance, and no dead letter says why", event)
        elif now != {"skip": "skipped", "succeed": "success"}[instances.task.map.empty]:
            yield Break.of(f"{task_id} became {now} without an instance", event)
        elif newest and self.facts.lengths.get((event.run_id, task_id)):
            yield Break.of(f"{task_id} became {now}, and none of its instances ran", event)

    def _is_newest(self, event: RunEvent, task_id: str) -> bool:
        """Whether what is stored of the task was so then: it was not cleared since."""
        return not any(revision > event.revision for revision in self.history.clears.get(task_id, ()))
