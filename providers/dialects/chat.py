"""The chat-completions dialect: hosts that serve `POST /chat/completions`.

A call of the Responses API goes out as a chat (`chat_request`), and what comes back is told as the API's items and
events (`chat_answer`), plain and streamed by the same code: a plain answer is a stream of one chunk.
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
from ...pipeline.secret import Secret, mask
from ..host_errors import read_value
from ..profiles import UNKNOWN, Profile
from ..rows import ChatFlags
from .answer_stream import AnswerStream
from .chat_answer import ChatAnswer
from .chat_request import encode_body, is_streamed
from .chat_wire import Chunk, host_fields, read_chunk, read_odd, read_piece
from .echo import response_fields
from .envelope import Envelope, seal
from .failures import event_error, keys_of, reported, response_of, secrets_of, shown, status_error
from .http_request import headers_of, query_of
from .named_tools import tool_names


class ChatDialect(msgspec.Struct, frozen=True):
    """Chat completions, plain and streamed.

    Args:
        flags: what is particular at this host.
        profile: what is particular in this model.
    """

    flags: ChatFlags = ChatFlags()
    profile: Profile = UNKNOWN

    @property
    def name(self) -> str:
        return "chat"

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        options, params = request.options, request.params
        assert isinstance(params, CreateParams)
        body = encode_body(params, target, self.flags, self.profile, drop, options.get("extra_body"))
        streamed = is_streamed(params, self.flags)
        return HttpRequest(
            method="POST",
            url=f"{target.base_url}{self.flags.path}{query_of(options.get('extra_query'))}",
            headers=headers_of(target, options.get("extra_headers"), True, streamed),
            body=body,
            streamed=streamed,
        )

    def decode(self, body: bytes, request: Request) -> PlainReply:
        answer = self._answer(request)
        try:
            chunk = read_answer(body, answer, secrets_of(request))
        except msgspec.DecodeError:
            raise APIResponseError(
                f"the answer is no chat completion but {shown(body, request)}",
                hint="check that api_base is the address of an API (it usually ends in /v1)",
            ) from None
        if not chunk.choices:
            raise reported(loads(body), request) if chunk.is_error else _no_completion(body, request)
        return response_of(answer, request)

    def stream_decoder(self, request: Request) -> StreamDecoder:
        return ChatStream(self._answer(request), secrets_of(request))

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        return status_error(status, headers, body, request)

    def event_error(self, event: Event, request: Request) -> APIError | None:
        return event_error(event, request)

    def _answer(self, request: Request) -> ChatAnswer:
        params, target = request.params, request.target
        assert isinstance(params, CreateParams)
        assert target is not None
        return ChatAnswer(
            response_fields(params, target),
            functools.partial(_sealed, target.provider, target.model),
            tool_names(params.tools, self.flags),
            self.flags.think_tags,
        )


def read_answer(body: bytes, answer: ChatAnswer, secrets: tuple[Secret | None, ...] = ()) -> Chunk:
    """Tell `answer` what a plain chat completion says, if it is one; return its wire form.

    Raises:
        msgspec.DecodeError: no chat completion, and no error either.
    """
    chunk = read_chunk(body)
    if chunk.choices:
        answer.begin(chunk)
        answer.keep(host_fields(body))
        if chunk.is_error or answer.error:
            _fail(answer, read_odd(body), secrets)
        else:
            answer.end()
    return chunk


def _fail(answer: ChatAnswer, found: Any, secrets: tuple[Secret | None, ...], usage: Any = None) -> None:
    """End an answer by the error that a chunk or a choice reports."""
    said = read_value(
        {"error": answer.error} if answer.error else found, "the host reported an error inside the answer"
    )
    error = {"code": said.code or said.kind or "server_error", "message": said.message}
    # The type says what a code of the host's own does not: whether the same call could succeed.
    error |= {name: value for name, value in (("type", said.kind), ("param", said.param)) if value is not None}
    answer.fail({name: mask(value, secrets) for name, value in error.items()}, usage)


def _sealed(provider: str, model: str, form: str, blocks: tuple[Any, ...]) -> str:
    return seal(Envelope(provider, model, "chat", form, blocks))


def _no_completion(body: bytes, request: Request) -> APIResponseError:
    found = loads(body)
    hint = None
    if isinstance(found, dict) and "output" in found:
        hint = 'the host answered in the format of the Responses API: pass dialect="responses"'
    return APIResponseError(f"the answer has no choices; its keys: {keys_of(found, request)}", hint=hint)


class ChatStream(AnswerStream[ChatAnswer]):
    """Decodes the event stream of a chat completion."""

    __slots__ = ()

    def tell(self, name: str, payload: bytes) -> None:
        answer = self.answer
        if payload.startswith(b"[DONE]"):
            if answer.has_begun:  # else nothing has come, and the stream has broken
                answer.end()
            return
        piece = read_piece(payload) if answer.has_begun else read_chunk(payload)
        if isinstance(piece, Chunk):
            answer.begin(piece)
        else:
            answer.go_on(piece)
        if piece.is_error or name == "error":
            _fail(answer, read_odd(payload), self._secrets, piece.usage)
        elif answer.finish_reason or (piece.usage and not piece.choices):
            answer.keep(host_fields(payload))
            if answer.error:
                _fail(answer, None, self._secrets)
