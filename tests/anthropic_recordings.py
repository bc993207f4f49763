"""Recorded messages of the Messages API, and what they say, read as simply as can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recordings import Recording, load

from antiphon.pipeline.api import items
from antiphon.pipeline.api.response import Response


def recorded() -> list[Recording]:
    """Return all recorded messages; none in a checkout without recordings."""
    try:
        return load("anthropic-messages")
    except pytest.skip.Exception:
        return []


ALL = recorded()
ERRORS = [each for each in ALL if each.status != 200]
STREAMS = [each for each in ALL if each.status == 200 and b"data:" in each.body]
PLAIN = [each for each in ALL if each.status == 200 and each not in STREAMS]


def named(recording: Recording) -> str:
    return recording.name


def events_in(body: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in body.decode().replace("\r\n", "\n").split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in lines if line]


def message_in(body: bytes) -> dict[str, Any]:
    """Return the message that a plain or streamed answer says."""
    if not body.lstrip().startswith((b"event", b"data")):
        found: dict[str, Any] = json.loads(body)
        return found
    message: dict[str, Any] = {}
    inputs: dict[int, str] = {}
    for event in events_in(body):
        match event:
            case {"type": "message_start"}:
                message = event["message"]
            case {"type": "content_block_start", "content_block": block}:
                message["content"].append(block)
            case {"type": "content_block_delta", "index": at, "delta": {"type": "input_json_delta"} as delta}:
                inputs[at] = inputs.get(at, "") + delta["partial_json"]
            case {"type": "content_block_delta", "index": at, "delta": {"type": "citations_delta"} as delta}:
                message["content"][at].setdefault("citations", []).append(delta["citation"])
            case {"type": "content_block_delta", "index": at, "delta": delta}:
                field = delta["type"].removesuffix("_delta")
                message["content"][at][field] = message["content"][at].get(field, "") + delta[field]
            case {"type": "message_delta"}:
                message.update(event["delta"])
                message["usage"].update(event["usage"])
            case _:
                pass
    for at, text in inputs.items():
        if text:
            message["content"][at]["input"] = json.loads(text)
    return message


def of_kind(message: dict[str, Any], *kinds: str) -> list[dict[str, Any]]:
    return [block for block in message["content"] if block["type"] in kinds]


def assert_same(response: Response, message: dict[str, Any]) -> None:
    thoughts = [item.to_dict() for item in response.output if isinstance(item, items.Reasoning)]
    calls = [item for item in response.output if isinstance(item, items.FunctionCall)]
    thinking = of_kind(message, "thinking", "redacted_thinking")

    assert response.output_text == "".join(block["text"] for block in of_kind(message, "text"))
    assert ["".join(part["text"] for part in item["summary"]) for item in thoughts] == [
        block.get("thinking", "") for block in thinking
    ]
    assert [(call.call_id, call.name, json.loads(call.arguments)) for call in calls] == [
        (block["id"], block["name"], block["input"]) for block in of_kind(message, "tool_use")
    ]
    assert citations_of(response) == [
        citation for block in of_kind(message, "text") for citation in block.get("citations") or ()
    ]
    assert response.status == "completed"
    assert response.model == message["model"]
    assert_usage(response, message["usage"])


def citations_of(response: Response) -> list[Any]:
    """Return the host's own citations."""
    return [
        annotation["provider_data"]["citation"]
        for item in response.to_dict()["output"]
        if item["type"] == "message"
        for part in item["content"]
        for annotation in part["annotations"]
    ]


def assert_usage(response: Response, usage: dict[str, Any]) -> None:
    found = response.usage
    assert found is not None
    assert found.input_tokens_details is not None
    assert found.output_tokens_details is not None
    cached, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    assert found.input_tokens == usage["input_tokens"] + cached + written
    assert found.input_tokens_details.to_dict() == {"cached_tokens": cached, "cache_write_tokens": written}
    assert found.output_tokens == usage["output_tokens"]
    thinking = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    assert found.output_tokens_details.reasoning_tokens == thinking
    assert found.total_tokens == found.input_tokens + found.output_tokens
