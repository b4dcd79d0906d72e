"""A run in process: order, trigger rules, retries on the virtual clock, values over the wire format."""

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from glidepath import AuthoringError, Dag, GlidepathError, dag, external, group, shell, task
from glidepath.testing import FailureSeen, RunFailed, run_dag
from glidepath.testing.rules import admit, retry_delay
from glidepath.worker import Defer, Fail, Retry, Skip, current
from glidepath_server.core.failure import Failure, FailureKind
from glidepath_server.core.retry import Retry as ServerRetry
from glidepath_server.core.retry import RetryPolicy, decide_retry
from glidepath_server.core.states import TaskEvent
from glidepath_server.core.trigger_rules import TriggerRule
from glidepath_server.core.trigger_rules import admit as server_admit

START = datetime(2026, 3, 5, 6, tzinfo=UTC)


@task
def numbers(count: int) -> list[int]:
    return list(range(count))


@task
def total(values: list[Any], label: str = "") -> dict[str, Any]:
    return {"sum": sum(values), "label": label}


@task
def double(value: int) -> int:
    return value * 2


@task
def untyped(value):  # type: ignore[no-untyped-def]
    return value


@dag
def adding(count: int = 4) -> None:
    made = total(numbers(count), label="{{ ds }} of {{ dag_id }}")
    total.options(task_id="both")([double(made["sum"]), 1])


def test_values_flow_from_task_to_task() -> None:
    result = run_dag(adding, logical_date=START).check()
    assert result.state == "success" and set(result.states.values()) == {"success"}
    assert result.outputs == {
        "numbers": [0, 1, 2, 3],
        "total": {"sum": 6, "label": "2026-03-05 of adding"},
        "double": 12,
        "both": {"sum": 13, "label": ""},
    }
    assert result.started == ["numbers", "total", "double", "both"]


def test_params_are_completed_and_their_names_checked() -> None:
    assert run_dag(adding, {"count": 2})["double"].output == 2
    with pytest.raises(AuthoringError, match=r"has no param \['cuont'\]; params: count"):
        run_dag(adding, {"cuont": 2})

    @dag
    def needing(count: int) -> None:
        numbers(count)

    with pytest.raises(AuthoringError, match=r"needs the params \['count'\]"):
        run_dag(needing)


@task
def step() -> str:
    return "done"


def chain(*rules: str) -> Dag:
    """first >> t1 >> t2 >> ..., with these trigger rules."""

    @dag(dag_id="chain")
    def made() -> None:
        before = step.options(task_id="first")()
        for position, rule in enumerate(rules, 1):
            before = before >> step.options(task_id=f"t{position}", trigger_rule=rule)()  # type: ignore[arg-type]

    return made


@pytest.mark.parametrize(
    ("rule", "after_failure", "after_skip"),
    [
        ("all_success", "upstream_failed", "skipped"),
        ("all_done", "success", "success"),
        ("one_failed", "success", "skipped"),
        ("none_failed", "upstream_failed", "success"),
        ("always", "success", "success"),
    ],
)
def test_trigger_rules_admit_as_they_say(rule: str, after_failure: str, after_skip: str) -> None:
    failed = run_dag(chain(rule), fail={"first": True})
    skipped = run_dag(chain(rule), fail={"first": Skip("nothing new")})
    assert failed.states == {"first": "failed", "t1": after_failure} and failed.state == "failed"
    assert skipped.states == {"first": "skipped", "t1": after_skip} and skipped.state == "success"
    assert skipped["first"].reason == "nothing new"


def test_an_end_spreads_down_a_long_chain() -> None:
    result = run_dag(chain(*["all_success"] * 3000), fail={"first": True})
    assert result["t3000"].state == "upstream_failed"


def retrying(**options: Any) -> Dag:
    @dag(dag_id="retrying", defaults={"retries": 3})
    def made() -> None:
        step.options(**options)()

    return made


