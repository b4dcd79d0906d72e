"""From a history that fails to a short one that fails in the same way: fewer actions, then a simpler scenario."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from glidepath_server.core.draft import DagDraft, PolicyDraft, TaskDraft
from glidepath_server.core.trigger_rules import TriggerRule

from .life import Life, replay
from .scenario import Scenario
from .world import Action

REPLAYS_MAX = 4_000


class Shrinker:
    """Holds the shortest history so far. Replays are bounded: what is left then is short enough to read."""

    def __init__(self, life: Life) -> None:
        self.best, self.replays = life, 0

    def shrink(self) -> Life:
        size = -1
        while size != (size := len(self.best.actions)) or self._simplify():
            self._fewer_actions()
        return self.best

    def _try(self, scenario: Scenario, actions: list[Action]) -> bool:
        """Whether it still fails in the same way; then it is the best so far."""
        if self.replays >= REPLAYS_MAX:
            return False
        self.replays += 1
        found = replay(scenario, actions)
        if found.kind != self.best.kind:
            return False
        self.best = found
        return True

    def _fewer_actions(self) -> None:
        """Leave out pieces, large ones first."""
        size = max(len(self.best.actions) // 2, 1)
        while size:
            at = 0
            while at < len(self.best.actions):
                actions = self.best.actions
                if not self._try(self.best.scenario, actions[:at] + actions[at + size :]):
                    at += size
            size //= 2

    def _simplify(self) -> bool:
        """One thing less in the scenario; False when nothing can go."""
        return any(self._try(scenario, self.best.actions) for scenario in _simpler(self.best.scenario))


def _simpler(scenario: Scenario) -> Iterator[Scenario]:
    for run in scenario.runs:
        if len(scenario.runs) > 1:
            yield replace(scenario, runs=tuple(each for each in scenario.runs if each != run))
    for worker in scenario.workers:
        if len(scenario.workers) > 1:
            yield replace(scenario, workers=tuple(each for each in scenario.workers if each != worker))
    used = {dag_id for _, dag_id in scenario.runs}
    if any(dag.dag_id not in used for dag in scenario.dags):
        yield replace(scenario, dags=tuple(dag for dag in scenario.dags if dag.dag_id in used))
    for number, dag in enumerate(scenario.dags):
        for simpler in _simpler_dags(dag):
            yield replace(scenario, dags=(*scenario.dags[:number], simpler, *scenario.dags[number + 1 :]))


def _simpler_dags(dag: DagDraft) -> Iterator[DagDraft]:
    for task in dag.tasks:
        if len(dag.tasks) > 1:
            yield replace(dag, tasks=tuple(_without(each, task.task_id) for each in dag.tasks if each is not task))
    bare = replace(dag, run_timeout_seconds=None, runs_active_max=None, tasks_active_max=None)
    if bare != dag:
        yield bare
    for number, task in enumerate(dag.tasks):
        for simpler in _simpler_tasks(task):
            yield replace(dag, tasks=(*dag.tasks[:number], simpler, *dag.tasks[number + 1 :]))


def _simpler_tasks(task: TaskDraft) -> Iterator[TaskDraft]:
    for name in task.upstream_task_ids:
        yield _without(task, name)
    if task.trigger_rule is not TriggerRule.ALL_SUCCESS:
        yield replace(task, trigger_rule=TriggerRule.ALL_SUCCESS)
    if task.policy != PolicyDraft():
        yield replace(task, policy=PolicyDraft())


def _without(task: TaskDraft, name: str) -> TaskDraft:
    upstream = tuple(each for each in task.upstream_task_ids if each != name)
    return replace(
        task, upstream_task_ids=upstream, trigger_rule=task.trigger_rule if upstream else TriggerRule.ALL_SUCCESS
    )
