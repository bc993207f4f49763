"""Chunks that hosts send, and what they come out as: written by hand after documents, sources and recordings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import APIResponseError
from antiphon.pipeline.streams.grammar import check_grammar
from antiphon.providers.dialects.chat import ChatStream, read_answer
from antiphon.providers.dialects.chat_answer import ChatAnswer
from antiphon.providers.dialects.envelope import Envelope, seal, unseal
from antiphon.providers.dialects.named_tools import ToolName

Delta = dict[str, Any]


def answer(**settings: Any) -> ChatAnswer:
    def sealed(form: str, blocks: tuple[Any, ...]) -> str:
        return seal(Envelope("host", "m", "chat", form, blocks))

    return ChatAnswer({"model": "m", "created_at": 1}, sealed, token="t", **settings)


def chunk(delta: Delta | None = None, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-1", "choices": choices, **fields})


def data(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def streamed(*chunks: bytes, **settings: Any) -> tuple[list[ev.Event], ChatStream]:
    """Decode chunks, one read each, and the end."""
    stream = ChatStream(answer(**settings))
    events = [event for each in chunks for event in stream.feed(each)]
    events += stream.finish()
    if stream.is_done:
        assert check_grammar(events) == []
    return events, stream


def told(*deltas: Delta, finish: str = "stop", **settings: Any) -> tuple[list[ev.Event], Response]:
    """Decode a stream of these deltas with its end."""
    events, _ = streamed(*map(chunk, deltas), chunk(finish=finish), DONE, **settings)
    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    return events, last.response


def output(*deltas: Delta, **settings: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = told(*deltas, **settings)[1].to_dict()["output"]
    return found


def call(index: int | None = 0, call_id: str | None = None, name: str | None = None, arguments: Any = None) -> Delta:
    """Return a delta with one piece of a call; what is None is not there."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    part = {"index": index, "id": call_id, "type": "function", "function": function}
    return {"tool_calls": [{key: value for key, value in part.items() if value is not None}]}


def calls(*deltas: Delta, **settings: Any) -> list[tuple[str, str]]:
    return [(item["name"], item["arguments"]) for item in output(*deltas, **settings) if "arguments" in item]


# --- text, reasoning, refusals ----------------------------------------------------------------------------------------


