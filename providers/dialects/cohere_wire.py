"""The wire of Cohere's chat API: the events of a stream as objects, and a whole answer as a dict.

Source: types of Cohere's Python package 7.3 (`V2ChatStreamResponse` and what it is made of), read 2026-11, and
recordings.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...pipeline.api.wire import REFUSED
from .anthropic_wire import read_object


class Content(msgspec.Struct, gc=False):
    """A block of the content, or a piece of one."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None


class Function(msgspec.Struct, gc=False):
    """What is called; a piece has arguments only."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A call, or a piece of one."""

    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct, gc=False):
    """What an event adds to the message; at its start these are lists, which say nothing."""

    content: Content | list[Any] | None = None
    tool_plan: str | None = None
    tool_calls: ToolCall | list[Any] | None = None
    citations: dict[str, Any] | list[Any] | None = None


class Delta(msgspec.Struct, gc=False):
    """What an event says."""

    message: Said | None = None
    finish_reason: str | None = None
    error: str | None = None
    usage: dict[str, Any] | None = None


class StreamEvent(msgspec.Struct, gc=False):
    """One event of a stream."""

    type: str | None = None
    id: str | None = None
    index: int = 0
    delta: Delta | None = None
    logprobs: Any = None
    message: str | None = None  # of an error


_decode = msgspec.json.Decoder(StreamEvent).decode


def read_event(data: bytes) -> StreamEvent:
    """Decode one event of a stream.

    Raises:
        msgspec.DecodeError: no JSON object, or a field has a shape that nobody knows.
    """
    try:
        return _decode(data)
    except REFUSED:
        return msgspec.convert(read_object(data), StreamEvent, strict=False)
