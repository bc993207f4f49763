"""A call of the Responses API as a request of Converse: every parameter, tool and choice, and the address."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chat_calls import NEVER, VALUES, call, function, output
from converse_calls import BUDGET, CACHE, CLAUDE, GPT, LLAMA, MISTRAL, NOVA, QWEN, UNKNOWN, Sent, text

from antiphon import presets
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.converse import url_of
from antiphon.providers.dialects.converse_models import family_of, model_of, name_of
from antiphon.providers.dialects.converse_tools import NO_CALLS

# --- every parameter

# Parameters that Converse has no place for, whatever their value.
NOWHERE = {
    *("previous_response_id", "conversation", "prompt", "background", "background_options", "include", "store"),
    *("truncation", "context_management", "image", "access_programs", "top_logprobs", "moderation", "stream_options"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "max_tool_calls", "user"),
    "safety_identifier",
}
IN_ADDRESS = {"model", "stream"}
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "text": {"text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
}


@pytest.mark.parametrize("name", [name for name in CreateParams.__struct_fields__ if name not in IN_ADDRESS])
def test_every_parameter_is_sent_or_reported_or_an_error(name: str) -> None:
    given: dict[str, Any] = OTHER_VALUES.get(name, VALUES[name])
    if name in NEVER and name in NOWHERE:
        with pytest.raises(UnsupportedParameter) as caught:
            Sent(BUDGET, **given)
        assert caught.value.param == name
        return

    sent, plain = Sent(BUDGET, **given), Sent(BUDGET, **{**given, name: None})

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
        {"tool_choice": "none"},
        {"tool_choice": "auto", "tools": [function()]},
        {"text": {"format": {"type": "text"}, "verbosity": None}},
        {"reasoning": {"effort": None}},
        {"stream_options": {"include_usage": True}},
        {"service_tier": "auto"},
    ],
)
@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_a_value_that_asks_for_what_happens_anyway_is_neither_sent_nor_reported(
    model: str, given: dict[str, Any]
) -> None:
    sent = Sent(model, **given)

    assert not sent.dropped
    assert sent.body == Sent(model, **{name: value for name, value in given.items() if name == "tools"}).body


def test_parameters_have_their_places() -> None:
    sent = Sent(
        NOVA,
        instructions="Be brief.",
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.25,
        metadata={"team": "a b", "odd": "ä", "n": 1},
        service_tier="flex",
    )

    assert sent.body == {
        "messages": [{"role": "user", "content": [text("Hi")]}],
        "system": [text("Be brief.")],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.25},
        "requestMetadata": {"team": "a b"},
        "serviceTier": {"type": "flex"},
    }
    assert set(sent.dropped) == {"metadata.odd", "metadata.n"}


def test_labels_are_bounded() -> None:
    sent = Sent(metadata={f"n{at}": "x" for at in range(18)})

    assert len(sent.body["requestMetadata"]) == 16
    assert set(sent.dropped) == {"metadata.n16", "metadata.n17"}


def test_a_tier_that_there_is_not_is_reported() -> None:
    assert set(Sent(service_tier="scale").dropped) == {"service_tier"}


def test_further_fields_are_put_together_with_those_of_the_call() -> None:
    guardrail = {"guardrailIdentifier": "g", "guardrailVersion": "DRAFT", "trace": "enabled"}

    sent = Sent(
        max_output_tokens=9,
        reasoning={"effort": "high"},
        extra={
            "guardrailConfig": guardrail,
            "inferenceConfig": {"stopSequences": ["x"], "maxTokens": 5},
            "additionalModelRequestFields": {"top_k": 3},
        },
    )

    assert sent.body["guardrailConfig"] == guardrail
    assert sent.body["inferenceConfig"] == {"maxTokens": 5, "stopSequences": ["x"]}
    assert sent.body["additionalModelRequestFields"] == {
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "high"},
        "top_k": 3,
    }


@pytest.mark.parametrize(
    ("model", "given", "config", "dropped"),
    [
        (BUDGET, {"temperature": 1.5}, {"temperature": 1}, {"temperature"}),
        (BUDGET, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, {"top_p"}),
        (
            BUDGET,
            {"temperature": 0.5, "max_output_tokens": 9000, "reasoning": {"effort": "low"}},
            {"maxTokens": 9000},
            {"temperature"},
        ),
        ("anthropic.claude-opus-4-8", {"temperature": 0.5}, {}, {"temperature"}),
        (NOVA, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "topP": 0.5}, set()),
    ],
)
def test_sampling_is_sent_where_the_model_takes_it(
    model: str, given: dict[str, Any], config: dict[str, Any], dropped: set[str]
) -> None:
    sent = Sent(model, **given)

    assert sent.body.get("inferenceConfig", {}) == config
    assert set(sent.dropped) == dropped


# --- reasoning


@pytest.mark.parametrize(
    ("model", "effort", "fields", "dropped"),
    [
        (
            CLAUDE,
            "high",
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "high"}},
            False,
        ),
        (BUDGET, "low", {"thinking": {"type": "enabled", "budget_tokens": 2048}}, False),
        (BUDGET, "none", {"thinking": {"type": "disabled"}}, False),
        (GPT, "high", {"reasoning_effort": "high"}, False),
        (GPT, "xhigh", {"reasoning_effort": "high"}, True),
        (GPT, "odd", {}, True),
        (GPT, "none", {"reasoning_effort": "low"}, True),
        (QWEN, "medium", {"reasoning_config": "high"}, True),
        (QWEN, "low", {"reasoning_config": "low"}, False),
        (NOVA, "medium", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}, False),
        (NOVA, "none", {"reasoningConfig": {"type": "disabled"}}, False),
        (LLAMA, "high", {}, True),
        (UNKNOWN, "high", {}, True),
    ],
)
def test_effort_is_asked_for_as_the_models_maker_does(
    model: str, effort: str, fields: dict[str, Any], dropped: bool
) -> None:
    sent = Sent(model, reasoning={"effort": effort})

    found = sent.body.get("additionalModelRequestFields", {})
    assert found == fields
    assert ("reasoning.effort" in sent.dropped) == dropped


def test_an_answer_with_a_budget_of_thinking_has_room_for_both() -> None:
    assert Sent(BUDGET, reasoning={"effort": "low"}).body["inferenceConfig"] == {"maxTokens": 64_000}
    sent = Sent("anthropic.claude-opus-4-1-20250805-v1:0", reasoning={"effort": "low"})
    assert sent.body["inferenceConfig"]["maxTokens"] > 2048
    assert "inferenceConfig" not in Sent(reasoning={"effort": "low"}).body
    assert Sent(BUDGET, reasoning={"effort": "low"}, max_output_tokens=5000).body["inferenceConfig"] == {
        "maxTokens": 5000
    }


def test_a_summary_is_asked_for_where_the_model_makes_one() -> None:
    sent = Sent(reasoning={"summary": "auto"})

    assert sent.body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive", "display": "summarized"}}
    assert set(Sent(GPT, reasoning={"summary": "auto"}).dropped) == {"reasoning.summary"}


# --- structured output

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}


def test_a_schema_is_sent_as_text_to_models_that_take_one() -> None:
    form = {"type": "json_schema", "name": "n", "description": "d", "schema": SCHEMA, "strict": True}

    sent = Sent(text={"format": form})

    found = sent.body["outputConfig"]["textFormat"]
    schema = json.loads(found["structure"]["jsonSchema"].pop("schema"))
    assert found == {"type": "json_schema", "structure": {"jsonSchema": {"name": "n", "description": "d"}}}
    assert schema["additionalProperties"] is False
    assert "minimum" not in schema["properties"]["a"]
    assert set(sent.dropped) == {"text.format.schema"}


@pytest.mark.parametrize("model", [NOVA, "anthropic.claude-opus-4-8", UNKNOWN])
@pytest.mark.parametrize("form", [{"type": "json_object"}, {"type": "json_schema", "name": "n", "schema": SCHEMA}])
def test_other_models_are_asked_in_words(model: str, form: dict[str, Any]) -> None:
    sent = Sent(model, text={"format": form})

    assert "outputConfig" not in sent.body
    assert "JSON" in sent.body["system"][-1]["text"]
    assert set(sent.dropped) == {"text.format"}


# --- tools


def spec(name: str = "f", schema: Any = None, **fields: Any) -> dict[str, Any]:
    return {
        "toolSpec": {"name": name, **fields, "inputSchema": {"json": schema or {"type": "object", "properties": {}}}}
    }


@pytest.mark.parametrize(
    ("tool", "sent"),
    [
        (function(), [spec()]),
        (
            function(description="d", parameters={"properties": {"a": {}}}),
            [spec(description="d", schema={"type": "object", "properties": {"a": {}}})],
        ),
        (function(description=""), [spec()]),
        (function(cache_control={"type": "ephemeral"}), [spec(), CACHE]),
        (
            function(strict=True, parameters={"type": "object", "properties": {}}),
            [spec(strict=True, schema={"type": "object", "properties": {}, "additionalProperties": False})],
        ),
        (function(strict=False), [spec()]),
        ({"type": "namespace", "name": "n", "tools": [function()]}, [spec("n__f")]),
        (
            {"type": "custom", "name": "c"},
            [spec("c", {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]})],
        ),
    ],
)
def test_a_tool_becomes_a_specification(tool: dict[str, Any], sent: list[Any]) -> None:
    found = Sent(tools=[tool])

    assert found.body["toolConfig"] == {"tools": sent}
    assert not found.dropped


def test_a_strict_tool_is_reported_where_the_model_takes_none() -> None:
    sent = Sent(NOVA, tools=[function(strict=True)])

    assert sent.body["toolConfig"] == {"tools": [spec()]}
    assert set(sent.dropped) == {"tools[0].strict"}


@pytest.mark.parametrize(
    ("tool", "name"), [("web_search", "nova_grounding"), ("code_interpreter", "nova_code_interpreter")]
)
def test_amazons_own_tools_are_offered_where_the_model_has_them(tool: str, name: str) -> None:
    given = {"type": tool, **({"container": {"type": "auto"}} if tool == "code_interpreter" else {})}

    assert Sent(NOVA, tools=[given]).body["toolConfig"] == {"tools": [{"systemTool": {"name": name}}]}
    with pytest.raises(UnsupportedParameter, match="tools"):
        Sent(CLAUDE, tools=[given])


@pytest.mark.parametrize(
    ("tool", "dropped"),
    [
        ({"type": "namespace", "name": "n", "description": "d", "tools": [function()]}, "tools[0].description"),
        ({"type": "custom", "name": "c", "format": {"type": "grammar", "syntax": "lark"}}, "tools[0].format"),
        (function(defer_loading=True), "tools[0].defer_loading"),
        ({"type": "web_search", "search_context_size": "low"}, "tools[0].search_context_size"),
    ],
)
def test_what_a_tool_cannot_say_here_is_reported(tool: dict[str, Any], dropped: str) -> None:
    assert set(Sent(NOVA, tools=[tool]).dropped) == {dropped}


def test_a_call_that_is_required_of_no_tool_is_an_error() -> None:
    with pytest.raises(UnsupportedParameter, match="there is no tool to call"):
        Sent(tool_choice="required")


@pytest.mark.parametrize("kind", ["mcp", "file_search", "computer_use_preview"])
def test_a_tool_that_nobody_has_is_an_error(kind: str) -> None:
    with pytest.raises(UnsupportedParameter, match=rf"tools\[0\] is a {kind} tool"):
        Sent(NOVA, tools=[{"type": kind}])


def test_two_tools_of_one_name_are_an_error() -> None:
    with pytest.raises(InvalidParameter, match='both named "f"'):
        Sent(tools=[function(), function()])


F, G = function(), function("g")


@pytest.mark.parametrize(
    ("choice", "names", "sent"),
    [
        ("auto", ["f", "g"], None),
        ("required", ["f", "g"], {"any": {}}),
        ({"type": "function", "name": "g"}, ["f", "g"], {"tool": {"name": "g"}}),
        ({"type": "allowed_tools", "mode": "auto", "tools": [G]}, ["g"], None),
        ({"type": "allowed_tools", "mode": "required", "tools": [G]}, ["g"], {"any": {}}),
    ],
)
def test_a_choice_is_sent(choice: Any, names: list[str], sent: Any) -> None:
    config = Sent(tools=[F, G], tool_choice=choice).body["toolConfig"]

    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == names
    assert config.get("toolChoice") == sent


@pytest.mark.parametrize("choice", ["odd", {"type": "function", "name": "h"}])
def test_a_choice_that_there_is_not_is_an_error(choice: Any) -> None:
    with pytest.raises(InvalidParameter, match="tool_choice"):
        Sent(tools=[F], tool_choice=choice)


def test_tools_that_are_forbidden_are_not_offered() -> None:
    sent = Sent(tools=[F], tool_choice="none")

    assert "toolConfig" not in sent.body
    assert not sent.dropped


def test_tools_that_are_forbidden_stay_where_there_are_calls_and_words_forbid_them() -> None:
    sent = Sent(input=[call(), output()], tools=[F, G], tool_choice="none")

    assert sent.body["toolConfig"] == {"tools": [spec(), spec("g")]}
    assert sent.body["system"] == [text(NO_CALLS)]
    assert set(sent.dropped) == {"tool_choice.none"}


@pytest.mark.parametrize("choice", [None, "auto", "none"])
def test_tools_that_were_called_are_offered_where_the_call_has_none(choice: str | None) -> None:
    sent = Sent(input=[call(), output(), call("2", "g"), output("2"), call("3"), output("3")], tool_choice=choice)

    assert sent.body["toolConfig"] == {"tools": [spec(), spec("g")]}
    assert sent.body["system"] == [text(NO_CALLS)]
    assert set(sent.dropped) == {"input"}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, {"type": "auto"}),
        ("required", {"type": "any"}),
        ({"type": "function", "name": "f"}, {"type": "tool", "name": "f"}),
    ],
)
def test_a_claude_can_be_told_to_call_one_tool_at_a_time(choice: Any, sent: dict[str, Any]) -> None:
    found = Sent(tools=[F], tool_choice=choice, parallel_tool_calls=False)

    assert found.body["additionalModelRequestFields"] == {"tool_choice": {**sent, "disable_parallel_tool_use": True}}
    assert set(Sent(MISTRAL, tools=[F], parallel_tool_calls=False).dropped) == {"parallel_tool_calls"}
    assert set(Sent(parallel_tool_calls=False).dropped) == {"parallel_tool_calls"}


def test_thinking_on_a_budget_gives_way_to_a_forced_call() -> None:
    sent = Sent(BUDGET, tools=[F], tool_choice="required", reasoning={"effort": "low"})

    assert "additionalModelRequestFields" not in sent.body
    assert set(sent.dropped) == {"reasoning.effort"}


# --- models and addresses

ARN = "arn:aws:bedrock:eu-west-1:012345678901:inference-profile/eu.anthropic.claude-3-7-sonnet-20250219-v1:0"
BASE = "https://bedrock-runtime.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("base", "model", "url"),
    [
        (BASE, CLAUDE, f"{BASE}/model/us.anthropic.claude-sonnet-4-6/converse"),
        (BASE, NOVA, f"{BASE}/model/us.amazon.nova-2-lite-v1%3A0/converse"),
        (
            BASE,
            ARN,
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A012345678901%3A"
            "inference-profile%2Feu.anthropic.claude-3-7-sonnet-20250219-v1%3A0/converse",
        ),
        (
            "https://proxy.example/x",
            "arn:aws:bedrock:eu-west-1:1:y/z",
            "https://proxy.example/x/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ay%2Fz/converse",
        ),
        (
            "https://bedrock-runtime-fips.us-gov-east-1.amazonaws.com",
            "arn:aws-us-gov:bedrock:us-gov-west-1:1:y/z",
            "https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/model/arn%3Aaws-us-gov%3Abedrock%3Aus-gov-west-1%3A1%3Ay%2Fz/converse",
        ),
    ],
)
def test_a_model_stands_in_the_path_and_an_arn_has_its_own_region(base: str, model: str, url: str) -> None:
    assert url_of(base, model, False) == url
    assert url_of(base, model, True) == f"{url}-stream"


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"])
def test_the_region_is_that_of_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"):
        monkeypatch.delenv(each, raising=False)
    with pytest.raises(InvalidParameter, match="needs a region"):
        presets.responses.explain("Hi", model=f"bedrock/{NOVA}", api_key="k")
    monkeypatch.setenv(name, "ap-south-1")

    request = presets.responses.explain("Hi", model=f"bedrock/{NOVA}", api_key="k").request

    assert request is not None
    assert request.url == (
        "https://bedrock-runtime.ap-south-1.amazonaws.com/model/us.amazon.nova-2-lite-v1%3A0/converse"
    )


@pytest.mark.parametrize(
    ("model", "name", "family"),
    [
        (BUDGET, "anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic.claude-sonnet-4-5"),
        (ARN, "anthropic.claude-3-7-sonnet-20250219-v1:0", "anthropic.claude-3-7-sonnet"),
        ("us-gov.anthropic.claude-x", "anthropic.claude-x", "anthropic.claude-x"),
        ("deepseek.v3.2", "deepseek.v3.2", "deepseek.v3.2"),
        ("us.deepseek.r1-v1:0", "deepseek.r1-v1:0", "deepseek.r1"),
    ],
)
def test_a_model_is_known_by_its_makers_name(model: str, name: str, family: str) -> None:
    assert (name_of(model), family_of(model)) == (name, family)


def test_what_nobody_knows_is_an_ordinary_model() -> None:
    deployment = "arn:aws:bedrock:us-east-1:012345678901:application-inference-profile/abc123"

    assert model_of(deployment) == model_of(UNKNOWN) == model_of("deepseek.v3.2")
