"""Answers of Converse that are written by hand: blocks, citations, Amazon's own tools, ends, usage, and other hosts.

Every answer is told plain and streamed where both say the same.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from amazon_frames import event
from hand_made import end_of

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.converse import ConverseStream, sealed, tell_whole
from antiphon.providers.dialects.converse_answer import ConverseAnswer
from antiphon.providers.dialects.envelope import unseal
from antiphon.providers.dialects.named_tools import ToolName
from antiphon.providers.dialects.responses import encode_body as encode_native

NAMES = {"n__f": ToolName("f", "n"), "c": ToolName("c", custom=True)}


def fresh(raw: bool = False) -> ConverseAnswer:
    return ConverseAnswer(
        {"model": "m", "created_at": 1}, "bedrock", lambda blocks: sealed("bedrock", "m", blocks), NAMES, raw, "t"
    )


def opened(start: dict[str, Any], index: int = 0) -> bytes:
    return event("contentBlockStart", {"contentBlockIndex": index, "start": start, "p": "abc"})


def piece(delta: dict[str, Any], index: int = 0) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta, "p": "abc"})


def closed(index: int = 0) -> bytes:
    return event("contentBlockStop", {"contentBlockIndex": index, "p": "abc"})


def ended(reason: str = "end_turn", usage: dict[str, Any] | None = None, **fields: Any) -> bytes:
    stop = event("messageStop", {"stopReason": reason, "p": "abc"})
    return stop + event("metadata", {"usage": usage or {}, "metrics": {"latencyMs": 1}, "p": "abc", **fields})


BEGIN = event("messageStart", {"role": "assistant", "p": "abc"})


def stream(*frames: bytes, raw: bool = False) -> list[ev.Event]:
    decoder = ConverseStream(fresh(raw))
    events = decoder.feed(BEGIN + b"".join(frames)) + decoder.finish()
    assert check_grammar(events) == []
    return events


def told(*frames: bytes, raw: bool = False) -> Response:
    return end_of(stream(*frames, raw=raw))


def whole(*blocks: Any, stopReason: str = "end_turn", raw: bool = False, **fields: Any) -> Response:
    answer = fresh(raw)
    found = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": stopReason, **fields}
    assert tell_whole(found, answer)
    events = answer.take()
    assert check_grammar(events) == []
    return end_of(events)


def items(response: Response) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = response.to_dict()["output"]
    return found


def kept(item: dict[str, Any]) -> tuple[Any, ...]:
    envelope = unseal(item["encrypted_content"])
    assert envelope is not None
    assert (envelope.provider, envelope.dialect) == ("bedrock", "converse")
    return envelope.blocks


# --- text and citations


def test_texts_that_follow_each_other_are_one_part() -> None:
    plain = whole({"text": "a"}, {"text": ""}, {"text": "b"})
    streamed = told(
        piece({"text": "a"}), closed(), piece({"text": ""}, 1), closed(1), piece({"text": "b"}, 2), closed(2), ended()
    )

    for response in (plain, streamed):
        (message,) = items(response)
        assert [part["text"] for part in message["content"]] == ["ab"]


def test_a_block_whose_end_was_left_out_ends_with_the_next_one() -> None:
    response = told(
        piece({"text": "a"}), piece({"reasoningContent": {"text": "b"}}, 1), piece({"text": "c"}, 2), ended()
    )

    assert [item["type"] for item in items(response)] == ["message", "reasoning", "message"]


def test_a_start_that_says_nothing_leaves_it_to_the_first_piece() -> None:
    response = told(opened({}), piece({"text": "a"}), closed(), ended())

    (message,) = items(response)
    assert [part["text"] for part in message["content"]] == ["a"]


def test_text_and_thoughts_under_one_index_are_told_apart() -> None:
    response = told(piece({"reasoningContent": {"text": "Hm."}}), piece({"text": "Hi"}), closed(), ended())

    assert [item["type"] for item in items(response)] == ["reasoning", "message"]
    assert response.output_text == "Hi"


def test_a_piece_of_a_call_that_is_not_open_is_an_error() -> None:
    first, second = ({"toolUse": {"toolUseId": each, "name": "f"}} for each in "ab")
    decoder = ConverseStream(fresh())

    decoder.feed(opened(first) + opened(second, 1) + piece({"toolUse": {"input": "{}"}}))

    assert decoder.error is not None
    assert "call 0, which is not open" in decoder.error.message


@pytest.mark.parametrize("more", [{}, {"citations": None}, {"citations": []}])
def test_text_that_may_be_cited_is_text_without_citations(more: dict[str, Any]) -> None:
    assert whole({"citationsContent": {"content": [{"text": "Hi"}], **more}}).output_text == "Hi"


def test_an_answer_without_anything_is_an_empty_text() -> None:
    for response in (whole(), told(ended())):
        (message,) = items(response)
        assert message["content"][0]["text"] == ""
        assert response.status == "completed"


WEB = {"title": "A", "location": {"web": {"url": "https://a.example", "domain": "a.example"}}}
PAGE = {"title": "Law", "source": "law.pdf", "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}}}


def test_citations_are_annotations_about_their_span() -> None:
    cited = {"citationsContent": {"content": [{"text": "so "}, {"text": "it is"}], "citations": [WEB, PAGE]}}
    plain = whole({"text": "Ä: "}, cited, {"text": "."})
    streamed = told(
        *(piece({"text": "Ä: "}), closed()),
        *(piece({"text": "so "}, 1), piece({"citation": WEB}, 1), piece({"text": "it is"}, 1)),
        *(piece({"citation": PAGE}, 1), closed(1), piece({"text": "."}, 2), closed(2), ended()),
    )

    for response in (plain, streamed):
        (message,) = items(response)
        (part,) = message["content"]
        assert part["text"] == "Ä: so it is."
        web, page = part["annotations"]
        data = {"provider": "bedrock", "dialect": "converse", "start_index": 3, "end_index": 11}
        assert web == {
            **{"type": "url_citation", "start_index": 3, "end_index": 11, "url": "https://a.example", "title": "A"},
            "provider_data": {**data, "citation": WEB},
        }
        assert page == {
            **{"type": "file_citation", "file_id": "law.pdf", "filename": "Law", "index": 11},
            "provider_data": {**data, "citation": PAGE},
        }


# --- reasoning


def test_pieces_of_a_thought_are_one_block() -> None:
    response = told(
        *(piece({"reasoningContent": {"text": "H"}}), piece({"reasoningContent": {"text": "m"}})),
        *(piece({"reasoningContent": {"signature": "ab"}}), piece({"reasoningContent": {"signature": "cd"}})),
        *(closed(), ended()),
    )

    (item,) = items(response)
    assert item["summary"] == [{"type": "summary_text", "text": "Hm"}]
    assert kept(item) == ({"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "abcd"}}},)


def test_pieces_of_redacted_reasoning_are_joined_as_bytes() -> None:
    pieces = [{"redactedContent": "QQ=="}, {"redactedContent": "QkM="}]

    response = told(*(piece({"reasoningContent": each}) for each in pieces), closed(), ended())

    (item,) = items(response)
    assert item["summary"] == []
    assert kept(item) == ({"reasoningContent": {"redactedContent": "QUJD"}},)


def test_what_is_no_claudes_is_the_reasoning_itself() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm"}}}

    for response in (
        whole(thought, {"text": "a"}, raw=True),
        told(piece({"reasoningContent": {"text": "Hm"}}), closed(), piece({"text": "a"}, 1), ended(), raw=True),
    ):
        item, _ = items(response)
        assert item["content"] == [{"type": "reasoning_text", "text": "Hm"}]
        assert kept(item) == (thought,)


def test_a_whole_thought_keeps_fields_that_nobody_knows() -> None:
    thought = {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s", "odd": 1}}}

    assert kept(items(whole(thought))[0]) == (thought,)


def test_every_thought_is_an_item_in_its_place() -> None:
    thoughts = [{"reasoningContent": {"reasoningText": {"text": each, "signature": each}}} for each in "ab"]

    response = whole(thoughts[0], {"reasoningContent": {"redactedContent": "QQ=="}}, {"text": "Hi"}, thoughts[1])

    assert [item["type"] for item in items(response)] == ["reasoning", "reasoning", "message", "reasoning"]


# --- calls


@pytest.mark.parametrize(
    ("given", "pieces", "arguments"),
    [
        ({}, [], "{}"),
        ({}, ["", ""], "{}"),
        ({"a": 1}, ['{"a":', " 1}"], '{"a": 1}'),
    ],
)
def test_the_input_of_a_call_comes_in_pieces(given: dict[str, Any], pieces: list[str], arguments: str) -> None:
    use = {"toolUse": {"toolUseId": "u", "name": "n__f"}}

    events = stream(opened(use), *[piece({"toolUse": {"input": each}}) for each in pieces], closed(), ended("tool_use"))

    (call,) = items(end_of(events))
    assert (call["arguments"], call["call_id"], call["name"], call["namespace"]) == (arguments, "u", "f", "n")
    assert [event.delta for event in events if isinstance(event, ev.FunctionCallArgumentsDelta)] == [
        each for each in pieces if each
    ]
    (plain,) = items(whole({"toolUse": {**use["toolUse"], "input": given}}))
    assert json.loads(plain["arguments"]) == given


def test_a_custom_tool_gets_its_text_back() -> None:
    use = {"toolUseId": "u", "name": "c"}
    pieces = [piece({"toolUse": {"input": each}}) for each in ('{"inp', 'ut": "x\\ny"}')]

    for response in (
        told(opened({"toolUse": use}), *pieces, closed(), ended("tool_use")),
        whole({"toolUse": {**use, "input": {"input": "x\ny"}}}),
    ):
        (call,) = items(response)
        assert (call["type"], call["input"], call["name"]) == ("custom_tool_call", "x\ny", "c")


def test_a_call_that_is_cut_stays_and_says_so() -> None:
    use = {"toolUseId": "u", "name": "f"}
    streamed = told(opened({"toolUse": use}), piece({"toolUse": {"input": '{"a'}}), ended("max_tokens"))
    plain = whole({"toolUse": {**use, "input": {}}}, stopReason="max_tokens")

    for response, arguments in ((streamed, '{"a'), (plain, "{}")):
        (call,) = items(response)
        assert (call["arguments"], call["status"], response.status) == (arguments, "incomplete", "incomplete")


# --- tools that run at Amazon

USE = {
    "toolUse": {
        "toolUseId": "u",
        "name": "nova_code_interpreter",
        "type": "server_tool_use",
        "input": {"snippet": "1+1"},
    }
}
RAN = {
    "toolResult": {
        "toolUseId": "u",
        "type": "nova_code_interpreter_result",
        "status": "success",
        "content": [{"json": {"stdOut": "2", "stdErr": "!", "exitCode": 0, "isError": False}}],
    }
}


def without(block: dict[str, Any], kind: str, field: str) -> dict[str, Any]:
    return {kind: {name: value for name, value in block[kind].items() if name != field}}


def test_a_run_of_code_is_told_while_it_runs() -> None:
    events = stream(
        opened(without(USE, "toolUse", "input")),
        piece({"toolUse": {"input": '{"snippet": "1+1"}'}}),
        closed(),
        opened(without(RAN, "toolResult", "content"), 1),
        piece({"toolResult": RAN["toolResult"]["content"]}, 1),
        closed(1),
        ended(),
    )

    assert [type(event) for event in events[2:8]] == [
        ev.OutputItemAdded,
        ev.CodeInterpreterCallInProgress,
        ev.CodeInterpreterCallCodeDone,
        ev.CodeInterpreterCallInterpreting,
        ev.CodeInterpreterCallCompleted,
        ev.OutputItemDone,
    ]
    for (item,) in (items(end_of(events)), items(whole(USE, RAN))):
        assert (item["type"], item["status"], item["code"]) == ("code_interpreter_call", "completed", "1+1")
        assert item["outputs"] == [{"type": "logs", "logs": "2!"}]
        assert kept(item) == (USE, RAN)


SEARCH = {"toolUse": {"toolUseId": "u", "name": "nova_grounding", "type": "server_tool_use", "input": {"query": "x"}}}
FAILED = {"toolResult": {"toolUseId": "u", "content": [{"text": "no"}], "status": "error"}}


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (
            (SEARCH, RAN),
            {
                "type": "web_search_call",
                "status": "completed",
                "action": {"type": "search", "query": "x", "queries": ["x"]},
            },
        ),
        (
            (USE, FAILED),
            {"type": "code_interpreter_call", "status": "failed", "outputs": [{"type": "logs", "logs": "no"}]},
        ),
        ((USE,), {"type": "code_interpreter_call", "status": "incomplete", "outputs": None}),
    ],
)
def test_use_and_result_are_one_item(blocks: tuple[Any, ...], expected: dict[str, Any]) -> None:
    (item,) = items(whole(*blocks))

    assert {name: item[name] for name in expected} == expected
    assert kept(item) == blocks


@pytest.mark.parametrize(
    "block",
    [
        RAN,
        {"toolUse": {"toolUseId": "u", "name": "new_tool", "type": "server_tool_use", "input": {"a": 1}}},
        {"video": {"format": "mp4", "source": {"bytes": "AA=="}}},
        {"brandNew": {"x": {"y": 1}}},
        {"image": {"format": "png", "error": {"message": "no"}}},
    ],
)
def test_a_block_that_no_item_can_show_is_kept(block: dict[str, Any]) -> None:
    first, second = items(whole(block, {"text": "a"}))

    assert (first["type"], first["summary"], second["type"]) == ("reasoning", [], "message")
    assert kept(first) == (block,)


def test_pieces_of_a_block_that_is_not_known_are_put_together() -> None:
    response = told(
        *(
            piece({"brandNew": {"text": "a", "more": {"b": [1]}}}),
            piece({"brandNew": {"text": "c", "more": {"b": [2]}}}),
        ),
        *(closed(), ended()),
    )

    assert kept(items(response)[0]) == ({"brandNew": {"text": "ac", "more": {"b": [1, 2]}}},)


def test_an_image_is_shown() -> None:
    image = {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}
    streamed = told(
        *(opened({"image": {"format": "png"}}), piece({"image": {"source": {"bytes": "iVBORw"}}})),
        *(piece({"image": {"source": {"bytes": "0KGgo="}}}), closed(), ended()),
    )

    for response in (whole({"image": image}), streamed):
        (item,) = items(response)
        assert (item["type"], item["result"], item["output_format"]) == ("image_generation_call", "iVBORw0KGgo=", "png")


# --- ends and usage


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("end_turn", "completed", None),
        ("stop_sequence", "completed", None),
        ("brand_new", "completed", None),
        ("max_tokens", "incomplete", "max_output_tokens"),
        ("model_context_window_exceeded", "incomplete", "max_output_tokens"),
        ("guardrail_intervened", "incomplete", "content_filter"),
        ("content_filtered", "incomplete", "content_filter"),
        ("malformed_model_output", "failed", None),
        ("malformed_tool_use", "failed", None),
    ],
)
def test_an_end_means_a_status(reason: str, status: str, why: str | None) -> None:
    for response in (whole({"text": "a"}, stopReason=reason), told(piece({"text": "a"}), ended(reason))):
        assert response.status == status
        assert (response.incomplete_details and response.incomplete_details.reason) == why
        found = response.to_dict()
        assert items(response)[0]["status"] == ("completed" if status == "completed" else "incomplete")
        assert ("error" in found) == (status == "failed")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"inputTokens": 10, "outputTokens": 2, "totalTokens": 12}, (10, 0, 0, 2, 12)),
        (
            {
                "inputTokens": 10,
                "outputTokens": 2,
                "totalTokens": 117,
                "cacheReadInputTokens": 100,
                "cacheWriteInputTokens": 5,
            },
            (115, 100, 5, 2, 117),
        ),
        # A host that counts what is cached among its inputs says so by its total.
        (
            {"inputTokens": 110, "outputTokens": 2, "totalTokens": 112, "cacheReadInputTokens": 100},
            (110, 100, 0, 2, 112),
        ),
    ],
)
def test_usage_adds_the_cache(usage: dict[str, Any], expected: tuple[int, ...]) -> None:
    details: dict[str, Any] = {"cacheDetails": [{"ttl": "5m", "inputTokens": 5}], "serverToolUsage": {}}

    for response in (whole(usage={**usage, **details}), told(ended(usage={**usage, **details}))):
        found = response.to_dict()["usage"]
        cached = found["input_tokens_details"]
        assert (
            *(found["input_tokens"], cached["cached_tokens"], cached["cache_write_tokens"]),
            *(found["output_tokens"], found["total_tokens"]),
        ) == expected
        assert found["cacheDetails"] == details["cacheDetails"]
        assert "serverToolUsage" not in found


def test_fields_of_the_hosts_own_are_kept_and_padding_is_not() -> None:
    own: dict[str, Any] = {"trace": {"guardrail": {"a": 1}}, "performanceConfig": {"latency": "optimized"}}
    fields: dict[str, Any] = {"additionalModelResponseFields": {"stop_sequence": "x"}}

    plain = whole({"text": "a"}, serviceTier={"type": "flex"}, **own, **fields)
    streamed = told(
        piece({"text": "a"}),
        event("messageStop", {"stopReason": "end_turn", **fields}),
        event("metadata", {"usage": {}, "serviceTier": {"type": "flex"}, "p": "abc", **own}),
    )

    for response in (plain, streamed):
        found = response.to_dict()
        assert {name: found[name] for name in (*own, *fields)} == {**own, **fields}
        assert found["service_tier"] == "flex"
        assert "p" not in found
        assert found["usage"] is None


def test_half_a_character_is_replaced() -> None:
    assert told(piece({"text": "\ud83d"}), ended()).output_text == "\N{REPLACEMENT CHARACTER}"


# --- what another host gets of it


def test_a_host_of_the_api_itself_gets_no_blocks_and_no_citations_of_this_one() -> None:
    cited = {"citationsContent": {"content": [{"text": "x"}], "citations": [WEB]}}
    response = whole({"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "s"}}}, USE, RAN, cited)
    dropped: list[str] = []

    for given in (response.output, items(response)):
        params = CreateParams(model="m", input=list(given))
        body = json.loads(encode_native(params, "m", lambda name, reason: dropped.append(name)))

        (message,) = body["input"]
        (annotation,) = message["content"][0]["annotations"]
        assert annotation.keys() == {"type", "start_index", "end_index", "url", "title"}

    assert dropped == ["input[0] (reasoning)", "input[1] (code_interpreter_call)"] * 2
