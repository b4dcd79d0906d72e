"""Named statements. `queries/<aggregate>.sql` holds blocks of: `-- name: x`, lines of description, the statement."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

_BLOCK = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def statements(aggregate: str) -> dict[str, str]:
    """All statements of queries/<aggregate>.sql by name. Raises ValueError for a name given twice."""
    text = files(__package__).joinpath("queries", f"{aggregate}.sql").read_text()
    parts = _BLOCK.split(text)
    found: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in found:
            raise ValueError(f"queries/{aggregate}.sql: the name {name} is given twice")
        found[name] = _without_comments(body)
    return found


def _without_comments(body: str) -> str:
    lines = [line for line in body.splitlines() if not line.lstrip().startswith("--")]
    return "\n".join(lines).strip().rstrip(";")
