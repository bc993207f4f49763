"""The native dialect: hosts that serve the Responses API themselves.

Requests go out as they are, answers come in as they are. What this codec adds: the host's errors in every shape, and
repair of sparse streams, so that a consumer always sees one grammar. Some servers (llama.cpp of October 2026,
observed) send no `sequence_number`, no indexes and no `function_call_arguments.done`; the JSON's own `type` is
authoritative where the SSE event name is missing (OpenRouter, transformers) or differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from ...pipeline.api import events as ev
from ...pipeline.api.params import (
    CancelParams,
    CompactParams,
    CountInputTokensParams,
    CreateParams,
    DeleteParams,
    GetParams,
    ListInputItemsParams,
    Operation,
)
from ...pipeline.api.response import (
    TERMINAL_STATUSES,
    CompactedResponse,
    DeletedResponse,
    InputTokens,
    ItemPage,
    Response,
)
from ...pipeline.api.wire import Wire, embed, encode, is_absent, loads, merge
from ...pipeline.errors import APIError, APIResponseError, InvalidParameter
from ...pipeline.http import Headers, HttpRequest
from ...pipeline.reply import PlainReply
from ...pipeline.request import Drop, Request, StreamDecoder, Target
from ...pipeline.secret import Secret
from ...pipeline.streams.sse import Frame, SSEDecoder
from ..host_errors import is_error
from .citations import without_provider_data
from .envelope import SEALED, unseal
from .failures import event_error, excerpt, failed, keys_of, reported, secrets_of, shown, status_error
from .http_request import headers_of, query_of
from .repair import ENDS, WATCHED, Repair
from .scoped_calls import ScopedStream, own_names, scoped


class _Route(msgspec.Struct, frozen=True):
    """How one operation goes over the wire. `{id}` stands for the response's id."""

    method: str
    path: str
    returns: type[PlainReply]


# Source: OpenAI API reference, Responses, and the requests of its Python package 3.54, read 2026-11.
_ROUTES: dict[Operation, _Route] = {
    "create": _Route("POST", "", Response),
    "get": _Route("GET", "/{id}", Response),
    "delete": _Route("DELETE", "/{id}", DeletedResponse),
    "cancel": _Route("POST", "/{id}/cancel", Response),
    "list_input_items": _Route("GET", "/{id}/input_items", ItemPage),
    "compact": _Route("POST", "/compact", CompactedResponse),
    "count_input_tokens": _Route("POST", "/input_tokens", InputTokens),
}


_STATUSES = TERMINAL_STATUSES | {"queued", "in_progress"}
_NO_ERROR = (b"", b"null")
_WITH_BODY = (CreateParams, CompactParams, CountInputTokensParams)


class ResponsesDialect(msgspec.Struct, frozen=True):
    """The Responses API, every operation, plain and streamed.

    Args:
        typed_input: whether the host wants `type` on every input item.
        scoped_calls: whether its ids of tool calls need the response's.
    """

    typed_input: bool = False
    scoped_calls: bool = False

    name = "responses"

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        options, params, route = request.options, request.params, _ROUTES[request.operation]
        extra_body, extra_query = options.get("extra_body"), options.get("extra_query")
        path, query, streamed = route.path, extra_query, request.streamed
        if self.scoped_calls and isinstance(params, CreateParams) and params.previous_response_id:
            own = own_names(params.input, params.previous_response_id)
            params = msgspec.structs.replace(params, input=own)
        if isinstance(params, _WITH_BODY):
            body: bytes | None = encode_body(params, target.model, drop, extra_body, self.typed_input)
        else:
            path = path.replace("{id}", quote(params.response_id or "", safe="", errors="surrogatepass"))
            query = {**_query_of(params), **(extra_query or {})}
            body = encode(extra_body) if extra_body else None
        return HttpRequest(
            method=route.method,
            url=f"{target.base_url}/responses{path}{query_of(query) if query else ''}",
            headers=headers_of(target, options.get("extra_headers"), body is not None, streamed),
            body=body,
            streamed=streamed,
        )

    def decode(self, body: bytes, request: Request) -> PlainReply:
        operation = request.operation
        if operation == "delete" and not body.strip():
            # Some hosts answer a deletion with an empty body (OpenAI's own client ignores it, read 2026-11).
            return DeletedResponse.new(id=getattr(request.params, "response_id", ""), deleted=True)
        try:
            reply = _ROUTES[operation].returns.from_json(body)
        except msgspec.DecodeError:
            raise APIResponseError(
                f"the answer is no JSON object but {shown(body, request)}",
                hint="check that api_base is the address of an API (it usually ends in /v1)",
            ) from None
        if self.scoped_calls and isinstance(reply, Response):
            reply = scoped(reply)
        if operation == "create" and isinstance(reply, Response):
            return _checked(reply, body, request)
        if not _is_meant(reply):  # a response that failed is one all the same: it was asked for, and here it is
            found = loads(body)
            if is_error(found):
                raise reported(found, request)
            raise _no_response(body, request)
        return reply

    def stream_decoder(self, request: Request) -> StreamDecoder:
        starting_after = getattr(request.params, "starting_after", None)
        decoder = NativeStream(secrets_of(request), starting_after)
        return ScopedStream(decoder) if self.scoped_calls else decoder

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        return status_error(status, headers, body, request)

    def event_error(self, event: ev.Event, request: Request) -> APIError | None:
        return event_error(event, request)


