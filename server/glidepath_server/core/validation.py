"""Everything that is wrong with a DAG, at once: where, what stands there, what was expected.

Pure and iterative: a chain of 20,000 tasks takes no deeper stack than one task. Whether pools and source bundles exist
only the database knows: operations/register_dag_version.py asks it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from .alerts import check_alerts
from .approval_checks import check_approval
from .compile import MAP_WINDOW, find_cycle, topological_order
from .definition import (
    JSON,
    PYTHON_PREFIX,
    SHELL,
    CachePolicy,
    Input,
    InputList,
    IsolationMode,
    LeaseMode,
    Literal,
    MapEmpty,
    MapMode,
    OutputRef,
    Param,
    Template,
)
from .draft import DagDraft, MapDraft, TaskDraft, given_inputs, resolve_policy, upstream_of
from .errors import Violation
from .graph import TaskRole
from .json_text import normalised_json
from .limit_checks import check_weight, unknown_limits
from .params_schema import check_params_schema, known_params
from .policy_checks import COUNT_MAX, RETRIES_MAX, check_cache, check_policy
from .templates import TemplateSyntaxError, output_of, template_names, unknown_name
from .trigger_rules import NEED_UPSTREAM, TriggerRule
from .typed_edges import value_violations
from .value_checks import (
    check_duration,
    check_enum,
    check_id,
    check_name,
    check_text,
    check_whole,
    is_name,
    path_text,
    shown,
)

TASKS_MAX = 20_000
# Of each the reach over the graph is looked at as a whole.
ROLES_MAX = {TaskRole.SHORT_CIRCUIT: 50, TaskRole.TEARDOWN: 100}
EDGES_MAX = 400_000
LITERAL_BYTES_MAX = 64 * 1024
TEMPLATE_BYTES_MAX = 64 * 1024
DESCRIPTION_BYTES_MAX = 4 * 1024
MAP_NAME_BYTES_MAX = 1_000
MAP_SOURCE = "a list: a literal, a param, or the output of a task"
TAGS_MAX = 50
TAG_CHARACTERS_MAX = 64
INPUTS_MAX = 1_000
INPUT_DEPTH_MAX = 8
# Further ones show up when these are mended.
VIOLATIONS_MAX = 100
# Looking for a name that is near costs time with many names.
SUGGESTIONS_MAX = 5

_PYTHON_NAME = re.compile(r"python:[^:]+:[^:]+")
_HEX_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What the server grants: an exclusive attempt must be dead before its lease can be granted again."""

    ttl_seconds: float
    heartbeat_interval_seconds: float

    @property
    def grace_seconds_max(self) -> float:
        """Largest cancel grace that leaves room for two heartbeats and 2 s in a lease."""
        return self.ttl_seconds - 2 * self.heartbeat_interval_seconds - 2


@dataclass(frozen=True, slots=True)
class Checked:
    """Violations, and (only when there are none) the topological order."""

    violations: list[Violation]
    order: list[str]


def check_dag(draft: DagDraft, lease: LeaseTerms | None = None) -> Checked:
    """Check everything that needs no database. At most VIOLATIONS_MAX violations are listed."""
    if len(draft.tasks) > TASKS_MAX:
        return Checked([Violation("tasks", f"{len(draft.tasks)} tasks", f"1 to {TASKS_MAX} tasks")], [])
    check = _Check(draft, lease)
    violations = list(islice(chain(check.all(), value_violations(draft)), VIOLATIONS_MAX))
    return Checked(violations, [] if violations else check.order)


def stored_violations(
    draft: DagDraft,
    *,
    pools: Mapping[str, int],
    sources: Collection[str],
    limits: Mapping[str, int | None] | None = None,
) -> list[Violation]:
    """What is wrong with names of stored things, which check_dag cannot know.

    `pools` gives the slots of the namespace's pools by name, `limits` those of its named limits (None: no cap),
    `sources` the hashes of its source bundles.
    """
    found = chain(_stored(draft, pools, frozenset(sources)), unknown_limits(draft, limits or {}))
    return list(islice(found, VIOLATIONS_MAX))


