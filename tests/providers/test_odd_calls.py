"""Values of a wrong shape, at every place of a call: a typed error in every dialect, or sent as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from antiphon import presets
from antiphon.pipeline.errors import AntiphonError, InvalidParameter

ODD: tuple[Any, ...] = (None, 5, "x", [], ["x"], [5], {"a": 1}, True)

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}},
    {"type": "custom", "name": "c", "format": {"type": "text"}},
    {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f", "parameters": {}}]},
    {
        "type": "mcp",
        "server_label": "a",
        "server_url": "https://tools.test/mcp",
        "allowed_tools": ["a"],
        "headers": {"a": "b"},
        "require_approval": "never",
    },
    {"type": "web_search", "filters": {"allowed_domains": ["a"]}, "user_location": {"type": "approximate"}},
    {"type": "code_interpreter", "container": {"type": "auto"}},
]
CHOICES: list[dict[str, Any]] = [
    {"type": "function", "name": "f"},
    {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
]
ITEMS: list[dict[str, Any]] = [
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c", "output": "x"},
    {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
    {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "a"}], "encrypted_content": "x"},
    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,aaaa", "detail": "auto"}]},
    {"role": "user", "content": [{"type": "input_file", "file_data": "data:application/pdf;base64,aaaa"}]},
    {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": "a"}, "status": "completed"},
    {"type": "mcp_call", "id": "m", "name": "f", "server_label": "s", "arguments": "{}", "output": "x"},
]


def odd_calls() -> Iterator[dict[str, Any]]:
    """Yield keywords with one odd value each."""
    for odd in ODD:
        for name in ("tools", "tool_choice", "text", "reasoning", "input"):
            yield {name: odd}
            yield {name: [odd]}
        for name in ("effort", "summary"):
            yield {"reasoning": {name: odd}}
        yield {"text": {"format": odd}}
        for tool in TOOLS:
            yield from ({"tools": [{**tool, field: odd}]} for field in tool)
        for choice in CHOICES:
            for field in choice:
                yield {"tools": TOOLS[:1], "tool_choice": {**choice, field: odd}}
        for item in ITEMS:
            yield from ({"input": [{**item, field: odd}]} for field in item)
            if isinstance(content := item.get("content"), list):
                yield from ({"input": [{**item, "content": [{**content[0], field: odd}]}]} for field in content[0])


def explained(dialect: str, model: str, **call: Any) -> None:
    given = {"input": "Hi", "aws_region_name": "us-east-1" if dialect == "converse" else None, **call}
    presets.responses.explain(given.pop("input"), model=model, api_key="k", dialect=dialect, **given)


HOSTS: list[tuple[str, str]] = [
    ("responses", "openai/m"),
    ("chat", "openai/m"),
    ("anthropic", "anthropic/m"),
    ("gemini", "gemini/m"),
    ("converse", "bedrock/m"),
    ("cohere", "cohere/m"),
]


@pytest.mark.parametrize(("dialect", "model"), HOSTS)
def test_only_typed_errors_come_of_an_odd_value(dialect: str, model: str) -> None:
    refused = 0
    for call in odd_calls():
        try:
            explained(dialect, model, **call)
        except AntiphonError:
            refused += 1
        except Exception as error:
            pytest.fail(f"{call}: {error!r}")

    assert refused > 30


@pytest.mark.parametrize(("dialect", "model"), HOSTS[1:])
@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"input": [{"type": [], "role": "user", "content": "Hi"}]}, "input[0].type is list; text is expected"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": 5}]}, "tools[0].tools is int; a list is expected"),
        (
            {"tools": TOOLS[:1], "tool_choice": {"type": "allowed_tools", "tools": 5}},
            "tool_choice.tools is int; a list is expected",
        ),
        ({"reasoning": {"effort": ["low"]}}, "reasoning.effort is list; text is expected"),
    ],
    ids=["item", "namespace", "choice", "effort"],
)
def test_the_error_names_the_place(dialect: str, model: str, call: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        explained(dialect, model, **call)

    assert caught.value.message == said
    assert caught.value.param == next(reversed(call))
