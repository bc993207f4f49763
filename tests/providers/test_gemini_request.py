"""A call of the Responses API as a generateContent body: every parameter, tool and choice."""

from __future__ import annotations

from typing import Any

import pytest
from chat_calls import SCHEMA, function
from chat_calls import VALUES as ANY_VALUES
from gemini_calls import NEVER, Sent

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.tools import FunctionTool
from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.gemini import path_of
from antiphon.providers.profiles import Profile, profile_of

OLD, PRO, NEW = "gemini-2.0-flash", "gemini-2.5-pro", "gemini-3-flash-preview"

# --- every parameter

VALUES: dict[str, dict[str, Any]] = {**ANY_VALUES, "model": {"model": NEW}}


@pytest.mark.parametrize("name", CreateParams.__struct_fields__)
def test_every_parameter_is_sent_or_reported_or_an_error(name: str) -> None:
    if name in ("model", "stream"):
        return  # these are in the address
    if name in NEVER and name not in ("tools", "tool_choice"):
        with pytest.raises(UnsupportedParameter, match=name):
            Sent(**VALUES[name])
        return
    usual = Sent(tools=[function()] if "tools" in VALUES[name] and name != "tools" else None).body
    sent = Sent(**VALUES[name])

    reported = [found for found in sent.dropped if found.partition(".")[0] == name]
    assert reported or sent.body != usual
    assert all(sent.dropped[found] for found in reported)


@pytest.mark.parametrize(
    "params",
    [
        {"store": False},
        {"background": False},
        {"truncation": "disabled"},
        {"parallel_tool_calls": True},
        {"tool_choice": "auto"},
        {"text": {"format": {"type": "text"}}},
        {"service_tier": "auto"},
        {"include": ["reasoning.encrypted_content", "code_interpreter_call.outputs"]},
    ],
)
def test_what_happens_anyway_is_neither_sent_nor_reported(params: dict[str, Any]) -> None:
    sent = Sent(**params)

    assert sent.body == Sent().body == {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
    assert sent.dropped == {}


def test_numbers_go_into_the_generation_config() -> None:
    sent = Sent(max_output_tokens=5, temperature=0, top_p=0.9, top_logprobs=3)

    assert sent.config == {
        "maxOutputTokens": 5,
        "temperature": 0,
        "topP": 0.9,
        "responseLogprobs": True,
        "logprobs": 3,
    }


def test_log_probabilities_of_the_text_alone() -> None:
    assert Sent(include=["message.output_text.logprobs"]).config == {"responseLogprobs": True}


@pytest.mark.parametrize(("tier", "sent"), [("default", "STANDARD"), ("flex", "FLEX"), ("priority", "PRIORITY")])
def test_service_tiers_have_names_of_their_own(tier: str, sent: str) -> None:
    assert Sent(service_tier=tier).body["serviceTier"] == sent


def test_an_unknown_service_tier_is_reported() -> None:
    sent = Sent(service_tier="fast")

    assert "serviceTier" not in sent.body
    assert "service_tier" in sent.dropped


def test_further_fields_are_put_together_with_those_of_the_call() -> None:
    extra = {"generationConfig": {"topK": 3, "temperature": 1}, "safetySettings": [{"category": "C"}]}
    sent = Sent(temperature=0, top_p=1, extra=extra)

    assert sent.config == {"temperature": 1, "topP": 1, "topK": 3}
    assert sent.body["safetySettings"] == [{"category": "C"}]


def test_what_has_no_json_form_is_an_error() -> None:
    with pytest.raises(InvalidParameter, match="cannot be encoded"):
        Sent(extra={"a": object()})


@pytest.mark.parametrize(
    ("model", "path"),
    [("gemini-x", "models/gemini-x:generateContent"), ("tunedModels/a b", "tunedModels/a%20b:generateContent")],
)
def test_the_model_is_in_the_address(model: str, path: str) -> None:
    assert path_of(model, streamed=False) == path


# --- text


def test_a_schema_is_sent_as_it_is() -> None:
    form = {"type": "json_schema", "name": "n", "strict": True, "schema": SCHEMA, "description": "D"}

    assert Sent(text={"format": form}).config == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"description": "D", **SCHEMA},
    }
    assert Sent(text={"format": {"type": "json_object"}}).config == {"responseMimeType": "application/json"}