def test_text_is_one_message() -> None:
    events, response = told({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"})

    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert (response.id, response.model, response.output_text) == ("chatcmpl-1", "m-1", "Hello")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_comes_before_the_text_and_knows_its_form(field: str) -> None:
    thought, message = output({field: "Hm, "}, {field: "so."}, {"content": "Yes."})

    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm, so."}]
    assert thought["summary"] == []
    assert unseal(thought["encrypted_content"]) == Envelope("host", "m", "chat", field)
    assert message["content"][0]["text"] == "Yes."


def test_the_same_reasoning_in_two_fields_is_told_once() -> None:
    thought, _ = output({"reasoning": "Hm.", "reasoning_content": "Hm."}, {"content": "Yes."})

    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm."}]


def test_reasoning_text_and_calls_keep_their_order() -> None:
    found = output(
        {"reasoning": "One."},
        {"content": "Let me look."},
        call(0, "a", "look", "{}"),
        {"reasoning": "Two."},
        {"content": "There."},
    )

    assert [item["type"] for item in found] == ["reasoning", "message", "function_call", "reasoning", "message"]


def test_reasoning_details_are_kept_whole() -> None:
    text = {"type": "reasoning.text", "index": 0, "format": "anthropic-claude-v1"}
    found = output(
        {"reasoning": "I ", "reasoning_details": [{**text, "text": "I "}]},
        {"reasoning": "think.", "reasoning_details": [{**text, "text": "think."}]},
        {"reasoning_details": [{**text, "signature": "sig"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "index": 1, "data": "xyz", "id": "r1"}]},
        {"content": "Yes."},
    )

    assert found[0]["content"] == [{"type": "reasoning_text", "text": "I think."}]
    envelope = unseal(found[0]["encrypted_content"])
    assert envelope is not None
    assert envelope.form == "reasoning_details"
    assert envelope.blocks == (
        {**text, "text": "I think.", "signature": "sig"},
        {"type": "reasoning.encrypted", "index": 1, "data": "xyz", "id": "r1"},
    )


def test_a_summary_in_reasoning_details_is_a_summary() -> None:
    entry = {"type": "reasoning.summary", "index": 0, "summary": "In short."}
    thought, _ = output({"reasoning": "In short.", "reasoning_details": [entry]}, {"content": "Yes."})

    assert thought["summary"] == [{"type": "summary_text", "text": "In short."}]
    assert "content" not in thought


def test_thinking_parts_of_the_content_are_reasoning() -> None:
    """Mistral's form."""

    def think(text: str, **fields: Any) -> Delta:
        return {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}], **fields}]}

    thought, message = output(
        think("Hm, "), think("so.", signature="sig"), {"content": [{"type": "text", "text": "A"}]}
    )

    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm, so."}]
    envelope = unseal(thought["encrypted_content"])
    assert envelope is not None
    assert envelope.blocks == (
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm, so."}], "signature": "sig"},
    )
    assert message["content"][0]["text"] == "A"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_think_tags_are_reasoning_however_they_are_cut(size: int) -> None:
    text = "<think>\nHm, <b> so.</think>\n\nYes, <think> is a tag."
    pieces = [{"content": text[at : at + size]} for at in range(0, len(text), size)]
    thought, message = output(*pieces, has_tags=True)

    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm, <b> so."}]
    assert message["content"][0]["text"] == "Yes, <think> is a tag."


def test_text_that_only_begins_like_a_tag_is_text() -> None:
    (message,) = output({"content": " <thi"}, {"content": "nly>"}, has_tags=True)

    assert message["content"][0]["text"] == " <thinly>"


def test_a_tag_that_never_closes_is_reasoning_to_the_end() -> None:
    (thought,) = output({"content": "<think>Hm </thi"}, has_tags=True)

    assert thought["content"][0]["text"] == "Hm </thi"


def test_a_refusal_is_a_part_of_its_own() -> None:
    (message,) = output({"refusal": "I "}, {"refusal": "cannot."})

    assert message["content"] == [{"type": "refusal", "refusal": "I cannot."}]


def test_logprobs_come_with_their_text() -> None:
    token = {"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}
    choice = {"index": 0, "delta": {"content": "Hi"}, "logprobs": {"content": [token], "refusal": None}}
    events, _ = streamed(data({"id": "c", "choices": [choice]}), chunk(finish="stop"), DONE)

    (delta,) = [event for event in events if isinstance(event, ev.OutputTextDelta)]
    (done,) = [event for event in events if isinstance(event, ev.OutputTextDone)]
    assert [found.token for found in delta.logprobs] == ["Hi"]
    assert [found.to_dict() for found in done.logprobs] == [token]


def test_citations_are_annotations() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "t", "start_index": 0}}
    (message,) = output({"content": "So."}, {"annotations": [cited]})

    assert message["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0}
    ]


def test_annotations_that_come_before_the_text_wait_for_it() -> None:
    (message,) = output({"annotations": [{"type": "file", "file": {"name": "a.pdf"}}]}, {"content": "So."})

    assert message["content"][0]["annotations"] == [{"type": "file", "name": "a.pdf"}]


def test_an_answer_without_anything_is_an_empty_message() -> None:
    (message,) = output({"role": "assistant", "content": ""})

    assert message["content"] == [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]


def test_images_are_items() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    message, made = output({"content": "Here:"}, {"images": [image]})

    assert message["type"] == "message"
    assert (made["type"], made["result"], made["status"]) == ("image_generation_call", "iVBORw0KGgo=", "completed")