def encode_body(
    params: CreateParams | CompactParams | CountInputTokensParams,
    model: str,
    drop: Drop,
    extra: dict[str, Any] | None = None,
    typed_input: bool = False,
) -> bytes:
    """Return the JSON body of a call; `extra` fields win over parameters, `typed_input` names messages as such.

    Reasoning that a host of another API format made is left out and reported: no other host can read it.

    Raises:
        InvalidParameter: a value that has no JSON form.
    """
    if not isinstance(params.input, str):
        given = _readable(params.input, drop) if isinstance(params.input, list | tuple) else params.input
        params = msgspec.structs.replace(params, input=_typed(embed(given)) if typed_input else embed(given))
    if tools := getattr(params, "tools", None):
        params = msgspec.structs.replace(params, tools=embed(tools))
    try:
        body = encode(msgspec.structs.replace(params, model=model))
        return merge(body, extra) if extra else body
    except TypeError as error:
        raise InvalidParameter(f"the request cannot be encoded: {error}") from None


def _readable(given: Sequence[Any], drop: Drop) -> Sequence[Any]:
    """Return input items without what is sealed, or meant, for a host of another API format."""
    changed: dict[int, Any] = {}
    for at, item in enumerate(given):
        found: Mapping[str, Any]
        if isinstance(item, Wire):
            raw = item.raw
            # Items of a type without the field have it in their bytes all the same.
            found = item.to_dict() if any(mark in raw for mark in _MARKS) else {}
        else:
            found = item if isinstance(item, Mapping) else {"encrypted_content": getattr(item, "encrypted_content", 0)}
        text = found.get("encrypted_content")
        if text and (envelope := unseal(text)) is not None:
            kind = found.get("type") or "reasoning"
            drop(
                f"input[{at}] ({kind})", f"{envelope.provider} made it in another API format, which no other host reads"
            )
            changed[at] = None
        elif (plain := without_provider_data(found)) is not found:
            changed[at] = plain
    if not changed:
        return given
    whole = [changed.get(at, item) for at, item in enumerate(given)]
    return [item for item in whole if item is not None]


_MARKS = (SEALED.encode(), b'"provider_data"')


def _typed(items: Any) -> Any:
    """Return input items with the `type` that the API lets messages leave out."""
    if not isinstance(items, list):
        return items
    return [
        {"type": "message", **item} if isinstance(item, dict) and "role" in item and "type" not in item else item
        for item in items
    ]


def _query_of(params: GetParams | DeleteParams | CancelParams | ListInputItemsParams) -> dict[str, Any]:
    """Return the query of a call without a body; lists as OpenAI's client writes them."""
    query: dict[str, Any] = {}
    for name, given in msgspec.structs.asdict(params).items():
        if name == "response_id" or given is None:
            continue
        if isinstance(given, list):
            query[f"{name}[]"] = given
        else:
            query[name] = given
    return query


def _checked(response: Response, body: bytes, request: Request) -> Response:
    """Raise for a response that is an error in spite of its HTTP status."""
    if response.status == "completed" and bytes(response.error_json) in _NO_ERROR:
        return response  # nearly every one
    if response.status == "failed" or (not is_absent(response.error_json) and not response.output):
        raise failed(response, request)
    if not _is_meant(response):
        raise reported(found, request) if is_error(found := loads(body)) else _no_response(body, request)
    return response


def _is_meant(reply: PlainReply) -> bool:
    """Tell whether an answer is what was asked for, and not some other JSON object."""
    if isinstance(reply, Response):
        return bool(reply.output_json) or reply.status in _STATUSES
    if isinstance(reply, CompactedResponse):
        return bool(reply.output_json)
    if isinstance(reply, ItemPage):
        return bool(reply.data_json)
    return not isinstance(reply, InputTokens) or "input_tokens" in reply.to_dict()


def _no_response(body: bytes, request: Request) -> APIResponseError:
    found = loads(body)
    hint = None
    if isinstance(found, dict) and "choices" in found:
        hint = 'the host answered with a chat completion: pass dialect="chat"'
    return APIResponseError(f"the answer is no response object; its keys: {keys_of(found, request)}", hint=hint)


class NativeStream:
    """Decodes a native event stream, and repairs a sparse one.

    Args:
        secrets: what no message may show.
        starting_after: number of the event after which the stream was taken up again; None for a whole one.
    """

    __slots__ = ("_last", "_repair", "_secrets", "_sse", "error", "is_done")

    def __init__(self, secrets: tuple[Secret | None, ...] = (), starting_after: int | None = None) -> None:
        self._sse = SSEDecoder()
        self._repair = Repair(resumed=starting_after is not None)
        self._secrets = secrets
        self._last = -1 if starting_after is None else starting_after  # sequence number of the last event
        self.error: APIError | None = None
        self.is_done = False

    def feed(self, data: bytes) -> list[ev.Event]:
        return self._events(self._sse.feed(data))

    def finish(self) -> list[ev.Event]:
        events = self._events(self._sse.finish())
        self.error = None  # an event that the end cuts in two is no malformed one: the stream broke
        return events

    def _events(self, frames: list[Frame]) -> list[ev.Event]:
        events: list[ev.Event] = []
        add, repair = events.append, self._repair
        for name, payload in frames:
            try:
                event: ev.Event = ev.decode_event(name, payload)
            except msgspec.DecodeError:
                # Some hosts end with this mark, others never send it.
                if payload.startswith(b"[DONE]"):
                    continue
                self.error = APIResponseError(f"an event of the stream is no JSON object but {self._shown(payload)}")
                break
            if event.sequence_number >= 0 and event.__class__ not in WATCHED and not repair.sees_all:
                add(event)
                continue
            events.extend(repair.follow(event, events[-1].sequence_number if events else self._last))
            if event.__class__ in ENDS:
                self.is_done = True
                break  # what follows the end is no part of the response
        if events:
            self._last = events[-1].sequence_number
        return events

    def _shown(self, payload: bytes) -> str:
        return repr(excerpt(payload, self._secrets)[:120])
