"""The guards of what is noted to be sent as spans, of the kind of guards.py."""

from __future__ import annotations

from guards import Guard, sql

TRACING = "tests/api/test_tracing.py::test_"
_ONCE = TRACING + "a_run_is_noted_once_when_it_ends_and_not_by_later_steps"
_OFF = TRACING + "without_a_receiver_nothing_is_noted_and_the_callers_context_is_handed_on_as_it_is"
_ON = "current_setting('glidepath.traced', true) = 'on'"

TRACE_GUARDS = (
    Guard(
        "take: what another replica is at is left to it",
        (sql("take", " where taken_until is null or taken_until <= glidepath_now()", of="traces"),),
        TRACING + "nobody_takes_what_another_replica_is_at_until_its_time_is_over",
    ),
    Guard("write_step: a run is noted when it ends", (sql("write_step", "end_time = $9::timestamptz and "),), _ONCE),
    Guard("write_step: only where somebody sends it", (sql("write_step", _ON, "true"),), _OFF),
    Guard("accept: only where somebody sends it", (sql("accept", _ON, "true"),), _OFF),
    Guard("end_attempts: only where somebody sends it", (sql("end_attempts", _ON, "true", of="calls"),), _OFF),
)