@pytest.mark.parametrize(
    ("options", "delays"),
    [
        ({"retry_delay": "1m"}, [60, 60, 60]),
        ({"retry_delay": "1m", "retry_backoff": 3, "retry_delay_max": 200}, [60, 180, 200]),
        ({"retry_delay": [1, 5]}, [1, 5, 5]),
        ({}, [0, 0, 0]),
    ],
)
def test_retries_wait_on_the_virtual_clock(options: dict[str, Any], delays: list[int]) -> None:
    result = run_dag(retrying(**options), fail={"step": 3}, takes={"step": 10}, start_time=START)
    attempts = result["step"].attempts
    assert [each.state for each in attempts] == ["failed", "failed", "failed", "success"]
    waits = [(later.start_time - earlier.end_time).total_seconds() for earlier, later in itertools.pairwise(attempts)]
    assert waits == delays
    assert attempts[0].start_time == START and attempts[0].end_time == START + timedelta(seconds=10)
    assert result.end_time == attempts[-1].end_time


@pytest.mark.parametrize(
    ("plan", "states"),
    [
        (True, ["failed"] * 4),
        (ValueError("no"), ["failed"] * 4),
        ([ValueError("no"), None], ["failed", "success"]),
        (Fail("never"), ["failed"]),
        (0, ["success"]),
    ],
)
def test_failures_go_as_planned(plan: Any, states: list[str]) -> None:
    assert [each.state for each in run_dag(retrying(), fail={"step": plan})["step"].attempts] == states


def test_a_longer_retry_after_wins() -> None:
    result = run_dag(retrying(retry_delay=5), fail={"step": [Retry("busy", after=60), Retry("busy", after=1)]})
    first, second, third = result["step"].attempts
    assert second.start_time - first.end_time == timedelta(seconds=60)
    assert third.start_time - second.end_time == timedelta(seconds=5)


def test_an_attempt_over_its_timeout_is_timed_out_and_retried() -> None:
    result = run_dag(retrying(timeout=30, retries=1), takes={"step": "1m"}, start_time=START)
    assert [each.state for each in result["step"].attempts] == ["timed_out", "timed_out"]
    assert result.end_time == START + timedelta(seconds=60) and result["step"].state == "failed"


def test_parallel_tasks_overlap_on_the_virtual_clock() -> None:
    @dag
    def fan() -> None:
        with group("g"):
            parts = [double(n) for n in range(3)]
        total(parts)

    takes = {"g.double": 10, "g.double_2": 30, "g.double_3": 20}
    result = run_dag(fan, takes=takes, start_time=START).check()
    assert result["total"].attempts[0].start_time == START + timedelta(seconds=30)
    assert result["total"].output == {"sum": 6, "label": ""}


@task
def resuming() -> int:
    context = current()
    if not context.checkpoint:
        context.progress(40, "almost", checkpoint=b"4")
        raise ValueError("cut off")
    return int(context.checkpoint) + context.attempt_number


@task
def later() -> str:
    if not current().checkpoint:
        raise Defer(until=START + timedelta(hours=2), checkpoint=b"seen")
    return "after"


def test_a_task_knows_its_attempt() -> None:
    @dag
    def made() -> None:
        resuming.options(retries=1)()
        later()

    result = run_dag(made, start_time=START).check()
    assert result["resuming"].output == 6 and result["resuming"].attempts[0].progress_note == "almost"
    deferred, resumed = result["later"].attempts
    assert (deferred.state, resumed.state) == ("deferred", "success")
    assert resumed.start_time == START + timedelta(hours=2)


@task
def write(tmp: str) -> str:
    with open(f"{tmp}/model", "w") as file:
        file.write("weights")
    return current().put_artifact(f"{tmp}/model")


@task
def read(model: str) -> str:
    return current().get_artifact(model).read_text()


def test_artifacts_are_shared_within_the_run(tmp_path: Any) -> None:
    @dag
    def made(tmp: str) -> None:
        read(write(tmp))

    assert run_dag(made, {"tmp": str(tmp_path)}).check()["read"].output == "weights"


@task
def leave() -> None:
    raise SystemExit(3)


@task
def unanswerable() -> object:
    return object()


def test_failures_say_why() -> None:
    @dag
    def made() -> None:
        leave()
        unanswerable()
        total([], label=untyped.options(task_id="pick")(2)["missing"])
        double(untyped([])["key"])

    result = run_dag(made)
    assert "left its process with 3" in result["leave"].reason
    assert "not a JSON value" in result["unanswerable"].reason
    assert "output of 'pick' has no key 'missing': it is 2" in result["total"].reason
    with pytest.raises(RunFailed, match=r"leave: .*\n(.|\n)*double: .*has no key 'key'"):
        result.check()


