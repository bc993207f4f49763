"""From what a host says went wrong to a typed error, whatever shape it says it in.

Shapes seen (recordings and provider references, 2026-11): `{"error": {"message", "type", "param", "code"}}` (OpenAI and
most), `{"error": "text"}`, `{"message": ...}` (Cohere, Mistral, AWS), `{"detail": ...}` (FastAPI servers), the first of
these inside a list (Google), numeric codes (llama.cpp, Google), HTML pages of gateways, plain text, nothing. Read of in
public reports and documentation, 2026-11: `{"Message": ...}` (AWS, of a caller without permission), `{"errors":
[{"message"}]}` (Cloudflare), `{"error": "code", "error_description": ...}` (OAuth), and with status 200 `{"base_resp":
{"status_code", "status_msg"}}` (MiniMax).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from ..pipeline import errors
from ..pipeline.api.wire import loads
from ..pipeline.errors import APIStatusError
from ..pipeline.secret import Secret, mask
from . import catalog

_TEXT_LIMIT = 2000


class HostError(msgspec.Struct, frozen=True):
    """What a host said, read from whatever shape it came in.

    Args:
        message: for people; never empty.
        code: the host's code as text.
        kind: the host's error type, e.g. "invalid_request_error".
        param: the request field it complains about.
        retry_after_s: how long it asks to wait, seconds, where it says so in the body.
        body: the decoded body, or its text.
    """

    message: str
    code: str | None = None
    kind: str | None = None
    param: str | None = None
    retry_after_s: float | None = None
    body: object = None


def read_body(body: bytes, status: int, content_type: str = "", secrets: tuple[Secret | None, ...] = ()) -> HostError:
    """Read an error body; never fails. Text is cut after `secrets` are masked, so that no half of one is shown."""
    text = mask(body.decode("utf-8", "replace"), secrets).strip()
    if not text:
        return HostError(f"HTTP {status} with an empty body")
    try:
        found = loads(body)
    except msgspec.DecodeError:
        shown = "an HTML page" if "<html" in text[:500].lower() or "html" in content_type else repr(text[:200])
        return HostError(f"HTTP {status} with {shown} instead of JSON", body=text[:_TEXT_LIMIT])
    return read_value(found, f"HTTP {status}")


def read_value(found: object, otherwise: str) -> HostError:
    """Read a decoded error value; `otherwise` stands in for a missing message."""
    outer = found[0] if isinstance(found, list) and found else found
    inner = outer
    if isinstance(outer, dict):
        if (own := _of_minimax(outer)) is not None:
            return msgspec.structs.replace(own, message=own.message or otherwise, body=found)
        several = outer.get("errors")
        inner = outer.get("error") or (several[0] if isinstance(several, list) and several else outer)
    if isinstance(inner, str):
        said = _words(outer) if isinstance(outer, dict) else None
        if isinstance(said, str) and not any(map(str.isspace, inner)):
            return HostError(said, code=inner or None, body=found)
        return HostError(inner or otherwise, body=found)
    if not isinstance(inner, dict):
        return HostError(otherwise, body=found)
    message = _words(inner) or otherwise
    if not isinstance(message, str):
        message = msgspec.json.encode(message).decode()
    reason, wait_s = _details(inner.get("details"))
    kind = _text(inner.get("type")) or reason
    return HostError(
        message=message,
        code=_text(inner.get("code")) or _text(inner.get("status")),
        kind=None if kind == "error" else kind,  # that is the name of the event, in its flat form
        param=_text(inner.get("param")),
        retry_after_s=wait_s,
        body=found,
    )


def _words(found: dict[str, Any]) -> Any:
    """Return what an object says to people."""
    return next((said for name in _WORDS if (said := found.get(name))), None)


_WORDS = ("message", "detail", "error_description", "Message")


def is_error(found: object) -> bool:
    """Tell whether a decoded body with a 2xx status, which is no answer, reports an error."""
    return isinstance(found, dict) and (bool(found.get("error")) or _of_minimax(found) is not None)


def _of_minimax(found: dict[str, Any]) -> HostError | None:
    """Return the error in MiniMax's own status, which every answer has; 0 is none."""
    own = found.get("base_resp")
    code = own.get("status_code") if isinstance(own, dict) else None
    if not code or not isinstance(own, dict):
        return None
    return HostError(str(own.get("status_msg") or ""), code=str(code), kind=_MINIMAX.get(str(code)))


# Its codes by the words that others have for them (MiniMax API reference, Error codes, read 2026-11).
_MINIMAX = {"1002": "rate_limit_error", "1004": "authentication_error", "1008": "billing_error"}