def test_a_schema_beside_functions_is_said_in_words_to_older_models() -> None:
    call: dict[str, Any] = {
        "tools": [function()],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    }
    new, old = Sent(**call), Sent(model=PRO, **call)

    assert "responseJsonSchema" in new.config
    assert old.config == {}
    assert "JSON schema" in old.body["systemInstruction"]["parts"][0]["text"]
    assert "text.format" in old.dropped


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(UnsupportedParameter, match="grammar"):
        Sent(text={"format": {"type": "grammar"}})


# --- reasoning


@pytest.mark.parametrize(
    ("model", "effort", "config", "reported"),
    [
        (NEW, "minimal", {"thinkingLevel": "MINIMAL"}, False),
        (NEW, "low", {"thinkingLevel": "LOW"}, False),
        (NEW, "medium", {"thinkingLevel": "MEDIUM"}, False),
        (NEW, "high", {"thinkingLevel": "HIGH"}, False),
        (NEW, "xhigh", {"thinkingLevel": "HIGH"}, True),
        (NEW, "none", {"thinkingLevel": "MINIMAL"}, True),
        ("gemini-3-pro-preview", "none", {"thinkingLevel": "LOW"}, True),
        ("gemini-3-pro-preview", "medium", {"thinkingLevel": "HIGH"}, True),
        ("gemini-3.1-pro-preview", "minimal", {"thinkingLevel": "LOW"}, True),
        ("gemini-3.7-flash", "minimal", {"thinkingLevel": "LOW"}, True),
        ("gemini-flash-latest", "low", {"thinkingLevel": "LOW"}, False),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, False),
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24576}, False),
        (PRO, "none", {"thinkingBudget": 128}, True),
        (PRO, "low", {"thinkingBudget": 1024}, False),
        (PRO, "max", {"thinkingBudget": 32768}, False),
        (PRO, "enormous", {"thinkingBudget": -1}, True),
        (OLD, "low", None, True),
        (OLD, "none", None, False),
        ("gemma-3-27b-it", "low", None, True),
    ],
)
def test_effort_is_a_level_or_a_budget(model: str, effort: str, config: dict[str, Any] | None, reported: bool) -> None:
    sent = Sent(model=model, profile=profile_of(model, "gemini"), reasoning={"effort": effort})

    assert sent.config.get("thinkingConfig") == config
    assert ("reasoning.effort" in sent.dropped) is reported


def test_a_summary_asks_for_thoughts() -> None:
    assert Sent(reasoning={"summary": "auto"}).config == {"thinkingConfig": {"includeThoughts": True}}
    assert "reasoning.summary" in Sent(model=OLD, reasoning={"summary": "auto"}).dropped
    off = Sent(model="gemini-2.5-flash", reasoning={"effort": "none", "summary": "auto"})
    assert off.config == {"thinkingConfig": {"thinkingBudget": 0}}
    assert "reasoning.context" in Sent(reasoning={"context": "all"}).dropped


# --- tools


def declarations(sent: Sent) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sent.body["tools"][-1]["functionDeclarations"]
    return found


def test_all_functions_are_in_one_entry() -> None:
    sent = Sent(tools=[function("a", parameters=SCHEMA), FunctionTool.new(name="b", parameters=SCHEMA)])

    assert len(sent.body["tools"]) == 1
    assert [each["name"] for each in declarations(sent)] == ["a", "b"]
    assert [each["parametersJsonSchema"] for each in declarations(sent)] == [SCHEMA, SCHEMA]
    assert "toolConfig" not in sent.body


def test_custom_tools_and_namespaces_become_functions() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: A"}
    sent = Sent(
        tools=[
            {"type": "custom", "name": "c", "description": "C", "format": grammar},
            {"type": "namespace", "name": "n", "description": "N", "tools": [function("f")]},
        ]
    )

    assert [each["name"] for each in declarations(sent)] == ["c", "n__f"]
    assert declarations(sent)[0]["parametersJsonSchema"]["required"] == ["input"]
    assert set(sent.dropped) == {"tools[0].format", "tools[1].description"}


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        ({"type": "web_search"}, {"googleSearch": {}}),
        ({"type": "web_search_preview", "search_context_size": None}, {"googleSearch": {}}),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, {"codeExecution": {}}),
        (
            {"type": "file_search", "vector_store_ids": ["fileSearchStores/a"], "max_num_results": 3},
            {"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/a"], "topK": 3}},
        ),
    ],
)
def test_tools_that_google_has_too_are_asked_for(tool: dict[str, Any], sent: dict[str, Any]) -> None:
    found = Sent(tools=[tool])

    assert found.body["tools"] == [sent]
    assert "toolConfig" not in found.body
    assert found.dropped == {}


