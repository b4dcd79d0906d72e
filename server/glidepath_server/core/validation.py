"""Everything that is wrong with a DAG, at once: where, what stands there, what was expected.

Pure and iterative: a chain of 20,000 tasks takes no deeper stack than one task. Whether pools and source bundles exist
only the database knows: operations/register_dag_version.py asks it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from .compile import find_cycle, topological_order
from .definition import (
    JSON,
    PYTHON_PREFIX,
    SHELL,
    WAIT_SECONDS_MAX,
    Input,
    InputList,
    IsolationMode,
    LeaseMode,
    Literal,
    OutputRef,
    Param,
    Template,
)
from .draft import DagDraft, PolicyDraft, RetryDraft, TaskDraft, resolve_policy, upstream_of
from .errors import Violation
from .failure import FailureKind
from .graph import TaskRole
from .json_text import normalised_json
from .params_schema import check_params_schema, known_params
from .templates import TemplateSyntaxError, output_of, template_names, unknown_name
from .trigger_rules import NEED_UPSTREAM, TriggerRule
from .value_checks import (
    ID_WORDS,
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

FAILURE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.<>:-]{0,199}")
TASKS_MAX = 20_000
# Of each the reach over the graph is looked at as a whole.
ROLES_MAX = {TaskRole.SHORT_CIRCUIT: 50, TaskRole.TEARDOWN: 100}
EDGES_MAX = 400_000
LITERAL_BYTES_MAX = 64 * 1024
TEMPLATE_BYTES_MAX = 64 * 1024
DESCRIPTION_BYTES_MAX = 4 * 1024
TAGS_MAX = 50
TAG_CHARACTERS_MAX = 64
INPUTS_MAX = 1_000
INPUT_DEPTH_MAX = 8
ENTRIES_MAX = 100
RETRIES_MAX = 1_000
LOSSES_MAX = 100
BACKOFF_MAX = 100.0
PRIORITY_MAX = 100
COUNT_MAX = 1_000_000
RESOURCE_MAX = 1e12
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
    violations = list(islice(check.all(), VIOLATIONS_MAX))
    return Checked(violations, [] if violations else check.order)


def stored_violations(
    draft: DagDraft,
    *,
    pools: Mapping[str, int],
    sources: Collection[str],
) -> list[Violation]:
    """What is wrong with names of stored things, which check_dag cannot know.

    `pools` gives the slots of the namespace's pools by name, `sources` the hashes of its source bundles.
    """
    return list(islice(_stored(draft, pools, frozenset(sources)), VIOLATIONS_MAX))


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
        yield from check_whole("tasks_active_max", draft.tasks_active_max, 1, COUNT_MAX)
        yield from _policy("defaults", draft.defaults)
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
        yield from _handler(f"{at}.handler", task)
        yield from check_enum(f"{at}.trigger_rule", task.trigger_rule, TriggerRule)
        if task.trigger_rule in NEED_UPSTREAM and not upstream_of(task):
            rule = TriggerRule(task.trigger_rule).value
            yield Violation(f"{at}.trigger_rule", rule, "at least one upstream task, or another rule")
        yield from self.role(at, task)
        yield from self.upstream(at, task)
        yield from self.inputs(at, task)
        yield from _policy(f"{at}.policy", task.policy)
        yield from self.together(f"{at}.policy", task)

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


# ---- policies
def _policy(at: str, policy: PolicyDraft) -> Iterator[Violation]:
    yield from check_name(f"{at}.owner", policy.owner, optional=True)
    if policy.queue_name is not None:
        yield from check_id(f"{at}.queue_name", policy.queue_name)
    if policy.pool_name:
        yield from check_id(f"{at}.pool_name", policy.pool_name)
    yield from _retry(f"{at}.retry", policy.retry)
    yield from check_duration(f"{at}.execution_timeout", policy.execution_timeout_seconds)
    yield from check_whole(f"{at}.pool_slots", policy.pool_slots, 1, COUNT_MAX)
    yield from check_whole(f"{at}.priority", policy.priority, -PRIORITY_MAX, PRIORITY_MAX)
    yield from _resources(f"{at}.resources", policy.resources or {})
    yield from _selector(f"{at}.worker_selector", policy.worker_selector or {})
    yield from check_enum(f"{at}.isolation", policy.isolation, IsolationMode)
    yield from check_enum(f"{at}.lease_mode", policy.lease_mode, LeaseMode)
    yield from check_whole(f"{at}.memory_limit_mb", policy.memory_limit_mb, 1, 2**31 - 1)
    yield from check_duration(f"{at}.cancel_grace", policy.cancel_grace_seconds, zero=True, most=3600)
    yield from check_duration(f"{at}.wait_timeout", policy.wait_timeout_seconds, most=WAIT_SECONDS_MAX)


def _retry(at: str, retry: RetryDraft) -> Iterator[Violation]:
    yield from check_whole(f"{at}.retries_max", retry.retries_max, 0, RETRIES_MAX)
    yield from check_whole(f"{at}.losses_max", retry.losses_max, 0, LOSSES_MAX)
    yield from check_duration(f"{at}.delay", retry.delay_seconds, zero=True)
    yield from check_duration(f"{at}.delay_max", retry.delay_max_seconds)
    if retry.backoff is not None and not 1 <= retry.backoff <= BACKOFF_MAX:
        yield Violation(f"{at}.backoff", f"{retry.backoff:g}", f"1 to {BACKOFF_MAX:g}")
    if retry.reroute_queue:
        yield from check_id(f"{at}.reroute_queue", retry.reroute_queue)
    yield from check_whole(f"{at}.reroute_after", retry.reroute_after, 1, RETRIES_MAX)
    if retry.jitter is not None and not 0 <= retry.jitter <= 1:
        yield Violation(f"{at}.jitter", f"{retry.jitter:g}", "0 to 1, a share of the delay")
    for name, given_names in (("only_on", retry.only_on or ()), ("never_on", retry.never_on or ())):
        yield from _failure_names(f"{at}.{name}", given_names)
    delays = retry.delays_seconds or ()
    if len(delays) > RETRIES_MAX:
        yield Violation(f"{at}.delays", f"{len(delays)} delays", f"at most {RETRIES_MAX} delays")
    for index, seconds in enumerate(delays[:RETRIES_MAX]):
        yield from check_duration(f"{at}.delays[{index}]", seconds, zero=True)
    if delays:
        for name, given in (("delay", retry.delay_seconds), ("backoff", retry.backoff)):
            if given is not None:
                yield Violation(f"{at}.{name}", f"{given:g}", "nothing, because delays are given; choose one of them")


def _failure_names(at: str, names: Sequence[str]) -> Iterator[Violation]:
    if len(names) > ENTRIES_MAX:
        yield Violation(at, f"{len(names)} names", f"at most {ENTRIES_MAX} kinds of failures or types of errors")
    for index, name in enumerate(names[:ENTRIES_MAX]):
        if re.fullmatch("[a-z_]+", name) and name not in set(FailureKind):
            close = difflib.get_close_matches(name, [each.value for each in FailureKind], n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            yield Violation(f"{at}[{index}]", shown(name), f"one of {', '.join(FailureKind)}, or a type's name{hint}")
        elif not FAILURE_NAME.fullmatch(name):
            expected = 'a kind of failure such as "timeout", or the name of an error\'s type, of up to 200 characters'
            yield Violation(f"{at}[{index}]", shown(name), expected)


def _resources(at: str, resources: Mapping[str, float]) -> Iterator[Violation]:
    yield from _entries(at, resources)
    for name, amount in islice(sorted(resources.items()), ENTRIES_MAX):
        if list(check_id(at, name)):
            yield Violation(at, shown(name), f"a resource name: {ID_WORDS}")
        elif not 0 <= amount <= RESOURCE_MAX:
            yield Violation(f"{at}.{name}", f"{amount:g}", f"a number from 0 to {RESOURCE_MAX:g}")


def _selector(at: str, selector: Mapping[str, str]) -> Iterator[Violation]:
    yield from _entries(at, selector)
    for name, value in islice(sorted(selector.items()), ENTRIES_MAX):
        yield from check_name(at, name)
        yield from check_name(f"{at}.{name[:80]}", value, optional=True)


def _entries(at: str, entries: Mapping[str, object]) -> Iterator[Violation]:
    if len(entries) > ENTRIES_MAX:
        yield Violation(at, f"{len(entries)} entries", f"at most {ENTRIES_MAX} entries")


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
