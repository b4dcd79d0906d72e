"""How a task is treated: options of `@task(...)`, `.options(...)` and a DAG's `defaults`, checked when given.

An option that is not given stays unset all the way to the server, which fills it from the DAG's defaults, then from
its own: the server is the one place where defaults are decided.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, Literal, TypedDict, get_args

from glidepath import templates
from glidepath.authoring.suggestions import suggestion
from glidepath.errors import AuthoringError, TemplateError

DurationLike = timedelta | float | int | str
"""Seconds, a timedelta, or text such as "90s", "5m", "1h30m", "2d"."""

TriggerRule = Literal[
    "all_success",
    "all_failed",
    "all_done",
    "all_skipped",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "always",
]
Role = Literal["work", "branch", "short_circuit", "setup", "teardown"]
FailureName = str | type[BaseException]
Isolation = Literal["process", "inline"]
LeaseMode = Literal["hold", "exclusive"]
MapEmpty = Literal["skip", "succeed"]


class PolicyOptions(TypedDict, total=False):
    """What a DAG's `defaults` may set for its tasks."""

    owner: str
    queue: str
    """Line of work that workers serve; "default" unless given."""
    retries: int
    """Further attempts after a failed one."""
    retry_delay: DurationLike | Sequence[DurationLike]
    """Wait before a retry; a list gives the wait before each one, the last repeats."""
    retry_backoff: float
    """Factor from one delay to the next, at least 1."""
    retry_delay_max: DurationLike
    retry_jitter: float
    """Lengthens each delay by up to this share of it, 0 to 1."""
    retry_only_on: Sequence[FailureName]
    """Errors, by class or name, or kinds of failures ("timeout") that are retried; all unless given."""
    retry_never_on: Sequence[FailureName]
    """Errors or kinds of failures that are not retried."""
    reroute_queue: str
    """The queue of the attempts that follow `reroute_after` (1 unless given) failed or lost ones."""
    reroute_after: int
    losses_max: int
    """Attempts that may be lost with their worker before the task fails; they use no retry."""
    preemptions_max: int
    """Attempts that may end because their machine is taken away; they use no retry and no loss. 10 unless given."""
    timeout: DurationLike
    """Time one attempt may run."""
    pool: str
    pool_slots: int
    priority: int
    """-100 to 100; one point is worth a minute of waiting."""
    resources: Mapping[str, float]
    """Needed while an attempt runs: "cpu", "memory_mb", "gpu" or the site's own."""
    worker_selector: Mapping[str, str]
    """Labels a worker must carry with exactly these values."""
    isolation: Isolation
    lease_mode: LeaseMode
    memory_limit_mb: int
    cancel_grace: DurationLike
    """Time between the polite and the hard end of a cancelled attempt."""
    limits: Mapping[str, int]
    """Named limits of the namespace, and the slots that an attempt takes of each; at most 8."""
    active_max: int
    """Attempts of the task that may be live at once over all runs of the DAG."""
    depends_on_past: bool
    """Whether it starts only once the same task in the run before has succeeded or was skipped."""
    wait_timeout: DurationLike
    """How long the task may wait in all by raising `Defer`; a week unless given."""


class NodeOptions(PolicyOptions, total=False):
    """What one task may set besides."""

    trigger_rule: TriggerRule
    """How the ends of the upstream tasks admit this one; "all_success" unless given."""
    role: Role
    """What the task is to the others: a branch returns the ids of the tasks to follow, a short circuit whether to go
    on; a teardown takes away what its upstream setups made, however the run ends."""
    description: str
    map_active_max: int
    """Instances of a mapped task that may be released at once; 2,000 unless given."""
    map_success_ratio_min: float
    """Share of its instances, skipped ones apart, that must succeed for it to succeed; all (1) unless given."""
    map_empty: MapEmpty
    """What becomes of it when there is nothing to map over: "skip" unless given, or "succeed" with an empty list."""
    map_name: str
    """What an instance is called: a template of what is in its item, such as "{{ map_item.day }}"."""
    cache: DurationLike
    """Results are kept so long, or "forever", and taken again by equal calls: the same code, inputs and params."""
    cache_ignore: Sequence[str]
    """Arguments that do not count."""
    cache_key: str
    """Counts instead of the arguments: a template, with the values that it names."""
    cache_version: str
    """Whatever differs here differs as a call."""
    deadline: Any
    """A Deadline that the task has to be done by, or a list."""


