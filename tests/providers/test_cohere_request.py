"""A call of the Responses API as a request of Cohere's chat API: every parameter, tool, choice and message."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from chat_calls import NEVER, NO_PARAMETERS, VALUES, call, function, output, sent_call, thought, user
from cohere_calls import REASONING, SILENT, THINKING, Sent, sealed

from antiphon import presets
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter

# --- every parameter

# Parameters that Cohere has no place for, whatever their value.
NOWHERE = {
    *("previous_response_id", "conversation", "prompt", "background", "background_options", "include", "store"),
    *("truncation", "context_management", "image", "access_programs", "top_logprobs", "moderation", "stream_options"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "max_tool_calls", "user", "metadata"),
    *("safety_identifier", "service_tier", "parallel_tool_calls"),
}
OTHER_VALUES: dict[str, dict[str, Any]] = {"text": {"text": {"format": {"type": "json_object"}}}}


@pytest.mark.parametrize("name", [name for name in CreateParams.__struct_fields__ if name != "model"])
def test_every_parameter_is_sent_or_reported_or_an_error(name: str) -> None:
    given: dict[str, Any] = OTHER_VALUES.get(name, VALUES[name])
    if name in NEVER and name in NOWHERE:
        with pytest.raises(UnsupportedParameter) as caught:
            Sent(**given)
        assert caught.value.param == name
        return

    without: dict[str, Any] = {**given, name: None}
    sent, plain = Sent(**given), Sent(**without)

    reported = [each for each in sent.dropped if each == name or each.startswith(f"{name}.")]
    assert bool(reported) != (sent.body != plain.body)
    assert bool(reported) == (name in NOWHERE)


@pytest.mark.parametrize(
    "given",
    [
        {"store": False},
        {"background": False},
        {"truncation": "disabled"},
        {"include": ["reasoning.encrypted_content"]},
        {"parallel_tool_calls": True},
        {"tool_choice": "auto"},
        {"tool_choice": "auto", "tools": [function()]},
        {"tool_choice": "none"},
        {"text": {"format": {"type": "text"}, "verbosity": None}},
        {"reasoning": {"effort": None}},
        {"stream_options": {"include_usage": True}},
    ],
)
def test_a_value_that_asks_for_what_happens_anyway_is_neither_sent_nor_reported(given: dict[str, Any]) -> None:
    sent = Sent(**given)

    assert not sent.dropped
    assert sent.body == Sent(**{name: value for name, value in given.items() if name == "tools"}).body


def test_parameters_have_their_places() -> None:
    sent = Sent(
        instructions="Be brief.",
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.25,
        stream=True,
        extra={"k": 3, "seed": 1, "temperature": 1, "documents": [{"id": "d", "data": {"text": "t"}}]},
    )

    assert sent.body == {
        "model": REASONING,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        **{"stream": True, "max_tokens": 9, "temperature": 1, "p": 0.25, "k": 3, "seed": 1},
        "documents": [{"id": "d", "data": {"text": "t"}}],
    }


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "dropped"),
    [
        (REASONING, "none", {"type": "disabled"}, set()),
        (REASONING, "low", {"type": "enabled", "token_budget": 1024}, set()),
        (REASONING, "high", {"type": "enabled", "token_budget": 16_384}, set()),
        (REASONING, "max", {"type": "enabled"}, set()),
        ("command-new", "low", {"type": "enabled", "token_budget": 1024}, set()),
        (SILENT, "low", None, {"reasoning.effort"}),
        (SILENT, "none", None, set()),
    ],
)
def test_effort_is_a_budget_of_thinking(model: str, effort: str, thinking: Any, dropped: set[str]) -> None:
    sent = Sent(model, reasoning={"effort": effort})

    assert sent.body.get("thinking") == thinking
    assert set(sent.dropped) == dropped


def test_a_summary_is_reported() -> None:
    assert set(Sent(reasoning={"summary": "auto"}).dropped) == {"reasoning.summary"}


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        ({"type": "json_object"}, {"type": "json_object"}),
        ({"type": "json_schema", "name": "n", "schema": SCHEMA}, {"type": "json_object", "json_schema": SCHEMA}),
    ],
)
def test_a_form_is_asked_for_and_beside_tools_in_words(form: dict[str, Any], sent: dict[str, Any]) -> None:
    assert Sent(text={"format": form}).body["response_format"] == sent

    worded = Sent(text={"format": form}, tools=[function()], instructions="a")
    assert "response_format" not in worded.body
    assert [message["role"] for message in worded.messages] == ["system", "system", "user"]
    assert "JSON" in worded.messages[1]["content"]
    assert set(worded.dropped) == {"text.format"}


# --- tools

F, G = function(), function("g")


def offered(name: str = "f", parameters: Any = NO_PARAMETERS, **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **fields, "parameters": parameters}}


@pytest.mark.parametrize(
    ("choice", "names", "sent"),
    [
        ("auto", ["f", "g"], None),
        ("none", ["f", "g"], "NONE"),
        ("required", ["f", "g"], "REQUIRED"),
        ({"type": "function", "name": "g"}, ["g"], "REQUIRED"),
        ({"type": "allowed_tools", "mode": "auto", "tools": [G]}, ["g"], None),
        ({"type": "allowed_tools", "mode": "required", "tools": [G]}, ["g"], "REQUIRED"),
    ],
)
def test_a_choice_is_sent(choice: Any, names: list[str], sent: Any) -> None:
    body = Sent(tools=[F, G], tool_choice=choice).body

    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert body.get("tool_choice") == sent


@pytest.mark.parametrize("choice", ["odd", {"type": "function", "name": "h"}])
def test_a_choice_that_there_is_not_is_an_error(choice: Any) -> None:
    with pytest.raises(InvalidParameter, match="tool_choice"):
        Sent(tools=[F], tool_choice=choice)


def test_all_tools_are_strict_or_none() -> None:
    strict = function(strict=True)

    both = Sent(tools=[strict, function("g", strict=True)])
    assert both.body["strict_tools"] is True
    assert both.body["tools"] == [offered(), offered("g")]
    assert not both.dropped

    one = Sent(tools=[strict, function("g", strict=False)])
    assert "strict_tools" not in one.body
    assert one.body["tools"] == [offered(), offered("g")]
    assert set(one.dropped) == {"tools[0].strict"}


def test_custom_tools_and_namespaces_go_out_as_functions() -> None:
    sent = Sent(tools=[{"type": "custom", "name": "c"}, {"type": "namespace", "name": "n", "tools": [F]}])

    text = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    assert sent.body["tools"] == [offered("c", text), offered("n__f")]


@pytest.mark.parametrize("kind", ["web_search", "mcp", "code_interpreter"])
def test_a_tool_that_the_host_lacks_is_an_error(kind: str) -> None:
    with pytest.raises(UnsupportedParameter, match="tools"):
        Sent(tools=[{"type": kind}])


def test_calls_one_at_a_time_are_reported() -> None:
    assert set(Sent(tools=[F], parallel_tool_calls=False).dropped) == {"parallel_tool_calls"}


# --- messages


def words(role: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": text, **fields}


def messages(*items: Any, model: str = REASONING) -> list[dict[str, Any]]:
    sent = Sent(model, input=list(items))
    assert not sent.dropped
    return sent.messages


def test_roles_stay_as_they_are() -> None:
    items = [words("developer", "a"), words("user", "b"), words("assistant", "c"), words("system", "d")]

    assert messages(*items) == [{**items[0], "role": "system"}, *items[1:]]


IMAGE = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
SENT_IMAGE = {"type": "image_url", "image_url": {"url": IMAGE["image_url"]}}
TEXT = {"type": "input_text", "text": "b"}
SENT_TEXT = {"type": "text", "text": "b"}
NOTES = base64.b64encode("Grüße".encode()).decode()
FILE = {"type": "input_file", "file_data": NOTES, "filename": "notes.txt"}
DOCUMENT = {"id": "notes.txt", "data": {"title": "notes.txt", "text": "Grüße"}}


def test_parts_of_the_user() -> None:
    assert messages(user(TEXT)) == [words("user", "b")]
    image = {"url": IMAGE["image_url"], "detail": "low"}
    assert messages(user(TEXT, {**IMAGE, "detail": "low"})) == [
        {"role": "user", "content": [SENT_TEXT, {"type": "image_url", "image_url": image}]}
    ]


def test_files_are_documents_of_the_whole_call() -> None:
    sent = Sent(input=[user(TEXT, FILE), words("assistant", "c"), user(FILE, TEXT)], extra={"documents": ["x"]})

    assert sent.messages == [words("user", "b"), words("assistant", "c"), words("user", "b")]
    assert sent.body["documents"] == [DOCUMENT, DOCUMENT, "x"]


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, UnsupportedParameter),
        ({"type": "odd"}, UnsupportedParameter),
        ({"type": "input_image", "file_id": "f"}, UnsupportedParameter),
        ({"type": "input_file", "file_url": "https://a.example/x.txt"}, UnsupportedParameter),
        ({"type": "input_file", "file_data": "AA==", "filename": "a.pdf"}, UnsupportedParameter),
        ({"type": "input_file", "file_data": "data:application/pdf;base64,AA=="}, UnsupportedParameter),
        ({"type": "input_file", "file_data": "/w==", "filename": "a.txt"}, InvalidParameter),
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


def test_a_file_alone_is_an_error() -> None:
    with pytest.raises(UnsupportedParameter, match="wants a text beside files"):
        Sent(input=[user(FILE)])


def test_fields_that_nobody_takes_are_reported() -> None:
    sent = Sent(input=[user({**TEXT, "cache_control": {"type": "ephemeral"}})])

    assert set(sent.dropped) == {"input[0].content[0].cache_control"}


def test_results_are_text_and_documents_and_images_follow() -> None:
    found = messages(call("1"), call("2"), output("1", "x"), output("2", [TEXT, FILE, IMAGE]), words("user", "c"))

    assert found[1:] == [
        {"role": "tool", "tool_call_id": "1", "content": "x"},
        {
            "role": "tool",
            "tool_call_id": "2",
            "content": [
                SENT_TEXT,
                {"type": "document", "document": DOCUMENT},
                {"type": "text", "text": "[input_image: see the next message of the user]"},
            ],
        },
        {"role": "user", "content": [{"type": "text", "text": "From the result of call 2:"}, SENT_IMAGE]},
        words("user", "c"),
    ]


def reasoning(*blocks: Any, **whose: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "encrypted_content": sealed(*blocks, **whose)}


def test_the_assistants_turn_is_one_message() -> None:
    plan = words("assistant", "I will look.", phase="commentary")

    (message, *_) = messages(reasoning(THINKING), words("assistant", "a"), plan, call(), output())

    assert message == {
        "role": "assistant",
        "content": [THINKING, {"type": "text", "text": "a"}],
        "tool_plan": "I will look.",
        "tool_calls": [sent_call()],
    }


def test_a_commentary_without_calls_is_said_like_any_other_text() -> None:
    assert messages(words("assistant", "a", phase="commentary")) == [words("assistant", "a")]


@pytest.mark.parametrize(
    ("item", "sent"),
    [
        (call(arguments=""), sent_call()),
        (call(namespace="n", arguments='{"a": 1.0}'), sent_call(name="n__f", arguments='{"a": 1.0}')),
        (
            {"type": "custom_tool_call", "call_id": "1", "name": "c", "input": "x"},
            sent_call(name="c", arguments='{"input":"x"}'),
        ),
    ],
)
def test_a_call_goes_back(item: dict[str, Any], sent: dict[str, Any]) -> None:
    assert messages(item, output())[0] == {"role": "assistant", "tool_calls": [sent]}


@pytest.mark.parametrize(
    ("model", "item"),
    [
        (REASONING, reasoning(THINKING, provider="other")),
        (REASONING, reasoning(THINKING, dialect="chat")),
        (SILENT, reasoning(THINKING)),
        (REASONING, {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}),
        (REASONING, thought("Hm")),
        (REASONING, thought("", summary="Hm")),
    ],
)
def test_what_another_thought_is_left_out_and_reported(model: str, item: dict[str, Any]) -> None:
    sent = Sent(model, input=[item, words("assistant", "a"), words("user", "b")])

    assert sent.messages == [words("assistant", "a"), words("user", "b")]
    assert list(sent.dropped) == ["input[0] (reasoning)"]


def test_citations_go_back_with_the_text_that_they_are_about() -> None:
    cited = {"start": 0, "end": 2, "text": "It", "sources": [{"type": "document", "id": "d"}], "type": "TEXT_CONTENT"}
    own = {"provider": "cohere", "dialect": "cohere", "start_index": 0, "end_index": 2, "citation": cited}
    annotation = {"type": "file_citation", "file_id": "d", "filename": "", "index": 2, "provider_data": own}
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "It is.", "annotations": [annotation]}]}

    (message,) = messages(said)
    assert message == {"role": "assistant", "content": "It is.", "citations": [cited]}
    (message,) = messages(reasoning(THINKING), said)
    assert message["citations"] == [{**cited, "content_index": 1}]

    foreign = {**annotation, "provider_data": {**own, "provider": "other"}}
    said["content"] = [{"type": "output_text", "text": "It is.", "annotations": [foreign]}]
    assert messages(said) == [words("assistant", "It is.")]


# --- the address


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (None, "https://api.cohere.com/v2/chat"),
        ("https://proxy.example/v2", "https://proxy.example/v2/chat"),
        ("https://proxy.example/cohere/", "https://proxy.example/cohere/v2/chat"),
    ],
)
def test_the_path_is_added_to_any_base(base: str | None, url: str) -> None:
    given = {} if base is None else {"api_base": base}

    request = presets.responses.explain("Hi", model="cohere/command-a-03-2025", api_key="k", **given).request

    assert request is not None
    assert request.url == url
