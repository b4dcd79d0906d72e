"""YAML as it is read: the core schema of YAML 1.2, JSON's values, each with its line, and nothing that surprises."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import yaml

from glidepath.authoring.yaml_text import DEPTH_MAX, YAML_BYTES_MAX, plain_value, read_documents


@pytest.fixture(params=["libyaml", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML's two parsers must be told apart by nothing but their speed."""
    if request.param == "python":
        monkeypatch.delattr(yaml, "CBaseLoader", raising=False)


def read(text: str) -> Any:
    (document,) = read_documents(text.encode())
    assert not document.mistakes
    return document.value


def mistakes(content: str | bytes) -> list[tuple[int, str]]:
    documents = read_documents(content if isinstance(content, bytes) else content.encode())
    return [(each.line, each.message) for document in documents for each in document.mistakes]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((each, each) for each in ("on", "off", "yes", "no", "On", "NO", "y", "n", "2026-01-31", "1:30", "12:30:45")),
        *((each, each) for each in ("2026-01-31T10:00:00Z", "1_000", "0b11", "=", "<<", "tRUE", "1e", "0o8", "+0x1f")),
        *(("0644", 644), ("0o644", 0o644), ("0x1F", 31), ("-7", -7), ("+7", 7), ("1e3", 1000.0), ("1.5E-2", 0.015)),
        *((".5", 0.5), ("5.", 5.0), ("1.10", 1.1), ("true", True), ("False", False), ("~", None), ("null", None)),
        *(('"on"', "on"), ("'5'", "5"), ("'null'", "null"), ("'2026-01-31'", "2026-01-31")),
    ],
)
@pytest.mark.usefixtures("parser")
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = read(f"a: {text}")["a"]
    assert found == value and type(found) is type(value)


def test_nothing_plain_becomes_a_number_by_surprise() -> None:
    for text in ("٣", "1²", "0x", "1 2", "infinity", "nan", "inf", "+", "-", ".", "e5"):
        assert plain_value(text) == text


@pytest.mark.usefixtures("parser")
def test_values_keep_their_order_lines_and_texts() -> None:
    text = "b: 1\na:\n  - x\n  - k: 0644\n    l: |\n      two\n      lines\n\n  -\n"
    (document,) = read_documents(text.encode())
    assert document.value == {"b": 1, "a": ["x", {"k": 644, "l": "two\nlines\n"}, None]}
    assert list(document.value) == ["b", "a"]  # type: ignore[call-overload]
    assert document.lines[("a",)] == 2 and document.lines[("a", 1, "l")] == 5
    assert document.texts[("a", 1, "k")] == "0644"


def test_documents_are_told_apart_and_empty_ones_left_out() -> None:
    found = read_documents(b"\xef\xbb\xbf---\na: 1\n---\n---\n# nothing\n---\nb: 2\n...\n")
    assert [each.value for each in found] == [{"a": 1}, {"b": 2}]
    assert read_documents(b"") == read_documents(b"# only talk\n") == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a: the key stands on line 1 already; expected it once"),
        ("a:\n  b: &x [1]\n", 2, "a.b: anchor &x: anchors are not taken; write the value out"),
        ("a: 1\nb: *a\n", 2, "b: alias *a: aliases are not taken; write the value out"),
        ("a: !!python/object/apply:os.system ['true']\n", 1, "python/object/apply:os.system: tags are not taken"),
        ("a: !!str 5\n", 1, "a: tag tag:yaml.org,2002:str: tags are not taken; write text in quotes"),
        ("a:\n  5: x\n", 2, "a: the key 5 is no text; write it in quotes"),
        ("a:\n  true: x\n", 2, "a: the key true is no text"),
        ("a:\n- b: {{ ds }}\n", 2, "a[0].b: a key is a list or a mapping; expected text. A template stands in quotes"),
        ("a: .inf\n", 1, "a: .inf is no number of JSON"),
        ("a: 1e999\n", 1, "a: 1e999 is no number of JSON"),
        (f"a: {'9' * 5000}\n", 1, "is no number of JSON"),
        ("a: [1, 2\nb: 3\n", 2, "this is not YAML: "),
        ("a: 'x\n", 2, "this is not YAML: "),
        ("a: b: c\n", 1, "this is not YAML: mapping values are not allowed"),
        ("a: 1\n\tb: 2\n", 2, "this is not YAML: "),
        ("a: \x01\n", 1, "this is not YAML: "),
    ],
)
@pytest.mark.usefixtures("parser")
def test_what_cannot_be_read_is_told_with_its_line(text: str, line: int, message: str) -> None:
    found = mistakes(text)
    alike = [each for each in found if message in each[1]]
    assert alike and all(abs(each[0] - line) <= ("not YAML" in message) for each in alike), found


def test_several_mistakes_of_a_document_are_told_at_once() -> None:
    assert [line for line, _ in mistakes("a: &x 1\nb: *x\nb: 2\nc: !t 3\n---\nd: 1\nd: 2\n")] == [1, 2, 3, 4, 7]


def test_a_document_before_the_broken_one_is_read() -> None:
    first, second = read_documents(b"a: 1\n---\nb: [\n")
    assert first.whole and first.value == {"a": 1} and not first.mistakes
    assert not second.whole and second.mistakes[0].line in (3, 4)


def test_bytes_that_are_no_text_are_told() -> None:
    assert mistakes(b"a: 1\nb: \xff\n") == [(2, "byte 0xff is not UTF-8; save the file as UTF-8")]


@pytest.mark.usefixtures("parser")
def test_a_file_that_is_too_large_or_too_deep_is_refused_soon() -> None:
    assert "over the limit of 1024 KiB" in mistakes(b"a: " + b"x" * YAML_BYTES_MAX)[0][1]
    assert f"nested over {DEPTH_MAX} levels deep" in mistakes("[" * 200_000)[0][1]
    assert f"nested over {DEPTH_MAX} levels deep" in mistakes("{a: " * 100_000)[0][1]
    bomb = "a: &a [x, x]\n" + "".join(f"{new}: &{new} [*{old}, *{old}]\n" for old, new in pairwise("abcdefg"))
    assert len(mistakes(bomb)) == 7 + 12
