"""Recorded chat completions, and what they say, read as simply as can be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from recordings import Recording, load

from antiphon.pipeline.api import items
from antiphon.pipeline.api.response import Response


def recorded() -> list[Recording]:
    """Return all recorded chat completions; none in a checkout without recordings."""
    try:
        return [*load("chat-*"), *load("openai-chat")]
    except pytest.skip.Exception:
        return []


ALL = recorded()
# One error came with status 200 (Azure).
ERRORS = [each for each in ALL if b'"choices"' not in each.body]
STREAMS = [each for each in ALL if each not in ERRORS and b"data:" in each.body]
PLAIN = [each for each in ALL if each not in ERRORS and each not in STREAMS]


def named(recording: Recording) -> str:
    return recording.name


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in body.decode().replace("\r\n", "\n").split("\n") if line.startswith("data:")]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def said_by(chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for choice in chunk.get("choices") or ():
        if not choice.get("index"):
            yield choice.get("delta") or choice.get("message") or {}


def text_in(said: dict[str, Any]) -> str:
    content = said.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def thought_in(said: dict[str, Any]) -> str:
    if details := said.get("reasoning_details"):
        return "".join(entry.get("text") or entry.get("summary") or "" for entry in details)
    content = said.get("content")
    chunks = [part for part in content if part["type"] == "thinking"] if isinstance(content, list) else []
    from_chunks = "".join(piece["text"] for part in chunks for piece in part["thinking"])
    return said.get("reasoning_content") or said.get("reasoning") or from_chunks


def calls_in(chunks: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (name, arguments) of each call, where calls have indexes of their own."""
    calls: dict[int, list[str]] = {}
    for chunk in chunks:
        for said in said_by(chunk):
            parts = said.get("tool_calls") or []
            if not parts and (old := said.get("function_call")) and old.get("name"):
                parts = [{"function": old}]
            for at, part in enumerate(parts):
                call = calls.setdefault(part.get("index", at), ["", ""])
                call[0] += part["function"].get("name") or ""
                call[1] += part["function"].get("arguments") or ""
    return [(name, arguments or "{}") for name, arguments in calls.values()]


class Said:
    """What some chunks say in all."""

    def __init__(self, chunks: list[dict[str, Any]]) -> None:
        whole = [said for chunk in chunks for said in said_by(chunk)]
        self.text = "".join(map(text_in, whole))
        self.thought = "".join(map(thought_in, whole))
        self.refusal = "".join(said.get("refusal") or "" for said in whole)
        self.calls = calls_in(chunks)
        self.usage: dict[str, Any] | None = next(
            (chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None
        )
        self.is_error = any(chunk.get("error") for chunk in chunks)
        self.reason = [
            choice["finish_reason"]
            for chunk in chunks
            for choice in chunk.get("choices") or ()
            if choice.get("finish_reason")
        ][-1:]


def assert_same(response: Response, said: Said) -> None:
    messages = [item for item in response.output if isinstance(item, items.Message)]
    thoughts = [item.to_dict() for item in response.output if isinstance(item, items.Reasoning)]
    calls = [item for item in response.output if isinstance(item, items.FunctionCall)]
    parts = [part for item in thoughts for part in (*item["summary"], *(item.get("content") or ()))]
    refusals = [part["refusal"] for item in messages for part in item.to_dict()["content"] if part["type"] == "refusal"]

    assert response.output_text == said.text
    assert "".join(part["text"] for part in parts) == said.thought
    assert "".join(refusals) == said.refusal
    assert [(call.name, call.arguments) for call in calls] == said.calls
    assert len({call.call_id for call in calls}) == len(calls)
    assert response.status == (
        "failed" if said.is_error else "incomplete" if said.reason and said.reason[0] in CUT else "completed"
    )
    if said.usage is None:
        assert response.usage is None
        return
    assert response.usage is not None
    total, prompt = said.usage["total_tokens"], said.usage["prompt_tokens"]
    assert (response.usage.total_tokens, response.usage.input_tokens) == (total, prompt)
    assert response.usage.output_tokens == max(said.usage["completion_tokens"], total - prompt)
    details = said.usage.get("completion_tokens_details") or {}
    assert response.usage.output_tokens_details is not None
    if details.get("reasoning_tokens"):
        assert response.usage.output_tokens_details.reasoning_tokens == details["reasoning_tokens"]
    cached = [{**said.usage, **(said.usage.get("prompt_tokens_details") or {})}.get(name) for name in CACHED]
    assert response.usage.input_tokens_details is not None
    assert response.usage.input_tokens_details.cached_tokens == next(filter(None, cached), 0)


CUT = {"length", "content_filter"}
CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens")
