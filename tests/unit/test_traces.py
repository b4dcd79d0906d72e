"""Ids of traces and spans: the same for the same thing, whoever computes them and when."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glidepath_server.core.events import AttemptKey
from glidepath_server.core.traces import attempt_span_id, attempt_traceparent, run_context, run_span_id

RUN = UUID("019a2b3c-4d5e-7f60-8a9b-0c1d2e3f4a5b")
KEY = AttemptKey(RUN, 3, -1, 2)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"
runs, numbers = st.uuids(), st.integers(0, 100_000)
keys = st.builds(AttemptKey, runs, numbers, st.integers(-1, 100_000), st.integers(1, 1000))


def test_ids_are_what_they_were_in_the_last_release() -> None:
    """Replicas of two releases, and a release that goes on after another, must send the same span."""
    assert run_span_id(RUN).hex() == "45a762f47e6cb5d8"
    assert attempt_span_id(KEY).hex() == "b07483df207aa5a6"


def test_a_run_without_a_caller_is_a_trace_of_its_own_with_its_id() -> None:
    context = run_context(RUN, "")
    assert context == (RUN.bytes, b"", 1) and context.sampled


def test_a_run_with_a_traceparent_stands_under_its_caller() -> None:
    context = run_context(RUN, CALLER)
    assert (context.trace_id.hex(), context.parent_id.hex(), context.flags) == (*CALLER.split("-")[1:3], 3)
    assert context.sampled


@pytest.mark.parametrize("flags", ["00", "02"])
def test_what_a_caller_does_not_sample_is_not_sampled(flags: str) -> None:
    assert not run_context(RUN, CALLER[:-2] + flags).sampled
    assert attempt_traceparent(KEY, CALLER[:-2] + flags).endswith(f"-{flags}")


@pytest.mark.parametrize(
    "traceparent",
    [
        "nonsense",
        CALLER.upper(),
        "ff" + CALLER[2:],
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
    ],
)
def test_what_is_no_context_leaves_the_run_a_trace_of_its_own(traceparent: str) -> None:
    assert run_context(RUN, traceparent) == run_context(RUN, "")


def test_an_attempt_hands_on_its_own_span_in_the_trace_of_its_run() -> None:
    assert attempt_traceparent(KEY, CALLER) == f"00-{CALLER.split('-')[1]}-{attempt_span_id(KEY).hex()}-03"
    assert attempt_traceparent(KEY, "") == f"00-{RUN.hex}-{attempt_span_id(KEY).hex()}-01"


@given(st.lists(keys, unique=True, min_size=2, max_size=50))
def test_spans_of_different_things_have_different_ids(found: list[AttemptKey]) -> None:
    ids = [attempt_span_id(key) for key in found] + list({run_span_id(key.dag_run_id) for key in found})
    assert len(set(ids)) == len(ids) and {len(each) for each in ids} == {8} and bytes(8) not in ids


@given(keys)
def test_a_run_that_is_called_stands_under_the_attempt(key: AttemptKey) -> None:
    """What one hands on, the other reads."""
    child = run_context(UUID(int=1), attempt_traceparent(key, ""))
    assert (child.trace_id, child.parent_id, child.sampled) == (key.dag_run_id.bytes, attempt_span_id(key), True)
