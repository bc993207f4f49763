"""The wire of generateContent: one chunk of a stream, or a whole answer, which have the same form.

Parts stay plain dicts, since what the API's items cannot hold goes back to the host exactly as it came.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...pipeline.api.half_characters import whole_text
from ...pipeline.api.wire import REFUSED, loads
from .chat_wire import read_odd_as


class Content(msgspec.Struct, gc=False):
    """What was said; `parts` is missing where nothing was."""

    parts: list[dict[str, Any]] | None = None


class Candidate(msgspec.Struct, gc=False):
    """One of the answers; only the first is read."""

    index: int | None = None
    content: Content | None = None
    finishReason: str | int | None = None
    logprobsResult: dict[str, Any] | None = None
    groundingMetadata: dict[str, Any] | None = None
    finishMessage: str | None = None
    citationMetadata: dict[str, Any] | None = None
    urlContextMetadata: dict[str, Any] | None = None
    safetyRatings: list[Any] | None = None
    avgLogprobs: float | None = None

    def own_fields(self) -> dict[str, Any]:
        """Return what the API has no place for."""
        return {name: value for name in _OWN if (value := getattr(self, name))}


_OWN = (
    "groundingMetadata",
    "finishMessage",
    "citationMetadata",
    "urlContextMetadata",
    "safetyRatings",
    "avgLogprobs",
)


class Chunk(msgspec.Struct, gc=False):
    """One chunk of a stream, or a whole answer."""

    responseId: str | None = None
    modelVersion: str | None = None
    candidates: list[Candidate] | None = None
    promptFeedback: dict[str, Any] | None = None
    usageMetadata: dict[str, Any] | None = None
    error: Any = None

    @property
    def is_answer(self) -> bool:
        """Whether it says something, or why nothing is said."""
        return bool(self.candidates or self.promptFeedback)


_decode = msgspec.json.Decoder(Chunk).decode


def read_chunk(data: bytes) -> Chunk:
    """Decode a chunk of a stream.

    Raises:
        msgspec.DecodeError: no JSON object, or a field has a shape that nobody knows.
    """
    try:
        return _decode(data)
    except REFUSED:
        return read_odd_as(data, Chunk)


def read_chunks(data: bytes) -> list[Chunk]:
    """Decode a whole answer: one object, or a list of chunks, which is a stream without `alt=sse`.

    Raises:
        msgspec.DecodeError: as `read_chunk`.
    """
    if data.lstrip()[:1] != b"[":
        return [read_chunk(data)]
    found = whole_text(loads(data))
    return [msgspec.convert(chunk, Chunk, strict=False) for chunk in found] if isinstance(found, list) else []