def test_audio_is_put_together() -> None:
    (message,) = output(
        {"audio": {"id": "audio_1", "transcript": "Hel"}},
        {"audio": {"data": "UklG"}},
        {"audio": {"transcript": "lo", "data": "Rg=="}},
        {"audio": {"expires_at": 9}},
    )

    assert message["content"] == [
        {"type": "output_audio", "id": "audio_1", "transcript": "Hello", "data": "UklGRg==", "expires_at": 9}
    ]


def test_signatures_of_gemini_stand_before_what_they_belong_to() -> None:
    signature = {"google": {"thought_signature": "sig"}}
    thought, calling = output({"extra_content": signature, **call(0, "a", "f", "{}")})

    envelope = unseal(thought["encrypted_content"])
    assert envelope is not None
    assert envelope.form == "extra_content"
    assert envelope.blocks == ({"extra_content": signature},)
    assert calling["name"] == "f"


# --- calls ------------------------------------------------------------------------------------------------------------


def test_a_call_streams_its_arguments() -> None:
    events, response = told(call(0, "call_1", "f", ""), call(0, arguments='{"a"'), call(0, arguments=":1}"))

    assert [event.delta for event in events if isinstance(event, ev.FunctionCallArgumentsDelta)] == ['{"a"', ":1}"]
    (item,) = response.to_dict()["output"]
    assert (item["call_id"], item["name"], item["arguments"]) == ("call_1", "f", '{"a":1}')


def test_calls_side_by_side_are_kept_apart() -> None:
    found = calls(
        call(0, "a", "f", '{"x":'),
        call(1, "b", "g", '{"y":'),
        call(0, arguments="1}"),
        call(1, arguments="2}"),
    )

    assert found == [("f", '{"x":1}'), ("g", '{"y":2}')]


