"""The least a msgspec toolkit can do: the wire format as typed structs, and a splitter of server-sent events.

This is what somebody would write by hand for one provider: no unknown fields, no repair, no errors.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Base(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """Decoded JSON is a tree, so the collector need not look at it."""


class UrlCitation(Base, tag_field="type", tag="url_citation"):
    start_index: int
    end_index: int
    url: str
    title: str


class OutputText(Base, tag_field="type", tag="output_text"):
    text: str
    annotations: list[UrlCitation] = []
    logprobs: list[Any] | None = None


class Refusal(Base, tag_field="type", tag="refusal"):
    refusal: str


class SummaryText(Base, tag_field="type", tag="summary_text"):
    text: str


class Message(Base, tag_field="type", tag="message"):
    id: str
    role: str = "assistant"
    status: str | None = None
    content: list[OutputText | Refusal] = []


class FunctionCall(Base, tag_field="type", tag="function_call"):
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None


class Reasoning(Base, tag_field="type", tag="reasoning"):
    id: str
    summary: list[SummaryText] = []
    encrypted_content: str | None = None
    status: str | None = None


Item = Message | FunctionCall | Reasoning


class InputDetails(Base):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputDetails(Base):
    reasoning_tokens: int = 0


class Usage(Base):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None


class Response(Base):
    id: str
    created_at: float
    model: str
    status: str | None = None
    object: str = "response"
    output: list[Item] = []
    background: bool | None = None
    error: Any = None
    incomplete_details: Any = None
    instructions: Any = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    parallel_tool_calls: bool = True
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    reasoning: Any = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    temperature: float | None = None
    text: Any = None
    tool_choice: Any = None
    tools: list[Any] = []
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    usage: Usage | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None


class Event(Base, tag_field="type"):
    sequence_number: int


class Created(Event, tag="response.created"):
    response: Response


class InProgress(Event, tag="response.in_progress"):
    response: Response


class Completed(Event, tag="response.completed"):
    response: Response


class ItemAdded(Event, tag="response.output_item.added"):
    output_index: int
    item: Item


class ItemDone(Event, tag="response.output_item.done"):
    output_index: int
    item: Item


class PartAdded(Event, tag="response.content_part.added"):
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | Refusal


class PartDone(Event, tag="response.content_part.done"):
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | Refusal


class TextDelta(Event, tag="response.output_text.delta"):
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: list[Any] | None = None
    obfuscation: str | None = None


class TextDone(Event, tag="response.output_text.done"):
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: list[Any] | None = None


class Called(Base):
    name: str | None = None
    arguments: str | None = None


class ToolCall(Base):
    index: int | None = None
    id: str | None = None
    type: str | None = None
    function: Called | None = None


class Said(Base):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    annotations: list[Any] | None = None


class ChunkChoice(Base):
    index: int
    delta: Said
    finish_reason: str | None = None
    logprobs: Any = None


class Choice(Base):
    index: int
    message: Said
    finish_reason: str | None = None
    logprobs: Any = None


class PromptDetails(Base):
    cached_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(Base):
    reasoning_tokens: int = 0
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class ChatUsage(Base):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class Chat(Base):
    id: str
    created: int
    model: str
    object: str
    service_tier: str | None = None
    system_fingerprint: str | None = None
    usage: ChatUsage | None = None


class Chunk(Chat, kw_only=True):
    choices: list[ChunkChoice]
    obfuscation: str | None = None


class Completion(Chat, kw_only=True):
    choices: list[Choice]


encode = msgspec.json.Encoder().encode
decode_response = msgspec.json.Decoder(Response).decode
decode_event = msgspec.json.Decoder(
    Created | InProgress | Completed | ItemAdded | ItemDone | PartAdded | PartDone | TextDelta | TextDone
).decode
decode_completion = msgspec.json.Decoder(Completion).decode
_decode_chunk = msgspec.json.Decoder(Chunk).decode


def decode_chunk(data: bytes) -> Chunk | None:
    """Decode the data of one event of a chat stream; None for the mark of its end."""
    return None if data == b" [DONE]" else _decode_chunk(data)


class Splitter:
    """Splits a stream with LF line ends into the data of its events."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of the events that end in `data`."""
        if self._rest:
            data = self._rest + data
        blocks = data.split(b"\n\n")
        self._rest = blocks.pop()
        found = []
        for block in blocks:
            start = 5 if block.startswith(b"data:") else block.find(b"\ndata:") + 6
            if start == 5 and not block.startswith(b"data:"):
                continue
            found.append(block[start:])  # a leading space is fine for a JSON decoder
        return found
