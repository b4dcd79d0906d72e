"""Building requests: the service they go to, the namespace they are of, and values as messages have them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import ModuleType
from typing import Any
from uuid import uuid4

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from glidepath.client.calls import Call, Pages
from glidepath.client.connection import Connection


class Api:
    """What the methods of a client need to know."""

    connection: Connection


@dataclass(frozen=True)
class Service:
    """One service of the contract; `module` holds its requests and responses."""

    module: ModuleType
    name: str

    def call(self, api: Api, method: str, pick: str = "", **fields: Any) -> Call[Any]:
        """A call of `method` with these fields, in the client's namespace; `pick` names the answer's field to give."""
        return Call(
            method=f"{self.module.DESCRIPTOR.package}.{self.name}/{method}",
            request=self.request(api, method, **fields),
            response=getattr(self.module, f"{method}Response"),
            pick=lambda response: getattr(response, pick) if pick else response,
        )

    def pages(self, api: Api, method: str, items: str, **fields: Any) -> Pages[Any]:
        """A paged list; `items` names the answer's field that holds a page's items."""
        return Pages(lambda token: self.call(api, method, page_token=token, **fields), items)

    def request(self, api: Api, method: str, **fields: Any) -> Message:
        kind: type[Message] = getattr(self.module, f"{method}Request")
        if "namespace" in kind.DESCRIPTOR.fields_by_name and "namespace" not in fields:
            fields["namespace"] = api.connection.namespace
        return kind(**fields)


def new_request_id() -> str:
    """Made once per request, so that the server can tell a repetition from a second wish.

    Says that it is random: bare digits could be read as an id that carries a time, and be refused as too old.
    """
    return str(uuid4())


def to_timestamp(value: datetime | str | None, field: str) -> Timestamp | None:
    """A date as the wire has it. ISO text is taken too; a date without a time is midnight UTC.

    ValueError for a time without a zone: guessing one would move a run by hours.
    """
    if value is None:
        return None
    try:
        date = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"{field} is {value!r}; expected ISO 8601, such as 2026-01-31T06:00:00Z") from error
    if date.tzinfo is None:
        if not (isinstance(value, str) and len(value) == len("2026-01-31")):
            raise ValueError(f"{field} is {value!r}, which has no time zone; give one, such as tzinfo=datetime.UTC")
        date = date.replace(tzinfo=UTC)
    timestamp = Timestamp()
    timestamp.FromDatetime(date)
    return timestamp


def to_enum(kind: Any, prefix: str, name: str, field: str) -> Any:
    """The enum's value for a short name ("failed" for PREFIX_FAILED). ValueError lists the names."""
    if f"{prefix}_{name.upper()}" not in kind.keys():  # noqa: SIM118 - an enum type, not a dict
        known = [each.removeprefix(f"{prefix}_").lower() for each, number in kind.items() if number]
        raise ValueError(f"{field} is {name!r}; expected one of {', '.join(known)}")
    return kind.Value(f"{prefix}_{name.upper()}")


def to_enums(kind: Any, prefix: str, names: Iterable[str], field: str) -> list[Any]:
    return [to_enum(kind, prefix, name, field) for name in names]
