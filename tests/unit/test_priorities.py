"""What an operator says of priorities: the newest word counts, and what is not said is as the DAG says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.priorities import UNSAID, Priorities, from_text, to_text

PRIORITY = st.integers(-100, 100)
TASK = st.integers(0, 4)
WORD = st.tuples(st.none() | PRIORITY, st.sets(TASK, max_size=3))


@given(st.lists(WORD, max_size=8), TASK, PRIORITY)
def test_the_newest_word_on_a_task_counts(words: list[tuple[int | None, set[int]]], task: int, planned: int) -> None:
    said, of_run, own = UNSAID, None, None
    for priority, tasks in words:
        said = said.said(priority, tasks)
        if not tasks:
            of_run, own = priority, None
        elif task in tasks:
            own = priority
    expected = own if own is not None else of_run if of_run is not None else planned
    assert said.of(task, planned) == expected


@given(st.builds(Priorities, st.none() | PRIORITY, st.dictionaries(TASK, PRIORITY)))
def test_what_was_said_comes_back_from_its_text(said: Priorities) -> None:
    assert from_text(to_text(said)) == said
    assert (to_text(said) is None) == (said == UNSAID)
