"""Chunks of generateContent that no recording has, or that need a closer look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gemini_calls import events_of, kept_by
from hand_made import end_of

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.gemini import GeminiStream
from antiphon.providers.dialects.gemini_answer import GeminiAnswer
from antiphon.providers.dialects.gemini_usage import ENDS, usage_of
from antiphon.providers.dialects.named_tools import ToolName


def part(text: str = "", **fields: Any) -> dict[str, Any]:
    return {"text": text, **fields}


def call(name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": {}, **fields}}


def chunk(*parts: dict[str, Any], finish: str | None = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, **fields}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate], "responseId": "r"}


def sse(*chunks: dict[str, Any]) -> bytes:
    return b"".join([b"data: %s\r\n\r\n" % json.dumps(each).encode() for each in chunks])


def told(*chunks: dict[str, Any]) -> Response:
    events, _ = events_of([sse(*chunks)])
    assert check_grammar(events) == []
    return end_of(events)


def output(response: Response) -> list[dict[str, Any]]:
    return [item.to_dict() for item in response.output]


def kinds(response: Response) -> list[str]:
    return [item["type"] for item in output(response)]


def test_thoughts_are_summaries_in_front_of_the_text() -> None:
    response = told(chunk(part("A ", thought=True)), chunk(part("b", thought=True), part("Yes.")), chunk(finish="STOP"))

    thought, message = output(response)
    assert thought["summary"] == [{"type": "summary_text", "text": "A b"}]
    assert message["content"][0]["text"] == "Yes."


def test_thoughts_between_calls_are_items_of_their_own() -> None:
    response = told(chunk(part("A", thought=True), call(), part("B", thought=True), call("g"), finish="STOP"))

    assert kinds(response) == ["reasoning", "function_call", "reasoning", "function_call"]


def test_a_signature_of_a_call_is_kept_in_front_of_it() -> None:
    response = told(chunk({**call("f"), "thoughtSignature": "s"}, call("g"), finish="STOP"))

    assert kinds(response) == ["reasoning", "function_call", "function_call"]
    assert output(response)[0]["summary"] == []
    assert kept_by(response) == [{"attach": "next", "thoughtSignature": "s"}]
    assert len({item["call_id"] for item in output(response)[1:]}) == 2


def test_shown_thoughts_in_front_of_a_call_keep_its_signature() -> None:
    response = told(chunk(part("A", thought=True), {**call(), "thoughtSignature": "s"}, finish="STOP"))

    assert kinds(response) == ["reasoning", "function_call"]
    assert kept_by(response) == [{"attach": "next", "thoughtSignature": "s"}]


def test_a_signature_of_a_thought_is_kept_without_the_thought() -> None:
    response = told(chunk(part("A", thought=True, thoughtSignature="s"), part("B"), finish="STOP"))

    assert kept_by(response) == [{"part": {"text": "", "thought": True, "thoughtSignature": "s"}}]


def test_a_signed_text_is_kept_as_a_part_of_its_own() -> None:
    response = told(
        chunk(part("AB", thoughtSignature="s")),
        chunk(part("C")),
        chunk(part("DE", thoughtSignature="t"), finish="STOP"),
    )

    assert response.status == "completed"
    assert kinds(response) == ["reasoning", "message", "reasoning"]
    assert response.output_text == "ABCDE"
    assert kept_by(response) == [
        {"attach": "next", "length": 2, "thoughtSignature": "s"},
        {"attach": "previous", "start": 3, "length": 2, "thoughtSignature": "t"},
    ]


def test_an_empty_signed_text_does_not_keep_citations_from_the_text() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "a"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 3, "endIndex": 8, "text": "\u00e9tait"[:4]}, "groundingChunkIndices": [0]}
        ],
    }
    response = told(
        chunk(part("Il \u00e9tait")), chunk(part("", thoughtSignature="s"), finish="STOP", groundingMetadata=grounding)
    )

    message, kept = output(response)
    (annotation,) = message["content"][0]["annotations"]
    assert annotation == {
        "type": "url_citation",
        "url": "https://a.example",
        "title": "a",
        "start_index": 3,
        "end_index": 7,
    }
    assert kept["type"] == "reasoning"
    assert response.to_dict()["groundingMetadata"] == grounding


def test_a_citation_whose_place_is_unknown_has_none() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "u"}}],
        "groundingSupports": [
            {"segment": {"endIndex": 90, "text": "not there"}, "groundingChunkIndices": [0, 7]},
        ],
    }
    response = told(chunk(part("Hi"), finish="STOP", groundingMetadata=grounding))

    assert output(response)[0]["content"][0]["annotations"] == [{"type": "url_citation", "url": "u", "title": ""}]


def test_a_search_stands_before_the_text_where_it_is_known_in_time() -> None:
    plain = told(chunk(part("Hi"), finish="STOP", groundingMetadata={"webSearchQueries": ["", "q"]}))
    late = told(chunk(part("Hi")), chunk(finish="STOP", groundingMetadata={"webSearchQueries": ["q"]}))

    assert kinds(plain) == ["web_search_call", "message"]
    assert kinds(late) == ["message", "web_search_call"]
    assert output(late)[1]["action"] == {"type": "search", "query": "q", "queries": ["q"]}


def test_code_and_its_result_are_one_item_and_kept_whole() -> None:
    code = {"executableCode": {"code": "1/0", "language": "PYTHON"}, "thoughtSignature": "s"}
    result = {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}}
    response = told(chunk(code), chunk(part("")), chunk(result), chunk(part("Ok"), finish="STOP"))

    assert kinds(response) == ["reasoning", "code_interpreter_call", "message"]
    assert output(response)[1]["status"] == "failed"
    assert output(response)[1]["outputs"] == [{"type": "logs", "logs": "no"}]
    assert kept_by(response) == [{"part": code}, {"part": result}]


def test_code_without_a_result_is_incomplete() -> None:
    response = told(chunk({"executableCode": {"code": "1"}}), chunk(finish="MAX_TOKENS"))

    assert output(response)[1]["status"] == "incomplete"


def test_an_image_is_a_generated_one() -> None:
    response = told(
        chunk({"inlineData": {"mimeType": "image/webp", "data": "QQ=="}, "thoughtSignature": "s"}, finish="STOP")
    )

    assert kinds(response) == ["reasoning", "image_generation_call"]
    assert output(response)[1] | {"id": ""} == {
        "type": "image_generation_call",
        "id": "",
        "result": "QQ==",
        "output_format": "webp",
        "status": "completed",
    }


def test_a_custom_tool_gets_its_text_back() -> None:
    stream = GeminiStream(
        GeminiAnswer({"model": "m"}, lambda blocks: "", {"n__f": ToolName("f", "n"), "c": ToolName("c", None, True)})
    )
    said = sse(chunk(call("n__f"), {"functionCall": {"name": "c", "args": {"input": "ls"}}}, finish="STOP"))
    events = [*stream.feed(said), *stream.finish()]

    function, custom = output(end_of(events))
    assert check_grammar(events) == []
    assert (function["name"], function["namespace"], function["arguments"]) == ("f", "n", "{}")
    assert (custom["type"], custom["name"], custom["input"]) == ("custom_tool_call", "c", "ls")


def test_an_id_that_comes_twice_is_made_distinct() -> None:
    response = told(chunk(call(id="1"), call(id="1"), finish="STOP"))

    ids = [item["call_id"] for item in output(response)]
    assert ids[0] == "1"
    assert ids[1].startswith("call_")


def test_chunks_after_the_finish_count() -> None:
    response = told(
        chunk(part("Hi"), finish="STOP"),
        chunk(part("!")),
        {"usageMetadata": {"promptTokenCount": 2, "serviceTier": "flex"}},
    )

    assert response.output_text == "Hi!"
    assert response.usage is not None
    assert response.usage.total_tokens == 2
    assert response.service_tier == "flex"


def test_usage_that_counts_thoughts_in_is_believed() -> None:
    found = usage_of({"promptTokenCount": 5, "candidatesTokenCount": 9, "thoughtsTokenCount": 4, "totalTokenCount": 14})

    assert found is not None
    assert (found["output_tokens"], found["total_tokens"]) == (9, 14)


@pytest.mark.parametrize("reason", sorted(ENDS))
def test_every_finish_reason_has_an_end(reason: str) -> None:
    events, _ = events_of([sse(chunk(part("Hi"), finish=reason, finishMessage="Because."))])
    response = end_of(events)

    assert check_grammar(events) == []
    assert response.output_text == "Hi"
    assert response.status == ENDS[reason].status
    if response.status == "failed":
        assert response.error is not None
        assert response.error.message == f"the model stopped: {reason} (Because.)"


def test_an_unknown_finish_reason_is_an_end_like_any_other() -> None:
    assert told(chunk(part("Hi"), finish="BORED")).status == "completed"


def test_an_answer_with_nothing_in_it_is_an_empty_message() -> None:
    response = told({"candidates": [{"finishReason": "STOP"}]})

    assert response.output_text == ""
    assert kinds(response) == ["message"]


def test_a_blocked_prompt_is_an_incomplete_response() -> None:
    response = told({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 3}})

    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "content_filter"
    assert output(response) == []
    assert response.to_dict()["promptFeedback"] == {"blockReason": "PROHIBITED_CONTENT"}


def test_a_cut_text_is_incomplete() -> None:
    response = told(chunk(part("Hi")), chunk(finish="MAX_TOKENS"))

    assert output(response)[0]["status"] == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize("before", [(), (chunk(part("Hi")),)])
def test_an_error_inside_the_stream_fails_the_response(before: tuple[dict[str, Any], ...]) -> None:
    error = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}
    events, stream = events_of([sse(*before, error)])
    response = end_of(events)

    assert stream.is_done
    assert check_grammar(events) == []
    assert isinstance(events[-1], ev.ResponseFailed)
    assert response.error is not None
    assert (response.error.code, response.error.message) == ("503", "Overloaded.")


def test_what_comes_beside_an_error_is_told_before_it() -> None:
    events, _ = events_of([sse({**chunk(part("Half")), "error": {"code": 503, "message": "Overloaded."}})])

    response = end_of(events)
    assert (response.status, response.output_text) == ("failed", "Half")


def test_a_chunk_that_cannot_be_read_is_an_error() -> None:
    _, stream = events_of([])
    stream.feed(b"data: {oops}\n\n")

    assert stream.error is not None
    assert "cannot be read" in str(stream.error)


def test_further_candidates_are_left_out() -> None:
    other = {"candidates": [{"index": 1, "content": {"parts": [part("no")]}}]}

    assert told(chunk(part("Hi"), index=0), other, chunk(finish="STOP")).output_text == "Hi"


def test_a_part_that_nobody_knows_is_kept() -> None:
    response = told(chunk({"hologram": {"a": 1}, "thoughtSignature": "s"}, part("Hi"), finish="STOP"))

    assert kinds(response) == ["reasoning", "message"]
    assert kept_by(response) == [{"part": {"hologram": {"a": 1}, "thoughtSignature": "s"}}]


def test_half_a_character_does_not_break_the_stream() -> None:
    events, _ = events_of(
        [b'data: {"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]},"finishReason":"STOP"}]}\n\n']
    )

    assert check_grammar(events) == []
    assert end_of(events).output_text == "\ufffd"


def piece(values: dict[str, Any], **fields: Any) -> dict[str, Any]:
    parts = [{"jsonPath": path, **value} for path, value in values.items()]
    return {"functionCall": {"willContinue": True, "partialArgs": parts, **fields}}


def test_arguments_in_pieces_are_put_together() -> None:
    said = [
        {**piece({"$.a": {"stringValue": "x"}}, name="f"), "thoughtSignature": "s"},
        piece({"$.a": {"stringValue": "y"}, "$.b.c[1]": {"numberValue": 2}, "$['d.e']": {"boolValue": True}}),
        piece({"$.n": {"nullValue": "NULL_VALUE"}, "$.a.b": {"numberValue": 1}, "$.b.c[99999]": {"numberValue": 1}}),
        {"functionCall": {}},
        call("g"),
    ]
    response = told(*[chunk(each) for each in said], chunk(finish="STOP"))

    assert kinds(response) == ["reasoning", "function_call", "function_call"]
    _, first, second = output(response)
    assert (first["name"], second["name"]) == ("f", "g")
    assert json.loads(first["arguments"]) == {"a": "xy", "b": {"c": [None, 2]}, "d.e": True, "n": None}


@pytest.mark.parametrize(("finish", "status"), [("MAX_TOKENS", "incomplete"), ("STOP", "completed")])
def test_a_call_whose_last_piece_never_comes_is_told_as_far_as_it_came(finish: str, status: str) -> None:
    first = {"functionCall": {"name": "f", "willContinue": True}}

    (made,) = output(told(chunk(first), chunk(piece({"$.a": {"stringValue": "x"}})), chunk(finish=finish)))

    assert (made["name"], made["arguments"], made["status"]) == ("f", '{"a":"x"}', status)


def test_sound_is_a_part_of_the_message() -> None:
    response = told(chunk(part("Hi"), {"inlineData": {"mimeType": "audio/L16", "data": "QQ=="}}, finish="STOP"))

    (message,) = output(response)
    assert message["content"][1] == {"type": "output_audio", "data": "QQ==", "format": "L16"}


def test_a_mark_of_the_end_ends_the_stream() -> None:
    events, stream = events_of([sse(chunk(part("Hi"), finish="STOP")) + b"data: [DONE]\n\ndata: {oops}\n\n"])

    assert stream.is_done
    assert stream.error is None
    assert end_of(events).output_text == "Hi"


def test_usage_in_front_of_everything_else_is_no_answer_yet() -> None:
    usage = {"usageMetadata": {"promptTokenCount": 2}}
    events, stream = events_of([sse(usage)])

    assert events == []
    assert not stream.is_done


def test_thoughts_between_a_step_and_its_result_do_not_lose_it() -> None:
    code, result = {"executableCode": {"code": "1"}}, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}
    response = told(chunk(code, part("Hm", thought=True), result, finish="STOP"))

    assert kinds(response) == ["reasoning", "code_interpreter_call", "reasoning", "reasoning", "code_interpreter_call"]
    assert [block for block in kept_by(response) if "part" in block] == [{"part": code}, {"part": result}]
