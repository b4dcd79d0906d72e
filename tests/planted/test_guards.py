"""Each guard of the engine's statements is missed by a test when it is taken away."""

from __future__ import annotations

import pytest
from alert_guards import ALERT_GUARDS
from backfill_guards import BACKFILL_GUARDS
from bugs import Bug
from call_guards import CALL_GUARDS
from child_run_guards import CHILD_RUN_GUARDS
from deadline_guards import DEADLINE_GUARDS
from guards import GUARDS, Guard
from history_guards import HISTORY_GUARDS
from instance_guards import INSTANCE_GUARDS
from limit_guards import LIMIT_GUARDS
from map_guards import MAP_GUARDS
from operator_guards import OPERATOR_GUARDS
from past_guards import PAST_GUARDS
from planting import PACKAGE, apply, ask
from schedule_guards import SCHEDULE_GUARDS
from trace_guards import TRACE_GUARDS

ALL_GUARDS = (
    *GUARDS,
    *CALL_GUARDS,
    *OPERATOR_GUARDS,
    *CHILD_RUN_GUARDS,
    *LIMIT_GUARDS,
    *MAP_GUARDS,
    *INSTANCE_GUARDS,
    *PAST_GUARDS,
    *TRACE_GUARDS,
    *DEADLINE_GUARDS,
    *ALERT_GUARDS,
    *HISTORY_GUARDS,
    *SCHEDULE_GUARDS,
    *BACKFILL_GUARDS,
)


def _name(guard: Guard) -> str:
    return guard.name.replace(" ", "-")


def test_every_guard_stands_where_the_table_says() -> None:
    for guard in ALL_GUARDS:
        for edit in guard.edits:
            assert apply(edit, (PACKAGE / edit.file).read_text()), guard.name


@pytest.mark.prove
@pytest.mark.timeout(300)
@pytest.mark.parametrize("guard", ALL_GUARDS, ids=_name)
def test_a_guard_that_is_taken_away_is_missed(guard: Guard) -> None:
    bug = Bug(guard.name, "", guard.edits, (guard.noticed_by,))
    assert ask(bug, bug.asked), f"without this guard {guard.noticed_by} passes: {guard.name}"
