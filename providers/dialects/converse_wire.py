"""The wire of Converse: the events of a stream as objects, and a whole answer as a dict.

Source: botocore 1.44, `ConverseResponse` and `ConverseStreamOutput`, read 2026-11, and recordings. Events have a field
`p` of no meaning, which hides the lengths of texts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...pipeline.api.wire import REFUSED
from .anthropic_wire import read_object


class ToolInput(msgspec.Struct, gc=False):
    """A piece of a call's input, as JSON text."""

    input: str = ""


class Thought(msgspec.Struct, gc=False):
    """A piece of reasoning; bytes are in base64."""

    text: str | None = None
    signature: str | None = None
    redactedContent: str | None = None


class Delta(msgspec.Struct, gc=False):
    """A piece of a block; a kind that is not here is read from the event as a dict."""

    text: str | None = None
    toolUse: ToolInput | None = None
    reasoningContent: Thought | None = None
    citation: dict[str, Any] | None = None
    toolResult: list[dict[str, Any]] | None = None


class BlockEvent(msgspec.Struct, gc=False):
    """The start of a block, a piece of it, or its end."""

    contentBlockIndex: int = 0
    start: dict[str, Any] | None = None
    delta: Delta | None = None


_decode = msgspec.json.Decoder(BlockEvent).decode


def read_block_event(data: bytes) -> BlockEvent:
    """Decode an event about a block.

    Raises:
        msgspec.DecodeError: no JSON object, or a field has a shape that nobody knows.
    """
    try:
        return _decode(data)
    except REFUSED:
        return msgspec.convert(read_object(data), BlockEvent, strict=False)


def read_fields(data: bytes) -> dict[str, Any]:
    """Decode another event, without its padding. Raises as `read_block_event`."""
    found = read_object(data)
    found.pop("p", None)
    return found
