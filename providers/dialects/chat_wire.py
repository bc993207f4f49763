"""The wire of chat completions: one chunk of a stream, or a whole answer, as objects.

Every field may be missing, null or empty. A chunk and a whole answer differ only by the name under which a choice keeps
what was said (`delta`, `message`), so both are read by one class. What is beside the answer itself may have any shape:
an odd one there is passed over, and costs nobody the answer.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ...pipeline.api.half_characters import whole_text
from ...pipeline.api.response import Response
from ...pipeline.api.wire import REFUSED, loads

P = TypeVar("P")


class Called(msgspec.Struct, gc=False):
    """A function's name and arguments, or a custom tool's name and input, as far as they are said here."""

    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None  # an object at some hosts (Mistral's types)
    input: str | None = None


class ToolCall(msgspec.Struct, gc=False):
    """A piece of a tool call."""

    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Called | None = None
    custom: Called | None = None
    extra_content: dict[str, Any] | None = None  # Gemini's signatures


class Delta(msgspec.Struct, gc=False):
    """What is said: a piece of it in a stream, the whole of it in a plain answer."""

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[dict[str, Any]] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    function_call: Called | None = None
    annotations: Any = None
    audio: Any = None
    images: Any = None
    extra_content: dict[str, Any] | None = None
    executed_tools: Any = None  # Groq's own, run at the host


class Choice(msgspec.Struct, gc=False):
    """One of the answers; only the first is read."""

    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    error: Any = None  # why it ended so (OpenRouter)


class Piece(msgspec.Struct, gc=False):
    """One chunk of a stream, without what is the same in all of them."""

    object: str | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    message: Any = None  # of an error that is not wrapped
    detail: Any = None  # the same, of servers that are made with FastAPI
    base_resp: dict[str, Any] | None = None  # MiniMax's status of the answer

    @property
    def is_error(self) -> bool:
        """Whether it reports an error in place of an answer."""
        if self.error or (self.object == "error" and self.message is not None):
            return True
        if self.choices:
            return False
        return (
            isinstance(self.message, str) or self.detail is not None or bool((self.base_resp or {}).get("status_code"))
        )


class Chunk(Piece, gc=False):
    """The first chunk of a stream, or a whole answer."""

    id: str | None = None
    created: Any = None
    model: str | None = None
    service_tier: Any = None


_decode_piece = msgspec.json.Decoder(Piece).decode
_decode_chunk = msgspec.json.Decoder(Chunk).decode
# Not the host's own: what is read, what a response has by the same name, and padding (OpenAI, Mistral).
_KNOWN = frozenset({*Chunk.__struct_fields__, *Response.__struct_encode_fields__, "obfuscation", "p"}) - {"base_resp"}


def read_chunk(data: bytes) -> Chunk:
    """Decode the first chunk of a stream, or a whole answer.

    Raises:
        msgspec.DecodeError: no JSON object, or a field has a shape that nobody knows.
    """
    try:
        return _decode_chunk(data)
    except REFUSED:
        return read_odd_as(data, Chunk)


def read_piece(data: bytes) -> Piece:
    """Decode a further chunk of a stream. Raises as `read_chunk`."""
    try:
        return _decode_piece(data)
    except REFUSED:
        return read_odd_as(data, Piece)


def read_odd(data: bytes) -> Any:
    """Return JSON as plain values that JSON can carry on, without the list that Google wraps an error in."""
    found = loads(data)
    return whole_text(found[0] if isinstance(found, list) and len(found) == 1 else found)


def read_odd_as(data: bytes, kind: type[P]) -> P:
    """Decode legal oddities: lone surrogates, NaN, numbers for texts. What is wrong in earnest is refused here too."""
    return msgspec.convert(read_odd(data), kind, strict=False)


def host_fields(data: bytes) -> dict[str, Any]:
    """Return the top-level fields that are the host's own, e.g. `citations`."""
    found = read_odd(data)
    return {name: value for name, value in found.items() if name not in _KNOWN and value not in (None, "", [], {})}
