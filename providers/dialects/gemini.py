"""The Gemini dialect: hosts that serve `POST /models/{model}:generateContent`.

A call of the Responses API goes out as contents (`gemini_request`), and what comes back is told as the API's items and
events (`gemini_answer`), plain and streamed by the same code: a plain answer is a stream of one chunk.
"""

from __future__ import annotations

import functools
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
from .answer_stream import AnswerStream
from .echo import response_fields
from .envelope import Envelope, seal
from .failures import event_error, reported, response_of, secrets_of, shown, status_error
from .gemini_answer import Block, GeminiAnswer
from .gemini_request import encode_body
from .gemini_signatures import FORM
from .gemini_wire import Chunk, read_chunk, read_chunks
from .http_request import headers_of, query_of
from .named_tools import FUNCTIONS_ONLY, tool_names


class GeminiDialect(msgspec.Struct, frozen=True):
    """generateContent, plain and streamed.

    Args:
        profile: what is particular in this model.
    """

    profile: Profile = UNKNOWN

    @property
    def name(self) -> str:
        return "gemini"

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        options, params = request.options, request.params
        assert isinstance(params, CreateParams)
        streamed = params.stream is True
        query = dict(options.get("extra_query") or {})
        if streamed:
            query = {"alt": "sse", **query}
        return HttpRequest(
            method="POST",
            url=f"{target.base_url}/{path_of(target.model, streamed)}{query_of(query)}",
            headers=headers_of(target, options.get("extra_headers"), True, streamed),
            body=encode_body(params, target, self.profile, drop, options.get("extra_body")),
            streamed=streamed,
        )

    def decode(self, body: bytes, request: Request) -> PlainReply:
        try:
            chunks = read_chunks(body)
        except msgspec.DecodeError:
            raise APIResponseError(
                f"the answer is no generateContent response but {shown(body, request)}",
                hint="check that api_base is the address of the API (it usually ends in /v1beta)",
            ) from None
        if any(chunk.error for chunk in chunks):
            raise reported(next(chunk.error for chunk in chunks if chunk.error), request)
        if not any(chunk.is_answer for chunk in chunks):
            raise APIResponseError(f"the answer has no candidates: {shown(body, request)}")
        answer = self._answer(request)
        hear_all(chunks, answer)
        return response_of(answer, request)

    def stream_decoder(self, request: Request) -> StreamDecoder:
        return GeminiStream(self._answer(request), secrets_of(request))

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        return status_error(status, headers, body, request)

    def event_error(self, event: Event, request: Request) -> APIError | None:
        return event_error(event, request)

    def _answer(self, request: Request) -> GeminiAnswer:
        params, target = request.params, request.target
        assert isinstance(params, CreateParams)
        assert target is not None
        return GeminiAnswer(
            response_fields(params, target),
            functools.partial(_sealed, target.provider, target.model),
            tool_names(params.tools, FUNCTIONS_ONLY),
        )


def path_of(model: str, streamed: bool) -> str:
    """Return the path of a model's method; a name may be written with its collection ("tunedModels/...")."""
    named = model if "/" in model else f"models/{model}"
    method = "streamGenerateContent" if streamed else "generateContent"
    return f"{quote(named, safe='/')}:{method}"


def hear_all(chunks: list[Chunk], answer: GeminiAnswer) -> None:
    """Tell `answer` all of a plain answer."""
    for chunk in chunks:
        answer.hear(chunk)
    answer.end()


def _sealed(provider: str, model: str, blocks: tuple[Block, ...]) -> str:
    return seal(Envelope(provider, model, "gemini", FORM, blocks))


class GeminiStream(AnswerStream[GeminiAnswer]):
    """Decodes the event stream of generateContent, which has no mark of its end."""

    __slots__ = ()

    def tell(self, name: str, payload: bytes) -> None:
        answer = self.answer
        if payload == b"[DONE]":  # not Google's, but a gateway's
            answer.end()
            return
        chunk = read_chunk(payload)
        answer.hear(chunk)
        if chunk.error:
            said = read_value(loads(payload), "the host reported an error inside the stream")
            answer.fail(said.code, mask(said.message, self._secrets))
