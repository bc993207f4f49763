"""A call of the Responses API as a message request: every parameter, tool and choice."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic_calls import BUDGET, NEW, OLD, Sent, text
from chat_calls import NEVER, VALUES, call, function, output

from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.anthropic_models import claude_of, family_of

# --- every parameter

# Parameters that the Messages API has no place for, whatever their value.
NOWHERE = {
    *("previous_response_id", "conversation", "prompt", "background", "background_options", "include", "store"),
    *("truncation", "context_management", "image", "access_programs", "top_logprobs", "moderation", "stream_options"),
    *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "max_tool_calls", "metadata"),
}
# Those that this host takes, but not with the value that stands in for others.
OTHER_VALUES: dict[str, dict[str, Any]] = {
    "text": {"text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    "service_tier": {"service_tier": "default"},
}


@pytest.mark.parametrize("name", CreateParams.__struct_fields__)
def test_every_parameter_is_sent_or_reported_or_an_error(name: str) -> None:
    # An answer of any length would be asked for as a stream anyway.
    given: dict[str, Any] = {"max_output_tokens": 9000, "model": BUDGET, **OTHER_VALUES.get(name, VALUES[name])}
    without: dict[str, Any] = {**given, name: {"model": "other", "max_output_tokens": 8}.get(name)}
    plain = Sent(**without).body
    if name in NEVER and name in NOWHERE:
        with pytest.raises(UnsupportedParameter) as caught:
            Sent(**given)
        assert caught.value.param == name
        return

    sent = Sent(**given)

    reported = [each for each in sent.dropped if each == name or each.startswith(f"{name}.")]
    assert bool(reported) != (sent.body != plain)
    assert bool(reported) == (name in NOWHERE)


@pytest.mark.parametrize(
    "given",
    [
        {"store": False},
        {"background": False},
        {"truncation": "disabled"},
        {"include": ["reasoning.encrypted_content", "web_search_call.action.sources"]},
        {"parallel_tool_calls": True},
        {"tool_choice": "auto"},
        {"tool_choice": "auto", "tools": [function()]},
        {"text": {"format": {"type": "text"}, "verbosity": None}},
        {"reasoning": {"effort": None}},
        {"stream_options": {"include_usage": True}},
    ],
)
def test_a_value_that_asks_for_what_happens_anyway_is_neither_sent_nor_reported(given: dict[str, Any]) -> None:
    without = {name: value for name, value in given.items() if name == "tools"}

    sent = Sent(**given)

    assert not sent.dropped
    assert sent.body == Sent(**without).body


def test_fields_of_extra_body_win() -> None:
    sent = Sent(extra={"max_tokens": 5, "top_k": 3, "stop_sequences": ["x"]}, max_output_tokens=9)

    assert (sent.body["max_tokens"], sent.body["top_k"], sent.body["stop_sequences"]) == (5, 3, ["x"])
    assert not sent.sent.streamed


# --- the length of an answer


@pytest.mark.parametrize(
    ("model", "asked", "limit", "streamed"),
    [
        (NEW, None, 128_000, True),
        (BUDGET, None, 64_000, True),
        (OLD, None, 8192, False),
        ("claude-new", None, 8192, False),
        (NEW, 100, 100, False),
        (NEW, 21_333, 21_333, False),
        (NEW, 21_334, 21_334, True),
    ],
)
def test_the_length_is_the_calls_or_the_models(model: str, asked: int | None, limit: int, streamed: bool) -> None:
    sent = Sent(model, max_output_tokens=asked)

    assert sent.body["max_tokens"] == limit
    assert (sent.sent.streamed, sent.body.get("stream", False)) == (streamed, streamed)


# --- sampling, users, tiers


@pytest.mark.parametrize(
    ("model", "given", "expected", "dropped"),
    [
        (BUDGET, {"temperature": 0.5}, {"temperature": 0.5}, set()),
        (BUDGET, {"temperature": 1.5}, {"temperature": 1}, {"temperature"}),
        (BUDGET, {"top_p": 0.5}, {"top_p": 0.5}, set()),
        (BUDGET, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, {"top_p"}),
        (BUDGET, {"temperature": 0.5, "reasoning": {"effort": "low"}}, {}, {"temperature"}),
        (BUDGET, {"temperature": 0.5, "reasoning": {"effort": "none"}}, {"temperature": 0.5}, set()),
        ("claude-opus-4-6", {"temperature": 0.5, "reasoning": {"summary": "auto"}}, {}, {"temperature"}),
        (NEW, {"temperature": 0.5, "top_p": 0.5}, {}, {"temperature", "top_p"}),
    ],
)
def test_sampling_is_sent_where_the_model_takes_it(
    model: str, given: dict[str, Any], expected: dict[str, Any], dropped: set[str]
) -> None:
    sent = Sent(model, **given)

    assert {name: sent.body[name] for name in ("temperature", "top_p") if name in sent.body} == expected
    assert set(sent.dropped) == dropped


@pytest.mark.parametrize(
    ("given", "user", "dropped"),
    [
        ({"user": "a"}, "a", set()),
        ({"safety_identifier": "s", "user": "a"}, "s", {"user"}),
        ({"safety_identifier": "s", "user": "s"}, "s", set()),
        ({"metadata": {"user_id": "m"}}, "m", set()),
        ({"metadata": {"user_id": "m", "x": "y"}}, "m", {"metadata"}),
    ],
)
def test_the_user_is_named_once(given: dict[str, Any], user: str, dropped: set[str]) -> None:
    sent = Sent(**given)

    assert sent.body["metadata"] == {"user_id": user}
    assert set(sent.dropped) == dropped


@pytest.mark.parametrize(("tier", "sent_tier"), [("auto", "auto"), ("default", "standard_only"), ("flex", None)])
def test_a_tier_is_sent_by_the_hosts_name(tier: str, sent_tier: str | None) -> None:
    sent = Sent(service_tier=tier)

    assert sent.body.get("service_tier") == sent_tier
    assert ("service_tier" in sent.dropped) == (sent_tier is None)


# --- reasoning


@pytest.mark.parametrize(
    ("model", "given", "thinking", "effort", "dropped"),
    [
        (NEW, {"effort": "high"}, {"type": "adaptive", "display": "omitted"}, "high", set()),
        (NEW, {"effort": "low", "summary": "auto"}, {"type": "adaptive", "display": "summarized"}, "low", set()),
        (NEW, {"summary": "concise"}, {"type": "adaptive", "display": "summarized"}, None, set()),
        (NEW, {"effort": "xhigh"}, {"type": "adaptive", "display": "omitted"}, "xhigh", set()),
        (NEW, {"effort": "minimal"}, {"type": "adaptive", "display": "omitted"}, "low", {"reasoning.effort"}),
        (NEW, {"effort": "none"}, {"type": "disabled"}, None, set()),
        ("claude-fable-5", {"effort": "none"}, None, None, {"reasoning.effort"}),
        (
            "claude-opus-4-6",
            {"effort": "xhigh"},
            {"type": "adaptive", "display": "omitted"},
            "max",
            {"reasoning.effort"},
        ),
        (BUDGET, {"effort": "minimal"}, {"type": "enabled", "budget_tokens": 1024}, None, set()),
        (BUDGET, {"effort": "medium", "summary": "auto"}, {"type": "enabled", "budget_tokens": 10_000}, None, set()),
        (BUDGET, {"effort": "max"}, {"type": "enabled", "budget_tokens": 63_999}, None, set()),
        (BUDGET, {"effort": "none"}, {"type": "disabled"}, None, set()),
        (BUDGET, {"summary": "auto"}, None, None, {"reasoning.summary"}),
        (BUDGET, {"effort": "odd"}, {"type": "enabled", "budget_tokens": 10_000}, None, {"reasoning.effort"}),
        (OLD, {"effort": "high"}, None, None, {"reasoning"}),
        (OLD, {"effort": "none"}, None, None, set()),
        (NEW, {"effort": "low", "mode": "x"}, {"type": "adaptive", "display": "omitted"}, "low", {"reasoning.mode"}),
    ],
)
def test_reasoning_is_asked_for_in_the_models_way(
    model: str, given: dict[str, Any], thinking: object, effort: str | None, dropped: set[str]
) -> None:
    sent = Sent(model, reasoning=given)

    assert sent.body.get("thinking") == thinking
    assert sent.body.get("output_config", {}).get("effort") == effort
    assert set(sent.dropped) == dropped


@pytest.mark.parametrize(("limit", "budget"), [(2000, 1999), (1025, 1024), (1024, None), (100, None)])
def test_a_budget_leaves_room_for_an_answer(limit: int, budget: int | None) -> None:
    sent = Sent(BUDGET, reasoning={"effort": "high"}, max_output_tokens=limit)

    assert sent.body.get("thinking", {}).get("budget_tokens") == budget
    assert "reasoning.effort" in sent.dropped


def test_a_budget_gives_way_to_a_forced_call() -> None:
    tools: dict[str, Any] = {"tools": [function()], "tool_choice": "required"}

    sent = Sent(BUDGET, reasoning={"effort": "high"}, **tools)

    assert "thinking" not in sent.body
    assert "reasoning.effort" in sent.dropped
    assert "thinking" in Sent(NEW, reasoning={"effort": "high"}, **tools).body


# --- structured answers


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": schema}}


def test_a_schema_goes_out_closed_and_its_other_rules_in_words() -> None:
    inner = {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 3, "minItems": 1}
    schema = {"type": "object", "properties": {"a": inner, "minimum": {"type": "string"}}, "required": ["a"]}

    sent = Sent(BUDGET, text=form(schema))

    assert sent.body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {
                "a": {
                    "type": "array",
                    "items": {"type": "integer", "description": '{"minimum":1}'},
                    "minItems": 1,
                    "description": '{"maxItems":3}',
                },
                "minimum": {"type": "string"},
            },
            "required": ["a"],
            "additionalProperties": False,
        },
    }
    assert set(sent.dropped) == {"text.format.schema"}


@pytest.mark.parametrize(
    ("model", "asked"), [(OLD, form({"type": "object"})), (NEW, {"format": {"type": "json_object"}})]
)
def test_a_form_that_the_host_cannot_hold_to_is_asked_for_in_words(model: str, asked: dict[str, Any]) -> None:
    sent = Sent(model, text=asked, instructions="Be brief.")

    assert "output_config" not in sent.body
    assert sent.body["system"][0] == text("Be brief.")
    assert "one JSON object" in sent.body["system"][1]["text"]
    assert set(sent.dropped) == {"text.format"}


def test_an_unknown_form_is_an_error() -> None:
    with pytest.raises(UnsupportedParameter, match="grammar"):
        Sent(text={"format": {"type": "grammar"}})


# --- tools


def tools_of(*tools: Any, model: str = NEW, **params: Any) -> Sent:
    return Sent(model, tools=list(tools), **params)


CUSTOM = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (function(), {"name": "f", "input_schema": {"type": "object", "properties": {}}}),
        (
            function(description="d", parameters={"properties": {"a": {}}}, strict=True),
            {
                "name": "f",
                "description": "d",
                "input_schema": {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
                "strict": True,
            },
        ),
        (
            function(strict=False, defer_loading=True),
            {"name": "f", "input_schema": {"type": "object", "properties": {}}, "defer_loading": True},
        ),
        ({"type": "custom", "name": "c"}, {"name": "c", "input_schema": CUSTOM}),
        (
            {"type": "namespace", "name": "n", "tools": [function()]},
            {"name": "n__f", "input_schema": {"type": "object", "properties": {}}},
        ),
        ({"type": "web_search"}, {"type": "web_search_20250305", "name": "web_search"}),
        (
            {
                "type": "web_search_preview",
                "filters": {"allowed_domains": ["a.example"]},
                "user_location": {"type": "approximate", "city": "Rome", "country": None},
            },
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "allowed_domains": ["a.example"],
                "user_location": {"type": "approximate", "city": "Rome"},
            },
        ),
        (
            {"type": "code_interpreter", "container": {"type": "auto"}},
            {"type": "code_execution_20260120", "name": "code_execution"},
        ),
        ({"type": "tool_search"}, {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}),
        (
            {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 1},
            {"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": 1},
        ),
    ],
)
def test_a_tool_becomes_the_hosts(tool: dict[str, Any], expected: dict[str, Any]) -> None:
    sent = tools_of(tool)

    assert sent.body["tools"] == [expected]
    assert not sent.dropped


def test_a_strict_tool_has_a_schema_that_the_host_can_hold_to() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}}}

    loose, strict = (tools_of(function(parameters=schema, strict=is_strict)) for is_strict in (False, True))

    assert loose.body["tools"][0]["input_schema"] == schema
    assert strict.body["tools"][0]["input_schema"] == {
        "type": "object",
        "properties": {"a": {"type": "integer", "description": '{"maximum":3}'}},
        "additionalProperties": False,
    }
    assert (set(loose.dropped), set(strict.dropped)) == (set(), {"tools[0].parameters"})


def test_a_search_is_bounded_by_the_calls_own_bound() -> None:
    sent = tools_of({"type": "web_search"}, max_tool_calls=2)

    assert sent.body["tools"][0]["max_uses"] == 2
    assert not sent.dropped


def test_an_mcp_server_is_named_beside_the_tools() -> None:
    tool = {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example", "require_approval": "never"}

    sent = tools_of({**tool, "authorization": "t", "allowed_tools": ["find"]})

    assert sent.body["mcp_servers"] == [
        {
            "type": "url",
            "url": "https://mcp.example",
            "name": "docs",
            "authorization_token": "t",
            "tool_configuration": {"enabled": True, "allowed_tools": ["find"]},
        }
    ]
    assert sent.sent.betas == ("mcp-client-2025-04-04",)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "image_generation"},
        {"type": "file_search", "vector_store_ids": ["v"]},
        {"type": "computer_use_preview"},
        {"type": "local_shell"},
        {"type": "mcp", "server_label": "d", "connector_id": "c"},
        {"type": "mcp", "server_label": "d", "server_url": "https://mcp.example"},
        {
            "type": "mcp",
            "server_label": "d",
            "server_url": "https://mcp.example",
            "require_approval": "never",
            "headers": {"X": "y"},
        },
    ],
)
def test_a_tool_that_the_host_does_not_have_is_an_error(tool: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter, match=r"tools\[0\]"):
        tools_of(tool)


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        (function(strict=True), "tools[0].strict"),
        (function(output_schema={"a": 1}), "tools[0].output_schema"),
        ({"type": "custom", "name": "c", "format": {"type": "grammar"}}, "tools[0].format"),
        ({"type": "web_search", "search_context_size": "low"}, "tools[0].search_context_size"),
        ({"type": "code_interpreter", "container": {"file_ids": ["f"]}}, "tools[0].container.file_ids"),
    ],
)
def test_what_a_tool_loses_is_reported(tool: dict[str, Any], name: str) -> None:
    assert set(tools_of(tool, model=OLD).dropped) == {name}


@pytest.mark.parametrize("tools", [[function(), function()], [{"type": "function"}]])
def test_tools_need_names_of_their_own(tools: list[Any]) -> None:
    with pytest.raises(InvalidParameter, match=r"tools\[\d\]"):
        tools_of(*tools)


BOTH = [function(), function("g"), {"type": "custom", "name": "c"}, {"type": "web_search"}]


@pytest.mark.parametrize(
    ("choice", "expected", "offered"),
    [
        ("auto", None, 4),
        ("none", {"type": "none"}, 4),
        ("required", {"type": "any"}, 4),
        ({"type": "function", "name": "g"}, {"type": "tool", "name": "g"}, 4),
        ({"type": "custom", "name": "c"}, {"type": "tool", "name": "c"}, 4),
        ({"type": "web_search"}, {"type": "tool", "name": "web_search"}, 4),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "g"}]}, None, 1),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]},
            {"type": "any"},
            1,
        ),
    ],
)
def test_a_choice_becomes_the_hosts(choice: Any, expected: object, offered: int) -> None:
    sent = Sent(tools=BOTH, tool_choice=choice)

    assert sent.body.get("tool_choice") == expected
    assert len(sent.body["tools"]) == offered
    assert not sent.dropped


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, {"type": "auto", "disable_parallel_tool_use": True}),
        ("required", {"type": "any", "disable_parallel_tool_use": True}),
        ("none", {"type": "none"}),
    ],
)
def test_calls_one_by_one_are_part_of_the_choice(choice: Any, expected: dict[str, Any]) -> None:
    sent = Sent(tools=BOTH, tool_choice=choice, parallel_tool_calls=False)

    assert sent.body["tool_choice"] == expected
    assert not sent.dropped


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"tool_choice": "required"}, UnsupportedParameter),
        ({"tools": BOTH, "tool_choice": "maybe"}, InvalidParameter),
        ({"tools": BOTH, "tool_choice": {"type": "function", "name": "x"}}, InvalidParameter),
        ({"tools": BOTH, "tool_choice": {"type": "mcp", "server_label": "x"}}, InvalidParameter),
    ],
)
def test_a_choice_of_nothing_is_an_error(given: dict[str, Any], error: type[CallError]) -> None:
    with pytest.raises(error):
        Sent(**given)


def test_a_model_that_cannot_be_forced_is_an_error() -> None:
    with pytest.raises(UnsupportedParameter, match="cannot be told"):
        Sent("claude-fable-5-1", tools=BOTH, tool_choice="required")


# --- models


@pytest.mark.parametrize(
    ("model", "same"),
    [
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
        ("anthropic/claude-opus-5", "claude-opus-5"),
    ],
)
def test_a_date_makes_no_other_model(model: str, same: str) -> None:
    assert family_of(model) == family_of(same)
    assert claude_of(model) == claude_of(same)


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        ("claude-sonnet-4-6", "adaptive"),
        ("claude-sonnet-4-5", "budget"),
        ("claude-3-haiku", ""),
        ("claude-7", "adaptive"),
        ("m", "budget"),
    ],
)
def test_the_longest_name_that_fits_says_what_a_model_takes(model: str, thinking: str) -> None:
    assert claude_of(model).thinking == thinking


def test_a_call_and_its_result_need_no_tools_in_the_call() -> None:
    assert "tools" not in Sent(input=[call(), output()]).body