def test_a_finished_call_is_closed_when_the_next_begins() -> None:
    events, _ = told(call(0, "a", "f", "{}"), call(1, "b", "g", "{}"))

    kinds = [event.type.removeprefix("response.") for event in events]
    assert kinds.index("output_item.done") < len(kinds) - 1 - kinds[::-1].index("output_item.added")


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([call(0, None, "f", "{}")], [("f", "{}")], id="no id"),
        pytest.param([call(0, "", "f", "{}")], [("f", "{}")], id="an empty id"),
        pytest.param([call(0, "null", "f", "{}")], [("f", "{}")], id="the id null in words"),
        pytest.param([call(0, None, "f"), call(0, "late", None, "{}")], [("f", "{}")], id="a late id"),
        pytest.param([call(0, None, "f", "{"), call(0, "late", None, "}")], [("f", "{}")], id="a very late id"),
        pytest.param([call(0, "a", None, "{"), call(0, None, "f", "}")], [("f", "{}")], id="a late name"),
        pytest.param([call(0, "a", "get_"), call(0, None, "time", "{}")], [("get_time", "{}")], id="a name in pieces"),
        pytest.param(
            [call(0, "a", "f", "{"), call(0, "a", "f", '"x":1'), call(0, "a", "f", "}")],
            [("f", '{"x":1}')],
            id="id and name in every piece",
        ),
        pytest.param(
            [call(0, "a", "f", "{"), call(0, "b", "f", '"x":1'), call(0, "c", "f", "}")],
            [("f", '{"x":1}')],
            id="a new id in every piece",
        ),
        pytest.param(
            [call(0, "a", "f", '{"x":1}'), call(0, "b", "g", '{"y":2}')],
            [("f", '{"x":1}'), ("g", '{"y":2}')],
            id="two names under one index",
        ),
        pytest.param(
            [call(0, "a", "f", '{"x":1}'), call(0, "b", "f", '{"x":2}')],
            [("f", '{"x":1}'), ("f", '{"x":2}')],
            id="one name twice under one index",
        ),
        pytest.param(
            [call(0, "", "f", '{"x":1}'), call(0, "", "f", '{"x":2}')],
            [("f", '{"x":1}'), ("f", '{"x":2}')],
            id="whole calls without ids under one index",
        ),
        pytest.param(
            [call(None, "a", "f", '{"x":1}'), call(None, "b", "g", "{}")],
            [("f", '{"x":1}'), ("g", "{}")],
            id="no index",
        ),
        pytest.param(
            [call(None, "a", "f", '{"x"'), call(None, None, None, ":1}")], [("f", '{"x":1}')], id="no index in pieces"
        ),
        pytest.param(
            [call(0, "a", "f", '{"x":'), call(0, None, None, "1}"), call(0, "a", "f", '{"x":1}')],
            [("f", '{"x":1}')],
            id="everything once more at the end",
        ),
        pytest.param(
            [call(0, "a", "f", "{}"), call(0, None, None, '{"x"'), call(0, None, None, ":1}")],
            [("f", '{"x":1}')],
            id="a placeholder first",
        ),
        pytest.param([call(0, "a", "f", "null"), call(0, "a", "f", '{"x":1}')], [("f", '{"x":1}')], id="null first"),
        pytest.param([call(0, "a", "f", "{}"), call(0, "a", None, "{}")], [("f", "{}")], id="nothing, twice"),
        pytest.param([call(0, "a", "f", "null")], [("f", "{}")], id="null for nothing"),
        pytest.param([call(0, "a", "f", ' ""')], [("f", "{}")], id="an empty text for nothing"),
        pytest.param([call(0, "a", "f", " ")], [("f", "{}")], id="white space for nothing"),
        pytest.param(
            [call(0, "a", "f", "{"), call(0, None, None, '"x":'), call(0, None, None, '{"x":1}}')],
            [("f", '{"x":{"x":1}}')],
            id="an object in an object",
        ),
        pytest.param([call(0, "a", "f", "")], [("f", "{}")], id="no arguments"),
        pytest.param([call(0, "a", "f")], [("f", "{}")], id="arguments that are not there"),
        pytest.param([call(0, "a", "f", {"x": [1]})], [("f", '{"x":[1]}')], id="an object for arguments"),
        pytest.param([{"function_call": {"name": "f", "arguments": "{}"}}], [("f", "{}")], id="the former form"),
        pytest.param([{"tool_calls": [{"index": 0}]}, {"content": "Hi"}], [], id="nothing in it"),
    ],
)
def test_calls_come_in_many_shapes(deltas: list[Delta], expected: list[tuple[str, str]]) -> None:
    assert calls(*deltas) == expected
    ids = [item["call_id"] for item in output(*deltas) if "call_id" in item]
    assert all(ids)
    assert len(set(ids)) == len(ids)


def test_an_id_that_two_calls_share_is_given_to_the_first() -> None:
    found = output(call(0, "same", "f", "{}"), call(1, "same", "g", "{}"))

    assert found[0]["call_id"] == "same"
    assert found[1]["call_id"].startswith("call_")


def test_an_id_of_the_host_is_kept() -> None:
    (item,) = output(call(0, None, "f"), call(0, "late", None, "{}"))

    assert item["call_id"] == "late"


def test_text_after_a_call_is_a_message_of_its_own() -> None:
    found = output({"content": "One."}, call(0, "a", "f", "{}"), {"content": "Two."})

    assert [item["type"] for item in found] == ["message", "function_call", "message"]


def test_custom_tools_that_went_out_as_functions_come_back_as_themselves() -> None:
    names = {"run": ToolName("run", custom=True)}
    deltas = [call(0, "a", "run", '{"input":'), call(0, None, None, '"print(1)"}')]
    events, response = told(*deltas, names=names)

    (item,) = response.to_dict()["output"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "print(1)")
    assert not any("function_call" in event.type for event in events)