def _details(found: object) -> tuple[str | None, float | None]:
    """Return the reason and the seconds to wait out of Google's details (google.rpc.ErrorInfo and RetryInfo)."""
    reason: str | None = None
    wait_s: float | None = None
    for detail in found if isinstance(found, list) else ():
        if isinstance(detail, dict):
            reason = reason or _text(detail.get("reason"))
            if isinstance(delay := detail.get("retryDelay"), str) and delay.endswith("s"):
                wait_s = _positive(delay[:-1], 1.0)
    return reason, wait_s


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, dict | list) else str(value)


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.BillingError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    413: errors.RequestTooLargeError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    498: errors.AuthenticationError,  # Cohere's for a token that is not valid (types of its Python package 7.3)
    503: errors.OverloadedError,
    529: errors.OverloadedError,
}
# Codes and types that say more than the status, or come without one. Source: OpenAI API reference, Responses › error
# codes; Anthropic and llama.cpp as recorded; google.rpc.ErrorInfo; read 2026-11.
_BY_CODE: dict[str, type[APIStatusError]] = {
    "context_length_exceeded": errors.ContextWindowExceededError,
    "exceed_context_size_error": errors.ContextWindowExceededError,
    "content_policy_violation": errors.ContentPolicyViolationError,
    "content_filter": errors.ContentPolicyViolationError,
    "image_content_policy_violation": errors.ContentPolicyViolationError,
    "bio_policy": errors.ContentPolicyViolationError,
    "cyber_policy": errors.ContentPolicyViolationError,
    "misalignment_policy_violation": errors.ContentPolicyViolationError,
    "insufficient_quota": errors.BillingError,
    "billing_error": errors.BillingError,
    "rate_limit_exceeded": errors.RateLimitError,
    "rate_limit_error": errors.RateLimitError,
    "too_many_requests": errors.RateLimitError,
    "overloaded_error": errors.OverloadedError,
    "server_overloaded": errors.OverloadedError,
    "unavailable_error": errors.OverloadedError,
    "server_error": errors.InternalServerError,
    "internal_error": errors.InternalServerError,
    "api_error": errors.InternalServerError,
    "vector_store_timeout": errors.InternalServerError,
    "model_not_found": errors.NotFoundError,
    "not_found_error": errors.NotFoundError,
    "authentication_error": errors.AuthenticationError,
    "invalid_api_key": errors.AuthenticationError,
    "API_KEY_INVALID": errors.AuthenticationError,  # Google's, with status 400
    "request_too_large": errors.RequestTooLargeError,
    "permission_error": errors.PermissionDeniedError,
    "invalid_prompt": errors.BadRequestError,
    "invalid_request_error": errors.BadRequestError,
    "data_residency_mismatch": errors.BadRequestError,
    # Amazon Bedrock's (botocore 1.44, `ConverseStream`), and what all of Amazon's hosts say of keys (from memory).
    "AccessDeniedException": errors.PermissionDeniedError,
    "ThrottlingException": errors.RateLimitError,
    "ModelNotReadyException": errors.OverloadedError,
    "ServiceUnavailableException": errors.OverloadedError,
    "InternalServerException": errors.InternalServerError,
    "ModelErrorException": errors.InternalServerError,
    "ModelStreamErrorException": errors.InternalServerError,
    "ResourceNotFoundException": errors.NotFoundError,
    "ValidationException": errors.BadRequestError,
    "ServiceQuotaExceededException": errors.RateLimitError,
    "UnrecognizedClientException": errors.AuthenticationError,
    "InvalidSignatureException": errors.AuthenticationError,
    "ExpiredTokenException": errors.AuthenticationError,
    "MissingAuthenticationTokenException": errors.AuthenticationError,
}

# What is called a mere "invalid_request_error" or "ValidationException" (Anthropic's and Amazon's messages in many
# public reports, 2024 to 2026).
_VAGUE = frozenset({"invalid_request_error", "ValidationException"})
_BY_WORDS: tuple[tuple[str, type[APIStatusError]], ...] = (
    ("prompt is too long: ", errors.ContextWindowExceededError),
    ("exceed context limit: ", errors.ContextWindowExceededError),
    ("Input is too long for requested model", errors.ContextWindowExceededError),
    ("credit balance is too low", errors.BillingError),
)


def _status_of(status: int, said: HostError) -> int:
    """Return the HTTP status, or inside a 200 the one that the host's code is."""
    code = said.code or ""
    if status < 400 and len(code) == 3 and code.isascii() and code.isdigit() and "400" <= code <= "599":
        return int(code)
    return status


_GENERIC = (errors.BadRequestError, errors.InternalServerError)


