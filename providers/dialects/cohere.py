"""The Cohere dialect: `POST /v2/chat`.

A call of the Responses API goes out as a chat request (`cohere_request`), and what comes back is told as the API's
items and events (`cohere_answer`), plain and streamed by the same code.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from ...pipeline.api.events import Event
from ...pipeline.api.params import CreateParams
from ...pipeline.api.wire import loads
from ...pipeline.errors import APIError, APIResponseError
from ...pipeline.http import Headers, HttpRequest
from ...pipeline.reply import PlainReply
from ...pipeline.request import Drop, Request, StreamDecoder, Target
from ...pipeline.secret import mask
from ..host_errors import read_value
from .answer_stream import AnswerStream
from .anthropic_wire import read_object
from .cohere_answer import CohereAnswer, tell_whole
from .cohere_citations import DIALECT
from .cohere_request import encode_body
from .cohere_tools import FLAGS
from .cohere_wire import Content, Function, StreamEvent, ToolCall, read_event
from .echo import response_fields
from .envelope import Envelope, seal
from .failures import event_error, reported, response_of, secrets_of, shown, status_error
from .http_request import headers_of, query_of
from .named_tools import tool_names


class CohereDialect(msgspec.Struct, frozen=True):
    """Cohere's chat API, plain and streamed."""

    @property
    def name(self) -> str:
        return DIALECT

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        options, params = request.options, request.params
        assert isinstance(params, CreateParams)
        streamed = params.stream is True
        path = "/chat" if target.base_url.endswith("/v2") else "/v2/chat"
        return HttpRequest(
            method="POST",
            url=f"{target.base_url}{path}{query_of(options.get('extra_query'))}",
            headers=headers_of(target, options.get("extra_headers"), True, streamed),
            body=encode_body(params, target, drop, options.get("extra_body")),
            streamed=streamed,
        )

    def decode(self, body: bytes, request: Request) -> PlainReply:
        answer = self._answer(request)
        try:
            found = read_object(body)
        except msgspec.DecodeError:
            raise APIResponseError(
                f"the answer is none of Cohere's chat API but {shown(body, request)}",
                hint="check that api_base is the address of an API, without its path /v2/chat",
            ) from None
        if not tell_whole(found, answer):
            if isinstance(found.get("message"), str):
                raise reported(found, request)
            hint = 'the host answered with a chat completion: pass dialect="chat"' if "choices" in found else None
            raise APIResponseError(f"the answer has no message: {shown(body, request)}", hint=hint)
        return response_of(answer, request)

    def stream_decoder(self, request: Request) -> StreamDecoder:
        return CohereStream(self._answer(request), secrets_of(request))

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        return status_error(status, headers, body, request)

    def event_error(self, event: Event, request: Request) -> APIError | None:
        return event_error(event, request)

    def _answer(self, request: Request) -> CohereAnswer:
        params, target = request.params, request.target
        assert isinstance(params, CreateParams)
        assert target is not None
        return CohereAnswer(
            response_fields(params, target),
            target.provider,
            functools.partial(sealed, target.provider, target.model),
            tool_names(params.tools, FLAGS),
        )


def sealed(provider: str, model: str, blocks: tuple[Any, ...]) -> str:
    """Return the host's own blocks as `encrypted_content`."""
    return seal(Envelope(provider, model, DIALECT, "blocks", blocks))


_NO_CALL = ToolCall()
_NO_FUNCTION = Function()
_NO_CONTENT = Content()


class CohereStream(AnswerStream[CohereAnswer]):
    """Decodes the event stream of Cohere's chat API."""

    __slots__ = ()

    def tell(self, name: str, payload: bytes) -> None:
        answer = self.answer
        if payload == b"[DONE]":
            return  # behind the end, which is an event of its own (recorded)
        event = read_event(payload)
        said = event.delta.message if event.delta else None
        match event.type or name:
            case "content-delta" | "content-start" as kind:
                content = said.content if said and isinstance(said.content, Content) else _NO_CONTENT
                if kind == "content-start":
                    answer.start_content(event.index, content.type)
                self._add_content(content)
                if event.logprobs:
                    answer.add_logprobs(event.logprobs)
            case "content-end":
                answer.stop_content()
            case "tool-plan-delta":
                answer.add_plan((said.tool_plan if said else None) or "")
            case "tool-call-start" | "tool-call-delta" as kind:
                call = said.tool_calls if said and isinstance(said.tool_calls, ToolCall) else _NO_CALL
                function = call.function or _NO_FUNCTION
                if kind == "tool-call-start":
                    answer.start_call(event.index, call.id, function.name)
                answer.add_arguments(event.index, function.arguments)
            case "tool-call-end":
                answer.stop_call(event.index)
            case "citation-start":
                if said and isinstance(said.citations, dict):
                    answer.cite(said.citations)
            case "message-start":
                answer.begin(event.id)
            case "message-end":
                self._end(event, payload)
            case "" | "error":
                said_wrong = read_value(loads(payload), "the host reported an error inside the stream")
                answer.fail(said_wrong.code or said_wrong.kind, mask(said_wrong.message, self._secrets))
            case _:
                pass  # "citation-end", "debug", and what is newer than this

    def _add_content(self, content: Content) -> None:
        if content.thinking:
            self.answer.add_thinking(content.thinking)
        elif content.text:
            self.answer.add_text(content.text)

    def _end(self, event: StreamEvent, payload: bytes) -> None:
        delta = read_object(payload).get("delta")
        fields = dict(delta) if isinstance(delta, dict) else {}
        if isinstance(error := fields.get("error"), str):
            fields["error"] = mask(error, self._secrets)
        self.answer.note(fields)
        self.answer.end()
