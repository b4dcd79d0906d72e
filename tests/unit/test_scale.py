"""Large DAGs: no deeper stack than small ones, and (in `make prove`) no more work per task."""

from __future__ import annotations

import gc
import inspect
import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

import pytest
from scale_shapes import SHAPES, WORK, Case

from glidepath_server.core import validation
from glidepath_server.core.definition import Handler
from glidepath_server.core.draft import DagDraft, PolicyDraft, TaskDraft
from glidepath_server.core.templates import output_of

SMALL, LARGE = 1_000, 10_000
RATIO_MAX = 2.0
ROUNDS_MAX = 12
# Frames; far fewer than a chain of DEEP tasks would need if one of them stood for each.
DEEPER_MAX, DEEP = 150, 2_000


@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_dag_needs_no_deeper_stack(shape: str) -> None:
    with shallow():
        case = Case(shape, DEEP)
        for work in WORK.values():
            work(case)


@contextmanager
def shallow() -> Iterator[None]:
    """Hardly more stack than there is in use now."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + DEEPER_MAX)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


@pytest.fixture(scope="module", params=SHAPES)
def cases(request: pytest.FixtureRequest) -> tuple[Case, Case]:
    return Case(request.param, SMALL), Case(request.param, LARGE)


@pytest.mark.prove
@pytest.mark.parametrize("name", WORK)
def test_work_per_task_does_not_grow_with_their_number(cases: tuple[Case, Case], name: str) -> None:
    """The least of some rounds: what else the machine does only adds. More rounds while the ratio is too large."""
    small, large = (float("inf"),) * 2
    for _ in range(ROUNDS_MAX):
        small = min(small, *(seconds(WORK[name], cases[0]) / SMALL for _ in range(5)))
        large = min(large, seconds(WORK[name], cases[1]) / LARGE)
        if large / small <= RATIO_MAX:
            return
    pytest.fail(f"{name}: {small * 1e6:.2f} us per task of {SMALL:,}, {large * 1e6:.2f} us of {LARGE:,}")


def seconds(work: Callable[[Case], object], case: Case) -> float:
    gc.collect()
    gc.disable()
    try:
        before = time.process_time()
        work(case)
        return time.process_time() - before
    finally:
        gc.enable()


def test_a_long_name_in_a_template_is_not_read_once_per_dot() -> None:
    looked_at: list[str] = []

    class Ids(Container[str]):
        def __contains__(self, name: object) -> bool:
            looked_at.append(str(name))
            return False

    assert output_of("outputs." + ".".join("a" * 30_000), Ids()) is None  # type: ignore[arg-type]
    assert len(looked_at) == 100 and max(map(len, looked_at)) < 200


def test_names_near_to_wrong_ones_are_looked_for_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def near(name: str, names: list[str], n: int) -> list[str]:
        asked.append(name)
        return names[:n]

    monkeypatch.setattr(validation.difflib, "get_close_matches", near)
    wrong = [PolicyDraft(pool_name=f"pol{number // 2}") for number in range(1_000)]
    tasks = tuple(TaskDraft(f"t{number}", Handler("test:task"), policy=each) for number, each in enumerate(wrong))
    found = validation.stored_violations(DagDraft("dag", tasks), pools={"pool": 1}, sources=())
    assert len(found) == validation.VIOLATIONS_MAX
    assert len(asked) == len(set(asked)) == validation.SUGGESTIONS_MAX
    assert all("did you mean pool?" in each.expected for each in found[: 2 * validation.SUGGESTIONS_MAX])
