"""Checks of single values: each yields what is wrong with one, naming its place, the value, what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from .errors import Violation
from .templates import ID_CHARACTERS_MAX

DURATION_SECONDS_MAX = 366 * 86_400
ID = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{ID_CHARACTERS_MAX - 1}}}")
ID_WORDS = f"1 to {ID_CHARACTERS_MAX} of A-Z a-z 0-9 _ . -, beginning with a letter or digit"


def check_id(at: str, value: str) -> Iterator[Violation]:
    if not ID.fullmatch(value):
        yield Violation(at, shown(value), ID_WORDS)


def check_name(at: str, value: str | None, *, optional: bool = False, characters: int = 200) -> Iterator[Violation]:
    if not (optional and not value) and not is_name(value or "", characters):
        yield Violation(at, shown(value or ""), f"1 to {characters} printable characters")


def is_name(value: str, characters: int) -> bool:
    return 1 <= len(value) <= characters and value.isprintable()


def check_text(at: str, value: str, bytes_max: int) -> Iterator[Violation]:
    size = len(value.encode())
    if size > bytes_max:
        yield Violation(at, f"{size} bytes", f"at most {bytes_max} bytes")
    elif "\0" in value:
        yield Violation(at, shown(value), "text without NUL characters")


def check_whole(at: str, value: int | None, least: int, most: int) -> Iterator[Violation]:
    if value is not None and not least <= value <= most:
        yield Violation(at, str(value), f"{least} to {most}")


def check_duration(
    at: str,
    seconds: float | None,
    *,
    zero: bool = False,
    most: float = DURATION_SECONDS_MAX,
) -> Iterator[Violation]:
    if seconds is None:
        return
    if not math.isfinite(seconds) or seconds < 0 or seconds > most or (seconds == 0 and not zero):
        yield Violation(at, f"{seconds:g} s", f"{'0' if zero else 'more than 0'} to {most:.12g} s")


def check_enum(at: str, value: StrEnum | int | None, kind: type[StrEnum]) -> Iterator[Violation]:
    if value is not None and not isinstance(value, kind):
        yield Violation(at, str(value), "one of " + ", ".join(each.value for each in kind))


def shown(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:77] + "...")


def path_text(names: Sequence[str], most: int = 12) -> str:
    shown: Iterable[str] = names if len(names) <= most else [*names[: most - 2], "...", names[-1]]
    return " -> ".join(shown) + (f" ({len(names) - 1} tasks)" if len(names) > most else "")
