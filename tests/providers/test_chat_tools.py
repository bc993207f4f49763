"""Tools and tool choices in a chat body: every type of them, and the way back from a name."""

from __future__ import annotations

from typing import Any

import pytest
from chat_calls import BARE, NO_PARAMETERS, OPENAI, PLAIN, SCHEMA, Sent, function

from antiphon import presets
from antiphon.pipeline.api.tool_choices import TOOL_CHOICES
from antiphon.pipeline.api.tools import TOOLS, FunctionTool
from antiphon.pipeline.errors import CallError, InvalidParameter, UnsupportedParameter
from antiphon.providers.dialects.named_tools import ToolName, tool_names
from antiphon.providers.rows import ChatFlags

# --- tools

NESTED = {"type": "function", "function": {"name": "f", "parameters": NO_PARAMETERS}}

# What becomes of a tool of every type: what is sent at a plain host, or the error.
TOOL_VALUES: dict[str, dict[str, Any]] = {
    "function": function("f", description="F", parameters=SCHEMA, strict=True),
    "custom": {"type": "custom", "name": "run", "description": "R"},
    "namespace": {"type": "namespace", "name": "n", "tools": [function()]},
}
SENT_TOOLS: dict[str, dict[str, Any]] = {
    "function": {
        "type": "function",
        "function": {"name": "f", "description": "F", "parameters": SCHEMA, "strict": True},
    },
    "custom": {
        "type": "function",
        "function": {
            "name": "run",
            "description": "R",
            "parameters": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
        },
    },
    "namespace": {"type": "function", "function": {"name": "n__f", "parameters": NO_PARAMETERS}},
}


@pytest.mark.parametrize("kind", [*sorted(TOOLS), "acme:oracle"])
def test_every_type_of_tool_is_sent_or_an_error_that_names_it(kind: str) -> None:
    tools = [function("first"), {"type": kind, **TOOL_VALUES.get(kind, {})}]

    if kind in SENT_TOOLS:
        assert Sent(PLAIN, tools=tools).body["tools"][1] == SENT_TOOLS[kind]
    else:
        with pytest.raises(UnsupportedParameter, match=rf"tools\[1\] is a {kind} tool") as caught:
            Sent(PLAIN, tools=tools)
        assert caught.value.param == "tools"


def test_tools_may_be_wire_objects() -> None:
    assert Sent(PLAIN, tools=[FunctionTool.new(name="f", parameters=None)]).body["tools"] == [NESTED]


def test_a_tool_of_another_apis_form_is_an_error_with_a_hint() -> None:
    with pytest.raises(InvalidParameter, match=r"tools\[0\] \(function\) has no name") as caught:
        Sent(PLAIN, tools=[NESTED])

    assert caught.value.hint


@pytest.mark.parametrize(
    ("flags", "strict", "sent", "reported"),
    [(PLAIN, None, False, False), (PLAIN, False, True, False), (BARE, True, False, True), (BARE, False, False, False)],
)
def test_strictness_is_sent_only_when_it_was_said(flags: ChatFlags, strict: Any, sent: bool, reported: bool) -> None:
    found = Sent(flags, tools=[function(strict=strict)])

    assert ("strict" in found.body["tools"][0]["function"]) == sent
    assert ("tools[0].strict" in found.dropped) == reported


def test_a_custom_tool_stays_one_where_the_host_knows_that() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: A"}
    tools = [{"type": "custom", "name": "run", "format": grammar}]

    sent, plain = Sent(OPENAI, tools=tools), Sent(PLAIN, tools=tools)

    assert sent.body["tools"] == [
        {
            "type": "custom",
            "custom": {
                "name": "run",
                "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}},
            },
        }
    ]
    assert list(plain.dropped) == ["tools[0].format"]


def test_fields_of_a_tool_that_chat_completions_lack_are_reported() -> None:
    tools = [
        function(defer_loading=True, allowed_callers=["direct"], output_schema={}),
        function("g", **{"async": True}),
    ]

    assert set(Sent(PLAIN, tools=tools).dropped) == {"tools[0].defer_loading", "tools[1].async"}


def test_the_way_back_from_a_name_is_known() -> None:
    tools = [
        function(),
        {"type": "custom", "name": "run"},
        {"type": "namespace", "name": "n", "description": "N", "tools": [function(), {"type": "custom", "name": "c"}]},
    ]

    assert tool_names(tools, PLAIN) == {
        "run": ToolName("run", custom=True),
        "n__f": ToolName("f", "n"),
        "n__c": ToolName("c", "n", custom=True),
    }
    assert set(tool_names(tools, OPENAI)) == {"n__f", "n__c"}
    assert not tool_names([function()], PLAIN)
    assert not tool_names(None, PLAIN)
    assert list(Sent(PLAIN, tools=tools).dropped) == ["tools[2].description"]


def test_long_names_are_cut_and_stay_distinct() -> None:
    tools = [{"type": "namespace", "name": "n" * 40, "tools": [function("f" * 40 + end) for end in "ab"]}]

    names = tool_names(tools, PLAIN)

    assert [len(name) for name in names] == [64, 64]
    assert [tool["function"]["name"] for tool in Sent(PLAIN, tools=tools).body["tools"]] == list(names)