def test_custom_calls_of_the_wire_stream_their_input() -> None:
    def piece(**custom: str) -> Delta:
        return {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": custom}]}

    events, response = told(piece(name="run", input=""), piece(input="print("), piece(input="1)"))

    assert [event.delta for event in events if isinstance(event, ev.CustomToolCallInputDelta)] == ["print(", "1)"]
    assert response.to_dict()["output"][0]["input"] == "print(1)"


def test_tools_of_a_namespace_get_it_back() -> None:
    (item,) = output(call(0, "a", "crm__find", "{}"), names={"crm__find": ToolName("find", "crm")})

    assert (item["namespace"], item["name"]) == ("crm", "find")


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("tool_calls", "completed", None),
        ("eos", "completed", None),
        ("something_new", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("model_length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
        ("error", "failed", None),
    ],
)
def test_a_finish_reason_is_a_status(reason: str, status: str, details: str | None) -> None:
    events, response = told({"content": "Hi"}, finish=reason)

    assert response.status == status
    assert events[-1].type == f"response.{status}"
    assert (response.incomplete_details and response.incomplete_details.reason) == details
    assert response.to_dict()["output"][0]["status"] == ("completed" if status == "completed" else "incomplete")


def test_a_call_that_was_cut_stays_and_says_so() -> None:
    (first, second) = output(call(0, "a", "f", "{}"), call(1, "b", "g", '{"x"'), finish="length")

    assert (first["status"], second["status"], second["arguments"]) == ("completed", "incomplete", '{"x"')


def test_the_mark_of_the_end_is_optional() -> None:
    events, stream = streamed(chunk({"content": "Hi"}), chunk(finish="stop"))

    assert stream.is_done
    assert events[-1].type == "response.completed"


def test_the_mark_of_the_end_is_enough() -> None:
    """Snowflake sends no finish reason (recorded)."""
    events, _ = streamed(chunk({"content": "Hi"}), DONE)

    assert events[-1].type == "response.completed"


def test_a_stream_without_either_has_not_ended() -> None:
    events, stream = streamed(chunk({"content": "Hi"}))

    assert not stream.is_done
    assert events[-1].type == "response.output_text.delta"


def test_nothing_after_the_end_counts() -> None:
    events, _ = streamed(chunk({"content": "Hi"}), chunk(finish="stop"), DONE, chunk({"content": "more"}), DONE)

    assert [event.type for event in events].count("response.completed") == 1


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk({"content": "Hi"}), chunk(finish="stop"), chunk(usage=USAGE), DONE],
        [chunk({"content": "Hi"}), chunk(finish="stop", usage=USAGE), DONE],
        [chunk({"content": "Hi"}, usage={**USAGE, "total_tokens": 11}), chunk(finish="stop", usage=USAGE), DONE],
        [chunk({"content": "Hi"}), chunk(finish="stop", usage=USAGE), chunk(usage=None), DONE],
    ],
    ids=["a chunk of its own", "with the reason", "with every chunk", "null behind it"],
)
def test_usage_comes_in_many_places(chunks: list[bytes]) -> None:
    events, _ = streamed(*chunks)

    last = events[-1]
    assert isinstance(last, ev.ResponseCompleted)
    assert last.response.usage is not None
    assert last.response.usage.to_dict() == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 15,
    }


def test_a_host_s_own_fields_are_kept() -> None:
    ended = chunk(finish="stop", citations=["https://example.com"], usage={**USAGE, "cost": 0.5}, system_fingerprint="")
    events, _ = streamed(chunk({"content": "Hi"}), ended, DONE)

    last = events[-1]
    assert isinstance(last, ev.ResponseCompleted)
    found = last.response.to_dict()
    assert found["citations"] == ["https://example.com"]
    assert found["usage"]["cost"] == 0.5
    assert "system_fingerprint" not in found


