"""What a body prints, as masked log entries. Runs in the forkserver, one `Capture` per attempt.

Text is cut into lines, lines are masked whole, entries gather until they are taken. A line without an end is cut at
`LINE_CHARS_MAX`, but never inside a secret: what could be the beginning of one stays behind for the next piece.
"""

from __future__ import annotations

import codecs

from glidepath.worker.masking import Masker
from glidepath.worker.printing import split_mark

Entry = tuple[float, str, str]
"""Seconds since the epoch, "stdout", "stderr" or a level of `logging`, one line without its end."""

LINE_CHARS_MAX = 64 * 1024
_utf8 = codecs.getincrementaldecoder("utf-8")


class Capture:
    """Lines of one attempt. `last_line` is the last one that was not empty on stdout, unmasked."""

    def __init__(self, masker: Masker) -> None:
        self.masker = masker
        self.last_line = ""
        self.entries: list[Entry] = []
        self.chars = 0
        self._streams = {"stdout": _Stream(), "stderr": _Stream()}

    def feed(self, stream: str, data: bytes, now: float) -> None:
        """Take what arrived on a stream."""
        state = self._streams[stream]
        *lines, state.rest = (state.rest + state.decoder.decode(data)).split("\n")
        for line in lines:
            self._add(stream, line, now)
        if len(state.rest) > LINE_CHARS_MAX:
            masked = self.masker.mask(state.rest)
            cut = len(masked) - self.masker.longest
            self._add(stream, masked[:cut], now)
            state.rest = masked[cut:]

    def finish(self, now: float) -> None:
        """Nothing more comes: what has no line end is a line."""
        for stream, state in self._streams.items():
            rest = state.rest + state.decoder.decode(b"", True)
            state.rest = ""
            if rest:
                self._add(stream, rest, now)

    def take(self) -> list[Entry]:
        """The entries gathered since the last call."""
        entries, self.entries, self.chars = self.entries, [], 0
        return entries

    def _add(self, stream: str, line: str, now: float) -> None:
        if line.endswith("\r"):
            line = line[:-1]
        if stream == "stderr":
            stream, line = split_mark(line)
        elif line.strip():
            self.last_line = line
        while len(line) > LINE_CHARS_MAX:
            head = self.masker.mask(line)
            self._append(stream, head[:LINE_CHARS_MAX], now)
            line = head[LINE_CHARS_MAX:]
        self._append(stream, self.masker.mask(line), now)

    def _append(self, stream: str, text: str, now: float) -> None:
        self.entries.append((now, stream, text))
        self.chars += len(text) + 1


class _Stream:
    def __init__(self) -> None:
        self.decoder = _utf8("replace")
        self.rest = ""
