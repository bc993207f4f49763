"""What went wrong, as typed errors: the same for all dialects whose hosts report errors in OpenAI's ways."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ...pipeline.api import events as ev
from ...pipeline.api.response import Response
from ...pipeline.api.wire import loads, value
from ...pipeline.errors import APIStatusError
from ...pipeline.http import Headers
from ...pipeline.request import Request
from ...pipeline.secret import Secret, mask
from ..host_errors import HostError, make_error, read_body, read_value
from .answer import Answer

_SEARCHED = 4096
"""So many bytes of an odd answer are looked through for what a message shows of it."""


def status_error(
    status: int, headers: Headers, body: bytes, request: Request, kind: str | None = None
) -> APIStatusError:
    """Return the error of an answer with an error status, whatever its body looks like.

    Args:
        kind: the host's error type, where the body does not say it. Amazon's hosts name it in a header.
    """
    target = request.target
    kind = kind or headers.get("x-amzn-errortype", "").partition(":")[0].strip() or None
    said = read_body(body, status, headers.get("content-type", ""), secrets_of(request))
    if kind is not None:
        said = msgspec.structs.replace(said, kind=kind)
    hint = target.key_note if target and status in (401, 403) else None
    return _error(said, status, headers, request, hint)


def event_error(event: ev.Event, request: Request) -> APIStatusError | None:
    """Return the error that an event of a stream reports, None for ordinary events."""
    if isinstance(event, ev.ResponseFailed):
        return failed(event.response, request)
    if isinstance(event, ev.ErrorEvent):
        said = read_value(loads(event.raw), "the host reported an error inside the stream")
        return _error(said, 200, {}, request)
    return None


def failed(response: Response, request: Request) -> APIStatusError:
    """Return the error of a response that failed; it carries the response."""
    said = read_value({"error": value(response.error_json)}, "the response failed")
    error = _error(said, 200, {}, request)
    error.response = response
    return error


def response_of(answer: Answer, request: Request) -> Response:
    """Return the response of an answer that was told to its end.

    Raises:
        APIStatusError: it failed.
    """
    end = answer.take()[-1]
    assert isinstance(end, ev.LifecycleEvent)
    if end.response.status == "failed":
        raise failed(end.response, request)
    return end.response


def reported(found: object, request: Request) -> APIStatusError:
    """Return the error that a decoded body with a 2xx status reports."""
    return _error(read_value(found, "the host reported an error"), 200, {}, request)


def shown(data: bytes, request: Request) -> str:
    """Return what a message may show of an odd answer."""
    text = excerpt(data, secrets_of(request)).strip()
    if not text:
        return "empty"
    return "an HTML page" if "<html" in text[:500].lower() else repr(text[:120])


def keys_of(found: object, request: Request) -> str:
    """Return what a message may show of a JSON value that is not what was asked for."""
    keys = ", ".join(list(found)[:8]) if isinstance(found, dict) else type(found).__name__
    return mask(keys, secrets_of(request))[:200] or "none"


def excerpt(data: bytes, secrets: tuple[Secret | None, ...]) -> str:
    """Return the beginning of odd bytes as text, without anything secret."""
    return mask(data[:_SEARCHED].decode("utf-8", "replace"), secrets)


def secrets_of(request: Request) -> tuple[Secret | None, ...]:
    """Return what an answer may repeat and nobody may show."""
    return (request.target.api_key,) if request.target else ()


def _error(
    said: HostError, status: int, headers: Mapping[str, str], request: Request, hint: str | None = None
) -> APIStatusError:
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