def test_a_host_s_own_fields_take_no_field_of_the_response() -> None:
    """Together sends `prompt`, which is another thing in a response."""
    events, _ = streamed(chunk({"content": "Hi"}), chunk(finish="stop", prompt=[1], output=[2], status="odd"), DONE)

    last = events[-1]
    assert isinstance(last, ev.ResponseCompleted)
    assert "prompt" not in last.response.to_dict()
    assert last.response.output_text == "Hi"


# --- what else may come -----------------------------------------------------------------------------------------------


def test_a_first_chunk_about_the_prompt_opens_nothing() -> None:
    """Azure sends the filter's findings first, without an id (recorded)."""
    first = data({"id": "", "model": "", "created": 0, "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})
    stream = ChatStream(answer())

    assert stream.feed(first) == []
    assert [event.type for event in stream.feed(chunk({"content": "Hi"}))][:2] == [
        "response.created",
        "response.in_progress",
    ]


def test_comments_and_keep_alives_are_nothing() -> None:
    events, _ = streamed(b": PROCESSING\n\n", b":\n\n", chunk({"content": "Hi"}), b"\n\n", chunk(finish="stop"), DONE)

    assert events[-1].type == "response.completed"


def test_other_answers_to_the_same_question_are_left_out() -> None:
    second = {"index": 1, "delta": {"content": "Other"}, "finish_reason": "length"}
    events, _ = streamed(chunk({"content": "Hi"}), data({"id": "c", "choices": [second]}), chunk(finish="stop"), DONE)

    last = events[-1]
    assert isinstance(last, ev.ResponseCompleted)
    assert last.response.output_text == "Hi"


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ({"error": {"message": "too many", "code": 429}}, "429", "too many"),
        ({"error": {"message": "no", "type": "server_error"}}, "server_error", "no"),
        ({"error": "just text"}, "server_error", "just text"),
        ({"object": "error", "message": "flat", "code": 400}, "400", "flat"),
        ({"code": "InvalidParameter", "message": "bare", "request_id": "r"}, "InvalidParameter", "bare"),  # DashScope
        ({"detail": "of FastAPI"}, "server_error", "of FastAPI"),
        ([{"error": {"message": "in a list", "status": "UNAVAILABLE"}}], "UNAVAILABLE", "in a list"),
    ],
)
@pytest.mark.parametrize("begun", [True, False], ids=["after content", "at once"])
def test_an_error_inside_the_stream_fails_the_response(said: object, code: str, message: str, begun: bool) -> None:
    events, stream = streamed(*[chunk({"content": "Hel"})] * begun, data(said), DONE)

    assert stream.is_done
    last = events[-1]
    assert isinstance(last, ev.ResponseFailed)
    assert last.response.error is not None
    assert (last.response.error.code, last.response.error.message) == (code, message)
    assert [item.to_dict()["status"] for item in last.response.output] == ["incomplete"] * begun


@pytest.mark.parametrize("begun", [True, False], ids=["after content", "at once"])
def test_what_comes_beside_an_error_is_told_before_it(begun: bool) -> None:
    said = {"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": "lo"}}], "error": {"message": "busy"}}

    events, _ = streamed(*[chunk({"content": "Hel"})] * begun, data(said), DONE)

    last = events[-1]
    assert isinstance(last, ev.ResponseFailed)
    assert (last.response.id, last.response.output_text) == ("chatcmpl-1", "Hello" if begun else "lo")


@pytest.mark.parametrize(
    "line",
    [b"data: {not json\n\n", b"data: 5\n\n", b'data: {"choices": 7}\n\n', b'data: {"choices": [{"delta": []}]}\n\n'],
)
def test_garbage_is_a_typed_error_after_what_came_before(line: bytes) -> None:
    stream = ChatStream(answer())
    events = stream.feed(chunk({"content": "Hi"}) + line + chunk({"content": "more"}))

    assert [event.type for event in events][-1] == "response.output_text.delta"
    assert isinstance(stream.error, APIResponseError)
    assert not stream.is_done


