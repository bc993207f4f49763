"""From an error to what an HTTP caller is told of it: a status, and the API's error body.

A caller is told what is wrong with its call, and what the model's host said. What is wrong with the server, its set-up,
stores, keys and addresses, is the server's own: it is logged, and the caller learns no more than that.

Source of the body and of the names of types and codes: OpenAI API reference, error codes, and what its Python package
3.54 reads, 2026-11.
"""

from __future__ import annotations

import math

import msgspec

from ..mcp.errors import McpError
from ..pipeline import errors as e
from ..pipeline.api.wire import encode
from ..pipeline.secret import mask


class Refused(Exception):
    """A request that never becomes a call.

    Args:
        status: of HTTP.
        message: for the caller.
        code: the API's word for it.
        param: the field that is wrong.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.refusal = Refusal(status, message, code, param, headers)


class Refusal(msgspec.Struct, frozen=True):
    """What the caller is told.

    Args:
        status: of HTTP.
        message: for people.
        code: the API's word for it, None where it has none.
        param: the field that is wrong.
        headers: further headers of the answer.
        is_ours: whether the message keeps something back, so that the server's log has to say it.
    """

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    is_ours: bool = False

    @property
    def type(self) -> str:
        """The API's kind of error."""
        return _TYPES.get(self.status) or ("server_error" if self.status >= 500 else "invalid_request_error")

    def body(self) -> bytes:
        """Return the API's error body."""
        fields = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return encode({"error": fields})

    def failure(self) -> dict[str, str]:
        """Return the `error` of a response that failed; hosts know few codes there."""
        return {
            "code": "rate_limit_exceeded" if self.status == 429 else self.code or "server_error",
            "message": self.message,
        }


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

_OURS = "the server failed; its log has this request's id"
_UNREACHED = "the model's host could not be reached, or broke off"

# Class → status, code ("" for the error's own), message (None for the error's own). The first one that fits counts.
_ANSWERS: tuple[tuple[type[Exception], int, str, str | None], ...] = (
    (e.UnknownKeyword, 400, "unknown_parameter", None),
    (e.InvalidModel, 404, "model_not_found", None),
    (e.UnknownProvider, 404, "model_not_found", None),
    (e.MissingKey, 500, "server_error", "the server has no key for this model's host"),
    (e.UnsupportedParameter, 400, "unsupported_parameter", None),
    (e.UnsupportedOperation, 400, "unsupported_operation", None),
    (e.CallError, 400, "invalid_value", None),
    (e.GuardTripped, 400, "content_policy_violation", None),
    (e.BudgetExceeded, 429, "insufficient_quota", "the budget for these calls is used up"),
    (e.StoreUnavailable, 503, "server_error", _OURS),
    (e.StoreLocked, 503, "server_error", _OURS),
    (McpError, 502, "server_error", "a server of tools failed"),
    (e.APITimeoutError, 504, "timeout", "the model's host took too long"),
    (e.APIConnectionError, 502, "server_error", _UNREACHED),
    (e.APIResponseError, 502, "server_error", "the model's host gave an answer that is not what the API promises"),
    (e.OutputError, 502, "invalid_output", None),
    # Whose key it is the caller cannot know, and the host's words may hold a part of it.
    (e.AuthenticationError, 502, "server_error", "the model's host refused the server's key"),
    (e.ContextWindowExceededError, 400, "context_length_exceeded", None),
    (e.ContentPolicyViolationError, 400, "content_policy_violation", None),
    (e.BillingError, 429, "insufficient_quota", "the account at the model's host has no quota left"),
    (e.BadRequestError, 400, "", None),
    (e.PermissionDeniedError, 403, "", None),
    (e.NotFoundError, 404, "", None),
    (e.ConflictError, 409, "", None),
    (e.RequestTooLargeError, 413, "", None),
    (e.UnprocessableEntityError, 422, "", None),
    (e.RateLimitError, 429, "rate_limit_exceeded", None),
    (e.OverloadedError, 503, "", None),
    (e.InternalServerError, 500, "", None),
    (e.APIError, 502, "", None),
)

# Of all others of a host, its own status says more than the class, e.g. 529 of an OverloadedError.
_SETTLED = (e.AuthenticationError, e.BillingError)


def refusal_of(error: Exception, *, callers_key: bool = False) -> Refusal:
    """Return what a caller is told of an error.

    Args:
        callers_key: whether keys of hosts come with the calls, so that their refusal is the caller's to know.
    """
    if isinstance(error, Refused):
        return error.refusal
    if callers_key and isinstance(error, e.AuthenticationError):
        return Refusal(401, error.message, error.code, error.param)
    found = next((answer for answer in _ANSWERS if isinstance(error, answer[0])), None)
    if found is None or not isinstance(error, e.AntiphonError):
        return Refusal(500, _OURS, "server_error", headers=_NO_REPEAT, is_ours=True)
    _, status, code, message = found
    own = error.status or 0
    if isinstance(error, e.APIStatusError) and not isinstance(error, _SETTLED) and 400 <= own < 600:
        status = own
    return Refusal(
        status,
        error.message if message is None else message,
        code or error.code,
        error.param,
        _when_to_repeat(error, status),
        is_ours=message is not None and not isinstance(error, e.BudgetExceeded),
    )


_NO_REPEAT = (("x-should-retry", "false"),)


def _when_to_repeat(error: e.AntiphonError, status: int) -> tuple[tuple[str, str], ...]:
    """Return the headers by which OpenAI's clients decide whether and when to ask again."""
    wait_s = error.retry_after_s
    if wait_s is not None:
        return (("retry-after", str(math.ceil(wait_s))), ("retry-after-ms", str(math.ceil(wait_s * 1000))))
    may_repeat = status in (408, 409, 429) or status >= 500
    return _NO_REPEAT if may_repeat and not error.retryable else ()


def told(error: Exception, request_id: str, *, callers_key: bool = False) -> Refusal:
    """Return what the caller is told, and tell the server's log the rest of what is the server's own."""
    refusal = refusal_of(error, callers_key=callers_key)
    if refusal.is_ours:
        import logging
        import traceback

        is_known = isinstance(error, e.AntiphonError)
        text = f"{type(error).__name__}: {error}" if is_known else "".join(traceback.format_exception(error))
        logging.getLogger("antiphon").error("request %s failed: %s", request_id, mask(text.rstrip()))
    return refusal
