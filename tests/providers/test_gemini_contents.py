"""Items of the Responses API as contents, and parts that go back as they came."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from chat_calls import call, output, thought
from gemini_calls import MODEL, Sent, events_of, sealed, told
from gemini_recordings import ALL, PLAIN, STREAMS, Said, chunks_of, named
from hand_made import end_of
from recordings import Recording

from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.envelope import Envelope, seal
from antiphon.providers.dialects.gemini_signatures import DUMMY

OLD = "gemini-2.5-flash"
PNG = "data:image/png;base64,QQ=="


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def said(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts) if parts and isinstance(parts[0], dict) else parts[0]}


def sent_call(call_id: str = "1", name: str = "f", **fields: Any) -> dict[str, Any]:
    return {"functionCall": {"id": call_id, "name": name, "args": {}}, **fields}


def answered(call_id: str = "1", name: str = "f", response: Any = None, **fields: Any) -> dict[str, Any]:
    return {"functionResponse": {"id": call_id, "name": name, "response": response or {"result": "ok"}, **fields}}


# --- system, users, parts


def test_leading_system_messages_are_instructions() -> None:
    sent = Sent(instructions="A", input=[said("developer", "B"), said("user", "Hi"), said("system", "C")])

    assert sent.body["systemInstruction"] == {"parts": [{"text": "A"}, {"text": "B"}]}
    assert sent.contents == [user({"text": "Hi"}, {"text": "<system>C</system>"})]


def test_gemma_gets_its_instructions_from_the_user() -> None:
    sent = Sent(model="gemma-3-27b-it", instructions="A")

    assert "systemInstruction" not in sent.body
    assert sent.contents == [user({"text": "A"}, {"text": "Hi"})]


def test_messages_of_one_side_are_put_together() -> None:
    sent = Sent(input=[said("user", "A"), said("user", "B"), said("assistant", "C"), said("user", "D")])

    assert sent.contents == [user({"text": "A"}, {"text": "B"}), model({"text": "C"}), user({"text": "D"})]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        ({"type": "input_text", "text": "A"}, {"text": "A"}),
        (
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
            {"inlineData": {"mimeType": "image/png", "data": "QQ=="}},
        ),
        (
            {"type": "input_image", "image_url": "https://a.example/b.webp?c=1"},
            {"fileData": {"mimeType": "image/webp", "fileUri": "https://a.example/b.webp?c=1"}},
        ),
        ({"type": "input_image", "file_id": "https://g/files/1"}, {"fileData": {"fileUri": "https://g/files/1"}}),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,QQ==", "filename": "a.pdf"},
            {"inlineData": {"mimeType": "application/pdf", "data": "QQ=="}},
        ),
        (
            {"type": "input_file", "file_data": "QQ==", "filename": "a.csv"},
            {"inlineData": {"mimeType": "text/csv", "data": "QQ=="}},
        ),
        (
            {"type": "input_file", "file_url": "https://www.youtube.com/watch?v=x"},
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=x"}},
        ),
        (
            {"type": "input_file", "file_id": "gs://b/a.mp4", "videoMetadata": {"fps": 1}},
            {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/a.mp4"}, "videoMetadata": {"fps": 1}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": "QQ=="}},
        ),
    ],
)
def test_parts_of_the_user(part: dict[str, Any], sent: dict[str, Any]) -> None:
    found = Sent(input=[said("user", part)])

    assert found.contents == [user(sent)]
    assert found.dropped == {}


def test_what_a_part_cannot_say_is_reported() -> None:
    marked = {"type": "input_text", "text": "A", "prompt_cache_breakpoint": {"mode": "explicit"}}
    sent = Sent(input=[said("user", marked, {"type": "input_image", "image_url": PNG, "detail": "high"})])

    assert list(sent.dropped) == ["input[0].content[0].prompt_cache_breakpoint", "input[0].content[1].detail"]


@pytest.mark.parametrize(
    "item",
    [
        said("user", {"type": "input_video", "video_url": "x"}),
        said("user", {"type": "input_file", "file_data": "QQ=="}),
        said("user", {"type": "input_file"}),
        said("user", {"type": "input_image"}),
        said("system", {"type": "input_image", "image_url": PNG}),
        said("assistant", {"type": "input_image", "image_url": PNG}),
    ],
)
def test_parts_that_gemini_has_no_form_for_are_errors(item: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=r"input\[0\]"):
        Sent(input=[item])


# --- calls and results


def test_results_stand_alone_in_the_order_of_their_calls() -> None:
    sent = Sent(
        model=OLD,
        input=[
            said("user", "Go"),
            call("1"),
            call("2", name="g"),
            said("user", "And?"),
            output("2", '{"a": 1}'),
            output("1", "ok"),
        ],
    )

    assert sent.contents == [
        user({"text": "Go"}),
        model(sent_call("1"), sent_call("2", "g")),
        user(answered("1"), answered("2", "g", {"a": 1})),
        user({"text": "And?"}),
    ]


def test_the_first_call_of_a_step_that_nobody_signed_gets_the_dummy() -> None:
    items = [said("user", "Go"), call("1"), call("2"), output("1"), output("2"), call("3"), output("3")]

    steps = [content["parts"] for content in Sent(input=items).contents if content["role"] == "model"]
    assert steps == [[sent_call("1", thoughtSignature=DUMMY), sent_call("2")], [sent_call("3", thoughtSignature=DUMMY)]]
    assert DUMMY not in json.dumps(Sent(model=OLD, input=items).body)
    assert DUMMY in json.dumps(Sent(model="gemini-flash-latest", input=items).body)


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("ok", {"result": "ok"}),
        ("", {"result": ""}),
        ("[1]", {"result": "[1]"}),
        ('{"a": null}', {"a": None}),
        ("{oops", {"result": "{oops"}),
    ],
)
def test_a_result_is_an_object(text: str, response: dict[str, Any]) -> None:
    assert Sent(input=[call(), output("1", text)]).contents[-1] == user(answered(response=response))


def test_media_are_inside_the_result_where_the_model_takes_them() -> None:
    parts = [{"type": "input_text", "text": "See"}, {"type": "input_image", "image_url": PNG}]
    data = {"inlineData": {"mimeType": "image/png", "data": "QQ=="}}

    new = Sent(input=[call(), output("1", parts)])
    assert new.contents[-1] == user(answered(response={"result": "See"}, parts=[data]))
    alone = Sent(input=[call(), output("1", parts[1:])])
    assert alone.contents[-1]["parts"][0]["functionResponse"] | {"response": {}} == {
        "id": "1",
        "name": "f",
        "response": {},
        "parts": [data],
    }
    old = Sent(model=OLD, input=[call(), output("1", parts), said("user", "So?")])
    assert old.contents[1:] == [
        user(answered(response={"result": "See\n[see the next message of the user]"})),
        user({"text": "From the result of call 1:"}, data, {"text": "So?"}),
    ]


def test_custom_calls_and_namespaces() -> None:
    custom = {"type": "custom_tool_call", "call_id": "1", "name": "c", "input": "ls"}
    result = {"type": "custom_tool_call_output", "call_id": "1", "output": "ok"}
    sent = Sent(model=OLD, input=[custom, result, call("2", namespace="n"), output("2")])

    first, second = (content["parts"][0]["functionCall"] for content in sent.contents if content["role"] == "model")
    assert first == {"id": "1", "name": "c", "args": {"input": "ls"}}
    assert second["name"] == "n__f"


@pytest.mark.parametrize("arguments", ["{oops", "[]", "1"])
def test_arguments_that_are_no_object_are_an_error(arguments: str) -> None:
    with pytest.raises(InvalidParameter, match=r"input\[0\]\.arguments"):
        Sent(input=[call(arguments=arguments), output()])


def test_no_arguments_are_an_empty_object() -> None:
    assert Sent(model=OLD, input=[call(arguments=""), output()]).contents[0] == model(sent_call())


# --- reasoning


def kept(*blocks: dict[str, Any], **whose: Any) -> dict[str, Any]:
    found = {"provider": "p", "model": MODEL, "dialect": "gemini", "form": "parts", **whose}
    return {"type": "reasoning", "summary": [], "encrypted_content": seal(Envelope(**found, blocks=blocks))}


NEXT = {"attach": "next", "thoughtSignature": "s"}


def test_a_signature_goes_back_on_its_call() -> None:
    sent = Sent(input=[kept(NEXT), call("1"), call("2"), output("1"), output("2")])

    assert sent.contents[0] == model(sent_call("1", thoughtSignature="s"), sent_call("2"))
    assert sent.dropped == {}


@pytest.mark.parametrize(
    ("whose", "dropped"),
    [
        ({"provider": "acme"}, True),
        ({"model": "gemini-2.5-pro"}, True),
        ({"model": "gemini-3-pro-preview"}, False),
        ({"model": "gemini-pro-latest"}, False),
    ],
)
def test_signatures_go_to_models_of_one_generation(whose: dict[str, str], dropped: bool) -> None:
    sent = Sent(input=[kept(NEXT, **whose), call(), output()])

    assert sent.contents[0]["parts"][0]["thoughtSignature"] == (DUMMY if dropped else "s")
    assert list(sent.dropped) == (["input[0] (reasoning)"] if dropped else [])


def test_signatures_of_chat_completions_go_back_too() -> None:
    block = {"extra_content": {"google": {"thought_signature": "s"}}, "call": True}
    sent = Sent(input=[kept(block, dialect="chat", form="extra_content"), call(), output()])

    assert sent.contents[0] == model(sent_call(thoughtSignature="s"))


@pytest.mark.parametrize(
    "item",
    [
        thought("Raw."),
        thought("", summary="Short."),
        thought("", sealed="gAAAA"),
    ],
)
def test_reasoning_of_others_is_reported_and_never_said(item: dict[str, Any]) -> None:
    sent = Sent(input=[item, said("assistant", "Hi"), said("user", "So?")])

    assert sent.contents == [model({"text": "Hi"}), user({"text": "So?"})]
    assert list(sent.dropped) == ["input[0] (reasoning)"]


def test_signed_pieces_of_a_text_are_parts_of_their_own_again() -> None:
    before = kept({**NEXT, "length": 2})
    after = kept(
        {"attach": "previous", "start": 3, "length": 2, "thoughtSignature": "t"},
        {"part": {"text": "", "thoughtSignature": "u"}},
    )
    sent = Sent(input=[before, said("assistant", "ABCDE"), after])

    assert sent.contents == [
        model(
            {"text": "AB", "thoughtSignature": "s"},
            {"text": "C"},
            {"text": "DE", "thoughtSignature": "t"},
            {"text": "", "thoughtSignature": "u"},
        )
    ]


def test_a_signature_whose_carrier_is_gone_is_left_out() -> None:
    sent = Sent(input=[kept(NEXT), said("assistant", "Hi"), kept({**NEXT, "length": 1}), call(), output()])

    assert sent.contents[0] == model({"text": "Hi"}, sent_call(thoughtSignature=DUMMY))


@pytest.mark.parametrize(
    "block",
    [
        "x",
        {"attach": "previous", "start": "x"},
        {"attach": "sideways", "thoughtSignature": "s"},
        {"part": "x"},
        {"attach": "next", "length": 9.5},
    ],
)
def test_an_envelope_that_somebody_else_filled_is_reported(block: Any) -> None:
    sent = Sent(input=[said("assistant", "Hi"), kept(block), said("user", "So?")])

    assert sent.contents == [model({"text": "Hi"}), user({"text": "So?"})]
    assert list(sent.dropped) == ["input[1] (reasoning)"]


def test_a_signed_image_is_the_models_own_again() -> None:
    image = {"type": "image_generation_call", "id": "ig", "result": "QQ==", "output_format": "webp"}
    sent = Sent(input=[said("user", "Draw"), kept(NEXT), image, said("user", "More")])

    inline = {"inlineData": {"mimeType": "image/webp", "data": "QQ=="}, "thoughtSignature": "s"}
    assert sent.contents == [user({"text": "Draw"}), model(inline), user({"text": "More"})]


def test_a_step_of_another_hosts_tool_is_left_out() -> None:
    code = {"type": "code_interpreter_call", "id": "ci", "code": "1", "outputs": []}

    assert "input[0] (code_interpreter_call)" in Sent(input=[code, said("user", "Hi")]).dropped


# --- recordings


def own_parts(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return parts as they should go back: no thoughts, nothing empty, pieces of one text together."""
    found: list[dict[str, Any]] = []
    for part in parts:
        if part.get("thought") or part == {"text": ""}:
            continue
        if found and found[-1].keys() == part.keys() == {"text"}:
            found[-1] = {"text": found[-1]["text"] + part["text"]}
        else:
            found.append(part)
    return found


