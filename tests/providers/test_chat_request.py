"""A call of the Responses API as a chat body: every parameter, and what other bridges lose."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_calls import BARE, NEVER, OPENAI, PLAIN, SCHEMA, VALUES, Sent, call, function, output, sent_call, user

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.tools import FunctionTool
from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.chat_request import is_streamed, nearest_effort
from antiphon.providers.profiles import UNKNOWN, Profile
from antiphon.providers.rows import ChatFlags

# --- every parameter

# What no chat completions have, at any host.
NOWHERE = {
    *("previous_response_id", "conversation", "background", "background_options", "include", "max_tool_calls"),
    *("truncation", "context_management", "prompt", "image", "access_programs"),
}


@pytest.mark.parametrize("name", CreateParams.__struct_fields__)
def test_every_parameter_is_sent_or_reported_or_an_error(name: str) -> None:
    given = VALUES[name]
    without = {key: value for key, value in given.items() if key != name}
    outcome = {}

    for label, flags in (("openai", OPENAI), ("bare", BARE)):
        plain = Sent(flags, **without).body
        try:
            sent = Sent(flags, **given)
        except UnsupportedParameter as error:
            outcome[label] = f"error about {error.param}"
            continue
        reported = [each for each in sent.dropped if each == name or each.startswith(f"{name}.")]
        assert bool(reported) != (sent.body != plain) or name == "model"
        outcome[label] = "reported" if reported else "sent"

    if name in NOWHERE:
        assert outcome == dict.fromkeys(outcome, f"error about {name}" if name in NEVER else "reported")
    else:
        assert outcome["openai"] == "sent"
        assert outcome["bare"] in ("sent", "reported", f"error about {name}")


@pytest.mark.parametrize(
    "given",
    [
        {"store": False},
        {"background": False},
        {"truncation": "disabled"},
        {"include": ["reasoning.encrypted_content"]},
        {"parallel_tool_calls": True},
        {"tool_choice": "auto"},
        {"tool_choice": "none"},
        {"tool_choice": "auto", "tools": [function()]},
        {"text": {"format": {"type": "text"}, "verbosity": None}},
        {"reasoning": {"effort": None, "summary": None}},
        {"tools": []},
        {"stream": False},
        {"stream": True, "stream_options": {}},
    ],
    ids=json.dumps,
)
def test_what_happens_anyway_is_not_reported(given: dict[str, Any]) -> None:
    assert Sent(BARE, **given).dropped == {}


def test_the_same_parameters_are_sent_by_their_names() -> None:
    given: dict[str, Any] = {
        "temperature": 1,
        "store": False,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "moderation": {"model": "o"},
    }

    sent = Sent(PLAIN, **given)

    assert sent.body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **given}


@pytest.mark.parametrize(
    ("flags", "given", "fields"),
    [
        (PLAIN, {"max_output_tokens": 5}, {"max_tokens": 5}),
        (OPENAI, {"max_output_tokens": 5}, {"max_completion_tokens": 5}),
        (PLAIN, {"top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        (PLAIN, {"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        (PLAIN, {"top_logprobs": 0}, {}),
        (PLAIN, {"text": {"verbosity": "low"}}, {"verbosity": "low"}),
        (PLAIN, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}),
        (BARE, {"stream": True}, {"stream": True}),
        (ChatFlags(streaming="never"), {"stream": True}, {}),
        (ChatFlags(streaming="always"), {}, {"stream": True, "stream_options": {"include_usage": True}}),
        (
            OPENAI,
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        ),
        (
            PLAIN,
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            {"stream": True, "stream_options": {"include_usage": True}},
        ),
        (PLAIN, {"parallel_tool_calls": False}, {}),
    ],
)
def test_a_parameter_becomes_fields_of_the_body(
    flags: ChatFlags, given: dict[str, Any], fields: dict[str, Any]
) -> None:
    sent = Sent(flags, **given)

    assert {name: value for name, value in sent.body.items() if name not in ("model", "messages")} == fields
    assert sent.dropped == {}
    assert is_streamed(CreateParams(**given), flags) == ("stream" in fields)


def test_extra_fields_win() -> None:
    assert Sent(PLAIN, temperature=1, extra={"temperature": 0, "top_k": 3}).body["temperature"] == 0
    assert Sent(PLAIN, extra={"top_k": 3}).body["top_k"] == 3


def test_half_a_character_is_sent_as_json_has_it() -> None:
    assert Sent(PLAIN, input="a\ud83d").messages == [{"role": "user", "content": "a\ud83d"}]


def test_half_a_character_in_arguments_made_here_is_kept() -> None:
    asked = {"type": "custom_tool_call", "call_id": "1", "name": "run", "input": "\ud83d"}
    given = [asked, {"type": "custom_tool_call_output", "call_id": "1", "output": "\ud83d"}]
    wire = [FunctionTool.new(name="f", parameters=SCHEMA)]

    sent = Sent(PLAIN, input=given, tools=wire)

    assert json.loads(sent.messages[0]["tool_calls"][0]["function"]["arguments"]) == {"input": "\ud83d"}
    assert sent.messages[1]["content"] == "\ud83d"


@pytest.mark.parametrize(
    ("flags", "given", "names"),
    [
        (BARE, {"include": ["message.output_text.logprobs"]}, ["include"]),
        (BARE, {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}, ["top_logprobs", "include"]),
        (PLAIN, {"stream": True, "stream_options": {"include_usage": True, "other": 1}}, ["stream_options.other"]),
        (
            PLAIN,
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            ["stream_options.include_obfuscation"],
        ),
        (PLAIN, {"text": {"tone": "warm"}}, ["text.tone"]),
    ],
)
def test_what_is_inside_a_parameter_is_reported_by_its_place(
    flags: ChatFlags, given: dict[str, Any], names: list[str]
) -> None:
    assert list(Sent(flags, **given).dropped) == names


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(InvalidParameter, match="cannot be encoded"):
        Sent(PLAIN, metadata={"a": object()})


# --- reasoning settings


@pytest.mark.parametrize(
    ("form", "effort", "fields", "reported"),
    [
        ("reasoning_effort", "low", {"reasoning_effort": "low"}, False),
        ("reasoning_effort", "none", {"reasoning_effort": "none"}, False),
        ("reasoning", "low", {"reasoning": {"effort": "low"}}, False),
        ("thinking", "low", {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, False),
        ("thinking", "none", {"thinking": {"type": "disabled"}}, False),
        ("thinking_only", "low", {"thinking": {"type": "enabled"}}, True),
        ("thinking_only", "none", {"thinking": {"type": "disabled"}}, False),
        ("enable_thinking", "high", {"enable_thinking": True}, True),
        ("enable_thinking", "none", {"enable_thinking": False}, False),
        ("template", "none", {"chat_template_kwargs": {"enable_thinking": False}}, False),
        ("template", "low", {"chat_template_kwargs": {"enable_thinking": True}}, True),
        ("", "low", {}, True),
    ],
)
def test_effort_is_asked_for_in_the_hosts_way(form: Any, effort: str, fields: dict[str, Any], reported: bool) -> None:
    sent = Sent(ChatFlags(effort=form), reasoning={"effort": effort})

    assert {name: value for name, value in sent.body.items() if name not in ("model", "messages")} == fields
    assert ("reasoning.effort" in sent.dropped) == reported


@pytest.mark.parametrize(
    ("asked", "known", "level"),
    [
        ("medium", (), "medium"),
        ("low", ("low", "high"), "low"),
        ("minimal", ("none", "low", "high", "max"), "low"),
        ("medium", ("none", "low", "high", "max"), "high"),
        ("xhigh", ("none", "low", "high", "max"), "high"),
        ("max", ("low", "medium", "high"), "high"),
        ("none", ("low", "high"), "low"),
        ("low", ("none",), "none"),
        ("ultra", ("low", "high"), "ultra"),
        ("low", ("on", "high"), "high"),
    ],
)
def test_an_unknown_effort_becomes_the_nearest(asked: str, known: tuple[str, ...], level: str) -> None:
    assert nearest_effort(asked, known) == level


def test_another_level_is_reported_and_the_models_own_levels_count() -> None:
    flags, profile = ChatFlags(efforts=("low", "medium", "high")), Profile(models=(), efforts=("medium", "high", "max"))

    sent = Sent(flags, profile=profile, reasoning={"effort": "minimal"})

    assert sent.body["reasoning_effort"] == "medium"
    assert sent.dropped == {"reasoning.effort": "minimal is sent as medium: known here are medium, high"}


def test_thinking_can_be_switched_off_where_the_levels_have_no_none() -> None:
    sent = Sent(ChatFlags(effort="thinking", efforts=("low", "high")), reasoning={"effort": "none"})

    assert sent.body["thinking"] == {"type": "disabled"}
    assert "reasoning_effort" not in sent.body


def test_other_reasoning_settings_go_where_an_object_is_taken_and_are_reported_elsewhere() -> None:
    given = {"effort": "low", "summary": "auto", "max_tokens": 100}

    assert Sent(ChatFlags(effort="reasoning"), reasoning=given).body["reasoning"] == given
    assert set(Sent(PLAIN, reasoning=given).dropped) == {"reasoning.summary", "reasoning.max_tokens"}


# --- text formats

FORMAT = {"type": "json_schema", "name": "answer", "description": "An answer", "schema": SCHEMA}


@pytest.mark.parametrize("strict", [None, True, False])
def test_a_schema_is_sent_as_it_is(strict: bool | None) -> None:
    given = FORMAT if strict is None else {**FORMAT, "strict": strict}

    sent = Sent(PLAIN, text={"format": given}).body["response_format"]

    assert sent == {"type": "json_schema", "json_schema": {key: given[key] for key in given if key != "type"}}


@pytest.mark.parametrize("profile", [UNKNOWN, Profile(models=(), structured_output="json_object")])
def test_a_schema_is_said_in_words_where_only_json_can_be_asked_for(profile: Profile) -> None:
    flags = ChatFlags(structured_output="json_object") if profile is UNKNOWN else PLAIN

    sent = Sent(flags, profile=profile, instructions="Be brief.", text={"format": FORMAT})

    assert sent.body["response_format"] == {"type": "json_object"}
    assert sent.messages[0]["content"].startswith("Be brief.\n\n")
    assert json.dumps(SCHEMA, separators=(",", ":")) in sent.messages[0]["content"]
    assert "not enforce" in sent.dropped["text.format"]


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_a_format_is_only_said_in_words_where_none_can_be_asked_for(kind: str) -> None:
    sent = Sent(BARE, text={"format": {**FORMAT, "type": kind}})

    assert "response_format" not in sent.body
    assert [message["role"] for message in sent.messages] == ["system", "user"]
    assert "JSON" in sent.messages[0]["content"]
    assert "not enforce" in sent.dropped["text.format"]


def test_words_are_added_to_a_system_message_of_several_parts() -> None:
    parts = [{"type": "input_text", "text": "A"}, {"type": "input_text", "text": "B"}]
    flags = ChatFlags(structured_output="")

    sent = Sent(flags, input=[{"role": "system", "content": parts}], text={"format": {"type": "json_object"}})

    assert [part["text"] for part in sent.messages[0]["content"]][:2] == ["A", "B"]
    assert "JSON" in sent.messages[0]["content"][2]["text"]


def test_json_without_a_schema_is_asked_for() -> None:
    assert Sent(PLAIN, text={"format": {"type": "json_object"}}).body["response_format"] == {"type": "json_object"}


def test_a_format_that_chat_completions_lack_is_an_error() -> None:
    with pytest.raises(UnsupportedParameter, match="grammar"):
        Sent(PLAIN, text={"format": {"type": "grammar"}})


# --- what LiteLLM's bridge loses, breaks or makes up (its versions 1.106 and 1.109, run)

AUDIO = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
FILE = {"type": "input_file", "file_id": "f"}
REFUSAL = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
ALLOWED = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
ASKED = {"type": "function", "function": {"name": "g"}}

# The defect, a call, where to look in its body, and what is there.
KEPT: list[tuple[str, dict[str, Any], list[Any], Any]] = [
    ("store", {"store": True}, ["store"], True),
    ("verbosity", {"text": {"verbosity": "low"}}, ["verbosity"], "low"),
    ("cache retention", {"prompt_cache_retention": "24h"}, ["prompt_cache_retention"], "24h"),
    ("metadata", {"metadata": {"a": "b"}}, ["metadata"], {"a": "b"}),
    (
        "a schema's description, and no strict that nobody asked for",
        {"text": {"format": FORMAT}},
        ["response_format", "json_schema"],
        {"name": "answer", "description": "An answer", "schema": SCHEMA},
    ),
    (
        "no strict of a tool that nobody asked for",
        {"tools": [function(parameters=SCHEMA)]},
        ["tools", 0, "function"],
        {"name": "f", "parameters": SCHEMA},
    ),
    (
        "allowed tools",
        {"tools": [function(), function("g")], "tool_choice": ALLOWED},
        ["tool_choice", "allowed_tools"],
        {"mode": "required", "tools": [ASKED]},
    ),
    ("audio", {"input": [user(AUDIO)]}, ["messages", 0, "content"], [AUDIO]),
    (
        "files in results",
        {"input": [call(), output(given=[FILE])]},
        ["messages", 2, "content", 1],
        {"type": "file", "file": {"file_id": "f"}},
    ),
    ("refusals", {"input": [REFUSAL]}, ["messages", 0, "refusal"], "No."),
    (
        "calls over MCP",
        {"input": [{"type": "mcp_call", "id": "m", "name": "f", "output": "x"}]},
        ["messages", 1],
        {"role": "tool", "tool_call_id": "m", "content": "x"},
    ),
    (
        "a search is no word of the model",
        {"input": [{"type": "web_search_call", "id": "ws"}, {"role": "user", "content": "Hi"}]},
        ["messages"],
        [{"role": "user", "content": "Hi"}],
    ),
    ("empty arguments", {"input": [call(arguments=""), output()]}, ["messages", 0, "tool_calls"], [sent_call()]),
]


@pytest.mark.parametrize(("given", "path", "expected"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT])
def test_what_others_lose_is_sent(given: dict[str, Any], path: list[Any], expected: Any) -> None:
    found: Any = Sent(OPENAI, **given).body
    for step in path:
        found = found[step]

    assert found == expected


def test_results_stand_behind_their_calls() -> None:
    given = [call("1"), {"role": "user", "content": "Hi"}, call("2"), output("1"), output("2")]

    found = [message.get("tool_call_id") or message["role"] for message in Sent(PLAIN, input=given).messages]

    assert found == ["assistant", "1", "user", "assistant", "2"]


def test_what_others_leave_out_in_silence_is_reported() -> None:
    given = [{"type": "code_interpreter_call", "id": "ci"}, {"role": "user", "content": "Hi"}]

    sent = Sent(OPENAI, input=given, include=["file_search_call.results"], truncation="auto")

    assert list(sent.dropped) == ["input[0] (code_interpreter_call)", "truncation", "include"]


@pytest.mark.parametrize(
    "given",
    [
        {"tools": [{"type": "image_generation"}]},
        {"tools": [{"type": "local_shell"}]},
        {"input": [user({"type": "input_image", "file_id": "file_1"})]},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "compaction", "encrypted_content": "x"}]},
        {"input": [output("1")], "tools": [function()]},
    ],
    ids=str,
)
def test_what_others_lose_or_make_up_in_silence_is_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(CallError):
        Sent(OPENAI, **given)
