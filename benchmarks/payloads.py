"""What the mock host answers: one plain response (1.6 KB), and whole streams of any number of text deltas.

The same in two APIs: Responses, and chat completions (`chat_…`). Written from the documented formats. Sources: OpenAI
API reference, Responses › The response object, and › Streaming; Chat › The chat completion object, and › Streaming;
read 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_STORY = (
    "the quick brown fox jumps over a lazy dog while seven wizards brew "
    "potent coffee and measure every microsecond of latency"
)
WORDS = _STORY.split()
_RESPONSE_ID = "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b"
_MESSAGE_ID = "msg_67ccd2bf17f0819081ff3bb2cf6508e60bb6a6b452d3795b"
_CHAT_ID = "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"
_PADDING = "b7Qx9ZfKpL2mT4"
_USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 123,
}
_CHAT_USAGE = {
    "prompt_tokens": 36,
    "completion_tokens": 87,
    "total_tokens": 123,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


@lru_cache
def plain() -> bytes:
    """Return the body of a typical plain answer."""
    return _json(_response("completed", [_message(_plain_text(), "completed")], _USAGE))


def frames(deltas: int) -> Iterator[bytes]:
    """Yield the SSE frames of one stream: four events before the text deltas, four after them."""
    yield from head()
    text = []
    for index in range(deltas):
        word = WORDS[index % len(WORDS)] + " "
        text.append(word)
        yield delta(4 + index, word)
    yield from tail(4 + deltas, "".join(text))


def head() -> Iterator[bytes]:
    """Yield the frames that open a stream of one text."""
    started = _response("in_progress", [], None)
    yield _frame("response.created", 0, response=started)
    yield _frame("response.in_progress", 1, response=started)
    yield _frame("response.output_item.added", 2, output_index=0, item=_message(None, "in_progress"))
    yield _frame("response.content_part.added", 3, **_PLACE, part=_text_part(""))


def delta(number: int, text: str) -> bytes:
    """Return the frame of one piece of text; about 250 bytes."""
    obfuscation = _PADDING[: 4 + number % 10]
    return _frame("response.output_text.delta", number, **_PLACE, delta=text, logprobs=[], obfuscation=obfuscation)


def tail(number: int, text: str) -> Iterator[bytes]:
    """Yield the frames that end a stream of one text, the first of them with this sequence number."""
    message = _message(text, "completed")
    yield _frame("response.output_text.done", number, **_PLACE, text=text, logprobs=[])
    yield _frame("response.content_part.done", number + 1, **_PLACE, part=_text_part(text))
    yield _frame("response.output_item.done", number + 2, output_index=0, item=message)
    yield _frame("response.completed", number + 3, response=_response("completed", [message], _USAGE))


@lru_cache
def chat_plain() -> bytes:
    """Return the body of a typical plain chat completion."""
    message = {"role": "assistant", "content": _plain_text(), "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json(_completion("chat.completion", [choice], _CHAT_USAGE))


def chat_frames(deltas: int) -> Iterator[bytes]:
    """Yield the SSE frames of one chat stream: role, text deltas (about 310 bytes each), end, usage, mark."""
    yield _chunk(0, {"role": "assistant", "content": "", "refusal": None})
    for index in range(deltas):
        yield _chunk(index, {"content": WORDS[index % len(WORDS)] + " "})
    yield _chunk(0, {}, "stop")
    yield b"data: %b\n\n" % _json(_completion("chat.completion.chunk", [], _CHAT_USAGE) | {"obfuscation": ""})
    yield b"data: [DONE]\n\n"


_PLACE: dict[str, Any] = {"item_id": _MESSAGE_ID, "output_index": 0, "content_index": 0}


def _frame(kind: str, number: int, **fields: Any) -> bytes:
    data = _json({"type": kind, "sequence_number": number, **fields})
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)


def _chunk(number: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    chunk = _completion("chat.completion.chunk", [choice], None) | {"obfuscation": _PADDING[: 4 + number % 10]}
    return b"data: %b\n\n" % _json(chunk)


def _completion(kind: str, choices: list[Any], usage: object) -> dict[str, Any]:
    return {
        "id": _CHAT_ID,
        "object": kind,
        "created": 1741569952,
        "model": "mock",
        "service_tier": "default",
        "system_fingerprint": "fp_44709d6fcb",
        "choices": choices,
        "usage": usage,
    }


def _plain_text() -> str:
    return " ".join(WORDS[index % len(WORDS)] for index in range(100))


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _response(status: str, output: list[Any], usage: object) -> dict[str, Any]:
    return {
        "id": _RESPONSE_ID,
        "object": "response",
        "created_at": 1741476542,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "model": "mock",
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage,
        "user": None,
        "metadata": {},
    }


def _message(text: str | None, status: str) -> dict[str, Any]:
    content = [] if text is None else [_text_part(text)]
    return {"id": _MESSAGE_ID, "type": "message", "status": status, "role": "assistant", "content": content}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