SPEAKING = [each for each in (*PLAIN, *STREAMS) if own_parts(Said(chunks_of(each.body)).parts)]


@pytest.mark.parametrize("recording", SPEAKING, ids=named)
def test_an_answer_goes_back_as_it_came(recording: Recording) -> None:
    events = events_of([recording.body])[0] if recording in STREAMS else told(recording.body)
    response = end_of(events)
    parts = Said(chunks_of(recording.body)).parts
    answers = [output(item.call_id) for item in response.output if item.type == "function_call"]
    sent = Sent(input=[said("user", "Hi"), *response.output, *answers])

    (content,) = [content for content in sent.contents if content["role"] == "model"]
    ids = [part["functionCall"].pop("id") for part in content["parts"] if "functionCall" in part]
    expected = own_parts(parts)
    given = [part["functionCall"].pop("id", None) for part in expected if "functionCall" in part]
    for part in content["parts"]:
        if part.get("thoughtSignature") == DUMMY:
            del part["thoughtSignature"]
    assert content["parts"] == expected
    assert all(one in (None, other) for one, other in zip(given, ids, strict=True))
    assert not any("reasoning" in name or "code_interpreter" in name for name in sent.dropped)


def goes_on(recording: Recording, following: Recording) -> bool:
    """Tell whether a turn continues the one before it; some tests recorded several conversations."""
    return len(following.request_body["contents"]) > len(recording.request_body["contents"])


