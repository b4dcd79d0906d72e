"""Lists of alerts: what is asked for, newest first, and nothing else is read for it."""

from __future__ import annotations

import uuid
from itertools import product
from typing import Any

from plan_rows import rows_read
from step_room import StepRoom

from glidepath_server.store import alerts as store

ALERTS = 20_000
NEWEST = 2**63 - 1
LIMIT = 50
RUN = uuid.UUID(int=7)


async def many(connection: Any) -> None:
    """One alert in 20 is of channel `rare`, and one in 100 of these is dead; four in 20,000 are of RUN; all others were
    delivered."""
    await connection.execute(
        """insert into alert_delivery (alert_id, namespace, channel_name, group_key, dag_id, dag_run_id, state,
                                       create_time, close_time, first_time, next_attempt_time, end_time)
           select gen_random_uuid(), case when n % 2 = 0 then 'default' else 'other' end,
                  case when n % 20 = 0 then 'rare' else 'ops' end, '', 'dag',
                  case when n % 5000 = 0 then $2::uuid else gen_random_uuid() end,
                  case when n % 2000 = 0 then 'dead' else 'delivered' end, now(), now(), now(), now(), now()
           from generate_series(1, $1::integer) n""",
        ALERTS,
        RUN,
    )
    await connection.execute("analyze alert_delivery")


class Seen:
    """A connection that has its statements planned and counted, too."""

    def __init__(self, connection: Any) -> None:
        self.connection, self.read = connection, 0

    async def fetch(self, statement: str, *arguments: object) -> Any:
        self.read += await rows_read(self.connection, "alert_delivery", statement, *arguments)
        return await self.connection.fetch(statement, *arguments)


async def test_a_list_reads_hardly_more_than_it_answers(room: StepRoom) -> None:
    await many(room.watcher)
    asked: list[tuple[str, list[str] | None, uuid.UUID | None, int]] = [
        ("", None, None, LIMIT),
        ("", ["dead"], None, 10),
        ("", ["pending", "retrying"], None, 0),
        ("rare", None, None, LIMIT),
        ("rare", ["dead"], None, 10),
        ("ops", ["dead"], None, 0),
        ("", None, RUN, 4),
        ("rare", ["dead"], RUN, 2),
        ("nobody", None, None, 0),
    ]
    for channel, states, run_id, expected in asked:
        seen: Any = Seen(room.watcher)
        rows = await store.list_deliveries(seen, "default", channel, states, run_id, NEWEST, LIMIT)
        assert len(rows) == expected, (channel, states, run_id)
        assert seen.read <= 2 * LIMIT, (channel, states, run_id)
        numbers = [row["alert_number"] for row in rows]
        assert numbers == sorted(numbers, reverse=True)
        assert all(row["namespace"] == "default" for row in rows)
        assert all(row["state"] in states for row in rows if states)
        assert all(row["channel_name"] == channel for row in rows if channel)


async def test_pages_are_all_of_a_list_each_once(room: StepRoom) -> None:
    await many(room.watcher)
    for channel, states, run_id in product(["", "rare"], [None, ["dead"], ["dead", "delivered"]], [None, RUN]):
        limit = 3 if run_id or states == ["dead"] else 4_000
        below, found = NEWEST, list[int]()
        while rows := await store.list_deliveries(room.watcher, "default", channel, states, run_id, below, limit):
            found += [row["alert_number"] for row in rows]
            below = found[-1]
        expected = await room.watcher.fetch(
            """select alert_number from alert_delivery where namespace = 'default' and ($1 = '' or channel_name = $1)
               and ($2::text[] is null or state = any($2)) and ($3::uuid is null or dag_run_id = $3) order by 1 desc""",
            channel,
            states,
            run_id,
        )
        assert found == [row["alert_number"] for row in expected], (channel, states, run_id)
