"""Recorded answers of Converse, and what they say, read as simply as can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer  # type: ignore[import-untyped]
from recordings import Recording, load

from antiphon.pipeline.api import items
from antiphon.pipeline.api.response import Response

STATUS = {
    "end_turn": ("completed", None),
    "tool_use": ("completed", None),
    "max_tokens": ("incomplete", "max_output_tokens"),
    "guardrail_intervened": ("incomplete", "content_filter"),
}


def recorded() -> list[Recording]:
    """Return all recorded exchanges; none in a checkout without recordings."""
    try:
        return load("bedrock-converse")
    except pytest.skip.Exception:
        return []


ALL = recorded()
ERRORS = [each for each in ALL if each.status != 200]
STREAMS = [each for each in ALL if each.url.endswith("converse-stream")]
PLAIN = [each for each in ALL if each.status == 200 and each not in STREAMS]


def named(recording: Recording) -> str:
    return recording.name


def events_in(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    return [(message.headers[":event-type"], json.loads(message.payload)) for message in buffer]


def answer_in(recording: Recording) -> dict[str, Any]:
    """Return the answer that a plain or streamed recording says, in the form of a plain one."""
    if recording in PLAIN:
        found: dict[str, Any] = json.loads(recording.body)
        return found
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for name, event in events_in(recording.body):
        event.pop("p")
        at = event.get("contentBlockIndex", -1)
        match name, event:
            case "contentBlockStart", {"start": start}:
                blocks[at] = start
            case "contentBlockDelta", {"delta": {"text": text}}:
                blocks[at] = {"text": blocks.get(at, {"text": ""})["text"] + text}
            case "contentBlockDelta", {"delta": {"toolUse": {"input": text}}}:
                inputs[at] = inputs.get(at, "") + text
            case "contentBlockDelta", {"delta": {"reasoningContent": thought}}:
                blocks[at] = {"reasoningContent": thought}  # one piece each, in what is recorded
            case (("messageStop" | "metadata"), _):
                answer |= event
            case _:
                pass
    for at, text in inputs.items():
        blocks[at]["toolUse"]["input"] = json.loads(text)
    content = [blocks[at] for at in sorted(blocks)]
    return {**answer, "output": {"message": {"role": "assistant", "content": content}}}


def blocks_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer["output"]["message"]["content"]
    return found


def assert_same(response: Response, answer: dict[str, Any]) -> None:
    blocks = blocks_of(answer)
    calls = [item for item in response.output if isinstance(item, items.FunctionCall)]
    thoughts = [item.to_dict() for item in response.output if isinstance(item, items.Reasoning)]
    thinking = [block["reasoningContent"] for block in blocks if "reasoningContent" in block]
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]

    assert response.output_text == "".join(block.get("text", "") for block in blocks)
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        (use["toolUseId"], use["name"], use["input"]) for use in uses if use.get("type") != "server_tool_use"
    ]
    assert ["".join(part["text"] for part in (item.get("content") or item["summary"])) for item in thoughts] == [
        thought.get("reasoningText", {}).get("text", "") for thought in thinking
    ]
    status, reason = STATUS[answer["stopReason"]]
    assert response.status == status
    assert (response.incomplete_details and response.incomplete_details.reason) == reason
    assert_usage(response, answer["usage"])
    found = response.to_dict()
    assert all(found[name] == answer[name] for name in ("metrics", "trace", "performanceConfig") if name in answer)


def assert_usage(response: Response, usage: dict[str, Any]) -> None:
    found = response.usage
    assert found is not None
    assert found.input_tokens_details is not None
    read, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    assert found.input_tokens == usage["inputTokens"] + read + written
    assert found.input_tokens_details.to_dict() == {"cached_tokens": read, "cache_write_tokens": written}
    assert found.output_tokens == usage["outputTokens"]
    assert found.total_tokens == usage["totalTokens"]
