"""The wire of the Messages API: the events of a stream as objects, and a whole answer as a dict.

Source: types of Anthropic's Python package 0.125 (`RawMessageStreamEvent` and what it is made of), read 2026-11, and
recordings. A block stays a dict, since most of its fields only have to come back as they are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...pipeline.api.half_characters import whole_text
from ...pipeline.api.wire import REFUSED, loads


class Delta(msgspec.Struct, gc=False):
    """A piece of a block, or in the event `message_delta` what becomes known at the end."""

    type: str | None = None
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: dict[str, Any] | None = None
    stop_reason: str | None = None


class StreamEvent(msgspec.Struct, gc=False):
    """One event of a stream."""

    type: str
    index: int = 0
    message: dict[str, Any] | None = None
    content_block: dict[str, Any] | None = None
    delta: Delta | None = None
    usage: dict[str, Any] | None = None


_decode = msgspec.json.Decoder(StreamEvent).decode


def read_event(data: bytes) -> StreamEvent:
    """Decode one event of a stream.

    Raises:
        msgspec.DecodeError: no JSON object with a type, or a field has a shape that nobody knows.
    """
    try:
        return _decode(data)
    except REFUSED:
        return msgspec.convert(read_object(data), StreamEvent, strict=False)


def read_object(data: bytes) -> dict[str, Any]:
    """Decode an object with all its fields; half characters, which no JSON could carry on, are replaced.

    Raises:
        msgspec.DecodeError: no JSON object.
    """
    found = whole_text(loads(data))
    if not isinstance(found, dict):
        raise msgspec.ValidationError(f"an object is expected, not {type(found).__name__}")
    return found
