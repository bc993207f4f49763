"""The native dialect: hosts that serve the Responses API themselves.

Requests go out as they are, answers come in as they are. What this codec adds: the host's errors in every shape, and
repair of sparse streams, so that a consumer always sees one grammar. Some servers (llama.cpp of October 2026,
observed) send no `sequence_number`, no indexes and no `function_call_arguments.done`; the JSON's own `type` is
authoritative where the SSE event name is missing (OpenRouter, transformers) or differs.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from ...pipeline import events as ev
from ...pipeline.errors import APIError, APIResponseError, InvalidParameter
from ...pipeline.http import Headers, HttpRequest
from ...pipeline.params import CreateParams
from ...pipeline.reply import PlainReply
from ...pipeline.request import Request, StreamDecoder, Target
from ...pipeline.response import Response
from ...pipeline.secret import Secret
from ...pipeline.sse import SSEDecoder
from ...pipeline.wire import embed, encode, is_absent, loads, merge, value
from ..host_errors import HostError, make_error, read_body, read_value

_USER_AGENT = "antiphon/0.1"


class ResponsesDialect:
    """`POST {base}/responses`, plain and streamed."""

    name = "responses"

    def encode(self, request: Request, target: Target) -> HttpRequest:
        if request.operation != "create":
            raise InvalidParameter(f"operation {request.operation} is not served by this dialect yet")
        options = request.options
        return HttpRequest(
            method="POST",
            url=f"{target.base_url}/responses{_query(options.get('extra_query'))}",
            headers=_headers(target, options.get("extra_headers"), streamed=request.streamed),
            body=encode_body(request.params, target.model, options.get("extra_body")),
            streamed=request.streamed,
        )

    def decode(self, body: bytes, request: Request) -> PlainReply:
        try:
            response = Response.from_json(body)
        except msgspec.DecodeError:
            raise APIResponseError(
                f"the answer is no JSON object but {_shown(body)}",
                hint="check that api_base is the address of an API (it usually ends in /v1)",
            ) from None
        if response.status == "failed" or (not is_absent(response.error_json) and not response.output):
            raise self._failed(response, request)
        if not response.output_json and not response.status:
            raise _no_response(body)
        return response

    def stream_decoder(self, request: Request) -> StreamDecoder:
        return NativeStream()

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        said = read_body(body, status, headers.get("content-type", ""))
        hint = request.target.key_note if request.target and status in (401, 403) else None
        return self._error(said, status, headers, request, hint)

    def event_error(self, event: ev.Event, request: Request) -> APIError | None:
        if isinstance(event, ev.ResponseFailed):
            return self._failed(event.response, request)
        if isinstance(event, ev.ErrorEvent):
            said = read_value(loads(event.raw), "the host reported an error inside the stream")
            return self._error(said, 200, {}, request)
        return None

    def _failed(self, response: Response, request: Request) -> APIError:
        said = read_value({"error": value(response.error_json)}, "the response failed")
        error = self._error(said, 200, {}, request)
        error.response = response
        return error

    def _error(self, said: HostError, status: int, headers: Any, request: Request, hint: str | None = None) -> APIError:
        target = request.target
        assert target is not None
        return make_error(
            said,
            status,
            headers,
            provider=target.provider,
            model=target.model,
            secrets=(target.api_key,),
            hint=hint,
        )


def encode_body(params: CreateParams, model: str, extra: dict[str, Any] | None = None) -> bytes:
    """Return the JSON body of a create call; `extra` fields win over parameters.

    Raises:
        InvalidParameter: a value that has no JSON form.
    """
    given = msgspec.structs.replace(params, model=model, input=embed(params.input), tools=embed(params.tools))
    try:
        body = encode(given)
        return merge(body, extra) if extra else body
    except TypeError as error:
        raise InvalidParameter(f"the request cannot be encoded: {error}") from None


def _headers(target: Target, extra: dict[str, Any] | None, *, streamed: bool) -> tuple[tuple[str, str | Secret], ...]:
    headers: list[tuple[str, str | Secret]] = [
        ("content-type", "application/json"),
        ("accept", "text/event-stream" if streamed else "application/json"),
        ("user-agent", _USER_AGENT),
    ]
    if target.api_key is not None:
        headers.append(("authorization", Secret(f"Bearer {target.api_key.reveal()}")))
    headers.extend(target.headers)
    if extra:
        replaced = {name.lower() for name in extra}
        headers = [pair for pair in headers if pair[0].lower() not in replaced]
        headers.extend((name, value if isinstance(value, Secret) else str(value)) for name, value in extra.items())
    return tuple(headers)


def _query(extra: dict[str, Any] | None) -> str:
    return f"?{urlencode(extra, doseq=True)}" if extra else ""


def _shown(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return "empty"
    return "an HTML page" if "<html" in text[:500].lower() else repr(text[:120])


def _no_response(body: bytes) -> APIResponseError:
    found = loads(body)
    hint = None
    if isinstance(found, dict) and "choices" in found:
        hint = "the host answered in the chat-completions format; it may not serve the Responses API"
    keys = ", ".join(list(found)[:8]) if isinstance(found, dict) else type(found).__name__
    return APIResponseError(f"the answer is no response object; its keys: {keys or 'none'}", hint=hint)


class NativeStream:
    """Decodes a native event stream, and repairs a sparse one."""

    __slots__ = ("_repair", "_sse", "is_done")

    def __init__(self) -> None:
        self._sse = SSEDecoder()
        self._repair: Repair | None = None
        self.is_done = False

    def feed(self, data: bytes) -> list[ev.Event]:
        events: list[ev.Event] = []
        for name, payload in self._sse.feed(data):
            self._add(events, name, payload)
        return events

    def finish(self) -> list[ev.Event]:
        events: list[ev.Event] = []
        for name, payload in self._sse.finish():
            self._add(events, name, payload)
        return events

    def _add(self, events: list[ev.Event], name: str, payload: bytes) -> None:
        try:
            event = ev.decode_event(name, payload)
        except msgspec.DecodeError:
            # Some hosts end with this mark, others never send it.
            if not payload.startswith(b"[DONE]"):
                raise APIResponseError(f"an event of the stream is no JSON object: {payload[:120]!r}") from None
            return
        if isinstance(event, ev.UnknownEvent) and not event.type:
            event = _untyped(event)
        if event.sequence_number < 0 or self._repair is not None:
            if self._repair is None:
                self._repair = Repair()
            events.extend(self._repair.complete(event))
        else:
            events.append(event)
        if event.__class__ in ev.TERMINAL or event.__class__ is ev.ErrorEvent:
            self.is_done = True


def _untyped(event: ev.Event) -> ev.Event:
    """Gateways report errors inside a stream as `{"error": ...}` without a type."""
    found = event.to_dict()
    return ev.ErrorEvent.from_json(event.raw) if found.get("error") else event


class Repair:
    """Fills in what a sparse stream leaves out: numbers, indexes, and the event that ends a call's arguments."""

    __slots__ = ("_arguments", "_content", "_index", "_next", "_open")

    def __init__(self) -> None:
        self._next = 0
        self._index: dict[str, int] = {}
        self._open = -1  # output index of the item that opened last
        self._content: dict[int, int] = {}  # parts opened so far, by output index
        self._arguments: dict[int, list[str]] = {}  # of calls whose arguments have not been said to be done

    def complete(self, event: ev.Event) -> list[ev.Event]:
        """Return the event completed, with those before it that the host left out."""
        fields = set(event.__struct_fields__)
        changes: dict[str, Any] = {}
        events: list[ev.Event] = []
        if "output_index" in fields:
            changes["output_index"] = index = self._output_index(event)
            if "content_index" in fields and event.content_index < 0:  # type: ignore[attr-defined]
                changes["content_index"] = self._content_index(event, index)
            events = self._missing_done(event, index)
        changes["sequence_number"] = self._number()
        return [*events, event.replace(**changes)]

    def _number(self) -> int:
        self._next += 1
        return self._next - 1

    def _output_index(self, event: Any) -> int:
        if isinstance(event, ev.OutputItemAdded | ev.OutputItemDone):
            item_id = (event.item.to_dict().get("id") if event.item is not None else None) or ""
        else:
            item_id = getattr(event, "item_id", "")
        index: int = event.output_index
        if isinstance(event, ev.OutputItemAdded):
            self._open = index = index if index >= 0 else self._open + 1
            self._index[item_id] = index
        elif index < 0:
            index = self._index.get(item_id, max(self._open, 0))
        return index

    def _content_index(self, event: ev.Event, index: int) -> int:
        if isinstance(event, ev.ContentPartAdded):
            self._content[index] = self._content.get(index, -1) + 1
        return max(self._content.get(index, 0), 0)

    def _missing_done(self, event: Any, index: int) -> list[ev.Event]:
        if isinstance(event, ev.FunctionCallArgumentsDelta):
            self._arguments.setdefault(index, []).append(event.delta)
        elif isinstance(event, ev.FunctionCallArgumentsDone):
            self._arguments.pop(index, None)
        elif isinstance(event, ev.OutputItemDone) and index in self._arguments:
            said = "".join(self._arguments.pop(index))
            item = event.item.to_dict() if event.item is not None else {}
            return [
                ev.FunctionCallArgumentsDone.new(
                    sequence_number=self._number(),
                    item_id=item.get("id") or "",
                    output_index=index,
                    arguments=item.get("arguments", said),
                )
            ]
        return []
