"""What to say of a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable

NAMES_MAX = 50


def suggestion(wrong: str, known: Iterable[str], what: str) -> str:
    """The known name that is near, if one is, and all of them: "did you mean 'a'? known keys: a, b"."""
    from difflib import get_close_matches  # not above: needed for a mistake only

    names = sorted(known)
    close = [f"did you mean {each!r}?" for each in get_close_matches(wrong, names, 1)]
    listed = [*names[:NAMES_MAX], *(["..."] if len(names) > NAMES_MAX else [])]
    return " ".join([*close, f"known {what}: {', '.join(listed) or 'none'}"])
