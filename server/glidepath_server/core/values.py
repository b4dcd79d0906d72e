"""What an attempt leaves beside its output: XComs, and which artifacts it read and wrote. What of it is taken."""

from __future__ import annotations

import re
from typing import NamedTuple

from .json_text import normalised_json
from .value_checks import ID, ID_WORDS, shown

XCOMS_MAX = 100
XCOMS_BYTES_MAX = 64 * 1024
USES_MAX = 200
METADATA_BYTES_MAX = 4 * 1024
NUMBERS_MAX = 100
URI_CHARACTERS_MAX = 2_000
NAME_CHARACTERS_MAX = 200
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
READ, WRITE = "read", "write"


class Use(NamedTuple):
    """That an attempt read an artifact, or wrote it. `metadata` and `numbers` are JSON objects as text."""

    direction: str
    uri: str
    sha256: str
    size_bytes: int
    type: str
    name: str
    content_type: str
    metadata: str
    numbers: str


class Values(NamedTuple):
    """All of one attempt. XComs are (key, JSON)."""

    xcoms: tuple[tuple[str, str], ...]
    uses: tuple[Use, ...]

    @property
    def size(self) -> int:
        """Bytes, about."""
        return sum(len(key) + len(value) for key, value in self.xcoms) + sum(
            300 + len(each.metadata) + len(each.numbers) for each in self.uses
        )


class InvalidValues(ValueError):
    """What an attempt left cannot be stored; the message names it and the limit."""


def checked(values: Values) -> Values:
    """The values in the form in which they are stored. Raises InvalidValues."""
    return Values(_xcoms(values.xcoms), _uses(values.uses))


def _xcoms(xcoms: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    if len(xcoms) > XCOMS_MAX:
        raise InvalidValues(f"the attempt pushed {len(xcoms)} XComs, at most {XCOMS_MAX} are taken")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in xcoms)
    if size > XCOMS_BYTES_MAX:
        raise InvalidValues(
            f"the XComs have {size} bytes together, at most {XCOMS_BYTES_MAX} are taken: return or save large ones"
        )
    found: dict[str, str] = {}
    for key, value in xcoms:
        if not ID.fullmatch(key):
            raise InvalidValues(f"the XCom key {shown(key)} is none: expected {ID_WORDS}")
        if key in found:
            raise InvalidValues(f"the XCom {shown(key)} is given twice")
        found[key] = _json(f"the XCom {shown(key)}", value)
    return tuple(found.items())


def _uses(uses: tuple[Use, ...]) -> tuple[Use, ...]:
    if len(uses) > USES_MAX:
        raise InvalidValues(
            f"the attempt used {len(uses)} artifacts, at most {USES_MAX} are taken: pack them into folders"
        )
    return tuple(map(_use, uses))


def _use(use: Use) -> Use:
    if use.direction not in (READ, WRITE):
        raise InvalidValues("an artifact was neither read nor written: its use has no direction")
    if not 1 <= len(use.uri) <= URI_CHARACTERS_MAX or "\0" in use.uri:
        raise InvalidValues(f"the artifact {shown(use.uri)} has no URI of 1 to {URI_CHARACTERS_MAX} characters")
    if not _SHA256.fullmatch(use.sha256):
        raise InvalidValues(
            f"the artifact {shown(use.uri)} has sha256 {shown(use.sha256)}, expected 64 hexadecimal digits"
        )
    if not _TYPE.fullmatch(use.type):
        raise InvalidValues(f"the artifact {shown(use.uri)} has type {shown(use.type)}, expected such as dataset")
    for field, text in (("name", use.name), ("content_type", use.content_type)):
        if len(text) > NAME_CHARACTERS_MAX or "\0" in text:
            raise InvalidValues(f"{field} of the artifact {shown(use.uri)} has over {NAME_CHARACTERS_MAX} characters")
    if len(use.metadata.encode()) > METADATA_BYTES_MAX:
        raise InvalidValues(f"metadata of the artifact {shown(use.uri)} has over {METADATA_BYTES_MAX} bytes")
    metadata = _json(f"metadata of the artifact {shown(use.uri)}", use.metadata or "{}")
    if not metadata.startswith("{"):
        raise InvalidValues(f"metadata of the artifact {shown(use.uri)} is {shown(metadata)}, expected a JSON object")
    return use._replace(metadata=metadata, size_bytes=max(0, use.size_bytes))


def _json(what: str, text: str) -> str:
    try:
        return normalised_json(text)
    except ValueError as error:
        raise InvalidValues(f"{what} is {shown(text)}, expected JSON ({error})") from None
