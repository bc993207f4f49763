"""The messages of a chat body: every kind of part, results, reasoning, and histories that real hosts took."""

from __future__ import annotations

from typing import Any

import pytest
import recordings
from chat_calls import BARE, OPENAI, PLAIN, Sent, call, output, sealed, sent_call, text, thought, user

from antiphon.pipeline.api.parts import PARTS, InputImage, InputText
from antiphon.pipeline.errors import InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.envelope import Envelope, seal
from antiphon.providers.rows import ChatFlags

# --- system messages

LEADING = [
    {"role": "system", "content": "A"},
    {"role": "developer", "content": "B"},
    {"role": "user", "content": "Hi"},
    {"role": "developer", "content": "C"},
]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (OPENAI, [("developer", "I"), ("system", "A"), ("developer", "B"), ("user", "Hi"), ("developer", "C")]),
        (PLAIN, [("system", "I"), ("system", "A"), ("system", "B"), ("user", "Hi"), ("system", "C")]),
        (BARE, [("system", "I\n\nA\n\nB"), ("user", "Hi"), ("user", "<system>C</system>")]),
    ],
)
def test_system_messages_keep_their_places(flags: ChatFlags, expected: list[tuple[str, str]]) -> None:
    sent = Sent(flags, instructions="I", input=LEADING)

    assert [(message["role"], message["content"]) for message in sent.messages] == expected
    assert sent.dropped == {}


def test_a_system_message_of_several_parts_is_joined_where_there_is_only_one() -> None:
    parts = [{"type": "input_text", "text": each} for each in "ab"]

    sent = Sent(BARE, input=[{"role": "system", "content": parts}, {"role": "user", "content": "Hi"}])

    assert sent.messages[0] == {"role": "system", "content": "a\n\nb"}


def test_a_system_message_with_an_image_is_an_error_with_a_way_out() -> None:
    image = {"type": "input_image", "image_url": "data:,"}

    with pytest.raises(UnsupportedParameter, match=r"input\[0\]\.content\[0\].* only text in developer") as caught:
        Sent(OPENAI, input=[{"role": "developer", "content": [image]}])

    assert caught.value.hint


# --- parts

