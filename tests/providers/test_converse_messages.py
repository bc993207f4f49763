"""Input as messages of Converse: roles, parts, results, reasoning, and what the host itself made."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_calls import call, output, thought, user
from converse_calls import (
    BUDGET,
    CACHE,
    CLAUDE,
    GPT,
    LLAMA,
    MISTRAL,
    NOVA,
    PIXEL,
    REDACTED,
    THINKING,
    UNKNOWN,
    Sent,
    result,
    said,
    sealed,
    text,
    used,
)
from converse_recordings import ALL, PLAIN, STREAMS, answer_in, blocks_of, named
from recordings import Recording

from antiphon.pipeline.api import events as ev
from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.converse import sealed as seal_blocks
from antiphon.providers.dialects.converse import tell_whole
from antiphon.providers.dialects.converse_answer import ConverseAnswer


def messages(*items: Any, model: str = CLAUDE) -> list[dict[str, Any]]:
    sent = Sent(model, input=list(items))
    assert not sent.dropped
    return sent.messages


def words(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "content": "".join(texts)}


def reasoning(*blocks: dict[str, Any], **whose: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": sealed(*blocks, **whose)}


def data_url(kind: str, data: str) -> str:
    return f"data:{kind};base64,{data}"


TOOLS = [{"type": "function", "name": "f"}]

# --- roles


def test_roles_alternate_and_results_come_first() -> None:
    items = [
        *(words("user", "a"), words("user", "b"), call("1"), call("2"), words("user", "c"), output("1"), output("2")),
        *(words("assistant", "d"), words("user", "e")),
    ]

    assert Sent(input=items, tools=TOOLS).messages == [
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
    ("model", "expected"),
    [
        ("anthropic.claude-opus-4-8", [said("user", text("a")), said("system", text("b"))]),
        (CLAUDE, [said("user", text("a"), text("<system>b</system>"))]),
        (NOVA, [said("user", text("a"), text("<system>b</system>"))]),
    ],
)
def test_a_later_system_message_stays_in_its_place(model: str, expected: list[Any]) -> None:
    assert messages(words("user", "a"), words("system", "b"), model=model) == expected


def test_an_assistant_that_may_not_begin_is_asked_first() -> None:
    items = [words("assistant", "a"), words("user", "b")]

    sent = Sent(NOVA, input=items)

    assert sent.messages == [said("user", text(".")), said("assistant", text("a")), said("user", text("b"))]
    assert set(sent.dropped) == {"input"}
    assert messages(*items) == [said("assistant", text("a")), said("user", text("b"))]


def test_blank_text_is_left_out() -> None:
    sent = Sent(input=[words("user", "a"), words("assistant", ""), words("user", " \n"), words("user", "b")])

    assert sent.messages == [said("user", text("a"), text("b"))]
    assert set(sent.dropped) == {"input[2]"}


def test_an_answer_to_go_on_with_ends_without_white_space() -> None:
    sent = Sent(input=[words("user", "a"), words("assistant", "b \n")])

    assert sent.messages[-1] == said("assistant", text("b"))
    assert set(sent.dropped) == {"input"}


# --- parts


@pytest.mark.parametrize(
    ("part", "blocks"),
    [
        ({"type": "input_text", "text": "a"}, [text("a")]),
        ({"type": "input_text", "text": "a", "cachePoint": {}}, [text("a"), CACHE]),
        ({"type": "input_text", "text": "a", "cache_control": {"type": "ephemeral"}}, [text("a"), CACHE]),
        (
            {"type": "input_text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            [text("a"), {"cachePoint": {"type": "default", "ttl": "1h"}}],
        ),
        ({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, [text("a"), CACHE]),
        (
            {"type": "input_text", "text": "a", "guardContent": {"qualifiers": ["query"]}},
            [{"guardContent": {"text": {"text": "a", "qualifiers": ["query"]}}}],
        ),
        (
            {"type": "input_image", "image_url": data_url("image/png", PIXEL), "detail": "auto"},
            [{"image": {"format": "png", "source": {"bytes": PIXEL}}}],
        ),
        (
            {"type": "input_image", "image_url": "s3://bucket/x.jpg", "cachePoint": {"ttl": "5m"}},
            [
                {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/x.jpg"}}}},
                {"cachePoint": {"type": "default", "ttl": "5m"}},
            ],
        ),
        (
            {"type": "input_file", "file_data": data_url("image/webp", PIXEL), "filename": "a.webp"},
            [{"image": {"format": "webp", "source": {"bytes": PIXEL}}}],
        ),
        (
            {"type": "input_file", "file_url": "s3://bucket/x.mp4"},
            [{"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/x.mp4"}}}}],
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            [{"audio": {"format": "wav", "source": {"bytes": "AA=="}}}],
        ),
    ],
)
def test_a_part_becomes_a_block(part: dict[str, Any], blocks: list[dict[str, Any]]) -> None:
    assert messages(user(part)) == [said("user", *blocks)]


@pytest.mark.parametrize(
    ("part", "document"),
    [
        ({"file_data": "AA=="}, {"format": "pdf", "name": "document"}),
        (
            {"file_data": "AA==", "filename": "report_2026 (final).docx"},
            {"format": "docx", "name": "report 2026 (final)"},
        ),
        ({"file_data": data_url("text/x-python", "AA=="), "filename": "é.py"}, {"format": "txt", "name": "document"}),
        (
            {"file_data": data_url("application/pdf", "AA=="), "citations": {"enabled": True}, "context": "law"},
            {"format": "pdf", "name": "document", "citations": {"enabled": True}, "context": "law"},
        ),
        ({"file_data": "AA==", "filename": "notes.md"}, {"format": "md", "name": "notes"}),
    ],
)
def test_a_file_is_a_document_with_a_name_and_a_text_beside_it(part: dict[str, Any], document: dict[str, Any]) -> None:
    (message,) = messages(user({"type": "input_file", **part}))

    found, words_beside = message["content"]
    assert found == {"document": {**document, "source": {"bytes": "AA=="}}}
    assert words_beside["text"].strip()


def test_no_two_documents_have_one_name() -> None:
    part = {"type": "input_file", "file_data": "AA==", "filename": "a.pdf"}

    first, second = messages(user(part, {"type": "input_text", "text": "b"}), words("assistant", "c"), user(part))[::2]

    assert [block["document"]["name"] for block in first["content"] if "document" in block] == ["a"]
    assert [block["document"]["name"] for block in second["content"] if "document" in block] == ["a 2"]
    assert len(first["content"]) == 2


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({"type": "odd"}, UnsupportedParameter),
        ({"type": "input_image", "image_url": "https://a.example/x.png"}, UnsupportedParameter),
        ({"type": "input_image", "file_id": "file_1"}, UnsupportedParameter),
        ({"type": "input_image", "image_url": data_url("image/tiff", "")}, UnsupportedParameter),
        ({"type": "input_image", "image_url": "data:image/png,abc"}, InvalidParameter),
        ({"type": "input_file", "file_data": "AA==", "filename": "a.zip"}, UnsupportedParameter),
        ({"type": "input_file", "file_url": "https://a.example/x.pdf"}, UnsupportedParameter),
        ({"type": "input_file", "file_id": "file_1"}, UnsupportedParameter),
        ({"type": "input_file"}, InvalidParameter),
        ({"type": "input_text"}, InvalidParameter),
        ({"type": "input_audio", "input_audio": {"format": "wav"}}, InvalidParameter),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "amr"}}, UnsupportedParameter),
    ],
)
def test_a_part_that_the_host_does_not_take_is_an_error_about_its_place(
    part: dict[str, Any], error: type[CallError]
) -> None:
    with pytest.raises(error, match=r"input\[0\]\.content\[0\]"):
        Sent(input=[user(part)])
    with pytest.raises(error, match=r"input\[1\]\.output\[0\]"):
        Sent(input=[call(), output(given=[part])], tools=TOOLS)


def test_fields_that_nobody_takes_are_reported() -> None:
    sent = Sent(input=[user({"type": "input_image", "image_url": data_url("image/png", PIXEL), "detail": "high"})])

    assert set(sent.dropped) == {"input[0].content[0].detail"}


# --- results

IMAGE = {"image": {"format": "png", "source": {"bytes": PIXEL}}}
IMAGE_PART = {"type": "input_image", "image_url": data_url("image/png", PIXEL)}
PAPER = {"document": {"format": "pdf", "name": "a", "source": {"bytes": "AA=="}}}
PAPER_PART = {"type": "input_file", "file_data": "AA==", "filename": "a.pdf"}
TEXT_PART = {"type": "input_text", "text": "b"}


def answered(*given: Any, model: str = CLAUDE, then: tuple[Any, ...] = ()) -> tuple[list[dict[str, Any]], set[str]]:
    """Return what stands behind a call that was answered so, and what was reported."""
    sent = Sent(model, input=[words("user", "a"), call(), *[output(given=each) for each in given], *then], tools=TOOLS)
    return sent.messages[2:], set(sent.dropped)


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ("18 degrees", [text("18 degrees")]),
        ('{"a": 1}', [text('{"a": 1}')]),
        ("", [text("(empty)")]),
        (" ", [text("(empty)")]),
        ([], [text("(empty)")]),
        ([TEXT_PART, IMAGE_PART, PAPER_PART], [text("b"), IMAGE, PAPER]),
    ],
)
def test_a_result_says_what_came_out(given: Any, content: list[Any]) -> None:
    assert answered(given) == ([said("user", result("1", *content))], set())


@pytest.mark.parametrize(
    ("given", "content"),
    [
        ("18 degrees", {"json": {"result": "18 degrees"}}),
        ('{"a": 1}', {"json": {"a": 1}}),
        ([TEXT_PART], {"json": {"result": "b"}}),
    ],
)
def test_a_model_that_takes_results_as_json_gets_them_so(given: Any, content: dict[str, Any]) -> None:
    (message,), _ = answered(given, model=MISTRAL)

    assert message["content"][0]["toolResult"]["content"] == [content]


def test_what_a_result_cannot_hold_follows_behind_a_line_that_says_whose_it_is() -> None:
    (message,), dropped = answered([TEXT_PART, PAPER_PART], model=NOVA)

    line = text("From the result of call 1:")
    assert message == said("user", result("1", text("b")), line, PAPER)
    assert dropped == set()


def test_where_nothing_may_stand_beside_results_an_assistant_stands_between() -> None:
    found, dropped = answered("b", model=LLAMA, then=(words("user", "c"),))

    assert found == [said("user", result("1", text("b"))), said("assistant", text(".")), said("user", text("c"))]
    assert dropped == {"input"}


def test_a_claude_takes_text_beside_results_and_no_documents() -> None:
    assert answered("b", then=(words("user", "c"),)) == ([said("user", result("1", text("b")), text("c"))], set())

    found, dropped = answered("b", then=(user(PAPER_PART, {"type": "input_text", "text": "c"}),))
    assert [message["role"] for message in found] == ["user", "assistant", "user"]
    assert dropped == {"input"}


def test_a_failed_call_is_an_error_for_the_model() -> None:
    item = {"type": "mcp_call", "id": "m", "name": "f", "server_label": "s", "arguments": "{}", "error": "bad"}

    assert Sent(input=[item], tools=TOOLS).messages[1] == said("user", result("m", text("bad"), status="error"))
    sent = Sent("writer.palmyra-x4-v1:0", input=[words("user", "a"), item], tools=TOOLS)
    assert sent.messages[2] == said("user", result("m", text("bad")))
    assert set(sent.dropped) == {"input[1].is_error"}


# --- calls


def test_arguments_go_back_byte_by_byte() -> None:
    sent = Sent(input=[call(arguments='{"b": 1.0, "a":1e3}'), output()], tools=TOOLS)

    assert b'"input":{"b": 1.0, "a":1e3}' in sent.data


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
    ],
)
def test_a_call_becomes_a_use(item: dict[str, Any], block: dict[str, Any]) -> None:
    assert Sent(input=[item, output()], tools=TOOLS).messages[0] == said("assistant", block)


@pytest.mark.parametrize(("model", "call_id"), [(CLAUDE, "a.b"), (MISTRAL, "tooluse_aS2bf2IWkc0VLclSrpq8MK")])
def test_an_id_that_the_host_refuses_is_changed_in_both_places(model: str, call_id: str) -> None:
    _, asked, result_message = Sent(
        model, input=[words("user", "a"), call(call_id), output(call_id)], tools=TOOLS
    ).messages

    made = asked["content"][0]["toolUse"]["toolUseId"]
    assert made != call_id
    assert len(made) == 9 if model == MISTRAL else made.startswith("call_")
    assert result_message["content"][0]["toolResult"]["toolUseId"] == made


def test_citations_go_back_with_the_text_that_they_are_about() -> None:
    cited = {"title": "A", "location": {"web": {"url": "https://a.example"}}}

    def noted(start: int, end: int, whose: str = "bedrock") -> dict[str, Any]:
        own = {"provider": whose, "dialect": "converse", "start_index": start, "end_index": end, "citation": cited}
        return {"type": "url_citation", "url": "https://a.example", "title": "A", "provider_data": own}

    def of(*annotations: Any) -> list[dict[str, Any]]:
        part = {"type": "output_text", "text": "So it is.", "annotations": list(annotations)}
        (message,) = messages({"role": "assistant", "content": [part]})
        found: list[dict[str, Any]] = message["content"]
        return found

    block = {"citationsContent": {"content": [{"text": "it"}], "citations": [cited, cited]}}
    assert of(noted(3, 5), noted(3, 5), noted(4, 6)) == [text("So "), block, text(" is.")]
    for foreign in (noted(0, 2, "other"), noted(0, 99), {"type": "url_citation"}, "odd"):
        assert of(foreign) == [text("So it is.")]


def test_a_refusal_is_said_like_any_other_text() -> None:
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}

    assert messages(refusal) == [said("assistant", text("No."))]


# --- reasoning and the host's own blocks


def test_what_the_host_made_goes_back_in_its_order() -> None:
    use = {"toolUse": {"toolUseId": "u", "name": "nova_code_interpreter", "input": {}, "type": "server_tool_use"}}
    done = {"toolResult": {"toolUseId": "u", "content": [{"json": {}}], "type": "nova_code_interpreter_result"}}
    ran = {"type": "code_interpreter_call", "id": "ci", "encrypted_content": sealed(use, done)}

    found = messages(reasoning(THINKING, REDACTED), words("assistant", "a"), ran, reasoning(THINKING))

    assert found == [said("assistant", THINKING, REDACTED, text("a"), use, done, THINKING)]


def test_blocks_of_litellm_are_taken_as_blocks_of_this_format() -> None:
    own = [{"type": "thinking", "thinking": "Hm", "signature": "sig"}, {"type": "redacted_thinking", "data": "EtkE"}]
    item = {"type": "reasoning", "summary": [], "encrypted_content": json.dumps(own)}

    assert messages(item, words("assistant", "a")) == [said("assistant", THINKING, REDACTED, text("a"))]


@pytest.mark.parametrize(
    ("model", "item"),
    [
        (CLAUDE, reasoning(THINKING, provider="other")),
        (CLAUDE, reasoning(THINKING, dialect="anthropic")),
        (CLAUDE, reasoning(THINKING, model=BUDGET)),
        (GPT, reasoning(THINKING, model=GPT)),
        (UNKNOWN, {"type": "reasoning", "summary": [], "encrypted_content": json.dumps([{"type": "thinking"}])}),
        (CLAUDE, {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}),
        (CLAUDE, {"type": "reasoning", "summary": [], "encrypted_content": '[{"type":"odd"}]'}),
        (CLAUDE, thought("Hm")),
        (CLAUDE, thought("", summary="Hm")),
        (CLAUDE, {"type": "code_interpreter_call", "id": "c", "encrypted_content": sealed(THINKING, provider="other")}),
    ],
)
def test_what_another_made_is_left_out_and_reported(model: str, item: dict[str, Any]) -> None:
    sent = Sent(model, input=[words("user", "a"), item, words("assistant", "b"), words("user", "c")])

    assert sent.messages == [said("user", text("a")), said("assistant", text("b")), said("user", text("c"))]
    assert [name[:8] for name in sent.dropped] == ["input[1]"]


def test_reasoning_that_says_nothing_is_left_out() -> None:
    assert messages(thought(""), words("assistant", "a")) == [said("assistant", text("a"))]


@pytest.mark.parametrize(
    "model",
    [
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "eu.anthropic.claude-sonnet-4-5",
        "arn:aws:bedrock:us-east-1:012345678901:inference-profile/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ],
)
def test_region_date_and_version_do_not_make_another_model(model: str) -> None:
    item = reasoning(THINKING, model=BUDGET)

    assert messages(item, words("assistant", "a"), model=model)[0]["content"][0] == THINKING


# --- recorded conversations


def told(answer: dict[str, Any], model: str) -> ev.LifecycleEvent:
    writer = ConverseAnswer(
        {"model": model}, "bedrock", lambda blocks: seal_blocks("bedrock", model, blocks), token="t"
    )
    assert tell_whole(answer, writer)
    last = writer.take()[-1]
    assert isinstance(last, ev.LifecycleEvent)
    return last


def model_in(recording: Recording) -> str:
    return recording.url.split("/model/")[1].split("/")[0].replace("%3A", ":").replace("%2F", "/")


@pytest.mark.parametrize("recording", [*PLAIN, *STREAMS], ids=named)
def test_a_recorded_answer_goes_back_as_it_was(recording: Recording) -> None:
    answer, model = answer_in(recording), model_in(recording)
    blocks = blocks_of(answer)
    outputs = [output(use["toolUseId"]) for use in calls_in(blocks)]

    items = [words("user", "a"), *told(answer, model).response.output, *outputs, words("user", "b")]
    found = Sent(model, input=items, tools=TOOLS).messages

    assert [untyped(block) for block in found[1]["content"]] == [untyped(block) for block in blocks]


def calls_in(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    return [use for use in uses if use.get("type") != "server_tool_use"]


def untyped(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block without the type of an ordinary use, which the request has no value for."""
    if block.get("toolUse", {}).get("type") == "tool_use":
        return {"toolUse": {name: value for name, value in block["toolUse"].items() if name != "type"}}
    return block