class TaskOptions(NodeOptions, total=False):
    """Options of `@task`: the function's name is the task id unless one is given."""

    task_id: str


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = "expected seconds, a timedelta, or text such as '90s' or '1h30m'"
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(value: object, field: str) -> timedelta:
    """The duration that `value` means, not negative. AuthoringError names the field."""
    try:
        duration = _duration_of(value)
    except OverflowError:
        raise AuthoringError(f"{field} is {value!r:.60}, which is too large; {_DURATION}") from None
    except ValueError:  # what is no number
        duration = None
    if duration is None or duration < timedelta(0):
        raise AuthoringError(f"{field} is {value!r}; {_DURATION}")
    return duration


def _duration_of(value: object) -> timedelta | None:
    if isinstance(value, timedelta):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    text = value.replace(" ", "") if isinstance(value, str) else ""
    if not text or _PART.sub("", text):
        return None
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def check_policy(options: Mapping[str, Any], where: str) -> PolicyOptions:
    """Options of a DAG's defaults with durations parsed."""
    return _check(options, _POLICY, where)  # type: ignore[return-value]


def check_options(options: Mapping[str, Any], where: str) -> TaskOptions:
    """Options of a task with durations parsed. AuthoringError names the option, its value and what was expected."""
    return _check(options, _POLICY | _TASK, where)  # type: ignore[return-value]


@dataclass(frozen=True)
class Mistake:
    """A wrong option, and the (file, line) of each call that led to it, innermost first."""

    message: str
    calls: tuple[tuple[str, int], ...]


_mistakes: ContextVar[list[Mistake] | None] = ContextVar("glidepath_mistakes", default=None)


@contextmanager
def collect_mistakes() -> Iterator[list[Mistake]]:
    """Within the block a wrong option is listed and left out instead of raised: so all of a file are found at once."""
    found: list[Mistake] = []
    token = _mistakes.set(found)
    try:
        yield found
    finally:
        _mistakes.reset(token)


def _check(options: Mapping[str, Any], known: Mapping[str, _Parser], where: str) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    wrong: list[str] = []
    for name, value in options.items():
        if name not in known:
            wrong.append(f"{where}: unknown option {name!r}; {suggestion(name, known, 'options')}")
            continue
        try:
            checked[name] = known[name](value, f"{where}: {name}")
        except AuthoringError as error:
            wrong.append(str(error))
    if isinstance(checked.get("retry_delay"), tuple) and "retry_backoff" in checked:
        wrong.append(f"{where}: retry_delay is a list, so it takes no retry_backoff; leave one of them out")
    if wrong:
        _refuse(wrong)
    return checked


def _refuse(wrong: Sequence[str]) -> None:
    mistakes = _mistakes.get()
    if mistakes is None:
        raise AuthoringError("\n".join(wrong))
    calls = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        calls.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    mistakes += [Mistake(each, tuple(calls)) for each in wrong]


_Parser = Callable[[object, str], object]


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise AuthoringError(f"{field} is {value!r}; expected text")
    return value