def test_a_line_without_end_is_refused() -> None:
    stream = ChatStream(answer())
    with pytest.raises(APIResponseError):
        stream.feed(b"data: " + b"x" * 20_000_000)


def test_odd_but_legal_json_is_read() -> None:
    piece = (
        b'data: {"id": "c", "choices": [{"index": 0, "delta": {"content": "a\\ud83d"}, "logprobs": {"x": NaN}}]}\n\n'
    )
    events, _ = streamed(piece, chunk(finish="stop"), DONE)

    last = events[-1]
    assert isinstance(last, ev.ResponseCompleted)
    assert last.response.output_text == "a\N{REPLACEMENT CHARACTER}"


def texts(*contents: str, finish: str = "stop") -> list[str]:
    """Return the text deltas of contents, each given as the JSON text that a host writes for it."""
    pieces = [
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % each.encode() for each in contents
    ]
    events, _ = streamed(*pieces, chunk(finish=finish), DONE)
    return [event.delta for event in events if isinstance(event, ev.OutputTextDelta)]


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        ((r"Hi \ud83d", r"\ude00!"), ["Hi ", "😀!"]),
        ((r"\uD83D", r"\uDE00\ud83d", r"\ude00"), ["😀", "😀"]),
        (("é\\\\\\ud83d", r"\ude00"), ["é\\", "😀"]),
        ((r"no half \\ud83d", r"\\ude00"), ["no half \\ud83d", "\\ude00"]),
        ((r"alone \ud83d", "x"), ["alone \N{REPLACEMENT CHARACTER}", "x"]),
        ((r"\ude00 alone",), ["\N{REPLACEMENT CHARACTER} alone"]),
        ((r"at the end \ud83d",), ["at the end \N{REPLACEMENT CHARACTER}"]),
        ((r"whole \ud83d\ude00", "x"), ["whole 😀", "x"]),
    ],
    ids=["two", "chained", "after a backslash", "escaped", "alone", "second alone", "last", "whole"],
)
def test_a_character_that_the_host_cut_in_two_is_joined(contents: tuple[str, ...], expected: list[str]) -> None:
    assert texts(*contents) == expected


def test_a_character_that_is_cut_by_a_break_is_replaced() -> None:
    events, stream = streamed(chunk({"content": "Hi"}), chunk({"content": "!\ud83d"}))

    assert not stream.is_done
    assert events[-1].to_dict()["delta"] == "!\N{REPLACEMENT CHARACTER}"


def test_unicode_line_separators_are_text() -> None:
    (message,) = output({"content": "a\u2028b\u0085c"})

    assert message["content"][0]["text"] == "a\u2028b\u0085c"


# --- plain answers ----------------------------------------------------------------------------------------------------


def plain(message: dict[str, Any] | None, finish: str | None = "stop", **fields: Any) -> Response:
    choice = {"index": 0, "finish_reason": finish, **({"message": message} if message is not None else {})}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m-1",
        "choices": [choice],
        **fields,
    }
    told_to = answer()
    read_answer(json.dumps(body).encode(), told_to)
    events = told_to.take()
    assert check_grammar(events) == []
    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    return last.response