FOLLOWED = [
    (before, after)
    for before in [*PLAIN, *STREAMS]
    for after in [*PLAIN, *STREAMS]
    if before.group == after.group and before.turn + 1 == after.turn
]


@pytest.mark.parametrize(("before", "after"), FOLLOWED, ids=[after.name for _, after in FOLLOWED])
def test_the_next_call_is_the_one_that_was_recorded(before: Recording, after: Recording) -> None:
    """Another client's call, from the same answer; it says of every result that it is one of success."""
    recorded, model = after.request_body["messages"], model_in(before)
    first = [user(*parts_of(recorded[0]["content"]))]
    last = items_of(recorded[2]["content"])
    tools = [tool_of(tool) for tool in after.request_body.get("toolConfig", {}).get("tools", ())]
    budget = after.request_body["inferenceConfig"].get("topP")

    sent = Sent(
        model, input=[*first, *told(answer_in(before), model).response.output, *last], tools=tools, top_p=budget
    )

    assert without_status(sent.messages) == without_status(recorded)
    assert sent.body.get("inferenceConfig", {}) == after.request_body["inferenceConfig"]
    assert sent.body.get("toolConfig", {}).get("tools", []) == after.request_body.get("toolConfig", {}).get("tools", [])


def test_there_are_conversations_to_go_on_with() -> None:
    if not ALL:
        pytest.skip("no recordings here")
    assert len(FOLLOWED) == 6


