"""One loopback server that answers as hosts do, in the API format that the path asks for.

It says "Once upon a time."; in the Responses API whatever it was given. Responses of that API are kept, and can be got,
listed, cancelled and deleted by the server's own ids.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import amazon_frames
from hand_made import answer, sse
from loopback import Connection, Received, Server

from antiphon.pipeline.streams.replay import replay
from antiphon.providers.scripted import message

STORY = "Once upon a time."
_JSON = {"content_type": "application/json"}


class Sent:
    """One request as the server got it.

    Attributes:
        body: its JSON; {} where there is none.
        key: the credential, from whichever header has it.
    """

    def __init__(self, received: Received) -> None:
        self.method, target, _ = received.line.split()
        self.path, _, self.query = target.partition("?")
        self.headers = received.headers
        self.body: dict[str, Any] = json.loads(received.body or b"{}")
        named = (received.headers.get(name) for name in ("authorization", "api-key", "x-api-key", "x-goog-api-key"))
        self.key = next((value.removeprefix("Bearer ") for value in named if value), None)


class ManyFormats:
    """What the server is to say, and what it was asked. `serve` is for `loopback.Server`.

    Attributes:
        answers: for the Responses API, in turn, the last one again and again: texts, lists of items, (status, body), or
            functions of the connection.
    """

    def __init__(self, *answers: Any) -> None:
        self.answers: list[Any] = list(answers or (STORY,))
        self.kept: dict[str, dict[str, Any]] = {}
        self._ids = itertools.count(1)

    def serve(self, connection: Connection) -> None:
        while received := connection.request():
            sent = Sent(received)
            for part, speak in _FORMATS:
                if part in sent.path:
                    speak(connection, sent)
                    break
            else:
                self._responses(connection, sent)

    def _responses(self, connection: Connection, sent: Sent) -> None:
        tail = sent.path.partition("/responses")[2].strip("/").split("/")
        match sent.method, tail:
            case "POST", [""]:
                self._create(connection, sent)
            case "POST", ["compact"]:
                item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "sealed"}
                body = {"id": "resp_c", "object": "response.compaction", "created_at": 1, "output": [item]}
                connection.answer(json.dumps(body).encode(), **_JSON)
            case _, [name, *_] if name not in self.kept:
                error = {"error": {"message": f"no response {name}", "code": "not_found"}}
                connection.answer(json.dumps(error).encode(), "404 Not Found", **_JSON)
            case "POST", [name, "cancel"]:
                connection.answer(json.dumps({**self.kept[name], "status": "cancelled"}).encode(), **_JSON)
            case "DELETE", [name]:
                del self.kept[name]
                connection.answer(json.dumps({"id": name, "object": "response", "deleted": True}).encode(), **_JSON)
            case "GET", [name, "input_items"]:
                item = {"type": "message", "id": "msg_in", "role": "user", "content": "Hi"}
                page = {"object": "list", "data": [item], "first_id": "msg_in", "last_id": "msg_in", "has_more": False}
                connection.answer(json.dumps(page).encode(), **_JSON)
            case "GET", [name]:
                connection.answer(json.dumps(self.kept[name]).encode(), **_JSON)
            case other:
                raise AssertionError(other)

    def _create(self, connection: Connection, sent: Sent) -> None:
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(said):
            said(connection)
            return
        if isinstance(said, tuple):
            status, body = said
            connection.answer(json.dumps(body).encode(), status, **_JSON, retry_after_ms="1")
            return
        output = [message(said)] if isinstance(said, str) else said
        response = answer(
            id=f"resp_{next(self._ids)}",
            model=sent.body["model"],
            output=output,
            previous_response_id=sent.body.get("previous_response_id"),
            metadata=sent.body.get("metadata") or {},
            usage={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        )
        self.kept[response.id] = response.to_dict()
        if sent.body.get("stream"):
            _stream(connection, sse(replay(response)))
        else:
            connection.answer(response.raw, **_JSON)


def sent_to(server: Server) -> list[Sent]:
    """Return what a server was asked, in order."""
    return [Sent(received) for received in server.requests]


def _stream(connection: Connection, data: bytes) -> None:
    connection.begin_stream()
    connection.send_chunk(data)
    connection.send_chunk(b"")


def _events(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %s\ndata: %s\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in events)


def _chat(connection: Connection, sent: Sent) -> None:
    base = {"id": "chatcmpl-1", "created": 1, "model": sent.body["model"]}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    if not sent.body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": STORY}, "finish_reason": "stop"}
        whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
        connection.answer(json.dumps(whole).encode(), **_JSON)
        return
    chunks = [
        {**base, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Once "}, "finish_reason": None}]},
        {**base, "choices": [{"index": 0, "delta": {"content": "upon a time."}, "finish_reason": None}]},
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**base, "choices": [], "usage": usage},
    ]
    data = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    _stream(connection, data + b"data: [DONE]\n\n")


def _anthropic(connection: Connection, sent: Sent) -> None:
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": sent.body["model"]}
    usage = {"input_tokens": 3, "output_tokens": 4}
    if not sent.body.get("stream"):
        said = [{"type": "text", "text": STORY}]
        whole = {**base, "content": said, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
        connection.answer(json.dumps(whole).encode(), **_JSON)
        return
    begun = {**base, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    events = _events(
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Once "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "upon a time."}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    )
    _stream(connection, events)


def _gemini(connection: Connection, sent: Sent) -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7}

    def chunk(text: str, **last: Any) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **last}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "g1"}

    if "streamGenerateContent" not in sent.path:
        connection.answer(json.dumps(chunk(STORY, finishReason="STOP")).encode(), **_JSON)
        return
    chunks = [chunk("Once "), chunk("upon a time.", finishReason="STOP")]
    _stream(connection, b"".join(b"data: %s\r\n\r\n" % json.dumps(one).encode() for one in chunks))


def _converse(connection: Connection, sent: Sent) -> None:
    usage = {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7}
    if not sent.path.endswith("converse-stream"):
        said = {"message": {"role": "assistant", "content": [{"text": STORY}]}}
        body = {"output": said, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}}
        connection.answer(json.dumps(body).encode(), **_JSON)
        return
    frames = [
        amazon_frames.event("messageStart", {"role": "assistant"}),
        amazon_frames.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": STORY}}),
        amazon_frames.event("contentBlockStop", {"contentBlockIndex": 0}),
        amazon_frames.event("messageStop", {"stopReason": "end_turn"}),
        amazon_frames.event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}}),
    ]
    connection.answer(b"".join(frames), content_type="application/vnd.amazon.eventstream")


def _cohere(connection: Connection, sent: Sent) -> None:
    usage = {"tokens": {"input_tokens": 3, "output_tokens": 4}}
    if not sent.body.get("stream"):
        said = {"role": "assistant", "content": [{"type": "text", "text": STORY}]}
        body = {"id": "c1", "message": said, "finish_reason": "COMPLETE", "usage": usage}
        connection.answer(json.dumps(body).encode(), **_JSON)
        return
    text = {"type": "text", "text": ""}
    events = _events(
        {"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant", "content": []}}},
        {"type": "content-start", "index": 0, "delta": {"message": {"content": text}}},
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": STORY}}}},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}},
    )
    _stream(connection, events)


_FORMATS: tuple[tuple[str, Callable[[Connection, Sent], None]], ...] = (
    ("/chat/completions", _chat),
    ("/messages", _anthropic),
    ("enerateContent", _gemini),
    ("/converse", _converse),
    ("/v2/chat", _cohere),
)