def class_for(status: int, said: HostError) -> type[APIStatusError]:
    """Choose the error class: by the message where the code is vague, by a telling code, by the status."""
    said_words = (said.code, said.kind)
    if status in (200, 400) and not _VAGUE.isdisjoint(said_words):
        for words, meant in _BY_WORDS:
            if words in said.message:
                return meant
    for word in said_words:
        found = _BY_CODE.get(word) if word else None
        # A generic "invalid_request_error" comes with many statuses; then the status says more.
        if found is not None and (status < 400 or found not in _GENERIC or str(word).endswith("Exception")):
            return found
    if said.code and status < 400 and "image" in said.code:
        return errors.BadRequestError
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500 or status < 300:
        return errors.InternalServerError
    return APIStatusError  # also for redirects, which are not followed: a key must not go where a host points


# Statuses at which a repeat can help. Source: OpenAI's Python package 3.54, read 2026-11.
_PASSING = frozenset({408, 409, 429})
# What a host's code says not to be passing, whatever the status.
_LASTING = (errors.BadRequestError, errors.AuthenticationError, errors.PermissionDeniedError)


def make_error(
    said: HostError,
    status: int,
    headers: Mapping[str, str],
    *,
    provider: str,
    model: str,
    secrets: tuple[Secret | None, ...] = (),
    hint: str | None = None,
) -> APIStatusError:
    """Return the typed error with all facts; the host's text without anything secret."""
    meant = _status_of(status, said)  # OpenRouter and llama.cpp put the number into the error
    cls = class_for(meant, said)
    retryable: bool | None = None
    if cls is APIStatusError or (meant >= 500 and not issubclass(cls, _LASTING)):
        retryable = meant in _PASSING or meant >= 500
    code = said.code or said.kind
    should = headers.get("x-should-retry")
    if should in ("true", "false"):
        retryable = should == "true"
    return cls(
        mask(said.message, secrets)[:_TEXT_LIMIT],
        provider=provider,
        model=model,
        status=status,
        code=None if code is None else mask(code, secrets),
        param=None if said.param is None else mask(said.param, secrets),
        retry_after_s=retry_after_s(headers) or said.retry_after_s,
        retryable=retryable,
        hint=hint or (_REDIRECTED if 300 <= status < 400 else _next_move(cls, provider, model, said.param)),
        body=_masked(said.body, secrets),
    )


_REDIRECTED = "redirects are not followed: pass the address behind it as api_base="
_HINTS: dict[type[APIStatusError], str] = {
    errors.PermissionDeniedError: "look at the host what the key may do, and whether it may use this model",
    errors.RequestTooLargeError: "send less: shorter input, fewer or smaller files",
    errors.InternalServerError: "repeat it later, or let a Fallback ask another host",
    errors.OverloadedError: "repeat it later, or let a Fallback ask another host",
    errors.BillingError: "waiting does not help: check the account's plan and quota",
    errors.RateLimitError: "wait, lower the concurrency, or raise the account's limit",
    errors.ContextWindowExceededError: "shorten the input, or take a model with a larger window",
}


def _next_move(cls: type[APIStatusError], provider: str, model: str, param: str | None) -> str | None:
    """Return what the caller can do, with the names that are in play."""
    if cls is errors.AuthenticationError:
        row = catalog.names().get(provider)
        variables = " or ".join(row.key_env) if row is not None else ""
        return f"check the key: api_key=, or {variables or 'its variable'} in the environment"
    if cls is errors.NotFoundError and model and param in (None, "model"):  # else it is a response that is not there
        return f'check the model\'s name, "{model}", whether the key may use it, and the address if it is your own'
    return _HINTS.get(cls)


def _masked(body: object, secrets: tuple[Secret | None, ...]) -> object:
    if isinstance(body, str):
        return mask(body, secrets)
    if isinstance(body, dict):
        return {mask(str(name), secrets): _masked(value, secrets) for name, value in body.items()}
    if isinstance(body, list):
        return [_masked(value, secrets) for value in body]
    return body


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a host asks to wait: `retry-after-ms`, else `retry-after` as seconds or HTTP date.

    Values that are no number and no date, zero, negative and past ones count as not said.
    """
    text = headers.get("retry-after-ms")
    if text is not None and (seconds := _positive(text, 0.001)) is not None:
        return seconds
    text = headers.get("retry-after")
    if text is None:
        return None
    return _positive(text, 1.0) or _until(text)


def _positive(text: str, unit: float) -> float | None:
    try:
        value = float(text) * unit
    except ValueError:
        return None
    return value if 0 < value < float("inf") else None


def _until(date: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        seconds = parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return seconds if seconds > 0 else None
