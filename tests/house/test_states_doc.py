"""docs/states.md says what the tables of the state machines say."""

from __future__ import annotations

import re

from glidepath_server.core import alerts, backfill, states, ticking
from tools import states_doc


def test_the_page_is_current() -> None:
    assert states_doc.PAGE.read_text() == states_doc.render(), "run python -m tools.states_doc"


def test_every_arrow_and_every_state_is_on_the_page() -> None:
    rows = re.findall(r"^\| \w+ \| \w+ \| \w+ \|$", states_doc.render(), re.MULTILINE)
    tables = (
        states.TASK_TRANSITIONS,
        states.ATTEMPT_TRANSITIONS,
        states.RUN_TRANSITIONS,
        ticking.TICK_ARROWS,
        backfill.BACKFILL_ARROWS,
        backfill.DATE_ARROWS,
        alerts.DELIVERY_TRANSITIONS,
    )
    assert len(rows) == len(tables) + sum(map(len, tables))
    assert set(states_doc.TASKS) == set(states.TaskState)
    assert set(states_doc.ATTEMPTS) == set(states.AttemptState)
    assert set(states_doc.RUNS) == set(states.RunState)
    assert set(states_doc.TICKS) == set(ticking.TickState)
    assert set(states_doc.BACKFILLS) == set(backfill.BackfillState)
    assert set(states_doc.DATES) == set(backfill.DateOutcome)
    assert set(states_doc.ALERTS) == set(alerts.DeliveryState)
