"""A conversation that begins at a host of one API format and goes on at another.

What only the first host can read stays behind, and is reported; what was said goes along.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from amazon_frames import event

from antiphon import presets
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.explain import Explanation
from antiphon.pipeline.request import StreamDecoder
from antiphon.providers.dialects import anthropic, cohere, converse
from antiphon.providers.dialects.anthropic_answer import AnthropicAnswer
from antiphon.providers.dialects.cohere_answer import CohereAnswer, tell_whole
from antiphon.providers.dialects.converse_answer import ConverseAnswer

SECRET = "c2lnbmF0dXJlIG9mIG9uZSBob3N0"  # what no other host may get
CLAUDE = "us.anthropic.claude-sonnet-4-6"
MODELS = {
    "bedrock": f"bedrock/{CLAUDE}",
    "cohere": "cohere/command-a-reasoning-08-2025",
    "anthropic": "anthropic/claude-sonnet-4-6",
    "openai": "openai/gpt-5",
    "gemini": "gemini/gemini-3-flash-preview",
    "mistral": "mistral/mistral-large-latest",
}
FIELDS = {"model": "m", "created_at": 1}
TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
ARGUMENTS = '{"city":"Paris"}'


def output_of(events: list[ev.Event]) -> list[dict[str, Any]]:
    last = events[-1]
    assert isinstance(last, ev.LifecycleEvent)
    found: list[dict[str, Any]] = last.response.to_dict()["output"]
    return found


def told(decoder: StreamDecoder, data: bytes) -> list[dict[str, Any]]:
    return output_of([*decoder.feed(data), *decoder.finish()])


def at_bedrock() -> list[dict[str, Any]]:
    answer = ConverseAnswer(FIELDS, "bedrock", lambda blocks: converse.sealed("bedrock", CLAUDE, blocks))
    thought = {"reasoningContent": {"reasoningText": {"text": "Let me look.", "signature": SECRET}}}
    citation = {"sourceContent": [{"text": SECRET}], "location": {"web": {"url": "https://a.example"}}}
    use = {"toolUse": {"toolUseId": "call_1", "name": "weather", "input": json.loads(ARGUMENTS)}}
    cited = {"citationsContent": {"content": [{"text": "I look."}], "citations": [citation]}}
    body = {"output": {"message": {"content": [thought, cited, use]}}, "stopReason": "tool_use"}
    assert converse.tell_whole(body, answer)
    return output_of(answer.take())


def at_bedrock_streamed() -> list[dict[str, Any]]:
    answer = ConverseAnswer(FIELDS, "bedrock", lambda blocks: converse.sealed("bedrock", CLAUDE, blocks))
    deltas: list[tuple[int, dict[str, Any]]] = [
        (0, {"reasoningContent": {"text": "Let me look."}}),
        (0, {"reasoningContent": {"signature": SECRET}}),
        (1, {"text": "I look."}),
    ]
    frames = [event("contentBlockDelta", {"contentBlockIndex": at, "delta": delta}) for at, delta in deltas]
    start = {"toolUse": {"toolUseId": "call_1", "name": "weather"}}
    frames.append(event("contentBlockStart", {"contentBlockIndex": 2, "start": start}))
    frames.append(event("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ARGUMENTS}}}))
    frames.append(event("messageStop", {"stopReason": "tool_use"}))
    return told(converse.ConverseStream(answer), b"".join(frames))


def at_cohere() -> list[dict[str, Any]]:
    answer = CohereAnswer(FIELDS, "cohere", lambda blocks: cohere.sealed("cohere", "command-a-reasoning", blocks))
    function = {"name": "weather", "arguments": ARGUMENTS}
    call = {"id": "call_1", "type": "function", "function": function}
    source = {"type": "document", "id": "d", "document": {"secret": SECRET}}
    message = {
        "content": [{"type": "thinking", "thinking": SECRET}],
        "tool_plan": "I look.",
        "tool_calls": [call],
        "citations": [{"start": 0, "end": 1, "text": "I", "sources": [source], "type": "PLAN"}],
    }
    assert tell_whole({"message": message, "finish_reason": "TOOL_CALL"}, answer)
    return output_of(answer.take())


def at_anthropic() -> list[dict[str, Any]]:
    answer = AnthropicAnswer(FIELDS, "anthropic", lambda blocks: anthropic.sealed("anthropic", "claude", blocks))
    blocks = [
        {"type": "thinking", "thinking": "Let me look.", "signature": SECRET},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "call_1", "name": "weather", "input": json.loads(ARGUMENTS)},
    ]
    assert anthropic.tell_message({"type": "message", "content": blocks, "stop_reason": "tool_use"}, answer)
    return output_of(answer.take())


def at_openai() -> list[dict[str, Any]]:
    return [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": SECRET},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look."}],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "weather", "arguments": ARGUMENTS},
    ]


BEGUN = {
    "bedrock": at_bedrock,
    "bedrock streamed": at_bedrock_streamed,
    "cohere": at_cohere,
    "anthropic": at_anthropic,
    "openai": at_openai,
}
MOVES = [
    (first, then)
    for first in BEGUN
    for then in MODELS
    if first.split()[0] != then and ({first.split()[0], then} & {"bedrock", "cohere"})
]


def gone_on(first: str, then: str, monkeypatch: pytest.MonkeyPatch) -> Explanation:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    question = {"role": "user", "content": "What is the weather in Paris?"}
    result = {"type": "function_call_output", "call_id": "call_1", "output": "18 degrees"}
    return presets.responses.explain([question, *BEGUN[first](), result], model=MODELS[then], api_key="k", tools=[TOOL])


@pytest.mark.parametrize(("first", "then"), MOVES)
def test_nothing_of_the_first_host_reaches_the_second(first: str, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = gone_on(first, then, monkeypatch)

    assert found.request is not None
    body = json.dumps(found.request.body)
    for foreign in (SECRET, "antiphon.r1.", "provider_data", "Let me look."):
        assert foreign not in body
    for said in ("I look.", "Paris", "18 degrees", "call_1" if then != "mistral" else ""):
        assert said in body
    assert [item.name for item in found.dropped] == ["input[1] (reasoning)"]
    assert found.dropped[0].reason


@pytest.mark.parametrize(("first", "then"), [("bedrock", "bedrock"), ("cohere", "cohere")])
def test_at_the_same_host_all_of_it_goes_back(first: str, then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = gone_on(first, then, monkeypatch)

    assert found.request is not None
    body = json.dumps(found.request.body)
    assert body.count(SECRET) == 2
    assert "antiphon.r1." not in body
    assert found.dropped == ()
