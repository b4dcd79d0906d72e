"""Long lists that stay in their file: what a task gets for the gathered outputs of a mapped one that are many.

Only where each item begins is held in memory, 8 bytes an item; items are read when they are used. It is no `list`, so
that nothing takes its items for granted: `list(scores)` makes one, where there is memory for it.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

READ_BYTES = 256 * 1024
ITEMS_AT_ONCE = 256


class NoList(ValueError):
    """The file holds no JSON list."""


class _File:
    """A JSON list on disk, open for as long as somebody has it: the file may lose its name meanwhile."""

    def __init__(self, path: str | Path) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed when nobody has the list any more)
        self._starts = array("Q", _find_items(self._file.fileno()))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def items(self, first: int, end: int) -> list[Any]:
        """Some that follow each other. What lies before the next start ends with a comma, or the list's bracket."""
        start = self._starts[first]
        text = _read(self._file.fileno(), start, self._starts[end] - start)
        return json.loads(b"[%b]" % text.rstrip()[:-1])  # type: ignore[no-any-return]


class LazyList(Sequence[Any]):
    """A list whose items are read when they are used; a slice of it is another one. It cannot be changed.

    It compares like a list, and is pickled as one.
    """

    __slots__ = ("_file", "_places")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, file: _File, places: range) -> None:
        self._file, self._places = file, places

    @staticmethod
    def open(path: str | Path) -> LazyList:
        """The list in a JSON file, which is read once. NoList when it holds something else."""
        file = _File(path)
        return LazyList(file, range(len(file)))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> LazyList: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return LazyList(self._file, self._places[index])
        try:
            place = self._places[index]
        except IndexError:
            raise IndexError(f"{index} is out of range: the list has {len(self)} items") from None
        return self._file.items(place, place + 1)[0]

    def __iter__(self) -> Iterator[Any]:
        places = self._places
        if places.step != 1:
            for place in places:
                yield from self._file.items(place, place + 1)
            return
        for first in range(places.start, places.stop, ITEMS_AT_ONCE):
            yield from self._file.items(first, min(first + ITEMS_AT_ONCE, places.stop))

    def __reversed__(self) -> Iterator[Any]:
        return iter(self[::-1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | LazyList):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __add__(self, other: object) -> list[Any]:
        return [*self, *other] if isinstance(other, list | LazyList) else NotImplemented

    def __radd__(self, other: object) -> list[Any]:
        return [*other, *self] if isinstance(other, list) else NotImplemented

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)

    def __repr__(self) -> str:
        return f"<list of {len(self)} items, read when they are used>"


def _find_items(descriptor: int) -> Iterator[int]:
    """Where each item begins, and one behind the end of the last. Each is parsed once and let go.

    What is parsed is read as Latin-1, so that a character is a byte: what JSON is made of is ASCII, and what else
    stands in its strings is skipped over.
    """
    window = _Window(descriptor)
    if window.next() != "[":
        raise NoList("expected a JSON list")
    window.at += 1
    if window.next() == "]":
        window.at += 1
        yield window.place
    else:
        while True:
            window.next()
            yield window.place
            window.skip_value()
            mark = window.next()
            window.at += 1
            if mark == "]":
                yield window.place
                break
            if mark != ",":
                raise NoList(f"expected ',' or ']' at byte {window.place - 1}")
    if window.next():
        raise NoList(f"expected nothing behind the list, at byte {window.place}")


class _Window:
    """A part of the text, and the place in it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decode = json.JSONDecoder().raw_decode
        self._text = ""
        self._begin = 0
        self._whole = False
        self.at = 0

    @property
    def place(self) -> int:
        return self._begin + self.at

    def next(self) -> str:
        """The next character that is no white space, "" at the end."""
        while True:
            while self.at < len(self._text) and self._text[self.at] in " \t\n\r":
                self.at += 1
            if self.at < len(self._text):
                return self._text[self.at]
            if self._whole:
                return ""
            self._read()

    def skip_value(self) -> None:
        while True:
            try:
                _, end = self._decode(self._text, self.at)
                if self._whole or (
                    end < len(self._text) and self._text[end] in ", ]\t\n\r"
                ):  # else it may go on, as a number does
                    self.at = end
                    return
            except ValueError as error:
                if self._whole:
                    raise NoList(f"expected JSON at byte {self.place}: {error}") from None
            self._read()

    def _read(self) -> None:
        """More of the text; what is behind is let go."""
        self._text, self._begin, self.at = self._text[self.at :], self.place, 0
        more = max(READ_BYTES, len(self._text))  # doubles, so that a large item is not parsed for each block of it
        data = _read(self._descriptor, self._begin + len(self._text), more)
        self._text += data.decode("latin-1")
        self._whole = len(data) < more


def _read(descriptor: int, start: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(descriptor, size, start)):
        parts.append(part)
        start, size = start + len(part), size - len(part)
    return b"".join(parts)
