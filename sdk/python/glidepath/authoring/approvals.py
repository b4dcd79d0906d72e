"""`approval(...)`: a node that no worker runs; it asks people and waits for an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypedDict, Unpack

from glidepath import templates
from glidepath.authoring.nodes import current_builder
from glidepath.authoring.options import DurationLike, TriggerRule, check_options, parse_duration
from glidepath.errors import AuthoringError, TemplateError

ApprovalDefault = Literal["approve", "reject"]
OnReject = Literal["fail", "skip"]
NOT_KNOWN = ("outputs", "map_item", "attempt_number")


class ApprovalOptions(TypedDict, total=False):
    """What an approval may set besides, as other tasks do."""

    owner: str
    trigger_rule: TriggerRule
    description: str


@dataclass(frozen=True)
class Approval:
    """What a node asks people."""

    message: str
    form: Mapping[str, Any] | None = None
    timeout: timedelta | None = None
    default: ApprovalDefault | None = None
    approvers: tuple[str, ...] = ()
    on_reject: OnReject = "fail"


def approval(
    task_id: str,
    message: str,
    *,
    form: Mapping[str, Any] | None = None,
    timeout: DurationLike | None = None,
    default: ApprovalDefault | None = None,
    approvers: Sequence[str] = (),
    on_reject: OnReject = "fail",
    **options: Unpack[ApprovalOptions],
) -> Any:
    """A node that waits for somebody's answer: `approval("release", "Deploy {{ params.model }}?", timeout="2d")`.

    It holds no slot meanwhile. Approved, it succeeds, and its output is {"approved", "values", "by", "note", "time"};
    rejected it fails, without a retry, or is skipped with on_reject="skip". `form` is a JSON Schema of the values that
    who approves fills in. When the timeout passes, `default` is the answer; without one the task fails. `approvers`
    are the names of the tokens that may answer; every operator may unless some are given.
    """
    builder = current_builder()
    if builder is None:
        raise AuthoringError(f"task '{task_id}' is made outside a @dag function")
    where = f"task '{task_id}'"
    if unknown := sorted(options.keys() - ApprovalOptions.__annotations__.keys()):
        known = ", ".join(ApprovalOptions.__annotations__)
        raise AuthoringError(f"{where}: an approval has no option {unknown[0]!r}; beside its own it takes {known}")
    checked = check_options(options, where)
    asks = Approval(
        _message(message, where),
        _form(form, where),
        None if timeout is None else parse_duration(timeout, f"{where}: timeout"),
        _one_of(default, ("approve", "reject", None), f"{where}: default"),
        _names(approvers, where),
        _one_of(on_reject, ("fail", "skip"), f"{where}: on_reject"),
    )
    if asks.default is not None and asks.timeout is None:
        raise AuthoringError(f"{where}: default is {default!r}, but there is no timeout after which it would answer")
    return builder.add(task_id, {}, checked, approval=asks)


def _message(message: object, where: str) -> str:
    """Text; handles and params in it have become templates already."""
    text = str(message)
    if not text.strip():
        raise AuthoringError(f"{where}: message is {message!r}; expected what is asked, as text")
    try:
        templates.check(text)
    except TemplateError as error:
        raise AuthoringError(f"{where}: message: {error}") from error
    for name in templates.names(text):
        if name.split(".")[0] in NOT_KNOWN:
            raise AuthoringError(
                f"{where}: message names {name!r}, which is not known to who is asked; "
                "it may name params and dates of the run, run_id, run_key, dag_id and task_id"
            )
    return text


def _form(form: object, where: str) -> Mapping[str, Any] | None:
    if form is None:
        return None
    if not isinstance(form, Mapping) or form.get("type", "object") != "object":
        raise AuthoringError(f"{where}: form is {form!r:.80}; expected a JSON Schema of an object")
    try:
        made: Mapping[str, Any] = json.loads(json.dumps(form, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AuthoringError(f"{where}: form is not JSON ({error})") from error
    return made


def _names(names: object, where: str) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence) or not all(isinstance(n, str) and n for n in names):
        raise AuthoringError(f"{where}: approvers is {names!r:.80}; expected a list of names of tokens")
    return tuple(names)


def _one_of(value: Any, choices: Sequence[Any], field: str) -> Any:
    if value not in choices:
        raise AuthoringError(f"{field} is {value!r}; expected one of {', '.join(str(each) for each in choices)}")
    return value
