"""JSON that is still being written."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.pipeline.partial_json import PartialJSON

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def is_prefix(part: Any, whole: Any) -> bool:
    """Tell whether a value may grow into another one."""
    if isinstance(part, dict):
        if not isinstance(whole, dict) or list(part) != list(whole)[: len(part)]:
            return False
        return all(is_prefix(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        pairs = zip(part, whole, strict=False)
        return isinstance(whole, list) and len(part) <= len(whole) and all(is_prefix(*pair) for pair in pairs)
    if isinstance(part, str):
        return isinstance(whole, str) and whole.startswith(part)
    return type(part) is type(whole) and part == whole


def parsed(*pieces: str) -> PartialJSON:
    parser = PartialJSON()
    for piece in pieces:
        parser.feed(piece)
    return parser


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 2]))
def test_every_prefix_reads_as_a_part_of_the_whole(document: Any, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)

    parser = PartialJSON()
    before: Any = None
    for char in text:
        changed = parser.feed(char)
        assert not parser.is_broken
        if parser.has_value:
            assert is_prefix(parser.value, document)
            assert is_prefix(before, parser.value) or before is None
            assert changed or parser.value == before
            before = copy.deepcopy(parser.value)
    parser.finish()

    assert parser.value == document
    assert parser.is_whole


@given(DOCUMENTS, st.data())
def test_how_the_text_is_cut_makes_no_difference(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document)
    cut = data.draw(st.integers(0, len(text)))

    in_two, at_once = parsed(text[:cut], text[cut:]), parsed(text)
    in_two.finish()
    at_once.finish()

    assert in_two.value == at_once.value == document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("{", {}),
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a":', {}),
        ('{"a": "', {"a": ""}),
        ('{"a": "x', {"a": "x"}),
        ('{"a": "x\\', {"a": "x"}),
        ('{"a": "x\\n', {"a": "x\n"}),
        ('{"a": "\\u00', {"a": ""}),
        ('{"a": "\\u00e4', {"a": "ä"}),
        ('{"a": "\\ud83d', {"a": ""}),
        ('{"a": "\\ud83d\\ude', {"a": ""}),
        ('{"a": "\\ud83d\\ude00', {"a": "😀"}),
        ('{"a": "\\ud83dx', {"a": "\ud83dx"}),
        ('{"a": 12', {}),
        ('{"a": 12,', {"a": 12}),
        ('{"a": -1.5e3}', {"a": -1500.0}),
        ('{"a": tru', {}),
        ('{"a": true', {}),
        ('{"a": true}', {"a": True}),
        ('{"a": [1, [2, {"b": nul', {"a": [1, [2, {}]]}),
        ('{"a": [1, [2, {"b": null', {"a": [1, [2, {}]]}),
        ('{"a": [1, [2, {"b": null ', {"a": [1, [2, {"b": None}]]}),
        (" \n[1,2]", [1, 2]),
        ('{"a": 1} and more', {"a": 1}),
        ('{"a": 1, "a": "tw', {"a": "tw"}),
    ],
)
def test_what_is_certain_is_in_the_value(text: str, value: Any) -> None:
    assert parsed(text).value == value
    assert parsed(*text).value == value


@pytest.mark.parametrize(
    "text",
    [
        "{a",
        "{1:2}",
        '{"a" 1',
        '{"a":1 "b"',
        "[1 2]",
        "[1}",
        '{"a":]',
        "{]",
        '["\\x',
        '["\\u00zz"',
        "[01]",
        "[1.]",
        "[nil]",
        "<",
    ],
)
def test_what_is_no_json_ends_it_and_keeps_the_value(text: str) -> None:
    parser = parsed(text + " ")

    value = copy.deepcopy(parser.value)
    assert parser.is_broken
    assert parser.feed('{"more": 1}') is False
    assert parser.finish() is False
    assert parser.value == value


def test_a_number_with_more_digits_than_python_converts_is_read() -> None:
    assert parsed("[" + "1" * 5000 + "]").value == [float("inf")]


def test_nesting_has_no_limit() -> None:
    parser = parsed("[" * 100_000, "1", "]" * 100_000)

    assert parser.is_whole


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        ('{"a": "', "word "),
        ('{"a": "', "\\n"),
        ('{"a": "', "ü"),
        ("[", "1, "),
        ("[", "{},"),
        ("[1", "1"),
        ('{"', "k"),
    ],
    ids=["text", "escapes", "wide text", "numbers", "objects", "digits", "key"],
)
def test_the_cost_is_linear_in_the_text(start: str, piece: str) -> None:
    def seconds(count: int) -> float:
        best = float("inf")
        for _ in range(3):
            parser = parsed(start)
            began = time.perf_counter()
            for _ in range(count):
                parser.feed(piece)
            best = min(best, time.perf_counter() - began)
        return best

    # Ten times the text: about ten times the time, where a quadratic one would take a hundred times.
    assert seconds(20_000) < 40 * seconds(2_000)
