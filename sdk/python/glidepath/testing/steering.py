"""What branches, short circuits and teardowns of a DAG do to its other tasks, as the server has it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from glidepath.authoring.nodes import Node
from glidepath.testing.rules import Verdict

ENDED = frozenset({"success", "failed", "upstream_failed", "skipped", "cancelled"})


class NoChoice(Exception):
    """A branch returned something that names no task directly downstream."""


class Steering:
    """One run's: `leave_out` notes what a branch chose; `verdict` says what that, or a setup, makes of a task."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = {node.task_id: node for node in nodes}
        self.downstream: dict[str, list[str]] = {task_id: [] for task_id in self._nodes}
        for node in nodes:
            for upstream in node.upstream:
                self.downstream[upstream].append(node.task_id)
        self._teardowns_after = self._find_teardowns_after()
        self._left_out: dict[str, str] = {}
        self._gates: dict[str, list[str]] = {task_id: [] for task_id in self._nodes}
        for branch in self.branches():
            for task_id in self._reach(branch):
                self._gates[task_id].append(branch)

    def branches(self) -> list[str]:
        return [task_id for task_id in self._nodes if self._role(task_id) in ("branch", "short_circuit")]

    def far(self, task_id: str) -> list[str]:
        """What waits for the end of a task though it may not be directly downstream."""
        far = set(self._teardowns_after[task_id])
        if self._role(task_id) == "short_circuit":
            far |= self._reach(task_id)
        return [each for each in self._nodes if each in far] if far else []

    def teardowns_to_come(self, states: Mapping[str, str], released: Container[str]) -> set[str]:
        """Teardowns that run although their run is ending: their setups have succeeded, or may yet."""
        return {
            task_id
            for task_id in self._nodes
            if self.is_teardown(task_id)
            and all(states[each] == "success" or each in released for each in self._setups(task_id))
        }

    def run_again(self, states: Mapping[str, str]) -> list[str]:
        """What runs again for a retry of the run: what failed, all that follows, and setups with their teardowns."""
        bad = {
            each for each, state in states.items() if state in ("failed", "cancelled") and not self.is_teardown(each)
        }
        found = self._closure(bad)
        for teardown in filter(self.is_teardown, self._nodes):
            after = self._closure(self._setups(teardown))
            inside = {each for each in found & after if teardown in self._closure([each])} - {teardown}
            if inside:
                found |= {teardown} | {each for each in after if inside & self._closure([each])}
        for task_id in found:
            self._left_out = {each: by for each, by in self._left_out.items() if by != task_id}
        return [each for each in self._nodes if each in found]

    def is_teardown(self, task_id: str) -> bool:
        return self._role(task_id) == "teardown"

    def left_out(self, task_id: str, output: object) -> set[str]:
        """What a task leaves out that succeeds with this output. NoChoice: a branch that names what is not there."""
        match self._role(task_id):
            case "short_circuit":
                return set() if output else self._reach(task_id)
            case "branch":
                return self._reach(task_id) - self._closure(self._chosen(task_id, output))
        return set()

    def leave_out(self, task_id: str, output: object) -> list[str]:
        """Note what a task leaves out that has succeeded; returns it in the order of the DAG."""
        left_out = self.left_out(task_id, output)
        self._left_out |= dict.fromkeys(left_out, task_id)
        return [each for each in self._nodes if each in left_out]

    def verdict(self, task_id: str, states: Mapping[str, str]) -> tuple[bool, Verdict | None]:
        """Whether the trigger rule of a scheduled task has no say, and what follows then; None: wait."""
        if task_id in self._left_out:
            return True, "skip"
        if any(states[gate] not in ENDED for gate in self._gates[task_id]):
            return True, None
        if not self.is_teardown(task_id):
            return False, None
        if any(states[each] not in ENDED for each, after in self._teardowns_after.items() if task_id in after):
            return True, None
        there = all(states[setup] == "success" for setup in self._setups(task_id))
        return True, "release" if there else "skip"

    def why_skipped(self, task_id: str) -> str:
        """Why a task was skipped by something other than its trigger rule, else empty."""
        if task_id in self._left_out:
            return f"left out by {self._left_out[task_id]}"
        return "what it takes down was not set up" if self.is_teardown(task_id) else ""

    def _find_teardowns_after(self) -> dict[str, set[str]]:
        """Of each task the teardowns that come after it, at any distance."""
        found: dict[str, set[str]] = {task_id: set() for task_id in self._nodes}
        for teardown in filter(self.is_teardown, self._nodes):
            stack = [teardown]
            while stack:
                for upstream in self._nodes[stack.pop()].upstream:
                    if teardown not in found[upstream]:
                        found[upstream].add(teardown)
                        stack.append(upstream)
        return found

    def _role(self, task_id: str) -> str:
        return self._nodes[task_id].options.get("role", "work")

    def _setups(self, task_id: str) -> list[str]:
        return [each for each in self._nodes[task_id].upstream if self._role(each) == "setup"]

    def _reach(self, branch: str) -> set[str]:
        """What a branch or short circuit may leave out."""
        deep = self._role(branch) == "short_circuit"
        reach = self._closure(self.downstream[branch]) if deep else set(self.downstream[branch])
        return {each for each in reach if not self.is_teardown(each) and not self._always_runs(each)}

    def _always_runs(self, task_id: str) -> bool:
        return self._nodes[task_id].options.get("trigger_rule") == "always"

    def _closure(self, task_ids: Iterable[str]) -> set[str]:
        found = set(task_ids)
        stack = list(found)
        while stack:
            for each in self.downstream[stack.pop()]:
                if each not in found:
                    found.add(each)
                    stack.append(each)
        return found

    def _chosen(self, branch: str, output: object) -> set[str]:
        chosen: set[str] = set()
        for name in [] if output is None else output if isinstance(output, list) else [output]:
            found = {each for each in self.downstream[branch] if name == each or self._is_in(each, name)}
            if not found:
                expected = ", ".join(self.downstream[branch]) or "nothing, no task comes after it"
                raise NoChoice(f"the branch returned {name!r}; expected ids of tasks directly downstream: {expected}")
            chosen |= found
        return chosen

    def _is_in(self, task_id: str, group_id: object) -> bool:
        return bool(group_id) and f"{self._nodes[task_id].group_id}.".startswith(f"{group_id}.")
