"""Hand-made messages of the Messages API: ends, odd events, blocks that are rare or new.

Written from the types of Anthropic's Python package 0.125, read 2026-11.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic_calls import FOUND, SEARCH, text
from hand_made import end_of

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.anthropic import AnthropicStream, sealed, tell_message
from antiphon.providers.dialects.anthropic_answer import AnthropicAnswer
from antiphon.providers.dialects.envelope import unseal
from antiphon.providers.dialects.named_tools import ToolName
from antiphon.providers.dialects.responses import encode_body as encode_native

NAMES = {"c": ToolName("c", custom=True), "n__f": ToolName("f", "n")}
CITATION = {"type": "web_search_result_location", "url": "https://a.example", "title": "A", "encrypted_index": "e"}


def fresh() -> AnthropicAnswer:
    fields = {"model": "asked-for", "created_at": 1}
    return AnthropicAnswer(fields, "anthropic", lambda blocks: sealed("anthropic", "m", blocks), NAMES, token="t")


def start(usage: dict[str, Any] | None = None) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m"}
    return {"type": "message_start", "message": {**message, "usage": usage or {"input_tokens": 1, "output_tokens": 1}}}


def opened(block: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def closed(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def ended(reason: str = "end_turn", usage: dict[str, Any] | None = None, **delta: Any) -> list[dict[str, Any]]:
    last = {"type": "message_delta", "delta": {"stop_reason": reason, **delta}, "usage": usage or {"output_tokens": 2}}
    return [last, {"type": "message_stop"}]


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %s\ndata: %s\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def stream(*events: dict[str, Any]) -> list[ev.Event]:
    decoder = AnthropicStream(fresh())
    found = [*decoder.feed(frames(*events)), *decoder.finish()]
    assert decoder.is_done
    assert check_grammar(found) == []
    return found


def told(*events: dict[str, Any]) -> Response:
    return end_of(stream(*events))


def whole(*blocks: dict[str, Any], stop_reason: str = "end_turn", **fields: Any) -> Response:
    answer = fresh()
    assert tell_message({**start()["message"], "content": list(blocks), "stop_reason": stop_reason, **fields}, answer)
    events = answer.take()
    assert check_grammar(events) == []
    return end_of(events)


def items(response: Response) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = response.to_dict()["output"]
    return found


# --- ends


@pytest.mark.parametrize(
    ("reason", "status", "why", "item"),
    [
        ("end_turn", "completed", None, "completed"),
        ("stop_sequence", "completed", None, "completed"),
        ("tool_use", "completed", None, "completed"),
        ("brand_new", "completed", None, "completed"),
        ("max_tokens", "incomplete", "max_output_tokens", "incomplete"),
        ("model_context_window_exceeded", "incomplete", "max_output_tokens", "incomplete"),
        ("refusal", "incomplete", "content_filter", "incomplete"),
        ("pause_turn", "incomplete", "pause_turn", "incomplete"),
    ],
)
def test_a_stop_reason_is_a_status(reason: str, status: str, why: str | None, item: str) -> None:
    for response in (
        told(start(), opened(text("Hi")), closed(), *ended(reason)),
        whole(text("Hi"), stop_reason=reason),
    ):
        assert response.status == status
        assert (response.to_dict().get("incomplete_details") or {}).get("reason") == why
        assert items(response)[-1]["status"] == item


@pytest.mark.parametrize("before", [[], [text("Well")]])
def test_a_refusal_says_why(before: list[dict[str, Any]]) -> None:
    response = whole(*before, stop_reason="refusal", stop_details={"type": "refusal", "explanation": "No."})

    (message,) = items(response)
    assert message["content"][-1] == {"type": "refusal", "refusal": "No."}
    assert len(message["content"]) == len(before) + 1
    assert response.to_dict()["stop_details"]["type"] == "refusal"


def test_a_call_that_was_cut_stays_and_is_incomplete() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}

    response = told(start(), opened(use), piece("input_json_delta", partial_json='{"a'), *ended("max_tokens"))

    (call,) = items(response)
    assert (call["arguments"], call["status"]) == ('{"a', "incomplete")


def test_an_answer_without_anything_has_an_empty_text() -> None:
    assert items(told(start(), *ended()))[0]["content"][0]["text"] == ""
    assert items(whole())[0]["content"][0]["text"] == ""


def test_the_last_event_may_be_missing_when_the_reason_is_known() -> None:
    assert told(start(), opened(text("Hi")), ended()[0]).output_text == "Hi"


def test_an_error_inside_the_stream_ends_it() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}

    response = told(start(), opened(text("Half")), error)

    assert response.status == "failed"
    assert response.to_dict()["error"] == {"code": "overloaded_error", "message": "Overloaded"}
    assert items(response)[0]["status"] == "incomplete"


def test_an_error_may_be_the_first_event() -> None:
    assert told({"type": "error", "error": {"type": "api_error", "message": "x"}}).status == "failed"


def test_what_no_one_can_read_is_an_error() -> None:
    decoder = AnthropicStream(fresh())

    decoder.feed(frames(start()) + b"event: content_block_delta\ndata: [1]\n\n")

    assert "cannot be read" in str(decoder.error)


# --- odd streams


def test_events_that_are_not_known_are_passed_over() -> None:
    events = [start(), {"type": "ping"}, opened(text("")), piece("text_delta", text="Hi"), {"type": "new", "x": 1}]

    assert told(*events, closed(), *ended()).output_text == "Hi"


def test_a_block_that_nobody_closed_is_closed_by_the_next() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}

    response = told(start(), opened(text("Hi")), opened(use, 1), opened(text("Ho"), 2), *ended())

    assert [item["type"] for item in items(response)] == ["message", "function_call", "message"]


@pytest.mark.parametrize(
    "events",
    [
        [piece("text_delta", text="Hi "), piece("text_delta", text="there")],
        [opened(text("Hi ")), closed(), piece("text_delta", text="there")],
        [opened(text("Hi ")), piece("text_delta", 1, text="there"), closed(1)],
    ],
    ids=["never opened", "closed", "of another index"],
)
def test_text_whose_block_is_not_open_is_not_lost(events: list[dict[str, Any]]) -> None:
    assert told(start(), *events, *ended()).output_text == "Hi there"


def test_text_and_thoughts_in_one_block_are_told_apart() -> None:
    thought = {"type": "thinking", "thinking": ""}
    hm, hi = piece("thinking_delta", thinking="Hm."), piece("text_delta", text="Hi")

    for response in (
        told(start(), opened(thought), hm, hi, *ended()),
        told(start(), opened(text("")), hm, hi, *ended()),
    ):
        assert [item["type"] for item in items(response)] == ["reasoning", "message"]
        assert (items(response)[0]["summary"][0]["text"], response.output_text) == ("Hm.", "Hi")


def test_input_of_a_call_that_is_not_open_is_an_error() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    decoder = AnthropicStream(fresh())

    decoder.feed(frames(start(), opened(use), opened(text(""), 1), piece("input_json_delta", partial_json='{"a":1}')))

    assert decoder.error is not None
    assert "block 0, which is not open" in decoder.error.message


def test_an_empty_stop_reason_is_no_end() -> None:
    decoder = AnthropicStream(fresh())
    begun = start()
    begun["message"]["stop_reason"] = ""

    decoder.feed(frames(begun, opened(text("Hi"))))
    decoder.finish()

    assert not decoder.is_done


def test_a_message_starts_once() -> None:
    assert told(start(), opened(text("Hi")), start(), piece("text_delta", text="!"), *ended()).output_text == "Hi!"


def test_a_block_that_the_end_closes_is_no_empty_answer() -> None:
    response = told(start(), opened({"type": "redacted_thinking", "data": "x"}), *ended())

    assert [item["type"] for item in items(response)] == ["reasoning"]


def test_half_a_character_is_replaced() -> None:
    data = frames(start(), opened(text("")), piece("text_delta", text="@"), closed(), *ended())
    decoder = AnthropicStream(fresh())

    events = decoder.feed(data.replace(b"@", b"\\ud83d"))

    assert end_of(events).output_text == "\N{REPLACEMENT CHARACTER}"


# --- text and citations


def test_text_blocks_that_follow_each_other_are_one_part() -> None:
    events = [
        *(start(), opened(text("")), piece("text_delta", text="Ä: "), closed()),
        *(opened(text("", citations=[]), 1), piece("citations_delta", 1, citation=CITATION)),
        *(piece("text_delta", 1, text="cited"), closed(1)),
        *(opened(text(""), 2), piece("text_delta", 2, text="."), closed(2)),
    ]

    for response in (told(*events, *ended()), whole(text("Ä: "), text("cited", citations=[CITATION]), text("."))):
        (message,) = items(response)
        (part,) = message["content"]
        assert part["text"] == "Ä: cited."
        (annotation,) = part["annotations"]
        assert annotation == {
            "type": "url_citation",
            "start_index": 3,
            "end_index": 8,
            "url": "https://a.example",
            "title": "A",
            "provider_data": {
                **{"provider": "anthropic", "dialect": "anthropic", "start_index": 3, "end_index": 8},
                "citation": CITATION,
            },
        }


def test_a_citation_of_a_document_names_it() -> None:
    citation = {"type": "page_location", "document_index": 0, "document_title": "a.pdf", "start_page_number": 1}

    (annotation,) = items(whole(text("x", citations=[citation])))[0]["content"][0]["annotations"]

    assert (annotation["type"], annotation["filename"], annotation["index"]) == ("file_citation", "a.pdf", 1)
    assert annotation["provider_data"]["citation"] == citation


# --- thinking


def test_signatures_are_joined_and_kept_where_the_text_is_left_out() -> None:
    response = told(
        start(),
        opened({"type": "thinking", "thinking": "", "signature": ""}),
        piece("signature_delta", signature="ab"),
        piece("signature_delta", signature="cd"),
        closed(),
        *ended(),
    )

    thought = items(response)[0]
    assert thought["summary"] == []
    envelope = unseal(thought["encrypted_content"])
    assert envelope is not None
    assert envelope.blocks == ({"type": "thinking", "thinking": "", "signature": "abcd"},)


def test_every_thought_is_an_item_in_its_place() -> None:
    thoughts = [{"type": "thinking", "thinking": at, "signature": at} for at in "ab"]
    redacted = {"type": "redacted_thinking", "data": "x"}

    response = whole(thoughts[0], redacted, text("Hi"), thoughts[1])

    assert [item["type"] for item in items(response)] == ["reasoning", "reasoning", "message", "reasoning"]
    assert [item["summary"] for item in items(response) if item["type"] == "reasoning"] == [
        [{"type": "summary_text", "text": "a"}],
        [],
        [{"type": "summary_text", "text": "b"}],
    ]


# --- calls


@pytest.mark.parametrize(
    ("given", "pieces", "arguments"),
    [
        ({}, [], "{}"),
        ({}, ["", ""], "{}"),
        ({}, ['{"a":', " 1}"], '{"a": 1}'),
        ({"a": 1}, [], '{"a":1}'),
        ({"a": 1}, ['{"a":', "1}"], '{"a":1}'),
        ('{"a": 1}', [], '{"a": 1}'),
    ],
)
def test_the_input_of_a_call_comes_in_pieces_or_at_once(
    given: dict[str, Any] | str, pieces: list[str], arguments: str
) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "n__f", "input": given}

    events = stream(
        start(), opened(use), *[piece("input_json_delta", partial_json=each) for each in pieces], closed(), *ended()
    )

    (call,) = items(end_of(events))
    assert (call["arguments"], call["call_id"], call["name"]) == (arguments, "toolu_1", "f")
    assert call["namespace"] == "n"
    deltas = [event.delta for event in events if isinstance(event, ev.FunctionCallArgumentsDelta)]
    assert deltas == [each for each in pieces if each] or (given and "".join(deltas) == arguments)


def test_a_custom_tool_gets_its_text_back() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "c", "input": {}}
    pieces = [piece("input_json_delta", partial_json=each) for each in ('{"inp', 'ut": "x\\ny"}')]

    for response in (
        told(start(), opened(use), *pieces, closed(), *ended()),
        whole({**use, "input": {"input": "x\ny"}}),
    ):
        (call,) = items(response)
        assert (call["type"], call["input"], call["name"]) == ("custom_tool_call", "x\ny", "c")


def test_who_made_a_call_is_kept_unless_it_is_the_model() -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    caller = {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}

    assert "caller" not in items(whole({**use, "caller": {"type": "direct"}}))[0]
    assert items(whole({**use, "caller": caller}))[0]["caller"] == caller


# --- tools at the host


def test_a_search_is_told_while_it_runs() -> None:
    use = {**SEARCH, "input": {}}
    result = {**FOUND, "content": [{"type": "web_search_result", "url": "https://a.example", "encrypted_content": "e"}]}

    events = stream(
        start(),
        opened(use),
        piece("input_json_delta", partial_json='{"query": "x"}'),
        closed(),
        opened(result, 1),
        closed(1),
        *ended(),
    )

    assert [type(event) for event in events[2:7]] == [
        ev.OutputItemAdded,
        ev.WebSearchCallInProgress,
        ev.WebSearchCallSearching,
        ev.WebSearchCallCompleted,
        ev.OutputItemDone,
    ]
    (item,) = items(end_of(events))
    assert item["action"]["query"] == "x"
    assert item["action"]["sources"] == [{"type": "url", "url": "https://a.example"}]
    envelope = unseal(item["encrypted_content"])
    assert envelope is not None
    assert envelope.blocks == (SEARCH, result)


ERROR = {"type": "web_search_tool_result_error", "error_code": "unavailable"}


@pytest.mark.parametrize(
    ("use", "result", "expected"),
    [
        (SEARCH, {**FOUND, "content": ERROR}, {"type": "web_search_call", "status": "failed"}),
        (
            {"type": "mcp_tool_use", "id": "1", "name": "f", "server_name": "s", "input": {"a": 1}},
            {"type": "mcp_tool_result", "tool_use_id": "1", "content": [text("x")], "is_error": False},
            {
                **{"type": "mcp_call", "status": "completed", "server_label": "s", "name": "f"},
                **{"arguments": '{"a":1}', "output": "x", "error": None},
            },
        ),
        (
            {"type": "mcp_tool_use", "id": "1", "name": "f", "server_name": "s", "input": {}},
            {"type": "mcp_tool_result", "tool_use_id": "1", "content": "bad", "is_error": True},
            {"type": "mcp_call", "status": "failed", "output": None, "error": "bad"},
        ),
        (
            {"type": "server_tool_use", "id": "1", "name": "bash_code_execution", "input": {"command": "ls"}},
            {
                "type": "bash_code_execution_tool_result",
                "tool_use_id": "1",
                "content": {"type": "bash_code_execution_result", "stdout": "a", "stderr": "b", "return_code": 0},
            },
            {"type": "code_interpreter_call", "code": "ls", "outputs": [{"type": "logs", "logs": "ab"}]},
        ),
        (
            {"type": "server_tool_use", "id": "1", "name": "advisor", "input": {}},
            {"type": "advisor_tool_result", "tool_use_id": "1", "content": {"type": "advisor_result"}},
            {"type": "anthropic_blocks", "status": "completed"},
        ),
    ],
)
def test_use_and_result_are_one_item(use: dict[str, Any], result: dict[str, Any], expected: dict[str, Any]) -> None:
    (item,) = items(whole(use, result))

    assert {name: item[name] for name in expected} == expected
    envelope = unseal(item["encrypted_content"])
    assert envelope is not None
    assert envelope.blocks == (use, result)


def test_a_use_without_its_result_is_incomplete_and_kept() -> None:
    (item,) = items(whole(SEARCH, stop_reason="pause_turn"))

    assert (item["type"], item["status"]) == ("web_search_call", "incomplete")
    envelope = unseal(item["encrypted_content"])
    assert envelope is not None
    assert envelope.blocks == (SEARCH,)


@pytest.mark.parametrize(
    "block", [FOUND, {"type": "brand_new", "x": {"y": 1}}, {"type": "container_upload", "file_id": "f"}]
)
def test_a_block_of_its_own_is_kept(block: dict[str, Any]) -> None:
    (item,) = items(whole(block))

    assert item["type"] == "anthropic_blocks"
    envelope = unseal(item["encrypted_content"])
    assert envelope is not None
    assert envelope.blocks == (block,)


def test_pieces_of_a_block_that_is_not_known_are_put_together() -> None:
    response = told(
        start(),
        opened({"type": "compaction", "content": None}),
        piece("compaction_delta", content="All "),
        piece("compaction_delta", content="of it", extra={"a": 1}),
        closed(),
        *ended("compaction"),
    )

    (item,) = items(response)
    assert item["type"] == "compaction"
    envelope = unseal(item["encrypted_content"])
    assert envelope is not None
    assert envelope.blocks == ({"type": "compaction", "content": "All of it", "extra": {"a": 1}},)


# --- usage and what is the host's own


def test_usage_is_the_last_and_adds_the_cache() -> None:
    first = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 5, "output_tokens": 1}
    last = {"output_tokens": 7, "input_tokens": None, "output_tokens_details": {"thinking_tokens": 3}}

    response = told(start({**first, "service_tier": "standard"}), opened(text("Hi")), closed(), *ended(usage=last))

    assert response.to_dict()["usage"] == {
        "service_tier": "standard",
        "input_tokens": 115,
        "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 5},
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3, "reasoning_tokens": 3},
        "total_tokens": 122,
    }
    assert response.to_dict()["service_tier"] == "standard"


def test_fields_of_the_hosts_own_are_kept() -> None:
    container = {"id": "container_1", "expires_at": "2026-01-01"}

    response = told(
        start(), opened(text("Hi")), closed(), *ended("stop_sequence", stop_sequence="x", container=container)
    )

    assert response.id == "msg_1"
    assert response.model == "m"
    assert response.to_dict()["stop_sequence"] == "x"
    assert response.to_dict()["container"] == container


# --- what another host gets of it


def test_a_host_of_the_api_itself_gets_no_blocks_and_no_citations_of_this_one() -> None:
    response = whole(
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        *(SEARCH, FOUND, text("x", citations=[CITATION]), {"type": "brand_new"}),
    )
    dropped: list[str] = []

    for given in (response.output, items(response)):
        params = CreateParams(model="m", input=list(given))
        body = json.loads(encode_native(params, "m", lambda name, reason: dropped.append(name)))

        (message,) = body["input"]
        (annotation,) = message["content"][0]["annotations"]
        assert annotation.keys() == {"type", "start_index", "end_index", "url", "title"}

    assert dropped == ["input[0] (reasoning)", "input[1] (web_search_call)", "input[3] (anthropic_blocks)"] * 2
