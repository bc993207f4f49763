"""The Anthropic dialect: hosts that serve `POST /v1/messages`.

A call of the Responses API goes out as a message request (`anthropic_request`), and what comes back is told as the
API's items and events (`anthropic_answer`), plain and streamed by the same code: a plain answer is a stream whose
blocks say everything at their start.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import quote

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
from ..profiles import UNKNOWN, Profile
from .amazon_event_stream import EXCEPTION, MEDIA_TYPE
from .answer_stream import AnswerStream
from .anthropic_answer import AnthropicAnswer
from .anthropic_frames import InvokeFrames
from .anthropic_request import Form, encode_body
from .anthropic_wire import read_event, read_object
from .echo import response_fields
from .envelope import Envelope, seal
from .failures import event_error, keys_of, reported, response_of, secrets_of, shown, status_error
from .http_request import headers_of, query_of
from .named_tools import FUNCTIONS_ONLY, tool_names

VERSION = "2023-06-01"
"""Of the API, for the header `anthropic-version`."""


class AnthropicDialect(msgspec.Struct, frozen=True):
    """The Messages API, plain and streamed.

    Args:
        profile: what is particular in this model.
        form: whose form of the API.
    """

    profile: Profile = UNKNOWN
    form: Form = "anthropic"

    @property
    def name(self) -> str:
        return "anthropic"

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        options, params = request.options, request.params
        assert isinstance(params, CreateParams)
        given = {name.lower(): value for name, value in (options.get("extra_headers") or {}).items()}
        asked = _names(given.get("anthropic-beta"))
        body = encode_body(params, target, self.profile, drop, options.get("extra_body"), self.form, asked)
        if self.form == "anthropic":
            given = {"anthropic-version": VERSION, **given}
        if self.form == "bedrock":
            given.pop("anthropic-beta", None)  # they are in the body
        elif body.betas:
            given["anthropic-beta"] = ",".join(body.betas)
        accept = MEDIA_TYPE if self.form == "bedrock" else "text/event-stream"
        return HttpRequest(
            method="POST",
            url=f"{target.base_url}{self._path(target, body.streamed)}{query_of(options.get('extra_query'))}",
            headers=headers_of(target, given, True, body.streamed, accept),
            body=body.data,
            streamed=body.streamed,
        )

    def _path(self, target: Target, streamed: bool) -> str:
        match self.form:
            case "vertex":
                return f"/models/{quote(target.model, safe='@')}:{'streamRawPredict' if streamed else 'rawPredict'}"
            case "bedrock":
                stream = "-with-response-stream" if streamed else ""
                return f"/model/{quote(target.model, safe='')}/invoke{stream}"
            case _:
                return "/messages" if target.base_url.endswith("/v1") else "/v1/messages"  # both forms are usual

    def decode(self, body: bytes, request: Request) -> PlainReply:
        answer = self._answer(request)
        try:
            message = read_object(body)
        except msgspec.DecodeError:
            raise APIResponseError(
                f"the answer is no message but {shown(body, request)}",
                hint="check that api_base is the address of an API (it usually ends in /v1)",
            ) from None
        if not tell_message(message, answer):
            raise reported(message, request) if message.get("error") else _no_message(message, request)
        return response_of(answer, request)

    def stream_decoder(self, request: Request) -> StreamDecoder:
        secrets = secrets_of(request)
        if self.form == "bedrock":
            return AnthropicStream(self._answer(request), secrets, InvokeFrames())
        return AnthropicStream(self._answer(request), secrets)

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        return status_error(status, headers, body, request)

    def event_error(self, event: Event, request: Request) -> APIError | None:
        return event_error(event, request)

    def _answer(self, request: Request) -> AnthropicAnswer:
        params, target = request.params, request.target
        assert isinstance(params, CreateParams)
        assert target is not None
        return AnthropicAnswer(
            response_fields(params, target),
            target.provider,
            functools.partial(sealed, target.provider, target.model),
            tool_names(params.tools, FUNCTIONS_ONLY),
        )


def tell_message(message: dict[str, Any], answer: AnthropicAnswer) -> bool:
    """Tell `answer` what a plain message says; return whether it is one."""
    content = message.get("content")
    if not isinstance(content, list):
        return False
    answer.begin(message)
    for index, block in enumerate(content):
        if isinstance(block, dict):
            answer.start_block(index, block)
            answer.stop_block()
    answer.end()
    return True


def sealed(provider: str, model: str, blocks: tuple[Any, ...]) -> str:
    """Return the host's own blocks as `encrypted_content`."""
    return seal(Envelope(provider, model, "anthropic", "blocks", blocks))


def _names(given: object) -> tuple[str, ...]:
    """Return the names in a header that lists some."""
    return tuple(name.strip() for name in given.split(",")) if isinstance(given, str) and given else ()


def _no_message(message: dict[str, Any], request: Request) -> APIResponseError:
    hint = None
    if "output" in message:
        hint = 'the host answered in the format of the Responses API: pass dialect="responses"'
    elif "choices" in message:
        hint = 'the host answered with a chat completion: pass dialect="chat"'
    return APIResponseError(f"the answer has no content; its keys: {keys_of(message, request)}", hint=hint)


class AnthropicStream(AnswerStream[AnthropicAnswer]):
    """Decodes the event stream of a message."""

    __slots__ = ()

    def tell(self, name: str, payload: bytes) -> None:
        answer = self.answer
        if payload == b"[DONE]":
            return
        if name.startswith(EXCEPTION):  # at Bedrock; the names of other events are not needed
            said = read_value(loads(payload), "the host reported an error inside the stream")
            kind = name.removeprefix(EXCEPTION)
            answer.fail(f"{kind[:1].upper()}{kind[1:]}", mask(said.message, self._secrets))
            return
        event = read_event(payload)
        match event.type:
            case "content_block_delta":
                if event.delta is not None:
                    answer.add(event.index, event.delta, lambda: read_object(payload)["delta"])
            case "content_block_start":
                answer.start_block(event.index, event.content_block or {})
            case "content_block_stop":
                answer.stop_block()
            case "message_start":
                answer.begin(event.message or {})
            case "message_delta":
                found = read_object(payload)
                rest = {name: value for name, value in found.items() if name not in ("type", "delta", "usage")}
                answer.note({**rest, **(found.get("delta") or {})}, event.usage)
            case "message_stop":
                answer.end()
            case "error":
                said = read_value(loads(payload), "the host reported an error inside the stream")
                answer.fail(said.code or said.kind, mask(said.message, self._secrets))
            case _:
                pass  # "ping", and what the API says may be added (Anthropic documentation, Versioning, from memory)