@dataclass(slots=True)
class _Check:
    draft: DagDraft
    lease: LeaseTerms | None
    places: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    names: frozenset[str] = frozenset()
    params: frozenset[str] | None = None
    suggestions: int = 0

    def all(self) -> Iterator[Violation]:
        self.names = frozenset(task.task_id for task in self.draft.tasks)
        self.params = known_params(self.draft.params_schema)
        yield from self.dag()
        yield from self.task_ids()
        for at, task in zip(self.places, self.draft.tasks, strict=True):
            yield from self.task(at, task)
        yield from self.roles()
        yield from self.graph()

    # ---- the DAG
    def dag(self) -> Iterator[Violation]:
        draft = self.draft
        yield from check_id("dag_id", draft.dag_id)
        yield from check_text("description", draft.description, DESCRIPTION_BYTES_MAX)
        yield from check_name("owner", draft.owner, optional=True)
        if len(draft.tags) > TAGS_MAX:
            yield Violation("tags", f"{len(draft.tags)} tags", f"at most {TAGS_MAX} tags")
        for index, tag in enumerate(draft.tags[:TAGS_MAX]):
            yield from check_name(f"tags[{index}]", tag, characters=TAG_CHARACTERS_MAX)
        if draft.params_schema:
            yield from check_params_schema(draft.params_schema)
        yield from check_duration("run_timeout", draft.run_timeout_seconds)
        yield from check_whole("run_retries_max", draft.run_retries_max, 0, RETRIES_MAX)
        yield from check_duration("run_retry_delay", draft.run_retry_delay_seconds, zero=True)
        yield from check_whole("runs_active_max", draft.runs_active_max, 1, COUNT_MAX)
        if draft.runs_in_order and (draft.runs_active_max or 1) > 1:
            expected = "1 or nothing, because runs_in_order lets one run go after the other"
            yield Violation("runs_active_max", str(draft.runs_active_max), expected)
        yield from check_whole("tasks_active_max", draft.tasks_active_max, 1, COUNT_MAX)
        yield from check_whole("run_tasks_active_max", draft.run_tasks_active_max, 1, COUNT_MAX)
        yield from check_weight("weight", draft.weight)
        yield from check_alerts(draft.alerts)
        yield from check_policy("defaults", draft.defaults)
        if draft.defaults.cache is not None:
            expected = "none: each task whose results may be used again says so itself"
            yield Violation("defaults.cache", "a cache", expected)
        if not draft.tasks:
            yield Violation("tasks", "0 tasks", f"1 to {TASKS_MAX} tasks")

    def task_ids(self) -> Iterator[Violation]:
        """Ids, and by them the place of each task in the paths that follow."""
        first: dict[str, int] = {}
        for index, task in enumerate(self.draft.tasks):
            at = f"tasks[{index}]"
            wrong = list(check_id(f"{at}.task_id", task.task_id))
            if not wrong and task.task_id in first:
                wrong = [
                    Violation(
                        f"{at}.task_id",
                        repr(task.task_id),
                        f"an id of its own; tasks[{first[task.task_id]}] has this one",
                    )
                ]
            first.setdefault(task.task_id, index)
            self.places.append(at if wrong else f"tasks.{task.task_id}")
            yield from wrong

    def roles(self) -> Iterator[Violation]:
        for role, most in ROLES_MAX.items():
            count = sum(task.role is role for task in self.draft.tasks)
            if count > most:
                yield Violation("tasks", f"{count} tasks with role {role.value}", f"at most {most} of them in a DAG")

    # ---- a task
    def task(self, at: str, task: TaskDraft) -> Iterator[Violation]:
        yield from check_text(f"{at}.description", task.description, DESCRIPTION_BYTES_MAX)
        if task.group_id:
            yield from check_id(f"{at}.group_id", task.group_id)
        if task.approval is not None:
            yield from check_approval(at, task, task.approval, self.param)
        else:
            yield from _handler(f"{at}.handler", task)
        yield from check_enum(f"{at}.trigger_rule", task.trigger_rule, TriggerRule)
        if task.trigger_rule in NEED_UPSTREAM and not upstream_of(task):
            rule = TriggerRule(task.trigger_rule).value
            yield Violation(f"{at}.trigger_rule", rule, "at least one upstream task, or another rule")
        yield from self.role(at, task)
        yield from self.upstream(at, task)
        yield from self.inputs(at, task)
        if task.map is not None:
            yield from self.map(f"{at}.map", task, task.map)
        yield from check_policy(f"{at}.policy", task.policy)
        yield from self.together(f"{at}.policy", task)
        if task.policy.cache is not None:
            yield from self.cache(f"{at}.policy.cache", task, task.policy.cache)

    def cache(self, at: str, task: TaskDraft, cache: CachePolicy) -> Iterator[Violation]:
        yield from check_cache(at, cache, given_inputs(task))
        if isinstance(task.role, TaskRole) and task.role is not TaskRole.WORK:
            yield Violation(
                at, f"a cache of a {task.role.value}", "none: what such a task does has to be done each time"
            )
        if resolve_policy(task, self.draft).lease_mode is LeaseMode.EXCLUSIVE:
            expected = "none, or lease mode hold: what must not run twice at once is run for more than its result"
            yield Violation(at, "a cache under lease mode exclusive", expected)
        if cache.key:
            yield from self.template(f"{at}.key", cache.key, task.task_id, upstream_of(task))

    def role(self, at: str, task: TaskDraft) -> Iterator[Violation]:
        yield from check_enum(f"{at}.role", task.role, TaskRole)
        if task.role is not TaskRole.TEARDOWN:
            return
        if task.trigger_rule is not TriggerRule.ALL_SUCCESS:
            rule = task.trigger_rule.value if isinstance(task.trigger_rule, TriggerRule) else str(task.trigger_rule)
            yield Violation(f"{at}.trigger_rule", rule, "none: a teardown runs when all before it has ended")
        if not upstream_of(task):
            yield Violation(f"{at}.role", "teardown", "at least one upstream task, which it is to run after")

    def upstream(self, at: str, task: TaskDraft) -> Iterator[Violation]:
        for name in dict.fromkeys(task.upstream_task_ids):
            if name == task.task_id:
                yield Violation(f"{at}.upstream_task_ids", repr(name), "other tasks; a task cannot wait for itself")
            elif name not in self.names:
                yield Violation(f"{at}.upstream_task_ids", shown(name), "a task of this DAG" + self.near(name))

    def near(self, name: str, names: Collection[str] | None = None) -> str:
        self.suggestions += 1
        if self.suggestions > SUGGESTIONS_MAX:
            return ""
        close = difflib.get_close_matches(name[:200], sorted(self.names if names is None else names), n=1)
        return f"; did you mean {close[0]}?" if close else ""

    def together(self, at: str, task: TaskDraft) -> Iterator[Violation]:
        """What the task's own fields and the DAG's defaults must not say together."""
        policy = resolve_policy(task, self.draft)
        if task.policy.pool_slots is not None and policy.pool_name is None:
            yield Violation(f"{at}.pool_slots", str(task.policy.pool_slots), "nothing, because there is no pool_name")
        if task.policy.retry.reroute_after is not None and not policy.retry.reroute_queue:
            after = str(task.policy.retry.reroute_after)
            yield Violation(f"{at}.retry.reroute_after", after, "nothing, because there is no reroute_queue")
        if task.policy.depends_on_past and task.role is TaskRole.TEARDOWN:
            expected = "nothing: a teardown runs when all before it has ended"
            yield Violation(f"{at}.depends_on_past", "true", expected)
        if policy.isolation is IsolationMode.INLINE:
            if policy.lease_mode is LeaseMode.EXCLUSIVE:
                yield Violation(f"{at}.lease_mode", "exclusive", "hold, because isolation inline cannot be killed")
            if policy.memory_limit_mb is not None:
                yield Violation(
                    f"{at}.memory_limit_mb",
                    str(policy.memory_limit_mb),
                    "nothing, because isolation inline cannot be killed",
                )
        elif policy.lease_mode is LeaseMode.EXCLUSIVE and self.lease is not None:
            most = self.lease.grace_seconds_max
            if policy.cancel_grace_seconds > most:
                yield Violation(
                    f"{at}.cancel_grace",
                    f"{policy.cancel_grace_seconds:g} s",
                    f"at most {max(most, 0):g} s with lease_mode exclusive and this server's lease of "
                    f"{self.lease.ttl_seconds:g} s; raise lease_ttl_seconds for more",
                )

    # ---- inputs
    def inputs(self, at: str, task: TaskDraft) -> Iterator[Violation]:
        if len(task.inputs) > INPUTS_MAX:
            yield Violation(f"{at}.inputs", f"{len(task.inputs)} inputs", f"at most {INPUTS_MAX} inputs")
            return
        upstream = upstream_of(task)
        for name, source in task.inputs.items():
            yield from check_name(f"{at}.inputs", name)
            for place, leaf in _leaves(f"{at}.inputs.{name[:80]}", source):
                yield from self.leaf(place, leaf, task, upstream)
        if task.handler.name == SHELL and task.inputs.get("command") is None:
            yield Violation(f"{at}.inputs.command", "nothing", 'the command, because the handler is "shell"')

    def map(self, at: str, task: TaskDraft, spec: MapDraft) -> Iterator[Violation]:
        if task.role is not TaskRole.WORK:
            role = task.role.value if isinstance(task.role, TaskRole) else str(task.role)
            yield Violation(f"{at[:-4]}.role", role, "work, because the task is mapped")
        yield from check_enum(f"{at}.mode", spec.mode, MapMode)
        yield from check_enum(f"{at}.empty", spec.empty, MapEmpty)
        yield from check_whole(f"{at}.active_max", spec.active_max, 1, MAP_WINDOW)
        if not 0 < spec.success_ratio_min <= 1:
            yield Violation(f"{at}.success_ratio_min", f"{spec.success_ratio_min:g}", "above 0, up to 1")
        if not 1 <= len(spec.inputs) <= INPUTS_MAX:
            yield Violation(f"{at}.inputs", f"{len(spec.inputs)} inputs", f"1 to {INPUTS_MAX} inputs, each with a list")
            return
        if spec.name:
            yield from self.map_name(f"{at}.name", spec.name)
        seen = set(task.inputs)
        for name, source in spec.inputs:
            yield from check_name(f"{at}.inputs", name)
            if name in seen:
                yield Violation(f"{at}.inputs", shown(name), "each argument once, and none that is in inputs too")
            seen.add(name)
            place = f"{at}.inputs.{name[:80]}"
            if isinstance(source, Template | InputList) or (isinstance(source, Literal) and source.uri):
                yield Violation(place, type(source).__name__.lower(), MAP_SOURCE)
            else:
                yield from self.leaf(place, source, task, upstream_of(task))
                yield from _literal_list(place, source)

    def map_name(self, at: str, text: str) -> Iterator[Violation]:
        yield from check_text(at, text, MAP_NAME_BYTES_MAX)
        try:
            names = template_names(text)
        except TemplateSyntaxError as error:
            yield Violation(at, error.value, error.expected)
            return
        for name in dict.fromkeys(names):
            if name.split(".")[0] != "map_item":
                yield Violation(at, repr(name[:200]), "map_item, or what is in it: map_item.NAME")

    def leaf(self, at: str, leaf: Input | str | None, task: TaskDraft, upstream: set[str]) -> Iterator[Violation]:
        match leaf:
            case Literal():
                yield from _literal(at, leaf)
            case Template(text):
                yield from self.template(at, text, task.task_id, upstream)
            case OutputRef(name, key):
                yield from check_text(f"{at}.output.key", key, 1024)
                if name == task.task_id:
                    yield Violation(f"{at}.output.task_id", repr(name), "another task; a task cannot wait for itself")
                elif name not in self.names:
                    yield Violation(f"{at}.output.task_id", shown(name), "a task of this DAG" + self.near(name))
            case Param(name):
                yield from self.param(f"{at}.param", name)
            case str():
                yield Violation(at, leaf, f"lists in lists at most {INPUT_DEPTH_MAX} deep")
            case _:
                yield Violation(at, "nothing", "a literal, template, output, list or param")

    def template(self, at: str, text: str, own: str, upstream: set[str]) -> Iterator[Violation]:
        yield from check_text(f"{at}.template", text, TEMPLATE_BYTES_MAX)
        try:
            names = template_names(text)
        except TemplateSyntaxError as error:
            yield Violation(f"{at}.template", error.value, error.expected)
            return
        for name in dict.fromkeys(names):
            if expected := unknown_name(name):
                yield Violation(f"{at}.template", repr(name[:200]), expected)
            elif name.startswith("params."):
                yield from self.param(f"{at}.template", name.split(".")[1], repr(name[:200]))
            elif name.startswith("outputs.") and output_of(name, upstream) is None:
                yield Violation(f"{at}.template", repr(name[:200]), self.upstream_words(name, own))

    def upstream_words(self, name: str, own: str) -> str:
        there = output_of(name, self.names)
        if there == own:
            return "an upstream task; a task has no output before it ends"
        if there is not None:
            return f"an upstream task; add {there} to upstream_task_ids"
        return "the output of an upstream task" + self.near(name.removeprefix("outputs."))

    def param(self, at: str, name: str, value: str = "") -> Iterator[Violation]:
        if self.params is not None and name not in self.params:
            near = self.near(name, self.params) if self.params else ": this DAG takes none"
            yield Violation(at, value or shown(name), f"a param of params_schema{near}")

    # ---- the graph
    def graph(self) -> Iterator[Violation]:
        """Cycles among the edges that are right by themselves, and the order when there are none."""
        edges = {
            task.task_id: {name for name in upstream_of(task) if name in self.names and name != task.task_id}
            for task in self.draft.tasks
        }
        count = sum(map(len, edges.values()))
        if count > EDGES_MAX:
            yield Violation("tasks", f"{count} edges", f"at most {EDGES_MAX} edges")
        self.order = topological_order(edges)
        if cycle := find_cycle(edges, self.order):
            yield Violation("tasks", path_text(cycle), "no cycle")


