"""What is wrong with a task that asks people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from .approvals import ApprovalSpec, Decision, OnReject
from .definition import WAIT_SECONDS_MAX
from .draft import PolicyDraft, TaskDraft
from .errors import Violation
from .graph import TaskRole
from .params import InvalidParams, ParamsSchema
from .params_schema import check_params_schema
from .templates import TemplateSyntaxError, template_names, unknown_name
from .value_checks import check_duration, check_enum, check_name, check_text, shown

MESSAGE_BYTES_MAX = 4 * 1024
FORM_BYTES_MAX = 16 * 1024
APPROVERS_MAX = 100
_NO_WORKER = "because the task is an approval, which no worker runs"
# What a message may name: the server knows no more of a run when it hands the question out.
MESSAGE_NAMES = "params.NAME, a date of the run, run_id, run_key, dag_id or task_id; outputs are not known to it"


def check_approval(
    at: str, task: TaskDraft, spec: ApprovalSpec, param: Callable[[str, str, str], Iterator[Violation]]
) -> Iterator[Violation]:
    """`param(at, name, value)` says what is wrong with the name of a param."""
    yield from _as_a_task(at, task)
    at = f"{at}.approval"
    yield from _message(f"{at}.message", spec.message, param)
    yield from check_duration(f"{at}.timeout", spec.timeout_seconds, most=WAIT_SECONDS_MAX)
    yield from check_enum(f"{at}.default", spec.default, Decision)
    yield from check_enum(f"{at}.on_reject", spec.on_reject, OnReject)
    if spec.default is not None and spec.timeout_seconds is None:
        yield Violation(f"{at}.timeout", "nothing", "the time after which the default answers")
    if len(spec.approvers) > APPROVERS_MAX:
        yield Violation(f"{at}.approvers", f"{len(spec.approvers)} names", f"at most {APPROVERS_MAX} names of tokens")
    for index, name in enumerate(spec.approvers[:APPROVERS_MAX]):
        yield from check_name(f"{at}.approvers[{index}]", name)
    if spec.form:
        yield from _form(f"{at}.form", spec)


def _as_a_task(at: str, task: TaskDraft) -> Iterator[Violation]:
    """What other tasks have, and this one cannot use."""
    if task.handler.name:
        yield Violation(f"{at}.handler.name", shown(task.handler.name), f"nothing, {_NO_WORKER}")
    if task.inputs:
        yield Violation(f"{at}.inputs", f"{len(task.inputs)} inputs", f"nothing, {_NO_WORKER}")
    if task.map is not None:
        yield Violation(f"{at}.map", "a map", f"nothing, {_NO_WORKER}")
    if task.role is not TaskRole.WORK:
        role = task.role.value if isinstance(task.role, TaskRole) else str(task.role)
        yield Violation(f"{at}.role", role, "work, because the task is an approval")
    if replace(task.policy, owner=None) != PolicyDraft():
        yield Violation(f"{at}.policy", "more than an owner", f"only an owner, {_NO_WORKER}")


def _message(at: str, text: str, param: Callable[[str, str, str], Iterator[Violation]]) -> Iterator[Violation]:
    if not text.strip():
        yield Violation(at, "nothing", "what is asked")
    yield from check_text(at, text, MESSAGE_BYTES_MAX)
    try:
        names = template_names(text)
    except TemplateSyntaxError as error:
        yield Violation(at, error.value, error.expected)
        return
    for name in dict.fromkeys(names):
        if name.split(".")[0] in ("outputs", "map_item", "attempt_number"):
            yield Violation(at, repr(name[:200]), MESSAGE_NAMES)
        elif expected := unknown_name(name):
            yield Violation(at, repr(name[:200]), expected)
        elif name.startswith("params."):
            yield from param(at, name.split(".")[1], repr(name[:200]))


def _form(at: str, spec: ApprovalSpec) -> Iterator[Violation]:
    size = len(spec.form.encode())
    if size > FORM_BYTES_MAX:
        yield Violation(at, f"{size} bytes", f"at most {FORM_BYTES_MAX} bytes")
        return
    wrong = check_params_schema(spec.form, at)
    yield from wrong
    if wrong or spec.default is not Decision.APPROVE:
        return
    try:
        ParamsSchema(spec.form).complete("")
    except InvalidParams as error:
        yield Violation(at, str(error.violations[0]), "a form that its defaults fill in, because default is approve")
