"""docs/settings.md from the server's settings.

python -m tools.settings_doc             write it
python -m tools.settings_doc --check     exit code 1 when it is not what settings.py says
"""

from __future__ import annotations

import sys
from pathlib import Path

from glidepath_server.settings import PREFIX, documented

PAGE = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
HEAD = f"""# Settings of the server

Generated from `server/glidepath_server/settings.py` by `python -m tools.settings_doc`. Each is an environment variable
with the prefix `{PREFIX}`; the command line wins over it. All are read once, at the start; a wrong value stops the
server with its name, the value and what was expected.

| Variable | Default | Meaning |
|---|---|---|
"""


def render() -> str:
    """The whole page."""
    rows = (
        f"| `{PREFIX}{name.upper()}` | {f'`{default}`' if default else ''} | {meaning.replace('|', chr(92) + '|')} |"
        for name, default, meaning in documented()
    )
    return HEAD + "\n".join(rows) + "\n"


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        return 0 if PAGE.read_text() == render() else 1
    PAGE.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