def test_two_tools_of_one_name_are_an_error() -> None:
    with pytest.raises(InvalidParameter, match=r'tools\[1\].tools\[0\] and tools\[0\] are both named "n__f"'):
        Sent(PLAIN, tools=[function("n__f"), {"type": "namespace", "name": "n", "tools": [function()]}])


def test_web_search_has_a_field_of_its_own_at_models_that_search() -> None:
    tool = {
        "type": "web_search",
        "search_context_size": "low",
        "user_location": {"type": "approximate", "city": "Ulm"},
        "filters": {"allowed_domains": ["example.org"]},
    }

    sent = Sent(OPENAI, model="gpt-4o-search-preview", tools=[tool], tool_choice="auto")

    assert sent.body["web_search_options"] == {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": {"city": "Ulm"}},
    }
    assert "tools" not in sent.body
    assert list(sent.dropped) == ["tools[0].filters"]


# --- tool choices

CHOICES: dict[str, dict[str, Any]] = {
    "function": {"type": "function", "name": "f"},
    "custom": {"type": "custom", "name": "run"},
    "allowed_tools": {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "run"}],
    },
}
OFFERED = [function(), function("g"), {"type": "custom", "name": "run"}]
F, RUN = {"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "run"}}
CUSTOM_RUN = {"type": "custom", "custom": {"name": "run"}}


@pytest.mark.parametrize("kind", [*sorted(TOOL_CHOICES), "acme:oracle"])
def test_every_form_of_choice_is_sent_or_an_error(kind: str) -> None:
    if kind in CHOICES:
        assert "tool_choice" in Sent(OPENAI, tools=OFFERED, tool_choice=CHOICES[kind]).body
    else:
        with pytest.raises(UnsupportedParameter, match=kind):
            Sent(OPENAI, tools=OFFERED, tool_choice={"type": kind})


@pytest.mark.parametrize(
    ("flags", "choice", "expected", "names"),
    [
        (PLAIN, "auto", "auto", ["f", "g", "run"]),
        (PLAIN, "none", "none", ["f", "g", "run"]),
        (PLAIN, "required", "required", ["f", "g", "run"]),
        (BARE, "auto", "auto", ["f", "g", "run"]),
        (BARE, "none", None, []),
        (ChatFlags(tool_choices=frozenset()), "auto", None, ["f", "g", "run"]),
        (PLAIN, CHOICES["function"], F, ["f", "g", "run"]),
        (PLAIN, CHOICES["custom"], RUN, ["f", "g", "run"]),
        (OPENAI, CHOICES["custom"], CUSTOM_RUN, ["f", "g", "run"]),
        (PLAIN, CHOICES["allowed_tools"], "required", ["f", "run"]),
        (BARE, {**CHOICES["allowed_tools"], "mode": "auto"}, "auto", ["f", "run"]),
        (
            OPENAI,
            CHOICES["allowed_tools"],
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [F, CUSTOM_RUN]}},
            ["f", "g", "run"],
        ),
    ],
)
def test_a_choice_is_sent_in_the_hosts_way(flags: ChatFlags, choice: Any, expected: Any, names: list[str]) -> None:
    body = Sent(flags, tools=OFFERED, tool_choice=choice).body

    assert body.get("tool_choice") == expected
    assert [tool[tool["type"]]["name"] for tool in body.get("tools", [])] == names


@pytest.mark.parametrize(
    ("flags", "choice", "tools", "error"),
    [
        (BARE, "required", OFFERED, UnsupportedParameter),
        (BARE, CHOICES["function"], OFFERED, UnsupportedParameter),
        (BARE, CHOICES["allowed_tools"], OFFERED, UnsupportedParameter),
        (OPENAI, {**CHOICES["allowed_tools"], "tools": [{"type": "mcp"}]}, OFFERED, UnsupportedParameter),
        (PLAIN, "required", None, UnsupportedParameter),
        (PLAIN, "any", OFFERED, InvalidParameter),
        (PLAIN, {"type": "function", "name": "other"}, OFFERED, InvalidParameter),
        (PLAIN, {"type": "function", "name": "run"}, OFFERED, InvalidParameter),
    ],
)
def test_a_choice_that_the_host_cannot_be_told_is_an_error(
    flags: ChatFlags, choice: Any, tools: Any, error: type[CallError]
) -> None:
    with pytest.raises(error) as caught:
        Sent(flags, tools=tools, tool_choice=choice)

    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("model", ["cerebras/m", "gemini/gemini-3-pro", "anthropic/claude-opus-5"])
@pytest.mark.parametrize(
    ("tool", "said"),
    [
        ({"name": "f"}, r"tools\[0\] has no type"),
        ({"type": "namespace", "name": "n", "tools": [{"name": "f"}]}, r"tools\[0\]\.tools\[0\] has no type"),
        ({"type": "function", "function": {"name": "f"}}, r"tools\[0\] \(function\) has no name"),
    ],
)
def test_a_tool_without_type_or_name_is_refused_in_every_format(model: str, tool: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter, match=said) as caught:
        presets.responses.explain("Hi", model=model, api_key="sk-test", tools=[tool])

    assert caught.value.hint