def conversations() -> list[list[Recording]]:
    groups: dict[str, list[Recording]] = {}
    for recording in ALL:
        if recording.turns > 1:
            groups.setdefault(f"{recording.dialect}/{recording.group}", []).append(recording)
    found = [sorted(group, key=lambda each: each.turn) for group in groups.values()]
    return [group for group in found if any(goes_on(*pair) for pair in itertools.pairwise(group))]


def calls_in(parts: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    found = [part.get("functionCall") or part.get("function_call") for part in parts]
    return [(call["name"], call["args"]) for call in found if call]


def signatures_in(parts: list[dict[str, Any]]) -> list[str]:
    """Return all signatures in order. Clients write them in two alphabets, and some move one on the text before it."""
    found = [part.get("thoughtSignature") or part.get("thought_signature") for part in parts]
    return [each.replace("-", "+").replace("_", "/") for each in found if each and each != DUMMY]


@pytest.mark.parametrize("group", conversations(), ids=lambda group: named(group[0]))
def test_a_recorded_conversation_is_rebuilt(group: list[Recording]) -> None:
    """What the next turn of a recorded client sent is what our items become, calls and signatures included."""
    for recording, following in itertools.pairwise(group):
        if not goes_on(recording, following):
            continue
        at, contents = len(recording.request_body["contents"]), following.request_body["contents"]
        response = end_of(events_of([recording.body])[0] if recording in STREAMS else told(recording.body))
        answers = [output(item.call_id) for item in response.output if item.type == "function_call"]
        sent = Sent(input=[said("user", "Hi"), *response.output, *answers])

        (mine,) = [content["parts"] for content in sent.contents if content["role"] == "model"]
        theirs = contents[at]["parts"]
        assert "".join(part.get("text", "") for part in mine) == "".join(part.get("text", "") for part in theirs)
        assert calls_in(mine) == calls_in(theirs)
        assert signatures_in(mine) == signatures_in(theirs)


def test_the_seal_of_these_tests_is_read_by_the_codec() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": sealed((NEXT,))}

    assert Sent(input=[item, call(), output()]).contents[0] == model(sent_call(thoughtSignature="s"))


def test_an_item_of_nobody_is_an_error() -> None:
    with pytest.raises(UnsupportedParameter):
        Sent(input=[{"type": "compaction", "encrypted_content": "x"}])


def test_half_a_character_goes_out_as_json_can_say_it() -> None:
    sent = Sent(input=[said("user", "\ud83d"), call(arguments='{"a": "\ud83d"}'), output("1", "\ud83d")])

    assert sent.contents[0] == user({"text": "\ud83d"})
    assert sent.contents[1]["parts"][0]["functionCall"]["args"] == {"a": "\ud83d"}


def test_a_result_that_is_neither_text_nor_parts_is_an_error() -> None:
    with pytest.raises(InvalidParameter, match=r"input\[1\]\.output is int"):
        Sent(input=[call(), output("1", 5)])
