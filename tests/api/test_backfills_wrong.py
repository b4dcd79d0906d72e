"""Every wrong spec of a backfill is answered with what is wrong, by field, and leaves no trace."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
import pytest_asyncio
from backfill_room import Backfills
from google.protobuf.json_format import ParseDict
from runs_room import CHAIN, RATE_SCHEMA, Room, dag, open_room
from wrong_backfills import DATE, WRONG_SPECS, WrongSpec

from glidepath_proto.run.v1 import backfill_pb2

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOWHERE = "01890a5d-ac96-774b-bcce-b302099a8057"
TABLES = ("backfill", "backfill_run", "dag_run", "dag_run_key", "request", "audit_event")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def fills(module_database_url: str) -> AsyncIterator[Backfills]:
    async with open_room(module_database_url) as room:
        await room.register(dag("churn", CHAIN, params_schema=RATE_SCHEMA), aliases=["production"])
        yield Backfills(room)


async def counts(room: Room) -> list[int]:
    return [(await room.rows(f"select count(*) from {table}"))[0][0] for table in TABLES]


@pytest.mark.parametrize("wrong", WRONG_SPECS, ids=lambda each: each.why)
async def test_a_wrong_spec_is_answered_by_field_and_leaves_no_trace(fills: Backfills, wrong: WrongSpec) -> None:
    spec = ParseDict({"dag_id": "churn", **wrong.fields}, backfill_pb2.BackfillSpec())
    before = await counts(fills.room)
    for method in ("CreateBackfill", "PreviewBackfill"):
        code, words = await fills.refused(method, spec=spec)
        assert (code, words[: len(wrong.words)]) == (wrong.code, wrong.words)
    assert await counts(fills.room) == before


async def test_all_that_is_wrong_is_told_at_once(fills: Backfills) -> None:
    fields = {"dag_id": "churn", **DATE, "weight": -1.0, "runs_active_max": -5, "rate_runs": 3}
    _, words = await fills.refused("CreateBackfill", spec=ParseDict(fields, backfill_pb2.BackfillSpec()))
    assert all(f"spec.{name}: got" in words for name in ("weight", "runs_active_max", "rate_period"))


@pytest.mark.parametrize(
    "method", ["GetBackfill", "ListBackfillDates", "PauseBackfill", "ResumeBackfill", "CancelBackfill", "RetryBackfill"]
)
async def test_what_is_not_there_is_not_found(fills: Backfills, method: str) -> None:
    code, words = await fills.refused(method, backfill_id=NOWHERE)
    assert code is grpc.StatusCode.NOT_FOUND
    assert words == f"there is no backfill {NOWHERE} in namespace 'default' (list the backfills)"
    code, words = await fills.refused(method, backfill_id="last")
    assert code is grpc.StatusCode.INVALID_ARGUMENT and words.startswith("backfill_id: got 'last', expected a UUID")


async def test_odd_words_in_lists_are_refused(fills: Backfills) -> None:
    code, words = await fills.refused("ListBackfillDates", backfill_id=NOWHERE, outcomes=[77])
    assert code is grpc.StatusCode.INVALID_ARGUMENT and words.startswith("outcomes: got 77, expected some of waiting")
    code, words = await fills.refused("PreviewBackfill", dates_max=1_001)
    assert code is grpc.StatusCode.INVALID_ARGUMENT and words.startswith("dates_max: got 1001, expected 1 to 1000")
    code, words = await fills.refused("PauseBackfill", backfill_id=NOWHERE, reason="x" * 1_001)
    assert code is grpc.StatusCode.INVALID_ARGUMENT and words.startswith(
        "reason: got 1001 characters, expected at most"
    )
