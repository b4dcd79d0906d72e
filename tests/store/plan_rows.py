"""What a statement reads to answer: the plan that Postgres makes of it, run and counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


async def rows_read(connection: Any, table: str, statement: str, *arguments: object) -> int:
    """How many rows of a table (with its partitions' names, if it has any) a statement looks at, those that it drops
    again included. Run it on a table that was analysed: on others Postgres guesses."""
    answer = await connection.fetchval(f"explain (analyze, format json) {statement}", *arguments)
    (found,) = json.loads(answer)
    return round(sum(_looked_at(node) for node in _nodes(found["Plan"]) if node.get("Relation Name") == table))


def _looked_at(node: dict[str, Any]) -> float:
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + dropped) * node["Actual Loops"])


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)