@pytest.mark.parametrize(
    ("tool", "field"),
    [
        ({"type": "web_search", "search_context_size": "high"}, "search_context_size"),
        ({"type": "code_interpreter", "container": "cntr_1"}, "container"),
        ({"type": "file_search", "vector_store_ids": [], "filters": {"type": "eq"}}, "filters"),
        (function(defer_loading=True), "defer_loading"),
    ],
)
def test_options_of_tools_that_google_does_not_have_are_reported(tool: dict[str, Any], field: str) -> None:
    assert list(Sent(tools=[tool]).dropped) == [f"tools[0].{field}"]


@pytest.mark.parametrize("kind", ["mcp", "image_generation", "computer", "shell", "local_shell", "tool_search"])
def test_other_hosted_tools_are_an_error(kind: str) -> None:
    with pytest.raises(UnsupportedParameter, match=rf"tools\[0\] is a {kind} tool"):
        Sent(tools=[{"type": kind}])


def test_functions_beside_googles_tools_need_a_switch() -> None:
    both = [{"type": "web_search"}, function()]

    assert Sent(tools=both).body["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert "toolConfig" not in Sent(model=PRO, tools=both).body
    vertex = "https://aiplatform.googleapis.com/v1/projects/p/locations/global/publishers/google"
    assert "toolConfig" not in Sent(base_url=vertex, tools=both).body


def test_strict_functions_are_validated() -> None:
    strict = function("a", strict=True)
    config = {"functionCallingConfig": {"mode": "VALIDATED"}}

    assert Sent(tools=[strict]).body["toolConfig"] == config
    assert Sent(tools=[strict], tool_choice="auto").body["toolConfig"] == config
    mixed = Sent(tools=[strict, function("b")])
    assert "toolConfig" not in mixed.body
    assert list(mixed.dropped) == ["tools[0].strict"]
    assert list(Sent(model=OLD, tools=[strict]).dropped) == ["tools[0].strict"]


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "name": "a"}, {"mode": "ANY", "allowedFunctionNames": ["a"]}),
        ({"type": "custom", "name": "c"}, {"mode": "ANY", "allowedFunctionNames": ["c"]}),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]},
            {"mode": "VALIDATED", "allowedFunctionNames": ["a"]},
        ),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "a"}]},
            {"mode": "ANY", "allowedFunctionNames": ["a"]},
        ),
    ],
)
def test_tool_choices_are_modes(choice: Any, config: dict[str, Any]) -> None:
    tools = [function("a"), {"type": "custom", "name": "c"}]

    assert Sent(tools=tools, tool_choice=choice).body["toolConfig"] == {"functionCallingConfig": config}


def test_older_models_are_offered_the_allowed_tools_only() -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "b"}]}
    sent = Sent(model=OLD, tools=[function("a"), function("b")], tool_choice=choice)

    assert [each["name"] for each in declarations(sent)] == ["b"]
    assert "toolConfig" not in sent.body


@pytest.mark.parametrize(
    "call",
    [
        {"tools": [function("a")], "tool_choice": {"type": "function", "name": "b"}},
        {"tools": [function("a")], "tool_choice": {"type": "web_search"}},
        {"tools": [function("a")], "tool_choice": {"type": "allowed_tools", "tools": [{"type": "mcp"}]}},
        {"tools": [function("a")], "tool_choice": {"type": "allowed_tools", "mode": "x", "tools": []}},
        {"tools": [function("a")], "tool_choice": "sometimes"},
        {"tool_choice": "required"},
        {"tools": [function("a"), function("a")]},
        {"tools": [{"type": "function"}]},
    ],
)
def test_choices_and_tools_that_make_no_sense_are_errors(call: dict[str, Any]) -> None:
    with pytest.raises(CallError):
        Sent(**call)


def test_gemma_is_told_the_format_by_the_user() -> None:
    form = {"format": {"type": "json_object"}}
    sent = Sent(model="gemma-3-27b-it", instructions="A", tools=[function()], text=form)

    assert "systemInstruction" not in sent.body
    assert [part["text"][:6] for part in sent.contents[0]["parts"]] == ["A", "Answer", "Hi"]


def test_a_profile_without_formats_gets_words() -> None:
    sent = Sent(text={"format": {"type": "json_object"}}, profile=Profile(models=("x",), structured_output=""))

    assert sent.config == {}
    assert "text.format" in sent.dropped
