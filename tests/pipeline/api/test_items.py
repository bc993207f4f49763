"""Items, parts, annotations and tools: typed reading of what is documented, and of what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_type

import msgspec
import pytest
from wire_walk import walk

from antiphon.pipeline.api import answer_settings, items, parts, tool_choices, tools
from antiphon.pipeline.api.items import AnyItem, FunctionCall, ItemReference, Message, UnknownItem, read_item
from antiphon.pipeline.api.wire import Raw, Wire

INPUT: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "responses" / "input_items.json").read_bytes()
)


def read(found: object, reader: Callable[[bytes | Raw], Any] = read_item) -> Any:
    return reader(json.dumps(found).encode())


@pytest.fixture
def conversation() -> list[AnyItem]:
    return [read(item) for item in INPUT]


def test_every_item_type_is_in_the_fixture(conversation: list[AnyItem]) -> None:
    assert {type(item) for item in conversation} == {*items.ITEMS.values(), UnknownItem}


def test_every_attribute_of_every_item_can_be_read(conversation: list[AnyItem]) -> None:
    seen = [each for item in conversation for each in walk(item)]

    assert [json.loads(item.raw) for item in conversation] == INPUT
    assert {type(each).__name__ for each in seen if type(each).__name__.startswith("Unknown")} == {
        "UnknownItem",
        "UnknownTool",
    }


@pytest.mark.parametrize(
    ("found", "cls"),
    [
        ({"role": "user", "content": "Hi"}, Message),
        ({"type": None, "role": "user", "content": []}, Message),
        ({"id": "msg_1"}, ItemReference),
        ({"type": None, "id": "msg_1"}, ItemReference),
        ({"role": "user"}, UnknownItem),
        ({"id": "msg_1", "content": "Hi"}, UnknownItem),
        ({}, UnknownItem),
        ({"type": 7, "role": "user", "content": "Hi"}, Message),
        ({"type": "acme:memo", "role": "user", "content": "Hi"}, UnknownItem),
    ],
)
def test_an_item_without_type_is_told_by_its_fields(found: dict[str, Any], cls: type[items.Item]) -> None:
    item = read(found)

    assert type(item) is cls
    assert json.loads(item.raw) == found


@pytest.mark.parametrize("data", [b"null", b"[]", b'"text"', b"{", b""])
def test_what_is_no_object_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_item(data)


def test_message_text_joins_the_text_of_its_parts(conversation: list[AnyItem]) -> None:
    texts = [item.text for item in conversation if isinstance(item, Message)]

    assert texts == ["Hi", "Look: what is it?", "A page"]


def test_message_content_is_a_string_or_parts() -> None:
    assert read({"role": "user", "content": "Hi"}).content == "Hi"
    assert read({"role": "user", "content": None}).content == ()
    assert isinstance(read(INPUT[1]).content[1], parts.InputImage)


def test_type_narrows_a_union() -> None:
    """Mostly for the type checker: it must accept `arguments` and `text` without a cast."""
    item = read_item(json.dumps(INPUT[4]).encode())

    assert item.type == "function_call"
    assert_type(item, FunctionCall)
    assert item.arguments == '{"city":"Ulm"}'


def test_an_unknown_item_keeps_its_type_and_bytes() -> None:
    data = b'{ "type" : "acme:memo", "pages": [1, 2.50], "id": "memo_1" }'

    item = read_item(data)

    assert isinstance(item, UnknownItem)
    assert str(item.type) == "acme:memo"
    assert item.id == "memo_1"
    assert item.raw == data


def test_made_items_encode_with_their_type_and_required_fields() -> None:
    call = FunctionCall(call_id="call_1", name="now", arguments="")

    assert json.loads(call.raw) == {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": ""}


def test_a_keyword_among_the_field_names_takes_an_underscore() -> None:
    call = FunctionCall(call_id="call_1", name="now", arguments="{}", async_=True)

    assert json.loads(call.raw)["async"] is True
    assert read(INPUT[4]).async_ is True


def test_new_takes_api_fields_and_wire_objects() -> None:
    message = Message.new(role="user", content=[parts.InputText(text="Hi"), {"type": "input_text", "text": "!"}])

    assert message.text == "Hi!"
    assert message.to_dict()["type"] == "message"


def test_fields_of_another_type_read_as_their_default_and_stay_in_the_bytes() -> None:
    found = {"type": "function_call", "name": 7, "arguments": None, "call_id": "c", "status": ["?"], "caller": "me"}

    call = read(found)

    assert isinstance(call, FunctionCall)
    assert (call.name, call.arguments, call.call_id, call.status, call.caller) == ("", "", "c", None, None)
    assert json.loads(call.raw) == found


@pytest.mark.parametrize("output", ["text", [{"type": "input_text", "text": "text"}]])
def test_a_tool_output_is_a_string_or_parts(output: object) -> None:
    item = read({"type": "function_call_output", "call_id": "c", "output": output})

    assert item.output == "text" or item.output[0].text == "text"


def test_an_mcp_error_is_an_object_or_a_string() -> None:
    first, second = [read(item) for item in INPUT if item.get("type") == "mcp_call"]

    assert (first.error.code, first.error.message) == (-32602, "bad")
    assert (second.error.code, second.error.message) == (None, "bad")


def test_annotations_are_typed_and_unknown_ones_kept() -> None:
    found = {"type": "output_text", "text": "", "annotations": [*INPUT[2]["content"][0]["annotations"], {"type": "x"}]}

    part = read(found, parts.read_part)

    assert [type(each) for each in part.annotations] == [
        parts.UrlCitation,
        parts.FileCitation,
        parts.ContainerFileCitation,
        parts.FilePath,
        parts.UnknownAnnotation,
    ]


def test_log_probabilities_are_typed() -> None:
    [logprob] = read(INPUT[2]["content"][0], parts.read_part).logprobs

    assert (logprob.token, logprob.logprob, logprob.bytes) == ("A", -0.5, (65,))
    assert logprob.top_logprobs[0].token == "A"


# --- tools ----------------------------------------------------------------------------------------------------------

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None, "output_schema": {}},
    {"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark", "definition": "start: A"}},
    {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "function", "name": "f"}]},
    {
        "type": "file_search",
        "vector_store_ids": ["vs_1"],
        "filters": {"type": "and", "filters": [{"type": "eq", "key": "year", "value": 2026}]},
        "ranking_options": {"ranker": "auto", "hybrid_search": {"embedding_weight": 1, "text_weight": 0.5}},
    },
    {"type": "web_search", "filters": {"allowed_domains": ["example.org"]}, "return_token_budget": "default"},
    {"type": "web_search_2025_08_26", "user_location": {"type": "approximate", "country": "DE"}},
    {"type": "web_search_preview", "search_content_types": ["text"]},
    {"type": "web_search_preview_2025_03_11"},
    {"type": "mcp", "server_label": "docs", "allowed_tools": ["find"], "require_approval": "never"},
    {
        "type": "mcp",
        "server_label": "docs",
        "allowed_tools": {"read_only": True, "tool_names": ["find"]},
        "require_approval": {"never": {"tool_names": ["find"]}},
        "headers": {"X-Key": "k"},
    },
    {"type": "code_interpreter", "container": "cntr_1"},
    {"type": "code_interpreter", "container": {"type": "auto", "network_policy": {"type": "disabled"}}},
    {"type": "image_generation", "svg": {"model": "m", "reasoning": {"effort": "low"}}, "partial_images": 2},
    {"type": "computer"},
    {"type": "computer_use_preview", "display_height": 1, "display_width": 2, "environment": "browser"},
    {"type": "local_shell"},
    {"type": "shell", "environment": {"type": "container_auto", "memory_limit": "1g", "skills": [{"name": "s"}]}},
    {"type": "apply_patch", "allowed_callers": ["programmatic"]},
    {"type": "programmatic_tool_calling"},
    {"type": "tool_search", "execution": "client", "parameters": {"type": "object"}},
]


def test_every_attribute_of_every_tool_can_be_read() -> None:
    found = [read(tool, tools.read_tool) for tool in TOOLS]

    assert {type(tool) for tool in found} == {*tools.TOOLS.values()}
    assert [json.loads(tool.raw) for tool in found] == TOOLS
    assert all(isinstance(each, Wire) for tool in found for each in walk(tool))


def test_allowed_tools_and_approval_have_two_forms() -> None:
    plain, detailed = [read(tool, tools.read_tool) for tool in TOOLS if tool["type"] == "mcp"]

    assert (plain.allowed_tools, plain.require_approval) == (("find",), "never")
    assert detailed.allowed_tools.tool_names == ("find",)
    assert detailed.require_approval.never.tool_names == ("find",)
    assert detailed.headers == {"X-Key": "k"}


def test_the_repr_of_an_mcp_tool_hides_its_credentials() -> None:
    tool = tools.McpTool.new(server_label="docs", authorization="s3cret", headers={"X-Key": "s3cret"})

    assert "s3cret" not in repr(tool)
    assert "docs" in repr(tool)


@pytest.mark.parametrize("kind", tool_choices.TOOL_CHOICES)
def test_a_tool_choice_is_told_by_its_type(kind: str) -> None:
    found = {
        "type": kind,
        "name": "n",
        "server_label": "s",
        "mode": "auto",
        "tools": [{"type": "function", "name": "f"}],
    }

    choice = read(found, tool_choices.read_tool_choice)

    assert type(choice) is tool_choices.TOOL_CHOICES[kind]
    assert list(walk(choice)) == [choice]
    assert json.loads(choice.raw) == found


def test_an_unknown_tool_choice_is_kept() -> None:
    choice = read({"type": "acme:oracle", "depth": 3}, tool_choices.read_tool_choice)

    assert isinstance(choice, tool_choices.UnknownToolChoice)
    assert choice.to_dict() == {"type": "acme:oracle", "depth": 3}


def test_text_formats_are_told_by_their_type() -> None:
    config = answer_settings.TextConfig.new(format={"type": "json_schema", "name": "a", "schema": {"type": "object"}})

    assert isinstance(config.format, answer_settings.JsonSchema)
    assert config.format.schema == {"type": "object"}
    assert isinstance(answer_settings.TextConfig.new(format={"type": "acme"}).format, answer_settings.UnknownTextFormat)
    assert answer_settings.TextConfig.new().format is None
