"""Hosts in this process that hold a conversation in their own API format, and remember what they were sent.

They are models of few words. "say X" is answered by "X"; "call f" by a call of the function f, whose result R is then
answered by "got R". Every answer comes after a thought. What a call said is in `seen`, in one form for all formats:

    [("user", "say A"), ("thought", "…"), ("assistant", "A"), ("call", "f"), ("result", "R")]

    host = TalkingHost("chat"); client = Client(transport=host)
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from typing import Any, Literal

from antiphon.pipeline.api.response import Response
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.streams.replay import replay
from antiphon.pipeline.timeouts import Pace
from antiphon.providers.scripted import ScriptedExchange

Kind = Literal["stateful", "stateless", "chat", "anthropic"]
Said = tuple[str, str]

# What to call each of them by: the model string and further keywords.
CALLS: dict[Kind, dict[str, Any]] = {
    "stateful": {"model": "openai/m", "api_key": "k"},
    "stateless": {"model": "groq/m", "api_key": "k"},
    "chat": {"model": "cerebras/m", "api_key": "k"},
    "anthropic": {"model": "anthropic/claude-sonnet-4-5", "api_key": "k"},
}
_KINDS_BY_HOST = {
    "api.openai.com": "stateful",
    "api.groq.com": "stateless",
    "api.cerebras.ai": "chat",
    "api.anthropic.com": "anthropic",
}


class TalkingHost:
    """Answers every kind of call; which one it is, the address says.

    Attributes:
        seen: what stood before the answer, of every call.
        bodies: as they were sent.
        kept: of the stateful host: the whole conversation up to a response, by its id.
        wait: called before every answer.
    """

    def __init__(self) -> None:
        self.seen: list[list[Said]] = []
        self.bodies: list[dict[str, Any]] = []
        self.requests: list[HttpRequest] = []
        self.kept: dict[str, list[Said]] = {}
        self.stored: dict[str, Response] = {}
        self.wait: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._ids = itertools.count(1)

    async def open(self, request: HttpRequest, pace: Pace) -> ScriptedExchange:
        kind = _KINDS_BY_HOST[request.url.split("/")[2]]
        body = json.loads(request.body or b"{}")
        self.wait()
        with self._lock:
            self.requests.append(request)
            if request.method != "POST":
                return self._stored(request)
            self.bodies.append(body)
            if kind == "chat":
                return self._chat(body)
            return self._anthropic(body) if kind == "anthropic" else self._responses(body, kind == "stateful")

    async def close(self) -> None:
        """Nothing is open."""

    # --- the Responses API -----------------------------------------------------------------------------------------

    def _responses(self, body: dict[str, Any], keeps: bool) -> ScriptedExchange:
        previous = body.get("previous_response_id")
        if not keeps and (previous or body.get("conversation") or body.get("store") or body.get("background")):
            return _json({"error": {"message": f"not supported: {sorted(body)}", "param": "previous_response_id"}}, 400)
        if previous and previous not in self.kept:
            return _json({"error": {"message": f"no response {previous}"}}, 404)
        before = [*self.kept.get(previous or "", []), *_said_in_items(body["input"])]
        number = next(self._ids)
        thought = {
            "type": "reasoning",
            "id": f"rs_{number}",
            "summary": [],
            "encrypted_content": f"thought {number}",
        }
        call, text = self._answer(before)
        item: dict[str, Any]
        if call is not None:
            item = {
                "type": "function_call",
                "id": f"fc_{number}",
                "call_id": f"call_{number}",
                "name": call,
                "arguments": "{}",
                "status": "completed",
            }
        else:
            part = {"type": "output_text", "text": text, "annotations": []}
            item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
            item["content"] = [part]
        response = Response.new(
            id=f"resp_{number}",
            created_at=1,
            model="m",
            status="completed",
            output=[thought, item],
            store=keeps and body.get("store") is not False,
            previous_response_id=previous,
        )
        if keeps:
            self.kept[response.id] = [*before, *_said_in_items(response.to_dict()["output"])]
            self.stored[response.id] = response
        return _told(response, body)

    def _stored(self, request: HttpRequest) -> ScriptedExchange:
        response_id = request.url.rpartition("/")[2]
        if response_id not in self.stored:
            return _json({"error": {"message": "no such response"}}, 404)
        if request.method == "DELETE":
            del self.stored[response_id], self.kept[response_id]
            return _json({"id": response_id, "object": "response", "deleted": True})
        return ScriptedExchange(200, {"content-type": "application/json"}, [self.stored[response_id].raw])

    # --- chat completions ------------------------------------------------------------------------------------------

    def _chat(self, body: dict[str, Any]) -> ScriptedExchange:
        call, text = self._answer(_said_in_messages(body["messages"]))
        number = next(self._ids)
        message: dict[str, Any] = {"role": "assistant", "content": text, "reasoning": f"thought {number}"}
        if call is not None:
            function = {"name": call, "arguments": "{}"}
            message["tool_calls"] = [{"index": 0, "id": f"call_{number}", "type": "function", "function": function}]
        finish = "tool_calls" if call is not None else "stop"
        whole = {"id": f"chatcmpl_{number}", "created": 1, "model": "m"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return _json({**whole, "object": "chat.completion", "choices": [choice], "usage": usage})
        pieces = [
            {**whole, "choices": [{"index": 0, "delta": message, "finish_reason": None}]},
            {**whole, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
            {**whole, "choices": [], "usage": usage},
        ]
        chunks = [b"data: %s\n\n" % json.dumps(piece).encode() for piece in pieces]
        return ScriptedExchange(200, {"content-type": "text/event-stream"}, [*chunks, b"data: [DONE]\n\n"])

    # --- Anthropic's Messages --------------------------------------------------------------------------------------

    def _anthropic(self, body: dict[str, Any]) -> ScriptedExchange:
        call, text = self._answer(_said_in_blocks(body["messages"]))
        number = next(self._ids)
        blocks: list[dict[str, Any]] = [
            {"type": "thinking", "thinking": f"thought {number}", "signature": f"sig {number}"}
        ]
        if call is not None:
            blocks.append({"type": "tool_use", "id": f"toolu_{number}", "name": call, "input": {}})
        else:
            blocks.append({"type": "text", "text": text})
        stop = "tool_use" if call is not None else "end_turn"
        usage = {"input_tokens": 1, "output_tokens": 1}
        whole = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
        if not body.get("stream"):
            return _json({**whole, "content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": usage})
        begin: dict[str, Any] = {**whole, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": begin}]
        for at, block in enumerate(blocks):
            empty, deltas = _in_pieces(block)
            events.append({"type": "content_block_start", "index": at, "content_block": empty})
            events += [{"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas]
            events.append({"type": "content_block_stop", "index": at})
        events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": usage})
        events.append({"type": "message_stop"})
        chunks = [b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events]
        return ScriptedExchange(200, {"content-type": "text/event-stream"}, chunks)

    def _answer(self, before: list[Said]) -> tuple[str | None, str]:
        self.seen.append(before)
        role, text = before[-1]
        if role == "result":
            return None, f"got {text}"
        verb, _, rest = text.partition(" ")
        return (rest, "") if verb == "call" else (None, rest)


def _said_in_items(items: Any) -> list[Said]:
    if isinstance(items, str):
        return [("user", items)]
    said: list[Said] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "message":
            said.append((item["role"], _text(item["content"])))
        elif kind == "reasoning":
            said.append(("thought", item["encrypted_content"]))
        elif kind == "function_call":
            said.append(("call", item["name"]))
        else:
            said.append(("result", _text(item["output"])))
    return said


def _said_in_messages(messages: list[dict[str, Any]]) -> list[Said]:
    said: list[Said] = []
    for message in messages:
        if message["role"] == "tool":
            said.append(("result", _text(message["content"])))
            continue
        if message.get("reasoning"):
            said.append(("thought", message["reasoning"]))
        if message.get("content"):
            said.append((message["role"], _text(message["content"])))
        said += [("call", call["function"]["name"]) for call in message.get("tool_calls") or ()]
    return said


def _said_in_blocks(messages: list[dict[str, Any]]) -> list[Said]:
    said: list[Said] = []
    for message in messages:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            match block["type"]:
                case "text":
                    said.append((message["role"], block["text"]))
                case "thinking":
                    said.append(("thought", block["thinking"]))
                case "tool_use":
                    said.append(("call", block["name"]))
                case "tool_result":
                    said.append(("result", _text(block["content"])))
                case other:
                    raise AssertionError(other)
    return said


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _in_pieces(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}]
        case "thinking":
            thinking = {"type": "thinking_delta", "thinking": block["thinking"]}
            signature = {"type": "signature_delta", "signature": block["signature"]}
            return {"type": "thinking", "thinking": "", "signature": ""}, [thinking, signature]
        case _:
            return block, [{"type": "input_json_delta", "partial_json": "{}"}]


def _told(response: Response, body: dict[str, Any]) -> ScriptedExchange:
    if not body.get("stream"):
        return ScriptedExchange(200, {"content-type": "application/json"}, [response.raw])
    chunks = [b"event: %s\ndata: %s\n\n" % (event.type.encode(), event.raw) for event in replay(response)]
    return ScriptedExchange(200, {"content-type": "text/event-stream"}, chunks)


def _json(body: Any, status: int = 200) -> ScriptedExchange:
    return ScriptedExchange(status, {"content-type": "application/json"}, [json.dumps(body).encode()])


def words(said: list[Said]) -> list[Said]:
    """Return what was said without the thoughts."""
    return [each for each in said if each[0] != "thought"]
