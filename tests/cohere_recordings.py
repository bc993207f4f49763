"""Recorded answers of Cohere's chat API, and what they say, read as simply as can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from recordings import Recording, load

from antiphon.pipeline.api import items
from antiphon.pipeline.api.response import Response


def recorded() -> list[Recording]:
    """Return all recorded exchanges; none in a checkout without recordings."""
    try:
        return load("cohere-v2")
    except pytest.skip.Exception:
        return []


ALL = recorded()
STREAMS = [each for each in ALL if each.kind == "stream"]
PLAIN = [each for each in ALL if each.kind == "json"]


def named(recording: Recording) -> str:
    return recording.name


def events_in(body: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in body.decode().split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def answer_in(recording: Recording) -> dict[str, Any]:
    """Return the answer that a plain or streamed recording says, in the form of a plain one."""
    if recording in PLAIN:
        found: dict[str, Any] = json.loads(recording.body)
        return found
    texts: dict[int, dict[str, Any]] = {}
    calls: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    plan = ""
    for event in events_in(recording.body):
        match event:
            case {"type": "message-start", "id": host_id}:
                answer["id"] = host_id
            case {"type": "content-start", "index": at, "delta": {"message": {"content": content}}}:
                texts[at] = content
            case {"type": "content-delta", "index": at, "delta": {"message": {"content": {"text": text}}}}:
                texts[at]["text"] += text
            case {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": text}}}:
                plan += text
            case {"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": call}}}:
                calls[at] = call
            case {"type": "tool-call-delta", "index": at, "delta": {"message": {"tool_calls": {"function": piece}}}}:
                calls[at]["function"]["arguments"] += piece["arguments"]
            case {"type": "message-end", "delta": delta}:
                answer |= delta
            case _:
                pass
    message: dict[str, Any] = {"role": "assistant"}
    if texts:
        message["content"] = list(texts.values())
    if plan:
        message["tool_plan"] = plan
    if calls:
        message["tool_calls"] = list(calls.values())
    return {**answer, "message": message}


def assert_same(response: Response, answer: dict[str, Any]) -> None:
    message = answer["message"]
    content = message.get("content") or []
    texts = [block["text"] for block in content if block["type"] == "text"]
    plan = [message["tool_plan"]] if "tool_plan" in message else []
    calls = [item for item in response.output if isinstance(item, items.FunctionCall)]
    thoughts = [item.to_dict() for item in response.output if isinstance(item, items.Reasoning)]
    messages = [item.to_dict() for item in response.output if isinstance(item, items.Message)]

    assert [part["text"] for item in messages for part in item["content"]] == [*texts, *plan]
    assert [item.get("phase") for item in messages] == [*([None] if texts else []), *["commentary" for _ in plan]]
    assert [item["content"][0]["text"] for item in thoughts] == [
        block["thinking"] for block in content if block["type"] == "thinking"
    ]
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [
        (call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or ()
    ]
    assert citations_of(response) == (message.get("citations") or [])
    assert response.status == "completed"
    assert_usage(response, answer["usage"])


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
    assert found.input_tokens == usage["tokens"]["input_tokens"]
    assert found.input_tokens_details.cached_tokens == usage.get("cached_tokens", 0)
    assert found.output_tokens == usage["tokens"]["output_tokens"]
    assert found.total_tokens == found.input_tokens + found.output_tokens
    assert found.to_dict()["billed_units"] == usage["billed_units"]
