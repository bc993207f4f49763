"""Input as messages of the Messages API: roles, parts, results, thinking, and what the host itself made."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from anthropic_calls import FOUND, NEW, PIXEL, SEARCH, THINKING, Sent, said, sealed, text
from anthropic_recordings import PLAIN, STREAMS, message_in, named
from chat_calls import call, output, thought, user
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.anthropic import sealed as seal_blocks
from antiphon.providers.dialects.anthropic import tell_message
from antiphon.providers.dialects.anthropic_answer import AnthropicAnswer


def messages(*items: Any, model: str = NEW) -> list[dict[str, Any]]:
    sent = Sent(model, input=list(items))
    assert not sent.dropped
    return sent.messages


def used(call_id: str = "1", name: str = "f", given: Any = None, **fields: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": given or {}, **fields}


def result(call_id: str = "1", content: Any = "done", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": content, **fields}


def words(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "content": "".join(texts)}


def reasoning(*blocks: dict[str, Any], **whose: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": sealed(*blocks, **whose)}


# --- roles


def test_roles_alternate_and_results_come_first() -> None:
    found = messages(
        words("user", "a"),
        words("user", "b"),
        call("1"),
        call("2"),
        words("user", "c"),
        output("1"),
        output("2"),
        words("assistant", "d"),
        words("user", "e"),
    )

    assert found == [
        said("user", text("a"), text("b")),
        said("assistant", used("1"), used("2")),
        said("user", result("1"), result("2"), text("c")),
        said("assistant", text("d")),
        said("user", text("e")),
    ]


def test_first_system_messages_are_the_system() -> None:
    sent = Sent(input=[words("system", "b"), words("developer", "c"), words("user", "d")], instructions="a")

    assert sent.body["system"] == [text("a"), text("b"), text("c")]
    assert sent.messages == [said("user", text("d"))]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([], [said("user", text("a")), said("system", text("b"), text("c"))]),
        (
            [words("assistant", "d"), words("user", "e")],
            [
                said("user", text("a")),
                said("system", text("b"), text("c")),
                said("assistant", text("d")),
                said("user", text("e")),
            ],
        ),
        (
            [words("user", "d")],
            [said("user", text("a"), text("<system>b</system>"), text("<system>c</system>"), text("d"))],
        ),
    ],
)
def test_a_later_system_message_stays_in_its_place(after: list[Any], expected: list[Any]) -> None:
    assert messages(words("user", "a"), words("system", "b"), words("developer", "c"), *after) == expected


def test_an_older_model_hears_a_later_system_message_from_the_user() -> None:
    found = messages(words("user", "a"), words("system", "b"), model="claude-sonnet-4-5")

    assert found == [said("user", text("a"), text("<system>b</system>"))]


def test_empty_text_is_left_out() -> None:
    assert messages(words("user", "a"), words("assistant", ""), user({"type": "input_text", "text": ""})) == [
        said("user", text("a"))
    ]


def test_an_answer_to_go_on_with_ends_without_white_space() -> None:
    sent = Sent(input=[words("user", "a"), words("assistant", "b \n")])

    assert sent.messages[-1] == said("assistant", text("b"))
    assert set(sent.dropped) == {"input"}


# --- parts


def data_url(kind: str, data: str) -> str:
    return f"data:{kind};base64,{data}"


TEXT = base64.b64encode("Grüße".encode()).decode()


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "input_text", "text": "a"}, text("a")),
        (
            {"type": "input_text", "text": "a", "cache_control": {"type": "ephemeral"}},
            text("a", cache_control={"type": "ephemeral"}),
        ),
        (
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            text("a", cache_control={"type": "ephemeral"}),
        ),
        (
            {"type": "input_image", "image_url": data_url("image/png", PIXEL), "detail": "auto"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        ),
        (
            {"type": "input_image", "image_url": "https://a.example/x.png"},
            {"type": "image", "source": {"type": "url", "url": "https://a.example/x.png"}},
        ),
        (
            {"type": "input_file", "file_data": data_url("application/pdf", "AA=="), "filename": "a.pdf"},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "a.pdf",
            },
        ),
        (
            {"type": "input_file", "file_data": "AA=="},
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="}},
        ),
        (
            {"type": "input_file", "file_data": TEXT, "filename": "a.txt"},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
                "title": "a.txt",
            },
        ),
        (
            {"type": "input_file", "file_url": "https://a.example/x.pdf", "citations": {"enabled": True}},
            {
                "type": "document",
                "source": {"type": "url", "url": "https://a.example/x.pdf"},
                "citations": {"enabled": True},
            },
        ),
    ],
)
def test_a_part_becomes_a_block(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert messages(user(part)) == [said("user", block)]
    assert messages(call(), output(given=[part]))[1] == said("user", result(content=[block]))


@pytest.mark.parametrize(("kind", "block"), [("input_image", "image"), ("input_file", "document")])
def test_an_uploaded_file_needs_a_beta(kind: str, block: str) -> None:
    sent = Sent(input=[user({"type": kind, "file_id": "file_1"})])

    assert sent.messages == [said("user", {"type": block, "source": {"type": "file", "file_id": "file_1"}})]
    assert sent.sent.betas == ("files-api-2025-04-14",)


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, UnsupportedParameter),
        ({"type": "odd"}, UnsupportedParameter),
        ({"type": "input_image"}, InvalidParameter),
        ({"type": "input_image", "image_url": data_url("image/tiff", "")}, UnsupportedParameter),
        ({"type": "input_image", "image_url": "data:image/png,abc"}, InvalidParameter),
        ({"type": "input_file", "file_data": "AA==", "filename": "a.zip"}, UnsupportedParameter),
        ({"type": "input_file", "file_data": "/w==", "filename": "a.txt"}, InvalidParameter),
        ({"type": "input_file"}, InvalidParameter),
        ({"type": "input_text"}, InvalidParameter),
    ],
)
def test_a_part_that_the_host_does_not_take_is_an_error_about_its_place(
    part: dict[str, Any], error: type[CallError]
) -> None:
    with pytest.raises(error, match=r"input\[0\]\.content\[0\]"):
        Sent(input=[user(part)])
    with pytest.raises(error, match=r"input\[1\]\.output\[0\]"):
        Sent(input=[call(), output(given=[part])])


@pytest.mark.parametrize("kind", ["input_image", "input_file"])
def test_a_detail_is_reported(kind: str) -> None:
    part = {"type": kind, "image_url": "https://a.example", "file_url": "https://a.example", "detail": "high"}
    known = {"input_image": "file_url", "input_file": "image_url"}[kind]

    sent = Sent(input=[user({name: value for name, value in part.items() if name != known})])

    assert set(sent.dropped) == {"input[0].content[0].detail"}


# --- calls


def test_arguments_go_back_byte_by_byte() -> None:
    sent = Sent(input=[call(arguments='{"b": 1.0, "a":1e3}'), output()])

    assert b'"input":{"b": 1.0, "a":1e3}' in sent.sent.data


@pytest.mark.parametrize(("arguments", "what"), [("{", "no JSON"), ("[1]", "list instead of an object")])
def test_arguments_that_are_no_object_are_an_error(arguments: str, what: str) -> None:
    with pytest.raises(InvalidParameter, match=rf"input\[1\]\.arguments is {what}"):
        Sent(input=[words("user", "a"), call(arguments=arguments), output()])


@pytest.mark.parametrize(
    ("item", "block"),
    [
        (call(arguments=""), used()),
        (call(namespace="n"), used(name="n__f")),
        ({"type": "custom_tool_call", "call_id": "1", "name": "c", "input": "x"}, used(name="c", given={"input": "x"})),
        (
            call(caller={"type": "code_execution_20260120", "tool_id": "t"}),
            used(caller={"type": "code_execution_20260120", "tool_id": "t"}),
        ),
        (call("call.1"), used("call_f2dd")),
    ],
)
def test_a_call_becomes_a_use(item: dict[str, Any], block: dict[str, Any]) -> None:
    (found,) = messages(item, output(item["call_id"]))[0]["content"]

    assert found["id"].startswith(block["id"][:5])
    assert {**found, "id": ""} == {**block, "id": ""}


def test_an_id_that_the_host_refuses_is_changed_in_both_places() -> None:
    asked, answered = messages(call("a.b"), output("a.b"))

    made = asked["content"][0]["id"]
    assert made != "a.b"
    assert answered["content"][0]["tool_use_id"] == made


def test_a_failed_call_over_mcp_is_an_error_for_the_model() -> None:
    item = {"type": "mcp_call", "id": "m", "name": "f", "server_label": "s", "arguments": "{}", "error": "bad"}

    assert messages(item)[1] == said("user", result("m", "bad", is_error=True))


# --- thinking and the host's own blocks


def test_what_the_host_made_goes_back_in_its_order() -> None:
    search = {"type": "web_search_call", "id": "ws", "encrypted_content": sealed(SEARCH, FOUND)}
    other = {"type": "anthropic_blocks", "id": "b", "encrypted_content": sealed({"type": "new"})}
    compaction = {"type": "compaction", "id": "c", "encrypted_content": sealed({"type": "compaction", "content": "x"})}

    found = messages(
        compaction, reasoning(THINKING), words("assistant", "a"), search, other, reasoning(THINKING), call(), output()
    )

    blocks = [{"type": "compaction", "content": "x"}, THINKING, text("a"), SEARCH, FOUND, {"type": "new"}]
    assert found == [said("assistant", *blocks, THINKING, used()), said("user", result())]


def test_blocks_of_litellm_are_taken() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": json.dumps([THINKING])}

    assert messages(item, words("assistant", "a")) == [said("assistant", THINKING, text("a"))]


@pytest.mark.parametrize(
    "item",
    [
        reasoning(THINKING, provider="other"),
        reasoning(THINKING, dialect="chat"),
        reasoning(THINKING, model="claude-sonnet-4-5"),
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"},
        {"type": "reasoning", "summary": [], "encrypted_content": '[{"type":"odd"}]'},
        thought("Hm"),
        thought("", summary="Hm"),
        {"type": "web_search_call", "id": "ws", "encrypted_content": sealed(SEARCH, FOUND, provider="other")},
        {"type": "anthropic_blocks", "id": "b", "encrypted_content": sealed(SEARCH, provider="other")},
    ],
)
def test_what_another_made_is_left_out_and_reported(item: dict[str, Any]) -> None:
    sent = Sent(input=[item, words("assistant", "a"), words("user", "b")])

    assert sent.messages == [said("assistant", text("a")), said("user", text("b"))]
    assert [name[:8] for name in sent.dropped] == ["input[0]"]


def test_reasoning_that_says_nothing_is_left_out() -> None:
    assert messages(thought(""), words("assistant", "a")) == [said("assistant", text("a"))]


def test_a_dated_name_is_the_same_model() -> None:
    item = reasoning(THINKING, model="claude-sonnet-4-5-20250929")

    assert messages(item, words("assistant", "a"), model="claude-sonnet-4-5")[0]["content"][0] == THINKING


def told(message: dict[str, Any]) -> ev.LifecycleEvent:
    answer = AnthropicAnswer(
        {"model": NEW}, "anthropic", lambda blocks: seal_blocks("anthropic", NEW, blocks), token="t"
    )
    assert tell_message(message, answer)
    last = answer.take()[-1]
    assert isinstance(last, ev.LifecycleEvent)
    return last


@pytest.mark.parametrize("recording", [*PLAIN, *STREAMS], ids=named)
def test_a_recorded_answer_goes_back_as_it_was(recording: Recording) -> None:
    message = message_in(recording.body)
    last = told(message)
    outputs = [output(block["id"]) for block in message["content"] if block["type"] == "tool_use"]

    found = messages(words("user", "a"), *last.response.output, *outputs, words("user", "b"))

    assert joined(found[1]["content"]) == joined(message["content"])


def joined(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return blocks with plain text that follows plain text joined, and without what says nothing."""
    whole: list[dict[str, Any]] = []
    for block in blocks:
        found = {name: value for name, value in block.items() if not (name == "citations" and not value)}
        if found["type"] == "tool_use" and found.get("caller") == {"type": "direct"}:
            del found["caller"]
        if found.keys() == {"type", "text"} and whole and whole[-1].keys() == {"type", "text"}:
            whole[-1]["text"] += found["text"]
        elif found.get("text") != "":
            whole.append(found)
    return whole


