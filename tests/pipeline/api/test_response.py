"""The response and the other returned objects."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from wire_walk import walk

from antiphon.pipeline.api.items import Message, UnknownItem
from antiphon.pipeline.api.response import CompactedResponse, DeletedResponse, InputTokens, ItemPage, Response
from antiphon.pipeline.api.response_fields import ResponseError, Usage
from antiphon.pipeline.api.returned import Facts, Returned
from antiphon.pipeline.api.tool_choices import McpChoice
from antiphon.pipeline.reply import Meta

FIXTURES = Path(__file__).parents[2] / "fixtures" / "responses"
DATA = (FIXTURES / "response.json").read_bytes()
ODD: list[Any] = [None, True, 7, -1.5, "odd \ud83d", [], {}, [None], [[7]], {"type": "odd"}, 10**100, float("nan")]
RETURNED: list[type[Returned]] = [Response, CompactedResponse, DeletedResponse, InputTokens, ItemPage]


def response(**fields: object) -> Response:
    return Response.from_json(json.dumps(fields).encode())


def variants(value: Any, odd: Any) -> Iterator[Any]:
    """Yield `value` with each of its members, at any depth, replaced once by the odd one."""
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        for changed in [odd, *variants(member, odd)]:
            yield {**value, key: changed} if isinstance(value, dict) else [*value[:key], changed, *value[key + 1 :]]


@pytest.fixture
def full() -> Response:
    return Response.from_json(DATA)


def test_a_response_keeps_its_bytes(full: Response) -> None:
    assert full.raw == DATA
    assert full.to_dict()["acme_trace"] == {"region": "eu"}
    assert full.to_dict()["usage"]["cost_in_usd_ticks"] == 7


def test_every_attribute_can_be_read(full: Response) -> None:
    seen = {type(each).__name__ for each in walk(full)}

    assert seen >= {"Moderation", "ModerationResult", "ToolUsage", "PromptCacheDiagnostics", "InputTransformation"}
    assert {name for name in seen if name.startswith("Unknown")} == {"UnknownItem", "UnknownTool"}


def test_scalars_and_nested_objects_are_typed(full: Response) -> None:
    assert full.created_at == 1790000000.5
    assert full.metadata == {"topic": "weather"}
    assert full.conversation is not None
    assert full.conversation.id == "conv_1"
    assert full.reasoning is not None
    assert full.reasoning.effort == "low"
    assert full.text is not None
    assert full.text.format is not None
    assert full.text.format.type == "text"
    assert full.billing is not None
    assert full.billing.payer == "developer"
    assert isinstance(full.tool_choice, McpChoice)
    assert isinstance(full.instructions, tuple)
    assert isinstance(full.instructions[0], Message)
    assert (full.store, full.presence_penalty, full.frequency_penalty) == (True, 0.0, 0.0)


def test_output_text_joins_all_text_of_the_model(full: Response) -> None:
    assert full.output_text == "Let me see. It is sunny."


def test_output_text_of_other_output_is_empty() -> None:
    user = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}

    assert response(output=[user]).output_text == ""
    assert Response().output_text == ""


def test_function_calls_are_those_of_the_output(full: Response) -> None:
    assert [call.name for call in full.function_calls] == ["get_weather"]


def test_output_is_decoded_once(full: Response) -> None:
    assert full.output is full.output
    assert isinstance(full.output[4], UnknownItem)


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_a_terminal_status_is_one_that_stays(status: str) -> None:
    assert response(status=status).is_terminal


@pytest.mark.parametrize("status", ["queued", "in_progress", "acme", None])
def test_any_other_status_may_change(status: str | None) -> None:
    assert not response(status=status).is_terminal


def test_usage_reads_details_and_costs(full: Response) -> None:
    usage = full.usage

    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (10, 5, 15)
    assert usage.input_tokens_details.cached_tokens == 4
    assert usage.output_tokens_details.reasoning_tokens == 3
    assert usage.cost == 0.002


@pytest.mark.parametrize(
    ("cost", "expected"), [(1, 1.0), (None, None), ({"total": 1}, None), ("1", None), (True, None)]
)
def test_cost_is_there_when_the_host_reports_a_number(cost: object, expected: float | None) -> None:
    usage = Usage.from_json(json.dumps({"cost": cost}).encode())

    assert usage.cost == expected
    assert usage.to_dict() == {"cost": cost}


def test_usage_without_details_reads_zeros() -> None:
    usage = response(
        usage={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3, "input_tokens_details": None}
    ).usage

    assert usage is not None
    assert usage.input_tokens_details.cached_tokens == 0
    assert usage.output_tokens_details.reasoning_tokens == 0
    assert usage.cost is None


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        ({"code": "server_error", "message": "m"}, ("server_error", "m")),
        ({"code": 500, "message": "m"}, ("500", "m")),
        ({"code": None, "message": None}, (None, "")),
        ("it broke: \ud83d", (None, "it broke: \ud83d")),
    ],
)
def test_an_error_is_an_object_or_a_string(error: object, facts: tuple[str | None, str]) -> None:
    found = response(status="failed", error=error).error

    assert isinstance(found, ResponseError)
    assert (found.code, found.message) == facts


@pytest.mark.parametrize("error", [None, 7, []])
def test_no_error_reads_as_none(error: object) -> None:
    assert response(error=error).error is None


@pytest.mark.parametrize(
    "odd",
    [
        {"output": None, "metadata": None, "usage": None, "error": None, "tools": None, "text": None},
        {"output": "text", "metadata": [], "usage": 3, "error": [], "tools": {}, "text": "plain", "reasoning": "low"},
        {"created_at": "today", "completed_at": "later", "model": None, "id": None, "status": 3, "object": None},
        {"tool_choice": 5, "instructions": 5, "conversation": 5, "temperature": "hot", "top_logprobs": 1.5},
        {"conversation": "conv_1", "tool_choice": "auto", "instructions": "Be brief.", "metadata": {"n": 1}},
        {"output": [{"type": "message", "role": None, "content": {"a": 1}}, {"type": "reasoning", "summary": "s"}]},
        {},
    ],
)
def test_odd_fields_read_as_their_defaults_and_stay_in_the_bytes(odd: dict[str, Any]) -> None:
    found = response(**odd)

    assert found in list(walk(found))
    assert found.to_dict() == odd
    assert found.output_text == ""
    assert isinstance(found.created_at, float)


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_value_anywhere_breaks_no_attribute(odd: Any) -> None:
    whole = json.loads(DATA)
    items = [*whole.pop("output"), *json.loads((FIXTURES / "input_items.json").read_bytes())]

    for variant in variants(whole, odd):
        found = Response.from_json(json.dumps(variant).encode())
        assert found in list(walk(found))
    for item in items:
        for variant in variants(item, odd):
            found = response(output=[variant])
            assert found in list(walk(found))
            assert isinstance(found.output_text, str)


def test_odd_fields_that_make_sense_are_understood() -> None:
    found = response(conversation="conv_1", metadata={"n": 1, "s": "t"}, created_at=1790000000.25, tool_choice="none")

    assert found.conversation is not None
    assert found.conversation.id == "conv_1"
    assert found.metadata == {"n": "1", "s": "t"}
    assert found.created_at == 1790000000.25
    assert found.tool_choice == "none"


@pytest.mark.parametrize("data", [b"null", b"[]", b"", b'{"id":', b"<html>"])
def test_what_is_no_object_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Response.from_json(data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"id":"a","model":"m","x":1}', b'{"id":"b","model":"m","x":1}'),
        (b'{ "id": "a" , "x":1}', b'{ "id": "b" , "x":1}'),
        (b'{"x":{"id":"a"},"id":"a"}', b'{"x":{"id":"a"},"id":"b"}'),
        (b'{"x":"a","id":"a"}', b'{"x":"a","id":"b"}'),
        (rb'{"id":"\u0061"}', b'{"id":"b"}'),
        (b'{"id"\n:\n"a"}', b'{"id":"b"}'),
        (b'{"x":1}', b'{"x":1,"id":"b"}'),
    ],
)
def test_one_text_is_changed_wherever_it_stands(data: bytes, told: bytes) -> None:
    old = Response.from_json(data)

    new = old.with_scalars(id="b")

    assert new.id == "b"
    assert old.raw == data
    assert new.raw == new.raw == told
    assert new.with_scalars(id="c").with_meta(None).raw == told.replace(b'"b"', b'"c"')
    assert pickle.loads(pickle.dumps(new)) == new


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"id":"a","store":false,"top_p":0.5}', b'{"id":"a","store":true,"top_p":0.5}'),
        (b'{"id":"a","store": null}', b'{"id":"a","store": true}'),
        (b'{"id":"a"}', b'{"store":true,"id":"a"}'),
        (b'{"metadata":{"store":false},"store":false}', b'{"metadata":{"store":false},"store":true}'),
        (b'{"metadata":{"store":"x"}}', b'{"metadata":{"store":"x"},"store":true}'),
        (b'{"text":"\\"store\\":false","store":false}', b'{"text":"\\"store\\":false","store":true}'),
    ],
)
def test_a_flag_is_changed_wherever_it_stands(data: bytes, told: bytes) -> None:
    old = Response.from_json(data)

    new = old.with_scalars(store=True)

    assert new.store is True
    assert old.raw == data
    assert new.raw == told
    assert new.with_scalars(id="b", store=False).to_dict() == {**old.to_dict(), "id": "b", "store": False}


def test_copies_share_what_is_decoded(full: Response) -> None:
    stamped = full.stamp(Facts(final=Meta(call_id="call")))

    copied = stamped.with_scalars(id="resp_2")

    assert copied.output is stamped.output
    assert copied.meta is stamped.meta


def test_meta_is_no_part_of_the_json(full: Response) -> None:
    meta = Meta(call_id="call")
    output = full.output

    marked = full.with_meta(meta)

    assert full.meta == Meta(call_id="")
    assert marked.meta is meta
    assert marked.raw == full.raw
    assert marked == full
    assert marked.output is output


def test_meta_can_be_set_again_and_stays_through_a_change(full: Response) -> None:
    first, second = Meta(call_id="1"), Meta(call_id="2")
    marked = full.with_meta(first)

    assert marked.with_meta(second).meta is second
    assert marked.with_meta(None).meta == Meta(call_id="")
    assert marked.meta is first
    assert marked.replace(id="resp_2").meta is first
    assert marked.replace(id="resp_2").to_dict() == full.to_dict() | {"id": "resp_2"}


@pytest.mark.parametrize("cls", RETURNED)
def test_everything_returned_carries_meta(cls: type[Returned]) -> None:
    meta = Meta(call_id="call")

    made = cls.new(id="x").with_meta(meta)

    assert made.meta is meta
    assert type(made) is cls
    assert pickle.loads(pickle.dumps(made)).meta == meta
    assert copy.deepcopy(made).meta is meta
    assert list(walk(made))


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (Response, "response"),
        (CompactedResponse, "response.compaction"),
        (DeletedResponse, "response.deleted"),
        (InputTokens, "response.input_tokens"),
        (ItemPage, "list"),
    ],
)
def test_new_fills_in_the_object_name(cls: type[Returned], name: str) -> None:
    assert cls.new().to_dict() == {"object": name}
    assert cls.new(object="acme").to_dict() == {"object": "acme"}


def test_a_response_made_here_has_meta_too() -> None:
    made = Response(id="resp_1").with_meta(Meta(call_id="call"))

    assert made.to_dict() == {"id": "resp_1"}


def test_a_page_holds_items() -> None:
    page = ItemPage.from_json(b'{"object":"list","data":[{"id":"msg_1","role":"user","content":"Hi"}],"has_more":true}')

    assert [type(item) for item in page.data] == [Message]
    assert (page.has_more, page.first_id) == (True, None)


def test_the_small_ones_are_typed() -> None:
    deleted = DeletedResponse.from_json(b'{"id":"resp_1","object":"response","deleted":true}')
    tokens = InputTokens.from_json(b'{"object":"response.input_tokens","input_tokens":16}')
    compacted = CompactedResponse.from_json(
        b'{"id":"c","created_at":1,"output":[{"type":"compaction","encrypted_content":"g"}]}'
    )

    assert (deleted.id, deleted.object, deleted.deleted) == ("resp_1", "response", True)
    assert tokens.input_tokens == 16
    assert compacted.output[0].type == "compaction"
