"""Lists that stay in their file are what `json.loads` of the whole would have made, at a fraction of its memory."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from glidepath import lists
from glidepath.lists import LazyList, NoList
from glidepath.payloads import decode, encode
from glidepath.templates import render
from glidepath_proto.common.v1.payload_pb2 import Payload

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def lazy(path: Path, text: str) -> LazyList:
    file = path / "list.json"
    file.write_text(text, encoding="utf-8")
    return LazyList.open(file)


@given(st.lists(VALUES, max_size=20), st.integers(1, 40), st.sampled_from([(",", ":"), (" , ", " : "), (",\n\t", ":")]))
@example([], 1, (",", ":"))
@example([12, 345, -1.5e300, "é\u0080\u2028😀", "]", ","], 1, (" ,  ", ":"))
@settings(max_examples=150, deadline=None)
def test_it_is_the_list_whatever_is_in_it_and_however_it_is_read(
    tmp_path_factory: Any, values: list[Any], read: int, separators: tuple[str, str]
) -> None:
    before = lists.READ_BYTES, lists.ITEMS_AT_ONCE
    lists.READ_BYTES, lists.ITEMS_AT_ONCE = read, 3
    try:
        text = f"  {json.dumps(values, ensure_ascii=False, separators=separators)} \n"
        found = lazy(tmp_path_factory.mktemp("lists"), text)
        assert list(found) == values and found == values and len(found) == len(values)
        assert list(reversed(found)) == values[::-1]
        for cut in (
            slice(None),
            slice(1, 5),
            slice(-3, None),
            slice(None, None, 2),
            slice(None, None, -1),
            slice(9, 2),
        ):
            assert list(found[cut]) == values[cut]
            assert list(found[cut][1:]) == values[cut][1:]
        assert [found[index] for index in range(-len(values), len(values))] == values * 2
    finally:
        lists.READ_BYTES, lists.ITEMS_AT_ONCE = before


def test_it_does_what_bodies_do_with_lists(tmp_path: Path) -> None:
    numbers = lazy(tmp_path, json.dumps(list(range(1000))))
    assert sum(numbers) == 499_500 and max(numbers) == 999 and numbers[3] == 3 and numbers[-1] == 999
    assert 500 in numbers and numbers.index(7) == 7 and sorted(numbers[:3], reverse=True) == [2, 1, 0]
    some = numbers[:2]
    assert some + ["x"] == [0, 1, "x"] and ["x"] + some == ["x", 0, 1] and some + some == [0, 1, 0, 1]  # noqa: RUF005
    assert (
        numbers[:5] == [0, 1, 2, 3, 4] and numbers[:2] != [0, 2] and numbers != "no list" and numbers[:2] == numbers[:2]
    )
    assert repr(numbers) == "<list of 1000 items, read when they are used>"
    with pytest.raises(IndexError, match="1000 is out of range: the list has 1000 items"):
        numbers[1000]
    with pytest.raises(TypeError):
        numbers[0] = 1  # type: ignore[index]


def test_it_is_returned_pickled_and_rendered_as_the_list_that_it_is(tmp_path: Path) -> None:
    found = lazy(tmp_path, '[1, {"a": [2]}, "é"]')
    assert decode(encode({"all": found, "some": found[1:]})) == {"all": [1, {"a": [2]}, "é"], "some": [{"a": [2]}, "é"]}
    assert pickle.loads(pickle.dumps(found)) == [1, {"a": [2]}, "é"]
    assert render("{{ outputs.t }} {{ outputs.t.1.a }}", {"outputs": {"t": found}}) == '[1,{"a":[2]},"é"] [2]'


def test_the_file_may_lose_its_name(tmp_path: Path) -> None:
    found = lazy(tmp_path, "[1, 2, 3]")
    (tmp_path / "list.json").unlink()
    assert list(found) == [1, 2, 3]


@pytest.mark.parametrize(
    "text", ["", "{}", "12", "[1, 2", "[1 2]", "[1, ]", "[,]", "[1] 2", '["open]', "[1, nul]", "["]
)
def test_what_is_no_list_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(NoList):
        lazy(tmp_path, text)


def test_only_large_lists_of_a_task_stay_in_their_file(tmp_path: Path) -> None:
    def fetched(value: Any, uri: str = "output:train") -> object:
        file = tmp_path / "fetched"
        file.write_bytes(json.dumps(value).encode())
        return decode(Payload(uri=uri), lambda payload: file)

    large = ["x" * 1000] * 2000
    assert isinstance(fetched(large), LazyList) and fetched(large) == large
    assert type(fetched(large[:10])) is list
    assert type(fetched(large, "artifact:00")) is list, "another task's own list is what it was"
    assert type(fetched({"a": large})) is dict


def test_a_long_list_costs_a_fraction_of_its_memory(tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps([{"loss": number, "name": "n" * 100} for number in range(50_000)]))

    def peak(read: Callable[[], Sequence[Any]]) -> int:
        tracemalloc.start()
        try:
            values = read()
            assert (len(values), sum(value["loss"] for value in values)) == (50_000, 1_249_975_000)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    whole = peak(lambda: json.loads(file.read_bytes()))
    assert peak(lambda: LazyList.open(file)) < 3_000_000 < 20_000_000 < whole
