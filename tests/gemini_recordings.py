"""Recorded generateContent exchanges, and what they say, read as simply as can be."""

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
        return load("gemini-*")
    except pytest.skip.Exception:
        return []


ALL = recorded()
ERRORS = [each for each in ALL if each.status >= 400]
STREAMS = [each for each in ALL if each not in ERRORS and b"data:" in each.body[:10]]
PLAIN = [each for each in ALL if each not in ERRORS and each not in STREAMS]


def named(recording: Recording) -> str:
    return recording.name


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    """Return the chunks of a stream, or of a plain answer."""
    if body[:5] == b"data:":
        lines = body.decode().replace("\r\n", "\n").split("\n")
        return [json.loads(line[5:]) for line in lines if line.startswith("data:")]
    found = json.loads(body)
    return found if isinstance(found, list) else [found]


class Said:
    """What some chunks say in all."""

    def __init__(self, chunks: list[dict[str, Any]]) -> None:
        candidates = [chunk["candidates"][0] for chunk in chunks if chunk.get("candidates")]
        self.parts = [part for each in candidates for part in each["content"].get("parts") or ()]
        texts = [part for part in self.parts if "text" in part]
        self.texts = [part["text"] for part in texts if not part.get("thought") and part["text"]]
        self.thoughts = [part["text"] for part in texts if part.get("thought")]
        self.calls = [part["functionCall"] for part in self.parts if "functionCall" in part]
        self.code = [part["executableCode"]["code"] for part in self.parts if "executableCode" in part]
        self.reason = [each["finishReason"] for each in candidates if each.get("finishReason")][-1]
        self.usage: dict[str, int] = [chunk["usageMetadata"] for chunk in chunks if "usageMetadata" in chunk][-1]
        self.grounding = [each["groundingMetadata"] for each in candidates if "groundingMetadata" in each]


def assert_same(response: Response, said: Said) -> None:
    calls = [item for item in response.output if isinstance(item, items.FunctionCall)]
    thoughts = [item.to_dict() for item in response.output if isinstance(item, items.Reasoning)]
    code = [item.code for item in response.output if isinstance(item, items.CodeInterpreterCall)]

    assert response.output_text == "".join(said.texts)
    assert "".join(part["text"] for item in thoughts for part in item["summary"]) == "".join(said.thoughts)
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [(c["name"], c["args"]) for c in said.calls]
    assert all(call.call_id == sent.get("id", call.call_id) != "" for call, sent in zip(calls, said.calls, strict=True))
    assert code == said.code
    assert response.status == ("incomplete" if said.reason in ("MAX_TOKENS", 2) else "completed")
    assert_usage(response, said.usage)


def assert_usage(response: Response, sent: dict[str, int]) -> None:
    usage = response.usage
    assert usage is not None
    assert usage.total_tokens == sent["totalTokenCount"] == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens == sent["promptTokenCount"] + sent.get("toolUsePromptTokenCount", 0)
    assert usage.output_tokens_details is not None
    assert usage.output_tokens_details.reasoning_tokens == sent.get("thoughtsTokenCount", 0)
    assert usage.input_tokens_details is not None
    assert usage.input_tokens_details.cached_tokens == sent.get("cachedContentTokenCount", 0)
