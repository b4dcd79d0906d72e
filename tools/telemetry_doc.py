"""docs/telemetry.md from the registry of names in server/glidepath_server/telemetry.

python -m tools.telemetry_doc             write it
python -m tools.telemetry_doc --check     exit code 1 when it is not what the registry says
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from glidepath_server.telemetry.metric_names import METRICS
from glidepath_server.telemetry.names import LOG_EVENTS, LOG_FIELDS
from glidepath_server.telemetry.span_names import SPAN_ATTRIBUTES, SPANS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "telemetry.md"
HEAD = """# Names of metrics, spans and log lines

Generated from `server/glidepath_server/telemetry` by `python -m tools.telemetry_doc`. A server writes no name
that is not here. How to switch each on, and what to look at: `operating/observability.md`.
"""


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [columns, ("---",) * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def render() -> str:
    """The whole page."""
    metrics = ((code([name]), each.kind, code(each.labels), each.doc) for name, each in METRICS.items())
    parts = [
        HEAD,
        "## Metrics\n",
        table(("Name", "Kind", "Labels", "Meaning"), metrics),
        "## Spans\n",
        table(("Span", "Meaning"), ((code([name]), doc) for name, doc in SPANS.items())),
        "## Attributes of spans\n",
        table(("Attribute", "Meaning"), ((code([name]), doc) for name, doc in SPAN_ATTRIBUTES.items())),
        "## Log lines\n",
        table(("Event", "Meaning"), ((code([name]), doc) for name, doc in LOG_EVENTS.items())),
        "## Fields of log lines\n",
        table(("Field", "Meaning"), ((code([name]), doc) for name, doc in LOG_FIELDS.items())),
    ]
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        return 0 if PAGE.read_text() == render() else 1
    PAGE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
