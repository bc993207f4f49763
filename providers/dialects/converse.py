"""The Converse dialect: Amazon Bedrock's `POST /model/{id}/converse` and `/converse-stream`.

A call of the Responses API goes out as a conversation (`converse_request`), and what comes back is told as the API's
items and events (`converse_answer`), plain and streamed by the same code. Streams are Amazon's binary event streams.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final
from urllib.parse import quote

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
from .amazon_event_stream import EXCEPTION, MEDIA_TYPE, FrameDecoder
from .answer_stream import AnswerStream
from .anthropic_wire import read_object
from .converse_answer import ConverseAnswer
from .converse_models import model_of
from .converse_reasoning import DIALECT
from .converse_request import encode_body
from .converse_wire import read_block_event, read_fields
from .echo import response_fields
from .envelope import Envelope, seal
from .failures import event_error, reported, response_of, secrets_of, shown, status_error
from .http_request import headers_of, query_of
from .named_tools import FUNCTIONS_ONLY, tool_names

_REGION_OF_ARN: Final = re.compile(r"arn:aws[a-z-]*:bedrock:([a-z0-9-]+):")
_AMAZONS: Final = re.compile(r"(https://bedrock-runtime(?:-fips)?\.)([a-z0-9-]+)(\.amazonaws\.com(?:\.cn)?)")


class ConverseDialect(msgspec.Struct, frozen=True):
    """Converse and ConverseStream.

    Args:
        profile: what is particular in this model.
    """

    profile: Profile = UNKNOWN

    @property
    def name(self) -> str:
        return DIALECT

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        options, params = request.options, request.params
        assert isinstance(params, CreateParams)
        streamed = params.stream is True
        return HttpRequest(
            method="POST",
            url=f"{url_of(target.base_url, target.model, streamed)}{query_of(options.get('extra_query'))}",
            headers=headers_of(target, options.get("extra_headers"), True, streamed, MEDIA_TYPE),
            body=encode_body(params, target, self.profile, drop, options.get("extra_body")),
            streamed=streamed,
        )

    def decode(self, body: bytes, request: Request) -> PlainReply:
        answer = self._answer(request)
        try:
            found = read_object(body)
        except msgspec.DecodeError:
            raise APIResponseError(
                f"the answer is none of Converse but {shown(body, request)}",
                hint="check that api_base is the address of a region, e.g. "
                "https://bedrock-runtime.us-east-1.amazonaws.com",
            ) from None
        if not tell_whole(found, answer):
            # Some of Amazon's front ends report an error with status 200.
            raise reported(found, request) if "__type" in found else _no_answer(body, request)
        return response_of(answer, request)

    def stream_decoder(self, request: Request) -> StreamDecoder:
        return ConverseStream(self._answer(request), secrets_of(request))

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        return status_error(status, headers, body, request, error_type(headers, body))

    def event_error(self, event: Event, request: Request) -> APIError | None:
        return event_error(event, request)

    def _answer(self, request: Request) -> ConverseAnswer:
        params, target = request.params, request.target
        assert isinstance(params, CreateParams)
        assert target is not None
        return ConverseAnswer(
            response_fields(params, target),
            target.provider,
            functools.partial(sealed, target.provider, target.model),
            tool_names(params.tools, FUNCTIONS_ONLY),
            model_of(target.model).raw_reasoning,
        )


def url_of(base_url: str, model_id: str, streamed: bool) -> str:
    """Return the address for a model; an ARN is served in its own region."""
    region = _REGION_OF_ARN.match(model_id)
    if region is not None:
        base_url = _AMAZONS.sub(rf"\g<1>{region[1]}\g<3>", base_url)
    return f"{base_url}/model/{quote(model_id, safe='')}/{'converse-stream' if streamed else 'converse'}"


def error_type(headers: Headers, body: bytes) -> str | None:
    """Return Amazon's name for what went wrong, e.g. "ThrottlingException"; None where nothing says it.

    It stands in a header, or in the body, with an address behind a colon or a name space before a hash
    (AWS restJson1 protocol, Operation error serialization, from memory).
    """
    said = headers.get("x-amzn-errortype")
    if said is None:
        try:
            found = loads(body)
        except msgspec.DecodeError:
            return None
        said = found.get("__type") if isinstance(found, dict) else None
    return said.partition(":")[0].rpartition("#")[2].strip() or None if isinstance(said, str) else None


def tell_whole(found: dict[str, Any], answer: ConverseAnswer) -> bool:
    """Tell `answer` what a plain answer says; return whether it is one."""
    match found:
        case {"output": {"message": {"content": [*blocks]}}}:
            answer.begin()
            for index, block in enumerate(blocks):
                if isinstance(block, dict):
                    answer.block(index, block)
            answer.note(found)
            answer.end()
            return True
        case _:
            return False


def sealed(provider: str, model: str, blocks: tuple[Any, ...]) -> str:
    """Return the host's own blocks as `encrypted_content`."""
    return seal(Envelope(provider, model, DIALECT, "blocks", blocks))


def _no_answer(body: bytes, request: Request) -> APIResponseError:
    return APIResponseError(f"the answer has no message: {shown(body, request)}")


class ConverseStream(AnswerStream[ConverseAnswer]):
    """Decodes the stream of ConverseStream, which ends with what it cost."""

    __slots__ = ()

    def __init__(self, answer: ConverseAnswer, secrets: tuple[Secret | None, ...] = ()) -> None:
        super().__init__(answer, secrets, FrameDecoder())

    def tell(self, name: str, payload: bytes) -> None:
        answer = self.answer
        match name:
            case "contentBlockDelta":
                event = read_block_event(payload)
                if event.delta is not None:
                    answer.add(event.contentBlockIndex, event.delta, lambda: read_fields(payload)["delta"])
            case "contentBlockStart":
                event = read_block_event(payload)
                answer.start_block(event.contentBlockIndex, event.start or {})
            case "contentBlockStop":
                answer.stop_block()
            case "messageStart":
                answer.begin()
            case "messageStop":
                answer.note(read_fields(payload))
            case "metadata":
                answer.note(read_fields(payload))
                answer.end()
            case _ if name.startswith(EXCEPTION):
                said = read_value(loads(payload), "the host reported an error inside the stream")
                kind = name.removeprefix(EXCEPTION)
                answer.fail(f"{kind[:1].upper()}{kind[1:]}", mask(said.message, self._secrets))
            case _:
                pass  # events that are newer than this
