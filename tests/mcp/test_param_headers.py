"""Arguments that are repeated in headers, and how texts become header values.

The rules, and the examples of wrong schemas, are those of MCP 2026-07-28, Streamable HTTP › Custom headers.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given as having
from hypothesis import strategies as st

from antiphon.mcp.param_headers import WrongHeaders, encode_value, header_paths, param_headers


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


MARKED = {"type": "string", "x-mcp-header": "Region"}


def test_marked_properties_are_found_wherever_properties_lead() -> None:
    deep = schema(region=MARKED, place=schema(zip={"type": "integer", "x-mcp-header": "Zip"}), other={"type": "object"})

    assert header_paths(deep) == {"Region": ("region",), "Zip": ("place", "zip")}


@pytest.mark.parametrize(
    "wrong",
    [
        schema(a={"type": "string", "x-mcp-header": ""}),
        schema(a={"type": "string", "x-mcp-header": "My Region"}),
        schema(a={"type": "string", "x-mcp-header": "Region:"}),
        schema(a={"type": "string", "x-mcp-header": "Région"}),
        schema(a={"type": "string", "x-mcp-header": "a\nb"}),
        schema(a={"type": "string", "x-mcp-header": 7}),
        schema(a={"type": "object", "x-mcp-header": "A"}),
        schema(a={"type": "array", "x-mcp-header": "A"}),
        schema(a={"type": "number", "x-mcp-header": "A"}),
        schema(a={"type": "null", "x-mcp-header": "A"}),
        schema(a={"type": ["string", "null"], "x-mcp-header": "A"}),
        schema(a=MARKED, b=MARKED),
        schema(a=MARKED, b={"type": "string", "x-mcp-header": "REGION"}),
        schema(a={"type": "array", "items": MARKED}),
        schema(a={"anyOf": [MARKED, {"type": "integer"}]}),
        {**schema(a={"$ref": "#/$defs/r"}), "$defs": {"r": MARKED}},
        {**schema(), "if": schema(a=MARKED)},
    ],
    ids=repr,
)
def test_a_tool_that_breaks_a_rule_must_not_be_used(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongHeaders, match="x-mcp-header"):
        header_paths(wrong)


def test_a_property_may_be_called_like_the_mark() -> None:
    assert header_paths(schema(**{"x-mcp-header": {"type": "string"}})) == {}
    assert header_paths(schema(a={"type": "object", "default": {"x-mcp-header": "no"}})) == {}


def test_values_become_headers_and_absent_ones_do_not() -> None:
    paths: dict[str, tuple[str, ...]] = {
        "S": ("s",), "I": ("i",), "B": ("b",), "N": ("n",), "Deep": ("d", "e"), "Gone": ("x", "y"), "Empty": ("empty",),
    }  # fmt: skip

    found = param_headers(
        paths, {"s": "eu", "i": -7, "b": False, "n": None, "d": {"e": "in"}, "x": "flat", "empty": ""}
    )

    assert found == [
        ("Mcp-Param-S", "eu"),
        ("Mcp-Param-I", "-7"),
        ("Mcp-Param-B", "false"),
        ("Mcp-Param-Deep", "in"),
        ("Mcp-Param-Empty", ""),
    ]


def test_an_integer_beyond_double_precision_is_refused() -> None:
    assert param_headers({"I": ("i",)}, {"i": 2**53 - 1}) == [("Mcp-Param-I", "9007199254740991")]
    with pytest.raises(WrongHeaders, match="argument i is 9007199254740992"):
        param_headers({"I": ("i",)}, {"i": 2**53})


@pytest.mark.parametrize("plain", ["", "eu west 1", "a~!", "=?base64", "x=?base64?YQ==?="])
def test_what_is_safe_stays_as_it_is(plain: str) -> None:
    assert encode_value(plain) == plain


@having(st.text())
def test_every_text_is_a_valid_header_value_that_can_be_read_back(text: str) -> None:
    value = encode_value(text)

    assert all(" " <= letter <= "~" for letter in value)
    assert value == value.strip()
    if value.startswith("=?base64?"):
        assert base64.b64decode(value[9:-2]).decode("utf-8", "surrogatepass") == text
    else:
        assert value == text