# ---- stored things
def _stored(draft: DagDraft, pools: Mapping[str, int], sources: frozenset[str]) -> Iterator[Violation]:
    near: dict[str, str] = {}
    yield from _pool("defaults", draft.defaults.pool_name, draft.defaults.pool_slots, pools, near)
    for task in draft.tasks[:TASKS_MAX]:
        at, own = f"tasks.{task.task_id}", task.policy
        if own.pool_name is not None or own.pool_slots is not None:  # else the line for the defaults says it
            slots = draft.defaults.pool_slots if own.pool_slots is None else own.pool_slots
            yield from _pool(f"{at}.policy", resolve_policy(task, draft).pool_name, slots, pools, near)
        version = task.handler.version
        if version and task.handler.name.startswith(PYTHON_PREFIX) and version not in sources:
            yield Violation(f"{at}.handler.version", shown(version), "the hash of a stored source bundle")


def _pool(
    at: str, name: str | None, slots: int | None, pools: Mapping[str, int], near: dict[str, str]
) -> Iterator[Violation]:
    """`near` keeps what is near to the first few names that are wrong."""
    if not name:
        return
    if name not in pools:
        if name not in near and len(near) < SUGGESTIONS_MAX:
            near[name] = "".join(difflib.get_close_matches(name[:200], sorted(pools), n=1))
        close = near.get(name)
        yield Violation(
            f"{at}.pool_name",
            shown(name),
            f"a pool of this namespace; did you mean {close}?"
            if close
            else "a pool of this namespace; make it first: SetPool",
        )
    elif slots is not None and slots > pools[name]:
        yield Violation(f"{at}.pool_slots", str(slots), f"at most {pools[name]}, the slots of pool {name}")