def test_bad_input_is_not_retried() -> None:
    @dag(defaults={"retries": 5})
    def made() -> None:
        double(untyped([])["key"])

    assert len(run_dag(made)["double"].attempts) == 1


def test_shell_commands_run_and_may_print_their_output() -> None:
    @dag
    def made(name: str = "a b; echo no") -> None:
        said = shell(
            "say", 'echo talk; printf \'{"n": %s, "name": "%s"}\\n\' 3 "$NAME"', env={"NAME": name}, output="json"
        )
        double(said["n"])
        shell("bad", "exit 4")

    result = run_dag(made)
    assert result["say"].output == {"n": 3, "name": "a b; echo no"} and result["double"].output == 6
    assert result["bad"].state == "failed" and "exit status 4" in result["bad"].reason


def test_a_command_that_promised_json_and_printed_none_fails() -> None:
    @dag
    def made() -> None:
        shell("talks", "echo '{}'; echo done", output="json")
        shell("silent", "true", output="json")

    result = run_dag(made)
    assert result["talks"].state == "failed" and "'done' (Expecting value" in result["talks"].reason
    assert result["silent"].state == "failed" and "it printed none" in result["silent"].reason


def test_tasks_can_be_replaced_by_a_value_or_a_function() -> None:
    @dag
    def made() -> None:
        total([external("resize", "go:resize", inputs={"n": 3}), double(2)])

    replaced = run_dag(made, replace={"resize": lambda n: n + 1, "double": 10}).check()
    assert replaced["total"].output == {"sum": 14, "label": ""}
    with pytest.raises(GlidepathError, match=r"handler 'go:resize'.*replace=\{'resize'"):
        run_dag(made)


def test_unknown_task_ids_are_named() -> None:
    with pytest.raises(ValueError, match=r"fail names \['totl'\], not tasks of 'adding'"):
        run_dag(adding, fail={"totl": 1})


_VERDICTS = {TaskEvent.RELEASE: "release", TaskEvent.SKIP: "skip", TaskEvent.UPSTREAM_FAIL: "upstream_fail", None: None}


@pytest.mark.parametrize("rule", list(TriggerRule), ids=lambda rule: str(rule.value))
def test_trigger_rules_are_the_servers(rule: TriggerRule) -> None:
    for counts in itertools.product(range(3), repeat=4):
        assert admit(rule.value, *counts) == _VERDICTS[server_admit(rule, *counts)], counts


def test_retry_delays_are_the_servers() -> None:
    draw = random.Random(7)
    for _ in range(500):
        delay, backoff, most = draw.choice([0, 1, 30, 5000]), draw.choice([1.0, 2.0, 1e6]), draw.choice([10, 7200])
        delays = draw.choice([(), (1.0, 9.0)])
        retries, tries, after = draw.randrange(4), draw.randrange(1, 6), draw.choice([0, 100])
        retryable, bad_input = draw.choice([None, True, False]), draw.random() < 0.2
        kind = FailureKind.BAD_INPUT if bad_input else FailureKind.APPLICATION
        failure = Failure(kind, "mod.E", message="x", retryable=retryable, retry_after_seconds=after)
        only_on, never_on = (
            draw.choice([(), ("E",), ("mod.E",), ("timeout",), ("X", "application")]) for _ in range(2)
        )
        policy = RetryPolicy(retries, delay, backoff, most, delays, only_on=only_on, never_on=never_on)
        expected = decide_retry(policy, failure, tries, START)
        options: dict[str, Any] = {
            "retries": retries,
            "retry_backoff": backoff,
            "retry_delay_max": timedelta(seconds=most),
            "retry_only_on": only_on,
            "retry_never_on": never_on,
        }
        options["retry_delay"] = tuple(timedelta(seconds=each) for each in delays) or timedelta(seconds=delay)
        seen = FailureSeen("mod.E", "x", "", retryable, timedelta(seconds=after), bad_input)
        wait = retry_delay(options, seen, tries)
        assert (None if wait is None else START + wait) == (expected.at if isinstance(expected, ServerRetry) else None)