def part_of(block: dict[str, Any]) -> dict[str, Any]:
    match block:
        case {"text": text}:
            return {"type": "input_text", "text": text}
        case {"document": {"name": name, "source": {"bytes": data}}}:
            return {"type": "input_file", "file_data": data_url("text/plain", data), "filename": name}
        case {"document": {"name": name, "source": {"s3Location": {"uri": uri}}}}:
            return {"type": "input_file", "file_url": uri, "filename": name}
        case {"image": {"source": {"s3Location": {"uri": uri}}}}:
            return {"type": "input_image", "image_url": uri}
        case {"video": {"source": {"s3Location": {"uri": uri}}}}:
            return {"type": "input_file", "file_url": uri}
        case _:
            raise AssertionError(block)


def parts_of(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for block in blocks:
        if "cachePoint" in block:
            parts[-1]["cachePoint"] = block["cachePoint"]
        else:
            parts.append(part_of(block))
    return parts


def items_of(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    results = [block["toolResult"] for block in blocks if "toolResult" in block]
    others = parts_of([block for block in blocks if "toolResult" not in block])
    outputs = [output(each["toolUseId"], parts_of(each["content"])) for each in results]
    return [*outputs, *([user(*others)] if others else [])]


def tool_of(tool: dict[str, Any]) -> dict[str, Any]:
    if "systemTool" in tool:
        return {"type": "code_interpreter"}
    spec = tool["toolSpec"]
    return {"type": "function", "parameters": spec["inputSchema"]["json"], **spec}


def without_status(messages: list[dict[str, Any]]) -> Any:
    return json.loads(json.dumps(messages).replace(', "status": "success"', ""))
