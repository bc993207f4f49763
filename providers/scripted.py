"""A host that answers in this process: no network, no key, the real wire format."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..pipeline.api.response import Response
from ..pipeline.api.wire import encode, loads
from ..pipeline.errors import APIConnectionError, InvalidModel, SetupError
from ..pipeline.http import Headers, HttpRequest
from ..pipeline.network.address import parse_url
from ..pipeline.streams.replay import replay
from ..pipeline.timeouts import Pace

Answer: TypeAlias = str | Mapping[str, Any] | list[Any] | Response | Exception | Callable[[dict[str, Any]], Any]
"""One scripted answer.

- text: the model's message;
- an item, as `function_call` and `message` make them, or a list of items: the response's output;
- a mapping with "body": an HTTP answer, e.g. {"status": 429, "headers": {...}, "body": {}};
- another mapping: fields of the response, e.g. {"output": [...], "status": "incomplete"};
- a Response: itself; an exception: raised where the network would fail;
- a function of the decoded request body that returns one of these; it may block, and the call's time limits hold.
"""


class ScriptedHost:
    """Answers requests from a script, in turn, in the format of the Responses API; the last answer repeats.

    Args:
        answers: what to say.

    Attributes:
        requests: every request that came, secrets masked by their type.
    """

    def __init__(self, answers: Sequence[Answer]) -> None:
        if not answers:
            raise SetupError("a scripted host needs at least one answer", hint='scripted("Hello")')
        self._answers = list(answers)
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self.requests: list[HttpRequest] = []

    async def open(self, request: HttpRequest, pace: Pace) -> ScriptedExchange:
        """Give the next answer, or raise it where it is an exception.

        Raises:
            APITimeoutError: the function that was to answer took longer than the call may; as no wait of anybody's
                cuts it short, this is known when it has returned.
        """
        exchange = self.answer(request)
        left, limit = pace.next_read(time.monotonic())
        if not left:
            from ..pipeline.network.connection_faults import (  # late, as TLS comes with it
                Situation,
                limit_length,
                timed_out,
            )

            where = parse_url(request.url).where
            raise timed_out(Situation(where, limit=limit, limit_s=limit_length(pace.timeouts, limit)))
        return exchange

    def answer(self, request: HttpRequest) -> ScriptedExchange:
        """Return the answer whose turn it is. Raises one that is an exception."""
        with self._lock:
            answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
            self.requests.append(request)
        body = loads(request.body or b"{}")
        while callable(answer) and not isinstance(answer, Exception):
            answer = answer(body)
        if isinstance(answer, Exception):
            raise answer
        return self._exchange(answer, body, request.streamed)

    async def close(self) -> None:
        """Nothing is open."""

    def _exchange(self, answer: Any, body: dict[str, Any], streamed: bool) -> ScriptedExchange:
        if isinstance(answer, Mapping) and "body" in answer:
            said = answer["body"]
            data = said if isinstance(said, bytes) else said.encode() if isinstance(said, str) else encode(said)
            headers = {"content-type": "application/json", **answer.get("headers", {})}
            return ScriptedExchange(answer.get("status", 200), headers, [data])
        response = self._response(answer, body)
        if not streamed:
            return ScriptedExchange(200, {"content-type": "application/json"}, [response.raw])
        chunks = [b"event: %s\ndata: %s\n\n" % (event.type.encode(), event.raw) for event in replay(response)]
        return ScriptedExchange(200, {"content-type": "text/event-stream"}, chunks)

    def _response(self, answer: Any, body: dict[str, Any]) -> Response:
        if isinstance(answer, Response):
            return answer
        number = next(self._ids)
        fields = _fields(answer)
        text = answer if isinstance(answer, str) else str(fields.get("output", ""))
        used = {"input_tokens": len(str(body.get("input", "")).split()), "output_tokens": len(text.split())}
        usage = {
            **used,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sum(used.values()),
        }
        return Response.new(
            **{
                "id": f"resp_scripted_{number}",
                "created_at": int(time.time()),
                "status": "completed",
                "error": None,
                "incomplete_details": None,
                "instructions": body.get("instructions"),
                "metadata": body.get("metadata") or {},
                "model": body.get("model", "scripted"),
                "output": [],
                "parallel_tool_calls": True,
                "temperature": None,
                "tool_choice": "auto",
                "tools": body.get("tools") or [],
                "top_p": None,
                "usage": usage,
                **fields,
            }
        )


def _fields(answer: Any) -> dict[str, Any]:
    """Return the fields of the response that an answer stands for."""
    if isinstance(answer, str):
        return {"output": [message(answer)]}
    if isinstance(answer, list):
        return {"output": answer}
    return {"output": [answer]} if "type" in answer else dict(answer)


def message(text: str, item_id: str = "msg_scripted") -> dict[str, Any]:
    """Return an assistant's message item with this text."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": item_id, "role": "assistant", "status": "completed", "content": [part]}


def function_call(name: str, arguments: Mapping[str, Any], call_id: str = "call_scripted") -> dict[str, Any]:
    """Return a function call item; `arguments` are encoded to JSON text as on the wire."""
    return {
        "type": "function_call",
        "id": f"fc_{call_id}",
        "call_id": call_id,
        "name": name,
        "arguments": encode(dict(arguments)).decode(),
        "status": "completed",
    }


def echo_host(model: str) -> ScriptedHost:
    """Return the host behind `model="scripted/echo"`, which says the last user text again.

    Raises:
        InvalidModel: another name.
    """
    if model != "echo":
        raise InvalidModel(
            f'there is no scripted model "{model}"',
            param="model",
            hint='"scripted/echo" is the one; for answers of your own use antiphon.testing.scripted("...")',
        )
    return ScriptedHost([lambda body: last_text(body.get("input"))])


def last_text(value: Any) -> str:
    """Return the text of an API `input`: itself, or that of its last message."""
    if isinstance(value, str):
        return value
    for item in reversed(value or []):
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(content, str):
            return content
        if isinstance(content, list):
            return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return ""


class ScriptedExchange:
    """A canned HTTP answer."""

    def __init__(self, status: int, headers: Mapping[str, str], chunks: list[bytes]) -> None:
        self.status = status
        self.headers = Headers(headers.items())
        self.queued_s = 0.0
        self.connect_s = 0.0
        self._chunks = chunks[::-1]
        self._aborted = False

    def pieces(self) -> list[bytes]:
        """Return the body as it would come, an event of a stream each, for a server that sends it."""
        return self._chunks[::-1]

    async def chunk(self) -> bytes:
        if self._aborted:
            raise APIConnectionError("the exchange was aborted", response_started=True)
        return self._chunks.pop() if self._chunks else b""

    async def read(self) -> bytes:
        data = b"".join(self._chunks[::-1])
        self._chunks = []
        return data

    async def close(self) -> None:
        self._chunks = []

    def abort(self) -> None:
        self._aborted = True