PART_VALUES: dict[str, dict[str, Any]] = {
    "input_text": {"text": "a"},
    "input_image": {"image_url": "https://example.org/a.png", "detail": "low"},
    "input_file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
    "output_text": {"text": "a", "annotations": []},
    "refusal": {"refusal": "No."},
    "reasoning_text": {"text": "a"},
    "summary_text": {"text": "a"},
    "input_audio": {"input_audio": {"data": "AA==", "format": "wav"}},
}
SENT_PARTS = {
    "input_text": text("a"),
    "output_text": text("a"),
    "input_image": {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
    "input_file": {
        "type": "file",
        "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
    },
    "input_audio": {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
}


@pytest.mark.parametrize("kind", sorted({*PARTS, "input_audio", "acme:smell"}))
def test_every_kind_of_part_of_a_user_is_sent_or_an_error_that_names_it(kind: str) -> None:
    part = {"type": kind, **PART_VALUES.get(kind, {})}
    given = [user({"type": "input_text", "text": "Look:"}, part)]

    if kind in SENT_PARTS:
        assert Sent(PLAIN, input=given).messages[0]["content"] == [text("Look:"), SENT_PARTS[kind]]
    else:
        with pytest.raises(UnsupportedParameter, match=rf'input\[0\]\.content\[1\] is "{kind}"') as caught:
            Sent(PLAIN, input=given)
        assert caught.value.hint


@pytest.mark.parametrize("kind", sorted({*PARTS, "input_audio", "acme:smell"}))
def test_every_kind_of_part_of_an_assistant_is_text_or_an_error(kind: str) -> None:
    given = [{"role": "assistant", "content": [{"type": kind, **PART_VALUES.get(kind, {})}]}]

    if kind in ("input_text", "output_text", "refusal"):
        content = "No." if kind == "refusal" else "a"
        assert Sent(PLAIN, input=given).messages == [{"role": "assistant", "content": content}]
    else:
        with pytest.raises(UnsupportedParameter, match=rf'input\[0\]\.content\[0\] is "{kind}"'):
            Sent(PLAIN, input=given)


@pytest.mark.parametrize(
    ("flags", "part", "words"),
    [
        (BARE, {"type": "input_image", "image_url": "data:image/png;base64,AA=="}, "takes no images"),
        (ChatFlags(images="data"), {"type": "input_image", "image_url": "https://a.b/c"}, "as data URLs only"),
        (PLAIN, {"type": "input_image", "file_id": "file_1"}, "no uploaded images"),
        (BARE, {"type": "input_file", "file_id": "file_1"}, "takes no files"),
        (PLAIN, {"type": "input_file", "file_url": "https://a.b/c"}, "no files by URL"),
        (BARE, {"type": "input_audio", "input_audio": {}}, "takes no audio"),
    ],
)
def test_a_part_that_the_host_does_not_take_is_an_error_with_a_way_out(
    flags: ChatFlags, part: dict[str, Any], words: str
) -> None:
    with pytest.raises(UnsupportedParameter, match=words) as caught:
        Sent(flags, input=[user(part)])

    assert "input[0].content[0]" in caught.value.message
    assert caught.value.hint


def test_data_urls_and_files_by_id_are_sent() -> None:
    image, file = (
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        {"type": "input_file", "file_id": "f"},
    )

    (message,) = Sent(ChatFlags(images="data"), input=[user(image, file)]).messages

    assert message["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "file", "file": {"file_id": "f"}},
    ]


def test_one_text_is_a_string_and_several_are_a_list() -> None:
    part = {"type": "input_text", "text": "a"}

    assert Sent(PLAIN, input=[user(part)]).messages[0]["content"] == "a"
    assert Sent(PLAIN, input=[user(part, part)]).messages[0]["content"] == [text("a"), text("a")]
    assert Sent(PLAIN, input=[user()]).messages[0]["content"] == ""


def test_parts_may_be_wire_objects() -> None:
    parts: list[Any] = [
        InputText.new(text="a"),
        InputImage.new(image_url="data:,", prompt_cache_breakpoint={"ttl": "30m"}),
    ]

    sent = Sent(OPENAI, input=[{"role": "user", "content": parts}])

    assert sent.messages[0]["content"] == [
        text("a"),
        {"type": "image_url", "image_url": {"url": "data:,"}, "prompt_cache_breakpoint": {"ttl": "30m"}},
    ]


def test_a_mark_of_the_prompt_cache_is_sent_where_there_is_one_and_reported_elsewhere() -> None:
    part = {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}
    given = [user(part), call(), output(given=[part])]

    sent, plain = Sent(OPENAI, input=given), Sent(PLAIN, input=given)

    marked = [{**text("a"), "prompt_cache_breakpoint": {"mode": "explicit"}}]
    assert [sent.messages[0]["content"], sent.messages[2]["content"]] == [marked, marked]
    assert [plain.messages[0]["content"], plain.messages[2]["content"]] == ["a", "a"]
    assert set(plain.dropped) == {
        "input[0].content[0].prompt_cache_breakpoint",
        "input[2].output[0].prompt_cache_breakpoint",
    }


def test_a_hosts_own_field_of_a_part_is_sent_and_reported_where_a_string_cannot_have_it() -> None:
    own = {"cache_control": {"type": "ephemeral"}}
    given = [
        user({"type": "input_text", "text": "a", **own}),
        {"role": "assistant", "content": [{"type": "output_text", "text": "b", **own}]},
    ]

    sent = Sent(PLAIN, input=given)

    assert sent.messages == [user({**text("a"), **own}), {"role": "assistant", "content": "b"}]
    assert list(sent.dropped) == ["input[1].content[0].cache_control"]


@pytest.mark.parametrize(
    "part",
    [{"type": "input_text"}, {"type": "input_text", "text": 1}, {"type": "input_image", "image_url": {"url": "x"}}],
)
def test_a_part_without_its_text_is_an_error_that_names_it(part: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter, match=r"input\[0\]\.content\[0\]\.(text|image_url) is"):
        Sent(PLAIN, input=[user(part)])


# --- the assistant


@pytest.mark.parametrize(
    ("flags", "items", "expected"),
    [
        (PLAIN, [call(arguments="")], {"content": None, "tool_calls": [sent_call()]}),
        (PLAIN, [{"role": "assistant", "content": "Well."}, call()], {"content": "Well.", "tool_calls": [sent_call()]}),
        (
            PLAIN,
            [{"role": "assistant", "content": [{"type": "output_text", "text": t} for t in "ab"]}, call()],
            {"content": "ab", "tool_calls": [sent_call()]},
        ),
        (
            PLAIN,
            [{"role": "assistant", "content": "a"}, call(), {"role": "assistant", "content": "b"}],
            {"content": "a\n\nb", "tool_calls": [sent_call()]},
        ),
        (PLAIN, [call(namespace="n")], {"content": None, "tool_calls": [sent_call(name="n__f")]}),
        (PLAIN, [call(arguments='{"a": ')], {"content": None, "tool_calls": [sent_call(arguments='{"a": ')]}),
    ],
)
def test_an_assistants_turn_is_one_message(
    flags: ChatFlags, items: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    sent = Sent(flags, input=[*items, output()])

    assert sent.messages[0] == {"role": "assistant", **expected}
    assert sent.messages[1:] == [{"role": "tool", "tool_call_id": "1", "content": "done"}]


def test_an_empty_message_of_the_assistant_is_empty_text() -> None:
    assert Sent(PLAIN, input=[{"role": "assistant", "content": ""}]).messages == [{"role": "assistant", "content": ""}]


def test_a_refusal_has_its_field_where_the_host_reads_it() -> None:
    given = [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]

    assert Sent(OPENAI, input=given).messages == [{"role": "assistant", "content": None, "refusal": "No."}]


def test_a_custom_call_is_custom_where_the_host_knows_that_and_a_function_elsewhere() -> None:
    asked = {"type": "custom_tool_call", "call_id": "1", "name": "run", "input": 'print("a")'}
    given = [asked, {"type": "custom_tool_call_output", "call_id": "1", "output": "a"}]

    assert Sent(OPENAI, input=given).messages[0]["tool_calls"] == [
        {"id": "1", "type": "custom", "custom": {"name": "run", "input": 'print("a")'}}
    ]
    assert Sent(PLAIN, input=given).messages[0]["tool_calls"] == [
        sent_call(name="run", arguments='{"input":"print(\\"a\\")"}')
    ]


def test_ids_of_nine_characters_are_made_and_kept_with_their_results() -> None:
    given = [call("call_a"), call("abcdefghi"), output("abcdefghi"), output("call_a")]

    asked, first, second = Sent(ChatFlags(call_ids="9"), input=given).messages

    made, kept = [each["id"] for each in asked["tool_calls"]]
    assert kept == "abcdefghi"
    assert len(made) == 9
    assert made.isalnum()
    assert [first["tool_call_id"], second["tool_call_id"]] == [kept, made]
    assert Sent(ChatFlags(call_ids="9"), input=given).messages[0] == asked


# --- results


def test_media_of_a_result_follow_in_a_message_of_the_user() -> None:
    image = {"type": "input_image", "image_url": "https://example.org/a.png"}
    given = [
        call("1"),
        call("2"),
        output("1", [{"type": "input_text", "text": "One:"}, image]),
        output("2", [{"type": "input_file", "file_id": "f"}]),
        {"role": "user", "content": "Well?"},
    ]

    messages = Sent(PLAIN, input=given).messages

    assert messages[1:] == [
        {"role": "tool", "tool_call_id": "1", "content": "One:\n[input_image: see the next message of the user]"},
        {"role": "tool", "tool_call_id": "2", "content": "[input_file: see the next message of the user]"},
        {
            "role": "user",
            "content": [
                text("From the result of call 1:"),
                {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                text("From the result of call 2:"),
                {"type": "file", "file": {"file_id": "f"}},
            ],
        },
        {"role": "user", "content": "Well?"},
    ]


def test_parts_of_a_result_that_cannot_be_sent_are_errors_that_name_them() -> None:
    with pytest.raises(UnsupportedParameter, match=r'input\[1\]\.output\[0\] is "input_image"'):
        Sent(BARE, input=[call(), output(given=[{"type": "input_image", "image_url": "data:,"}])])
    with pytest.raises(InvalidParameter, match=r"input\[1\]\.output is NoneType"):
        Sent(PLAIN, input=[call(), output(given=None)])


# --- reasoning of earlier turns

DETAILS = ({"type": "reasoning.text", "text": "Hm", "signature": "s"}, {"type": "reasoning.encrypted", "data": "d"})
CHUNK = {"type": "thinking", "thinking": [text("Hm")], "signature": "s"}


@pytest.mark.parametrize(
    ("field", "item", "fields", "reported"),
    [
        ("reasoning_content", thought(), {"reasoning_content": "Hm"}, False),
        ("reasoning", thought(), {"reasoning": "Hm"}, False),
        ("reasoning_details", thought(), {"reasoning": "Hm"}, False),
        ("reasoning_content", thought("Hm", sealed("reasoning_content")), {"reasoning_content": "Hm"}, False),
        ("reasoning_content", thought("Hm", sealed("reasoning")), {"reasoning_content": "Hm"}, False),
        (
            "reasoning_content",
            thought("Hm", sealed("reasoning_content", model="n")),
            {"reasoning_content": "Hm"},
            False,
        ),
        ("reasoning_content", thought("", sealed("reasoning_content", "Hm")), {"reasoning_content": "Hm"}, False),
        ("reasoning_content", thought("Hm", sealed("reasoning_content", provider="other")), {}, True),
        ("reasoning_content", thought("Hm", "gAAA"), {}, True),
        ("reasoning_content", thought("", summary="Short"), {}, True),
        ("reasoning_content", thought(""), {}, False),
        (
            "reasoning_details",
            thought("", sealed("reasoning_details", *DETAILS)),
            {"reasoning_details": [*DETAILS]},
            False,
        ),
        ("reasoning_details", thought("", sealed("reasoning_details", *DETAILS, model="n")), {}, True),
        ("reasoning_details", thought("", sealed("reasoning_details", *DETAILS, provider="other")), {}, True),
        ("content", thought("Hm", sealed("content", CHUNK)), {"content": [CHUNK, text("So")]}, False),
        ("content", thought(), {"content": [{"type": "thinking", "thinking": [text("Hm")]}, text("So")]}, False),
        ("", thought("Hm", sealed("reasoning")), {}, False),
        ("", thought("Hm", sealed("reasoning_details", *DETAILS, model="n")), {}, False),
        ("", thought("Hm", sealed("reasoning", provider="other")), {}, True),
        ("", thought(), {}, True),
    ],
)
def test_reasoning_goes_back_to_the_host_that_it_came_from(
    field: Any, item: dict[str, Any], fields: dict[str, Any], reported: bool
) -> None:
    sent = Sent(ChatFlags(reasoning_field=field), input=[item, {"role": "assistant", "content": "So"}])

    assert sent.messages == [{"role": "assistant", "content": "So", **fields}]
    assert list(sent.dropped) == (["input[0] (reasoning)"] if reported else [])
    assert all(sent.dropped.values())


def test_reasoning_of_several_items_is_joined_in_order() -> None:
    given = [thought("A"), call(), thought("B"), output()]

    sent = Sent(ChatFlags(reasoning_field="reasoning_content"), input=given)

    assert sent.messages[0]["reasoning_content"] == "A\n\nB"


def test_details_of_several_items_are_sent_whole_and_in_order() -> None:
    given = [thought("", sealed("reasoning_details", each)) for each in DETAILS]

    sent = Sent(ChatFlags(reasoning_field="reasoning_details"), input=[*given, call(), output()])

    assert sent.messages[0]["reasoning_details"] == [*DETAILS]


@pytest.mark.parametrize(("replay", "kept"), [("all", [True, True]), ("calls", [True, False])])
def test_a_host_may_take_reasoning_only_with_calls(replay: Any, kept: list[bool]) -> None:
    given = [thought(), call(), output(), thought(), {"role": "assistant", "content": "So"}]

    sent = Sent(ChatFlags(reasoning_field="reasoning_content", reasoning_replay=replay), input=given)

    assert ["reasoning_content" in m for m in sent.messages if m["role"] == "assistant"] == kept
    assert sent.dropped == {}


def test_a_call_without_reasoning_gets_a_blank_where_the_host_refuses_it() -> None:
    flags = ChatFlags(reasoning_field="reasoning_content", reasoning_required=True)

    sent = Sent(flags, input=[call(), output(), {"role": "assistant", "content": "So"}])

    assert sent.messages[0]["reasoning_content"] == " "
    assert "reasoning_content" not in sent.messages[2]


def test_a_turn_of_reasoning_that_does_not_go_back_is_no_message() -> None:
    assert [m["role"] for m in Sent(PLAIN, input=[thought("", sealed("reasoning")), user()]).messages] == ["user"]


# --- histories that real hosts took

FIELDS = ("reasoning_content", "reasoning", "reasoning_details")


def _as_input(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the input of the Responses API for the messages of a chat body."""
    items: list[dict[str, Any]] = []
    for message in messages:
        content = message.get("content")
        if message["role"] == "tool":
            items.append(output(message["tool_call_id"], content))
            continue
        if message.get("reasoning_details"):
            items.append(thought("", sealed("reasoning_details", *message["reasoning_details"])))
        elif any(field in message for field in FIELDS):
            items.append(thought(message.get("reasoning_content") or message.get("reasoning") or ""))
        parts = [text(content)] if isinstance(content, str) else content or []
        chunks = [part for part in parts if part["type"] == "thinking"]
        items.extend(thought("", sealed("content", chunk)) for chunk in chunks)
        given = [_as_part(part, message["role"]) for part in parts if part["type"] != "thinking"]
        if given or message["role"] != "assistant":
            items.append({"role": message["role"], "content": given})
        for each in message.get("tool_calls") or ():
            items.append(call(each["id"], each["function"]["name"], each["function"]["arguments"]))
    return items


def _as_part(part: dict[str, Any], role: str) -> dict[str, Any]:
    if part["type"] == "text":
        return {**part, "type": "output_text" if role == "assistant" else "input_text"}
    if part["type"] == "image_url":
        image = part["image_url"]
        return {"type": "input_image", "image_url": image["url"], **{k: image[k] for k in image if k != "url"}}
    assert part["type"] == "file"
    return {"type": "input_file", **part["file"]}


def _canonical(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages without the ways in which clients write the same thing."""
    found: list[dict[str, Any]] = []
    for message in messages:
        kept = {name: value for name, value in message.items() if value not in (None, [], False, "", " ")}
        content = kept.get("content")
        if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
            kept["content"] = content[0]["text"]
        for each in (calls := kept.get("tool_calls") or ()):
            each.pop("index", None)
        if (
            found
            and kept["role"] == found[-1]["role"] == "assistant"
            and not (found[-1].keys() & {"content"} and calls)
        ):
            found[-1].update(kept)
        else:
            found.append(kept)
    return found


def test_histories_that_real_hosts_took_are_made_again() -> None:
    made = 0
    for recording in [*recordings.load("chat-*"), *recordings.load("openai-chat")]:
        body = recording.request_body
        if not isinstance(body, dict) or "messages" not in body:
            continue
        messages: list[dict[str, Any]] = body["messages"]
        keys = {key for message in messages for key in message}
        field: Any = next((field for field in FIELDS if field in keys), "content")
        flags = ChatFlags(
            reasoning_field=field,
            reasoning_required=field == "reasoning_content",
            developer_role=recording.dialect == "openai-chat",
            openai_fields=recording.dialect == "openai-chat",
        )

        sent = Sent(flags, input=_as_input(messages))

        assert _canonical(sent.messages) == _canonical(messages), recording.name
        assert sent.dropped == {}
        made += any(message["role"] == "assistant" for message in messages)
    assert made > 20


def test_long_ids_of_calls_are_shortened_where_the_host_wants_that() -> None:
    long, short = "call_" + "x" * 60, "call_short"
    given = [
        {"type": "function_call", "call_id": long, "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": short, "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": long, "output": "1"},
        {"type": "function_call_output", "call_id": short, "output": "2"},
    ]
    calling, one, two = Sent(OPENAI, input=given).messages

    ids = [call["id"] for call in calling["tool_calls"]]
    assert ids[1] == short
    assert len(ids[0]) <= 40
    assert [one["tool_call_id"], two["tool_call_id"]] == ids
    assert Sent(PLAIN, input=given).messages[0]["tool_calls"][0]["id"] == long


def test_reasoning_goes_back_between_tags_where_it_came_so() -> None:
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    given = [thought, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Sure?"}]
    (said, _) = Sent(ChatFlags(reasoning_field="think_tags", think_tags=True), input=given).messages

    assert said == {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nYes."}


def test_signatures_go_back_to_the_message_or_the_call_that_they_came_with() -> None:
    def signed(**block: Any) -> dict[str, Any]:
        envelope = Envelope("acme", "m", "chat", "extra_content", ({"extra_content": {"google": block}},))
        return {"type": "reasoning", "summary": [], "encrypted_content": seal(envelope)}

    of_call = Envelope("acme", "m", "chat", "extra_content", ({"extra_content": {"google": 2}, "call": True},))
    given = [
        signed(a=1),
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "reasoning", "summary": [], "encrypted_content": seal(of_call)},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    ]
    sent = Sent(PLAIN, input=given)

    said = sent.messages[0]
    assert said["extra_content"] == {"google": {"a": 1}}
    assert ["extra_content" in call for call in said["tool_calls"]] == [False, True]
    assert said["tool_calls"][1]["extra_content"] == {"google": 2}
    assert sent.dropped == {}


def of_gemini(*blocks: dict[str, Any]) -> dict[str, Any]:
    """Return a reasoning item of generateContent, which a conversation that goes on as a chat brings along."""
    return thought("", seal(Envelope("acme", "m", "gemini", "parts", blocks)), summary="Short")


def test_a_signature_of_generate_content_goes_on_as_one_of_the_call() -> None:
    given = [of_gemini({"attach": "next", "thoughtSignature": "s"}), call("1"), call("2"), output("1"), output("2")]

    sent = Sent(PLAIN, input=given)

    first, second = sent.messages[0]["tool_calls"]
    assert first["extra_content"] == {"google": {"thought_signature": "s"}}
    assert "extra_content" not in second
    assert sent.dropped == {}


@pytest.mark.parametrize(
    "block",
    [
        {"attach": "next", "length": 2, "thoughtSignature": "s"},
        {"attach": "previous", "start": 0, "length": 2, "thoughtSignature": "s"},
        {"part": {"text": "", "thought": True, "thoughtSignature": "s"}},
    ],
    ids=["of the next text", "of the text before", "of a thought"],
)
def test_other_signatures_of_generate_content_are_reported(block: dict[str, Any]) -> None:
    sent = Sent(PLAIN, input=[of_gemini(block), {"role": "assistant", "content": "So"}])

    assert sent.messages == [{"role": "assistant", "content": "So"}]
    assert list(sent.dropped) == ["input[0] (reasoning)"]


@pytest.mark.parametrize("field", ["", "reasoning_content"])
def test_reasoning_of_the_same_host_in_another_api_format_is_reported(field: Any) -> None:
    block = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    item = thought("", seal(Envelope("acme", "m", "anthropic", "blocks", (block,))), summary="Hm")

    sent = Sent(ChatFlags(reasoning_field=field), input=[item, {"role": "assistant", "content": "So"}])

    assert sent.messages == [{"role": "assistant", "content": "So"}]
    assert list(sent.dropped) == ["input[0] (reasoning)"]