# ---- parts of a task
def _literal_list(at: str, source: Input | None) -> Iterator[Violation]:
    """A literal that a task is mapped over must be a list, as far as it is JSON at all."""
    if isinstance(source, Literal) and not list(_literal(at, source)):
        value = json.loads(source.data) if source.content_type == JSON else None
        if not isinstance(value, list):
            yield Violation(f"{at}.literal", shown(source.data.decode(errors="replace")), "a list, in JSON")


def _handler(at: str, task: TaskDraft) -> Iterator[Violation]:
    name, version = task.handler.name, task.handler.version
    if not name:
        yield Violation(f"{at}.name", "nothing", f'a handler, such as "{PYTHON_PREFIX}module:function" or "{SHELL}"')
    elif not is_name(name, 500):
        yield Violation(f"{at}.name", shown(name), "1 to 500 printable characters")
    elif name.startswith(PYTHON_PREFIX) and not _PYTHON_NAME.fullmatch(name):
        yield Violation(f"{at}.name", shown(name), f'"{PYTHON_PREFIX}module:function"')
    if version and not is_name(version, 200):
        yield Violation(f"{at}.version", shown(version), "at most 200 printable characters")


def _leaves(at: str, source: Input | None) -> Iterator[tuple[str, Input | str | None]]:
    """What lists hold in the end with its path; a word instead for lists too deep."""
    stack: list[tuple[str, Input | None, int]] = [(at, source, 0)]
    while stack:
        place, each, depth = stack.pop()
        if not isinstance(each, InputList):
            yield place, each
        elif depth >= INPUT_DEPTH_MAX:
            yield place, "a list"
        else:
            items = list(enumerate(each.items))
            stack.extend((f"{place}.list[{index}]", item, depth + 1) for index, item in reversed(items))


def _literal(at: str, literal: Literal) -> Iterator[Violation]:
    at = f"{at}.literal"
    yield from check_name(f"{at}.content_type", literal.content_type)
    if literal.uri:
        yield from check_name(f"{at}.uri", literal.uri, characters=2048)
        if literal.sha256 and not _HEX_HASH.fullmatch(literal.sha256):
            yield Violation(f"{at}.sha256", shown(literal.sha256), "64 lowercase hexadecimal digits")
        if literal.size_bytes < 0:
            yield Violation(f"{at}.size_bytes", str(literal.size_bytes), "0 or more")
    elif len(literal.data) > LITERAL_BYTES_MAX:
        yield Violation(at, f"{len(literal.data)} bytes", f"at most {LITERAL_BYTES_MAX} bytes")
    elif literal.content_type == JSON:
        try:
            normalised_json(literal.data.decode())
        except ValueError as error:
            yield Violation(at, shown(literal.data.decode(errors="replace")), f"JSON ({error})")