def test_a_plain_answer_is_read_by_the_same_code() -> None:
    response = plain(
        {
            "role": "assistant",
            "reasoning": "Hm.",
            "content": "Let me look.",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        "tool_calls",
        usage=USAGE,
    )

    assert [item["type"] for item in response.to_dict()["output"]] == ["reasoning", "message", "function_call"]
    assert (response.created_at, response.status) == (7, "completed")


def test_parallel_calls_of_a_plain_answer_need_no_index() -> None:
    made = [{"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "f", "arguments": "{}"}}]
    response = plain({"role": "assistant", "content": None, "tool_calls": made})

    assert [item["name"] for item in response.to_dict()["output"]] == ["f", "f"]


def test_a_filtered_answer_may_have_no_message() -> None:
    """Azure (recorded)."""
    response = plain(None, "content_filter")

    assert response.status == "incomplete"
    assert response.output == ()


def test_a_custom_tool_may_be_called_with_nothing() -> None:
    names = {"run": ToolName("run", custom=True)}

    assert output(call(0, "a", "run", '{"input":""}'), names=names)[0]["input"] == ""


def test_entries_of_reasoning_details_are_joined_only_where_they_are_pieces() -> None:
    """All of a plain answer's are whole, whatever their index says; in a stream a signature ends one (OpenRouter)."""
    whole = [
        {"type": "reasoning.encrypted", "data": "AA", "id": "rs_1"},
        {"type": "reasoning.encrypted", "data": "BB", "id": "rs_2"},
        {"type": "reasoning.text", "text": "One.", "signature": "s1", "index": 0},
        {"type": "reasoning.text", "text": "Two.", "signature": "s2", "index": 0},
    ]
    answers = (
        plain({"role": "assistant", "reasoning_details": whole, "content": "Yes."}).to_dict()["output"],
        output(*({"reasoning_details": [entry]} for entry in whole), {"content": "Yes."}),
    )

    for thought, _ in answers:
        envelope = unseal(thought["encrypted_content"])
        assert envelope is not None
        assert list(envelope.blocks) == whole


@pytest.mark.parametrize(
    "tail", [b'{"error": {"message": "no", "code": 500}}\n\n', b'error: {"message": "no", "code": 500}\n\n']
)
def test_an_error_that_is_no_event_fails_the_response(tail: bytes) -> None:
    """Of a gateway, and of llama.cpp until 2025."""
    events, _ = streamed(chunk({"content": "Hel"}), tail)

    last = events[-1]
    assert isinstance(last, ev.ResponseFailed)
    assert last.response.error is not None
    assert (last.response.error.code, last.response.error.message) == ("500", "no")


@pytest.mark.parametrize("odd", [[], [1], {}, {"a": 1}, "x", 7, True])
def test_what_is_beside_the_answer_may_have_any_shape(odd: Any) -> None:
    """Gateways in PHP write [] for an empty object; nobody needs to lose an answer by that."""
    fields: dict[str, Any] = {"created": odd, "service_tier": odd, "usage": odd}
    said = {"index": 0, "logprobs": odd, "finish_reason": "stop"}
    delta = {"content": "Hi", "annotations": odd, "images": odd, "audio": odd, "executed_tools": odd}

    events, stream = streamed(data({"id": "c", "choices": [{**said, "delta": delta}], **fields}), DONE)
    whole = plain({"role": "assistant", **delta}, **fields)

    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    assert stream.error is None
    assert (last.response.output_text, whole.output_text) == ("Hi", "Hi")


def test_an_error_may_come_with_usage_of_any_shape() -> None:
    events, _ = streamed(data({"error": {"message": "no"}, "usage": []}))

    assert isinstance(events[-1], ev.ResponseFailed)


@pytest.mark.parametrize(
    ("part", "kinds", "said"),
    [
        ({"type": "output_text", "text": "Hi"}, ["message"], "Hi"),
        ({"text": "Hi"}, ["message"], "Hi"),
        ({"type": "refusal", "refusal": "No."}, ["message"], ""),
        ({"type": "reasoning", "text": "Hm."}, ["reasoning"], ""),
        ({"type": "thinking", "text": "Hm."}, ["reasoning"], ""),
        ({"type": "text", "text": ""}, ["message"], ""),
    ],
)
def test_content_may_be_parts_of_other_apis(part: dict[str, Any], kinds: list[str], said: str) -> None:
    _, response = told({"content": [part]})

    assert [item["type"] for item in response.to_dict()["output"]] == kinds
    assert response.output_text == said