FOLLOWED = [
    (before, after)
    for before in [*PLAIN, *STREAMS]
    for after in [*PLAIN, *STREAMS]
    if before.group == after.group and before.turn + 1 == after.turn and len(after.request_body["messages"]) > 1
]


@pytest.mark.parametrize(("before", "after"), FOLLOWED, ids=[after.name for _, after in FOLLOWED])
def test_the_next_call_is_the_one_that_was_recorded(before: Recording, after: Recording) -> None:
    """Another client's call, from the same answer: what it leaves out is left out of the comparison."""
    recorded = after.request_body["messages"]
    message = message_in(before.body)
    last = told(message)
    results = [block for block in recorded[-1]["content"] if block["type"] == "tool_result"]
    outputs = [output(block["tool_use_id"], block["content"][0]["text"]) for block in results]
    asked = [words("user", block["text"]) for block in recorded[-1]["content"] if block["type"] == "text"]

    found = messages(words("user", recorded[0]["content"][0]["text"]), *last.response.output, *outputs, *asked)

    at = len(recorded) - 2
    assert [each["role"] for each in found] == [each["role"] for each in recorded[:1] + recorded[at:]]
    assert bare(found[1]["content"]) == bare(recorded[at]["content"])


def bare(value: Any) -> Any:
    """Return blocks without what says nothing, and without citations and callers, which the other client drops."""
    if isinstance(value, dict):
        left_out = ("citations", "caller", "page_age")
        return {name: bare(member) for name, member in value.items() if name not in left_out and member is not None}
    if not isinstance(value, list):
        return value
    if any(isinstance(block, dict) and block.get("type") == "text" for block in value):
        value = joined([{name: member for name, member in block.items() if name != "citations"} for block in value])
    return [bare(member) for member in value]
