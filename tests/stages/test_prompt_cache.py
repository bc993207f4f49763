"""Prompts that hosts keep for the next call."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon import Chain, ChainError, Client, PromptCache, presets
from antiphon.providers.scripted import ScriptedHost
from antiphon.testing import check_stage, scripted

LONG = "word " * 4000  # about 5,000 tokens, over the least of every model
SHORT = "word " * 100
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
TALK = [
    {"role": "user", "content": "One?"},
    {"role": "assistant", "content": "One."},
    {"role": "user", "content": "Two?"},
    {"role": "assistant", "content": "Two."},
    {"role": "user", "content": [{"type": "input_text", "text": "Three?"}, {"type": "input_text", "text": "Well?"}]},
]
CLAUDE, ON_BEDROCK, NOVA = (
    "anthropic/claude-sonnet-4-5",
    "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "bedrock/us.amazon.nova-2-lite-v1:0",
)


def sent(model: str, input: Any = TALK, chain: Chain | None = None, **call: Any) -> Any:
    """Return the body that a call would send."""
    chain = chain or chain_with()
    given = {"api_key": "k", "api_base": "https://host.example", "instructions": LONG, **call}
    explanation = chain.explain(input, model=model, **given)
    assert explanation.request is not None
    return explanation.request.body


def chain_with(*settings: Any, **more: Any) -> Chain:
    return presets.responses.after("transform", PromptCache(*settings, **more))


def marks(value: Any, path: str = "") -> list[str]:
    """Return the places of all marks: of `cache_control` the block, of a cache point itself."""
    if isinstance(value, dict):
        own = [path] if {"cache_control", "cachePoint"} & value.keys() else []
        return own + [found for name, member in value.items() for found in marks(member, f"{path}.{name}".strip("."))]
    if isinstance(value, list):
        return [found for at, member in enumerate(value) for found in marks(member, f"{path}[{at}]")]
    return []


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({}, ["messages[2].content[0]", "messages[4].content[1]", "system[0]"]),
        ({"tools": [TOOL]}, ["messages[2].content[0]", "messages[4].content[1]", "system[0]"]),  # the tools are short
        (
            {"tools": [TOOL, {**TOOL, "name": "g", "description": LONG}]},
            ["messages[2].content[0]", "messages[4].content[1]", "system[0]", "tools[1]"],
        ),
        ({"input": "One?"}, ["system[0]"]),
        ({"input": "One?", "tools": [TOOL]}, ["messages[0].content[0]", "system[0]"]),
        ({"instructions": None}, []),
        ({"instructions": SHORT}, []),
        (
            {"instructions": SHORT, "input": [{"role": "user", "content": LONG}, *TALK[1:]]},
            ["messages[2].content[0]", "messages[4].content[1]"],
        ),
        ({"extra_body": {"cache_control": {"type": "ephemeral"}}}, [""]),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_text", "text": "x", "cache_control": {"type": "ephemeral"}}],
                    }
                ]
            },
            ["messages[0].content[0]"],
        ),
    ],
)
def test_marks_stand_where_prompts_are_the_same(call: dict[str, Any], expected: list[str]) -> None:
    body = sent(CLAUDE, **call)

    assert sorted(marks(body)) == expected
    assert len(expected) <= 4


def test_converse_has_cache_points_and_nova_none_behind_tools() -> None:
    tools = [{**TOOL, "description": LONG}]
    claude, nova = sent(ON_BEDROCK, tools=tools), sent(NOVA, tools=tools)

    assert marks(claude["messages"]) == marks(nova["messages"]) == ["[2].content[1]", "[4].content[2]"]
    assert claude["system"][1:] == nova["system"][1:] == [{"cachePoint": {"type": "default"}}]
    assert (marks(claude["toolConfig"]), marks(nova["toolConfig"])) == (["tools[1]"], [])


def test_a_mark_changes_nothing_else() -> None:
    def unmarked(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: unmarked(member) for name, member in value.items() if name != "cache_control"}
        if isinstance(value, list):
            return [unmarked(member) for member in value if not (isinstance(member, dict) and "cachePoint" in member)]
        return value

    for model in (CLAUDE, ON_BEDROCK, NOVA):
        call: dict[str, Any] = {"tools": [{**TOOL, "description": LONG}]}
        assert unmarked(sent(model, **call)) == sent(model, chain=presets.responses, **call)


@pytest.mark.parametrize(
    ("model", "call"),
    [
        ("anthropic/claude-haiku-4-5", {"instructions": "word " * 3000}),  # 3,750 tokens, and it wants 4,096
        ("bedrock/meta.llama3-3-70b-instruct-v1:0", {}),
        ("gemini/gemini-3-pro", {}),
        ("groq/m", {}),
        ("openai/gpt-5", {"instructions": SHORT}),
        ("openai/gpt-5", {"prompt_cache_options": {"mode": "explicit"}}),
    ],
)
def test_what_cannot_gain_by_it_is_left_alone(model: str, call: dict[str, Any]) -> None:
    assert sent(model, **call) == sent(model, chain=presets.responses, **call)


def test_openai_gets_one_key_for_calls_with_the_same_beginning() -> None:
    bodies = [
        sent("openai/gpt-5"),
        sent("openai/gpt-5", "Other."),
        sent("openai/gpt-5", instructions=LONG + "x"),
        sent("openai/gpt-5", [{"role": "developer", "content": "x"}, *TALK]),
        sent("openai/gpt-5", dialect="chat"),
    ]
    keys = [body["prompt_cache_key"] for body in bodies]

    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    assert all(len(key) <= 64 for key in keys)
    assert sent("openai/gpt-5", prompt_cache_key="mine")["prompt_cache_key"] == "mine"


def test_the_settings_say_where_and_how_long() -> None:
    body = sent(CLAUDE, chain=chain_with("beginning", keep="long"))
    assert marks(body) == ["system[0]"]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}

    assert sent(ON_BEDROCK, chain=chain_with(keep="long"))["system"][1] == {
        "cachePoint": {"type": "default", "ttl": "1h"}
    }
    assert sent(NOVA, chain=chain_with(keep="long"))["system"][1] == {"cachePoint": {"type": "default"}}


def test_a_beginning_that_is_new_each_time_is_not_marked_for_ever() -> None:
    chain = Client(chain_with("beginning")).chain

    marked = [bool(marks(sent(CLAUDE, chain=chain, instructions=f"{at}: {LONG}"))) for at in (1, 2, 3, 4, 5, 6, 6, 7)]

    assert marked == [True, True, True, True, False, False, True, True]


def test_what_was_read_is_noted(mode: Mode, streamed: bool) -> None:
    usage = {
        "input_tokens": 5000,
        "output_tokens": 2,
        "input_tokens_details": {"cached_tokens": 4992, "cache_write_tokens": 0},
    }
    client = scripted({"usage": usage}, chain=chain_with())

    async def body() -> Any:
        return await mode.response(client.chain, "Hi", model="openai/m", instructions=LONG, streamed=streamed)

    assert mode.run(body).meta.notes == ("prompt cache: 4,992 of 5,000 input tokens read, 0 written",)
    assert "prompt_cache_key" in client.requests[0]


def test_claude_is_asked_with_marks(mode: Mode) -> None:
    usage = {"input_tokens": 8, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 4990}
    answer = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": "end_turn",
        "usage": usage,
    }
    host = ScriptedHost([{"body": answer}])
    chain = Client(chain_with(), transport=host).chain

    async def body() -> Any:
        return await mode.call(chain, "Hi", model=CLAUDE, api_key="k", instructions=LONG, max_output_tokens=9)

    assert mode.run(body).meta.notes == ("prompt cache: 0 of 4,998 input tokens read, 4,990 written",)
    assert (host.requests[0].body or b"").count(b'"cache_control"') == 1


def test_outside_transform_it_is_refused() -> None:
    with pytest.raises(ChainError, match=r"prompt_cache needs request\.wire"):
        presets.responses.before("transform", PromptCache()).check()


def test_it_keeps_the_contract_of_stages() -> None:
    assert check_stage(PromptCache(), instructions=LONG) == []
