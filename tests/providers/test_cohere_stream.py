"""Answers of Cohere's chat API that are written by hand: content, plans, calls, citations, ends, and other hosts.

Every answer is told plain and streamed where both say the same.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hand_made import end_of

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.cohere import CohereStream, sealed
from antiphon.providers.dialects.cohere_answer import CohereAnswer, tell_whole
from antiphon.providers.dialects.envelope import unseal
from antiphon.providers.dialects.named_tools import ToolName
from antiphon.providers.dialects.responses import encode_body as encode_native

NAMES = {"n__f": ToolName("f", "n"), "c": ToolName("c", custom=True)}


def fresh() -> CohereAnswer:
    return CohereAnswer(
        {"model": "m", "created_at": 1}, "cohere", lambda blocks: sealed("cohere", "m", blocks), NAMES, "t"
    )


def sse(kind: str, message: Any = None, index: int = 0, **fields: Any) -> bytes:
    delta = {} if message is None else {"delta": {"message": message}}
    found = {"type": kind, "index": index, **delta, **fields}
    return f"event: {kind}\ndata: {json.dumps(found)}\n\n".encode()


BEGIN = sse("message-start", {"role": "assistant", "content": [], "tool_calls": [], "citations": []}, id="chat_1")


def block(index: int, kind: str, *pieces: str, close: bool = True) -> bytes:
    deltas = [sse("content-delta", {"content": {kind: piece}}, index) for piece in pieces]
    start = sse("content-start", {"content": {"type": kind, kind: ""}}, index)
    return b"".join([start, *deltas, *([sse("content-end", None, index)] if close else [])])


def plan(*pieces: str) -> bytes:
    return b"".join(sse("tool-plan-delta", {"tool_plan": piece}) for piece in pieces)


def calling(index: int, name: str, *pieces: str, call_id: str = "c1", first: str = "", close: bool = True) -> bytes:
    start = {"id": call_id, "type": "function", "function": {"name": name, "arguments": first}}
    deltas = [sse("tool-call-delta", {"tool_calls": {"function": {"arguments": piece}}}, index) for piece in pieces]
    end = [sse("tool-call-end", None, index)] if close else []
    return b"".join([sse("tool-call-start", {"tool_calls": start}, index), *deltas, *end])


def cite(citation: dict[str, Any], index: int = 0) -> bytes:
    return sse("citation-start", {"citations": citation}, index) + sse("citation-end", None, index)


def ended(reason: str = "COMPLETE", **fields: Any) -> bytes:
    return sse("message-end", delta={"finish_reason": reason, **fields}) + b"data: [DONE]\n\n"


def stream(*frames: bytes) -> list[ev.Event]:
    decoder = CohereStream(fresh())
    events = decoder.feed(BEGIN + b"".join(frames)) + decoder.finish()
    assert decoder.error is None
    assert check_grammar(events) == []
    return events


def told(*frames: bytes) -> Response:
    return end_of(stream(*frames))


def whole(finish_reason: str = "COMPLETE", fields: dict[str, Any] | None = None, **message: Any) -> Response:
    answer = fresh()
    found = {"id": "chat_1", "message": {"role": "assistant", **message}, "finish_reason": finish_reason}
    assert tell_whole({**found, **(fields or {})}, answer)
    events = answer.take()
    assert check_grammar(events) == []
    return end_of(events)


def items(response: Response) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = response.to_dict()["output"]
    return found


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def thinking(value: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": value}


# --- content


def test_texts_are_parts_of_one_message() -> None:
    for response in (
        whole(content=[text("a"), text("b")]),
        told(block(0, "text", "a"), block(1, "text", "b"), ended()),
    ):
        (message,) = items(response)
        assert [part["text"] for part in message["content"]] == ["a", "b"]
        assert response.id == "chat_1"


def test_a_content_that_is_text_is_read() -> None:
    assert whole(content="a").output_text == "a"


def test_an_answer_without_anything_is_an_empty_text() -> None:
    for response in (whole(content=[]), whole(), told(ended())):
        (message,) = items(response)
        assert message["content"][0]["text"] == ""


def test_every_thought_is_an_item_in_its_place() -> None:
    for response in (
        whole(content=[thinking("a"), text("b"), thinking("c")]),
        told(block(0, "thinking", "a"), block(1, "text", "b"), block(2, "thinking", "c"), ended()),
    ):
        first, second, third = items(response)
        assert [first["type"], second["type"], third["type"]] == ["reasoning", "message", "reasoning"]
        assert first["content"] == [{"type": "reasoning_text", "text": "a"}]
        assert first["summary"] == []
        envelope = unseal(third["encrypted_content"])
        assert envelope is not None
        assert (envelope.dialect, envelope.blocks) == ("cohere", (thinking("c"),))


def test_pieces_without_a_start_open_a_block() -> None:
    response = told(
        sse("content-delta", {"content": {"thinking": "a"}}),
        sse("content-delta", {"content": {"text": "b"}}, 1),
        ended(),
    )

    assert [item["type"] for item in items(response)] == ["reasoning", "message"]


# --- plans and calls

CALL = {"id": "c1", "type": "function", "function": {"name": "n__f", "arguments": '{"a": 1}'}}


def test_a_plan_is_a_commentary_before_the_calls() -> None:
    for response in (
        whole("TOOL_CALL", tool_plan="I will.", tool_calls=[CALL]),
        told(plan("I", " will."), calling(0, "n__f", '{"a"', ": 1}"), ended("TOOL_CALL")),
    ):
        message, call = items(response)
        assert (message["phase"], message["content"][0]["text"]) == ("commentary", "I will.")
        assert (call["call_id"], call["name"], call["namespace"], call["arguments"]) == ("c1", "f", "n", '{"a": 1}')
        assert response.status == "completed"


def test_calls_beside_each_other_keep_their_pieces_apart() -> None:
    response = told(
        calling(0, "f", '{"a"', call_id="c0", close=False),
        calling(1, "g", '{"b"', call_id="c1", close=False),
        sse("tool-call-delta", {"tool_calls": {"function": {"arguments": ": 0}"}}}, 0),
        sse("tool-call-delta", {"tool_calls": {"function": {"arguments": ": 1}"}}}, 1),
        *(sse("tool-call-end", None, 0), sse("tool-call-end", None, 1), ended("TOOL_CALL")),
    )

    assert [(call["name"], call["arguments"]) for call in items(response)] == [("f", '{"a": 0}'), ("g", '{"b": 1}')]


@pytest.mark.parametrize(
    ("first", "pieces", "arguments"), [("", (), "{}"), ("{}", (), "{}"), ('{"a"', (": 1}",), '{"a": 1}')]
)
def test_arguments_may_begin_with_the_call(first: str, pieces: tuple[str, ...], arguments: str) -> None:
    (call,) = items(told(calling(0, "f", *pieces, first=first), ended("TOOL_CALL")))

    assert call["arguments"] == arguments


def test_a_custom_tool_gets_its_text_back() -> None:
    given = {"name": "c", "arguments": '{"input": "x\\ny"}'}

    for response in (
        whole("TOOL_CALL", tool_calls=[{**CALL, "function": given}]),
        told(calling(0, "c", '{"input": "x', '\\ny"}'), ended("TOOL_CALL")),
    ):
        (call,) = items(response)
        assert (call["type"], call["input"], call["name"]) == ("custom_tool_call", "x\ny", "c")


def test_a_call_that_is_cut_stays_and_says_so() -> None:
    (call,) = items(told(calling(0, "f", '{"a', close=False), ended("MAX_TOKENS")))

    assert (call["arguments"], call["status"]) == ('{"a', "incomplete")


# --- citations

WEB = {"type": "document", "id": "d1", "document": {"title": "A", "url": "https://a.example"}}
TOOL = {"type": "tool", "id": "f_1:0", "tool_output": {"content": "x"}}


def citation(start: int = 0, end: int = 2, sources: Any = (WEB, TOOL), **fields: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "text": "It", "sources": list(sources), "type": "TEXT_CONTENT", **fields}


def test_every_source_of_a_citation_is_an_annotation() -> None:
    cited = citation()

    for response in (
        whole(content=[text("It is.")], citations=[cited]),
        told(block(0, "text", "It", " is.", close=False), cite(cited), sse("content-end", None, 0), ended()),
    ):
        (message,) = items(response)
        web, tool = message["content"][0]["annotations"]
        own = {"provider": "cohere", "dialect": "cohere", "start_index": 0, "end_index": 2, "citation": cited}
        assert web == {
            **{"type": "url_citation", "start_index": 0, "end_index": 2, "url": "https://a.example", "title": "A"},
            "provider_data": own,
        }
        assert tool == {"type": "file_citation", "file_id": "f_1:0", "filename": "", "index": 2}


def test_a_citation_behind_the_end_of_its_text_is_still_about_it() -> None:
    events = stream(block(0, "thinking", "Hm"), block(1, "text", "It is."), cite(citation(content_index=1)), ended())

    kinds = [type(event) for event in events]
    assert kinds.index(ev.OutputTextAnnotationAdded) < kinds.index(ev.OutputTextDone)
    assert len(items(end_of(events))[1]["content"][0]["annotations"]) == 2
    plain = whole(content=[thinking("Hm"), text("It is.")], citations=[citation(content_index=1)])
    assert items(plain)[1]["content"] == items(end_of(events))[1]["content"]


def test_a_citation_of_a_plan_is_about_the_commentary() -> None:
    cited = citation(type="PLAN")

    for response in (
        whole("TOOL_CALL", tool_plan="It will.", tool_calls=[CALL], citations=[cited]),
        told(plan("It will."), cite(cited), calling(0, "f"), ended("TOOL_CALL")),
    ):
        assert len(items(response)[0]["content"][0]["annotations"]) == 2


def test_a_citation_that_has_no_place_is_kept_beside() -> None:
    about = citation(type="THINKING_CONTENT")

    for response in (
        whole(content=[thinking("It"), text("a")], citations=[about]),
        told(block(0, "thinking", "It"), cite(about), block(1, "text", "a"), ended()),
    ):
        assert response.to_dict()["citations"] == [about]


# --- ends and usage


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("COMPLETE", "completed", None),
        ("STOP_SEQUENCE", "completed", None),
        ("TOOL_CALL", "completed", None),
        ("BRAND_NEW", "completed", None),
        ("MAX_TOKENS", "incomplete", "max_output_tokens"),
        ("ERROR", "failed", None),
        ("TIMEOUT", "failed", None),
    ],
)
def test_an_end_means_a_status(reason: str, status: str, why: str | None) -> None:
    for response in (whole(reason, content=[text("a")]), told(block(0, "text", "a"), ended(reason, error="bad"))):
        assert response.status == status
        assert (response.incomplete_details and response.incomplete_details.reason) == why
        assert items(response)[0]["status"] == ("completed" if status == "completed" else "incomplete")
        if status == "failed":
            assert f"the model stopped: {reason}" in response.to_dict()["error"]["message"]


def test_usage_counts_tokens_and_keeps_what_is_billed() -> None:
    usage = {
        "billed_units": {"input_tokens": 13.0, "output_tokens": 61.0},
        "tokens": {"input_tokens": 542.0, "output_tokens": 63.0},
        "cached_tokens": 40.0,
    }

    for response in (
        whole(content=[text("a")], fields={"usage": usage}),
        told(block(0, "text", "a"), ended(usage=usage)),
    ):
        assert response.to_dict()["usage"] == {
            "billed_units": {"input_tokens": 13.0, "output_tokens": 61.0},
            "input_tokens": 542,
            "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
            "output_tokens": 63,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 605,
        }


def test_log_probabilities_stay_in_the_hosts_own_form() -> None:
    found = [{"token_ids": [1], "text": "a", "logprobs": [-0.1]}]
    piece = sse("content-delta", {"content": {"text": "a"}}, 0, logprobs=found[0])

    for response in (
        whole(content=[text("a")], fields={"logprobs": found}),
        told(sse("content-start", {"content": {"type": "text", "text": ""}}), piece, ended()),
    ):
        assert response.to_dict()["logprobs"] == found


def test_what_is_not_known_is_passed_by() -> None:
    response = told(
        sse("debug", prompt="x"), block(0, "text", "a"), sse("brand-new", {"content": {"type": "odd"}}), ended()
    )

    assert response.output_text == "a"


def test_half_a_character_is_replaced() -> None:
    assert told(block(0, "text", "\ud83d"), ended()).output_text == "\N{REPLACEMENT CHARACTER}"


# --- what another host gets of it


def test_a_host_of_the_api_itself_gets_no_thoughts_and_no_citations_of_this_one() -> None:
    response = whole(content=[thinking("Hm"), text("It is.")], citations=[citation(content_index=1)])
    dropped: list[str] = []

    for given in (response.output, items(response)):
        params = CreateParams(model="m", input=list(given))
        body = json.loads(encode_native(params, "m", lambda name, reason: dropped.append(name)))

        (message,) = body["input"]
        assert all("provider_data" not in each for each in message["content"][0]["annotations"])

    assert dropped == ["input[0] (reasoning)"] * 2