def _whole(least: int, most: int = 2**31 - 1) -> _Parser:
    def parse(value: object, field: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            limit = f"from {least} to {most}" if most < 2**31 - 1 else f"of at least {least}"
            raise AuthoringError(f"{field} is {value!r}; expected a whole number {limit}")
        return value

    return parse


def _one_of(*choices: str) -> _Parser:
    def parse(value: object, field: str) -> str:
        if value not in choices:
            raise AuthoringError(f"{field} is {value!r}; expected one of {', '.join(choices)}")
        return str(value)

    return parse


def _delays(value: object, field: str) -> timedelta | tuple[timedelta, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            raise AuthoringError(f"{field} is an empty list; expected at least one delay")
        return tuple(parse_duration(each, field) for each in value)
    return parse_duration(value, field)


def _backoff(value: object, field: str) -> float:
    number = _number(value)
    if number is None or not number >= 1:
        raise AuthoringError(f"{field} is {value!r:.60}; expected a factor of at least 1")
    return number


def _number(value: object) -> float | None:
    """None for what is no number, or too large for one."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _share(value: object, field: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise AuthoringError(f"{field} is {value!r}; expected a share from 0 to 1")
    return float(value)


def _ratio(value: object, field: str) -> float:
    number = _number(value)
    if number is None or not 0 < number <= 1:
        raise AuthoringError(f"{field} is {value!r:.60}; expected a share above 0, up to 1")
    return number


def _template(value: object, field: str) -> str:
    text = _text(value, field)
    try:
        templates.check(text)
    except TemplateError as error:
        raise AuthoringError(f"{field}: {error}") from error
    return text


def _failures(value: object, field: str) -> tuple[str, ...]:
    """Names of errors. A class goes by its name without the module, which may be another one where the task runs."""
    expected = f"{field} is {value!r}; expected a list of exception classes, their names, or kinds such as 'timeout'"
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise AuthoringError(expected)
    names = []
    for each in value:
        if isinstance(each, type) and issubclass(each, BaseException):
            each = each.__name__
        if not isinstance(each, str) or not each:
            raise AuthoringError(expected)
        names.append(each)
    return tuple(names)


def _amounts(value: object, field: str) -> dict[str, float]:
    amounts = {name: _number(amount) for name, amount in value.items()} if isinstance(value, Mapping) else {0: None}
    found = {name: amount for name, amount in amounts.items() if isinstance(name, str) and amount is not None}
    if len(found) < len(amounts) or any(amount < 0 for amount in found.values()):
        raise AuthoringError(f"{field} is {value!r:.200}; expected amounts by resource name, such as {{'cpu': 2}}")
    return found


def _slots(value: object, field: str) -> dict[str, int]:
    whole = _whole(1, 1_000_000)
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name for name in value):
        raise AuthoringError(f"{field} is {value!r:.200}; expected slots by the limit's name, such as {{'gpu': 1}}")
    if len(value) > 8:
        raise AuthoringError(f"{field} names {len(value)} limits; expected at most 8")
    return {name: whole(slots, f"{field}: {name}") for name, slots in value.items()}  # type: ignore[misc]


def _labels(value: object, field: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for pair in value.items() for each in pair):
        raise AuthoringError(f"{field} is {value!r}; expected text by label, such as {{'region': 'eu'}}")
    return dict(value)


def parse_yes(value: object, field: str) -> bool:
    """What is true or false, as that. AuthoringError says what is wrong."""
    if not isinstance(value, bool):
        raise AuthoringError(f"{field} is {value!r}; expected True or False")
    return value


def _cache(value: object, field: str) -> timedelta | str:
    if value == "forever":
        return "forever"
    duration = parse_duration(value, f"{field} (or 'forever')")
    if not duration:
        raise AuthoringError(f"{field} is {value!r}; expected how long results are kept, or 'forever'")
    return duration


def _names(value: object, field: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise AuthoringError(f"{field} is {value!r}; expected a list of names of arguments")
    return tuple(_text(each, f"{field}[{index}]") for index, each in enumerate(value))


def _deadline(value: object, field: str) -> object:
    # Not above: deadlines are made of spans, which are read here.
    from glidepath.authoring.deadlines import check_own_deadline

    return check_own_deadline(value, field)


_POLICY: dict[str, _Parser] = {
    "owner": _text,
    "queue": _text,
    "retries": _whole(0),
    "retry_delay": _delays,
    "retry_backoff": _backoff,
    "retry_delay_max": parse_duration,
    "retry_jitter": _share,
    "retry_only_on": _failures,
    "retry_never_on": _failures,
    "reroute_queue": _text,
    "reroute_after": _whole(1),
    "losses_max": _whole(0),
    "preemptions_max": _whole(0, 1_000),
    "timeout": parse_duration,
    "pool": _text,
    "pool_slots": _whole(1),
    "priority": _whole(-100, 100),
    "resources": _amounts,
    "worker_selector": _labels,
    "isolation": _one_of("process", "inline"),
    "lease_mode": _one_of("hold", "exclusive"),
    "memory_limit_mb": _whole(1),
    "cancel_grace": parse_duration,
    "wait_timeout": parse_duration,
    "limits": _slots,
    "active_max": _whole(1, 1_000_000),
    "depends_on_past": parse_yes,
}
_TASK: dict[str, _Parser] = {
    "task_id": _text,
    "trigger_rule": _one_of(*get_args(TriggerRule)),
    "role": _one_of(*get_args(Role)),
    "description": _text,
    "map_active_max": _whole(1, 2_000),
    "map_success_ratio_min": _ratio,
    "map_empty": _one_of(*get_args(MapEmpty)),
    "map_name": _template,
    "cache": _cache,
    "cache_ignore": _names,
    "cache_key": _template,
    "cache_version": _text,
    "deadline": _deadline,
}
