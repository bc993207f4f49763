"""Every error this library raises, split by what the caller can do about it.

    AntiphonError
    ├── SetupError                        fix the set-up: chain, stage, client, extra
    │   ├── ChainError                    a chain that cannot run: terminal, order, names
    │   │   └── NotSerializable           a chain that cannot be written down
    │   ├── StageError                    a stage that is declared or written wrongly
    │   ├── SuspendedInSync               a stage awaited foreign I/O in a sync call
    │   ├── MissingExtra                  an optional package or file is not installed
    │   ├── CassetteMiss                  a request that no recording answers
    │   ├── NetworkForbidden              a request to a host while a test forbids them
    │   ├── CheckpointMismatch            a checkpoint of another batch
    │   └── ExecutorFailed                an executor that cannot run a batch, or not to its end
    ├── CallError                         fix the call; nothing was sent
    │   ├── UnknownKeyword                also a TypeError
    │   ├── InvalidParameter              wrong type or value; also a ValueError
    │   ├── InvalidModel                  the model string names no provider
    │   ├── UnknownProvider
    │   ├── MissingKey                    no API key for this host
    │   ├── UnsupportedParameter          the host or its dialect cannot carry it
    │   └── UnsupportedOperation          the host does not serve this call of the API
    ├── GuardTripped                      a guard of the chain stopped the input or the answer
    ├── BudgetExceeded                    a budget of the chain is used up; nothing was sent
    ├── StoreError                        a store of state failed (docs/stores.md)
    │   ├── StoreUnavailable              not reached, or lost on the way
    │   ├── StoreLocked                   somebody else holds it for too long
    │   ├── StoreFull                     no room for what is to be kept
    │   ├── StoreValueTooLarge            one value over the store's bound; also a ValueError
    │   ├── StoreSchemaNewer              laid out by a newer version of this library
    │   ├── StoreUnreadable               not ours, damaged, or sealed with another key
    │   └── StoreConflict                 something else is there than the caller expects
    ├── ToolFailed                        a tool of yours raised, with tool_errors="raise"
    ├── RowFailed                         a row of a batch raised what cannot be brought here as it was
    └── APIError                          the host was asked
        ├── APIConnectionError            no (whole) answer: mostly worth a repeat
        │   ├── APITimeoutError           one of the five time limits, named; also a TimeoutError
        │   └── StreamInterrupted         a stream broke; carries the partial response
        ├── APIResponseError              an answer that is not what the API promises
        ├── OutputError                   an answer that is not what `text_format` asks for
        │   ├── OutputIncomplete          cut by a token limit or a filter
        │   ├── OutputRefused             the model refused
        │   └── OutputInvalid             no JSON, or it does not fit
        └── APIStatusError                the host said no, by status or inside a 200
            ├── BadRequestError           400
            │   ├── ContextWindowExceededError
            │   └── ContentPolicyViolationError
            ├── AuthenticationError       401
            ├── PermissionDeniedError     403
            │   └── BillingError          402, or a quota that waiting does not refill
            ├── NotFoundError             404
            ├── ConflictError             409
            ├── RequestTooLargeError      413
            ├── UnprocessableEntityError  422
            ├── RateLimitError            429
            └── InternalServerError       5xx
                └── OverloadedError       503, 529

The classes under `APIError` that OpenAI's Python package also has bear its names. Each class, those of MCP included,
has a row in docs/errors.md, to which its errors lead by `docs`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .api.response import Response
    from .reply import Meta
    from .secret import Secret

# The modules whose classes have each a row in docs/errors.md, with an anchor of the class's name.
_EXPLAINED = (__name__, f"{__name__.partition('.')[0]}.mcp.errors")


class AntiphonError(Exception):
    """Base of every error of this library.

    Args:
        message: what happened and where, with the values in it; never a secret.
        provider: name of the provider row that was asked, e.g. "openai".
        model: model as the host knows it.
        status: HTTP status; 200 when the host failed inside a successful answer.
        code: the host's own error code, always text.
        param: the request field that the host or the check complains about.
        request_id: the host's id of the exchange, for its support.
        retry_after_s: seconds the host asked to wait, when it did.
        retryable: whether the same call may succeed later; None means: as the class says.
        hint: the next move, one sentence.
        meta: facts of the whole call (attempts, timings, dropped); set when the error leaves the chain.
        response: what there is of the response, whole or partial.
    """

    retries: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        retryable: bool | None = None,
        hint: str | None = None,
        meta: Meta | None = None,
        response: Response | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.retryable = self.retries if retryable is None else retryable
        self.hint = hint
        self.meta = meta
        self.response = response

    @property
    def status_code(self) -> int | None:
        """`status`, by the name that OpenAI's and LiteLLM's errors have for it."""
        return self.status

    @property
    def llm_provider(self) -> str | None:
        """`provider`, by the name that LiteLLM's errors have for it."""
        return self.provider

    @property
    def docs(self) -> str:
        """Where the documentation explains it, e.g. "docs/errors.md#missingkey".

        A path in the repository and in the source distribution. A class from elsewhere leads to its nearest base.
        """
        explained = next(cls for cls in type(self).__mro__ if cls.__module__ in _EXPLAINED)
        return f"docs/errors.md#{explained.__name__.lower()}"

    @property
    def attempts(self) -> int:
        """How many times the host was asked in this call, the failed one included."""
        return len(self.meta.attempts) if self.meta else 0

    def hide(self, secrets: Iterable[Secret | str]) -> None:
        """Mask these in all that the error says, but for whom it is about."""
        from .secret import mask  # which raises errors of this tree

        hidden = list(secrets)

        def masked(value: Any) -> Any:
            if isinstance(value, str):
                return mask(value, hidden)
            if isinstance(value, dict):
                return {masked(name): masked(one) for name, one in value.items()}
            return [masked(one) for one in value] if isinstance(value, list) else value

        for name, value in vars(self).items():
            if isinstance(value, (str, dict, list)) and name not in ("provider", "model"):
                setattr(self, name, masked(value))
        self.args = tuple(masked(value) for value in self.args)

    def __str__(self) -> str:
        facts = [
            f"{name}={value}"
            for name in ("provider", "model", "status", "code", "param", "request_id")
            if (value := getattr(self, name)) is not None
        ]
        text = self.message
        if facts:
            text += f" [{' '.join(facts)}]"
        lines = {"hint": self.hint, **self._more(), "see": self.docs}
        return "\n  ".join([text, *(f"{name}: {line}" for name, line in lines.items() if line)])

    def _more(self) -> dict[str, str]:
        """Return what a class shows beside the hint, by the word before it."""
        return {}

    def _repr_html_(self) -> str:
        from .pictures.notebook import error_page

        return error_page(self)

    def __reduce__(self) -> tuple[object, ...]:
        return rebuild, (type(self), self.message, self.__dict__)


def rebuild(cls: type[AntiphonError], message: str, state: dict[str, object]) -> AntiphonError:
    """Return an error with these attributes, as it was elsewhere; its own constructor is not asked."""
    error = cls.__new__(cls, message)
    Exception.__init__(error, message)
    error.__dict__.update(state)
    return error


class SetupError(AntiphonError):
    """The chain, a stage, the client or the installation needs a change."""


class ChainError(SetupError):
    """A chain that cannot run: no terminal, wrong order, unknown or repeated names."""


class NotSerializable(ChainError):
    """A stage or a bound value of a chain that has no form in a file; the message names it."""


class StageError(SetupError):
    """A stage that is declared wrongly, holds a wrong value, or breaks the stage contract."""


class SuspendedInSync(SetupError):
    """A stage awaited something other than the runtime's methods in a sync call."""


class MissingExtra(SetupError):
    """An optional package or file is needed and not there."""


class NetworkForbidden(SetupError):
    """A request was about to leave while `antiphon.testing.no_network` forbids it; nothing was sent."""


class CassetteMiss(SetupError):
    """A Replay stage has no recorded answer for a request; the message says what is nearest."""


class CheckpointMismatch(SetupError):
    """A checkpoint was begun with another chain, other keywords or other rows; the message says which."""


class ExecutorFailed(SetupError):
    """An executor lost a worker, was shut down, or could not begin; rows that had come back are kept."""


class CallError(AntiphonError):
    """The call is wrong; nothing was sent."""


class UnknownKeyword(CallError, TypeError):
    """A keyword that neither the API nor any stage of this chain knows."""


class InvalidParameter(CallError, ValueError):
    """A parameter of the wrong type or with a value outside its range."""


class InvalidModel(CallError, ValueError):
    """A model string from which no provider and model can be read."""


class UnknownProvider(CallError, ValueError):
    """A provider name that is not in the catalogue."""


class MissingKey(CallError):
    """No API key for this host, neither in the call nor in the environment."""


class UnsupportedParameter(CallError, ValueError):
    """A parameter that the target cannot carry, with `drop="error"` or of a kind that must not be dropped."""


class UnsupportedOperation(CallError):
    """A call of the API that the target does not serve."""


class GuardTripped(AntiphonError):
    """A Guard stage stopped a call.

    Args:
        reason: what the check said.
        side: "input": nothing was sent; "output": `response` has the answer that did not pass.
    """

    def __init__(self, message: str, *, reason: str = "", side: str = "", **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.reason = reason
        self.side = side


class BudgetExceeded(AntiphonError):
    """A Budget stage refused a call; nothing was sent. `retry_after_s` is there where the budget comes back by itself.

    Args:
        unit: "tokens" or "dollars".
        limit: how many there are.
        used: how many have been used.
        held: how many are held back for calls that go on.
        resets_at: when the budget is whole again, seconds of the wall clock; None: never.
    """

    def __init__(
        self,
        message: str,
        *,
        unit: str = "",
        limit: float = 0.0,
        used: float = 0.0,
        held: float = 0.0,
        resets_at: float | None = None,
        **facts: object,
    ) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.unit = unit
        self.limit = limit
        self.used = used
        self.held = held
        self.resets_at = resets_at


class StoreError(AntiphonError):
    """A store of state could not do what it was asked. No message names a key's value or a password."""


class StoreUnavailable(StoreError):
    """The store was not reached, refused us, or was lost on the way.

    Args:
        is_fate_unknown: a write was sent and its answer never came: it may be done or not. It is not repeated.
    """

    retries: ClassVar[bool] = True

    def __init__(self, message: str, *, is_fate_unknown: bool = False, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.is_fate_unknown = is_fate_unknown


class StoreLocked(StoreError):
    """Another process or transaction held what was needed for longer than the store waits; nothing was done."""

    retries: ClassVar[bool] = True


class StoreFull(StoreError):
    """There is no room for it: the disk, the server's memory or the store's own bound; nothing was done."""


class StoreValueTooLarge(StoreError, ValueError):
    """One value is over the store's `max_bytes`; nothing was done."""


class StoreSchemaNewer(StoreError):
    """A newer version of this library has laid the store out; it is left as it is."""


class StoreUnreadable(StoreError):
    """What is there is not ours, is damaged, or was sealed with another key."""


class StoreConflict(StoreError):
    """Something else is there than the caller expects; nothing was done.

    Args:
        expected: the version or log length that the caller gave.
        found: what is there, where the store says so; 0 for nothing.
    """

    def __init__(self, message: str, *, expected: int = 0, found: int | None = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.expected = expected
        self.found = found


class ToolFailed(AntiphonError):
    """A Python function that the model called has raised. The exception is the `__cause__`, `response` what had come.

    Args:
        tool: its name.
    """

    def __init__(self, message: str, *, tool: str = "", **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.tool = tool


class RowFailed(AntiphonError):
    """A row of a batch raised, in a worker or in an earlier run, an error that cannot be brought here as it was.

    Args:
        kind: the class of that error.
    """

    def __init__(self, message: str, *, kind: str = "", **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.kind = kind


class APIError(AntiphonError):
    """The host was asked, and no good answer came of it."""


class APIConnectionError(APIError):
    """No whole answer: refused, reset, cut or unreadable.

    Args:
        reused_connection: whether the exchange ran on a kept-alive connection, which the host may just have closed.
        response_started: whether any byte of the answer had come.
        request_sent: False when no connection was made, so that the host has got nothing.
    """

    retries: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        reused_connection: bool = False,
        response_started: bool = False,
        request_sent: bool = True,
        **facts: object,
    ) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.reused_connection = reused_connection
        self.response_started = response_started
        self.request_sent = request_sent


class APITimeoutError(APIConnectionError, TimeoutError):
    """A time limit ran out.

    Args:
        limit: which: "total", "connect", "first_event", "idle" or "pool" (waiting for a free connection).
        limit_s: its length, seconds.
    """

    def __init__(self, message: str, *, limit: str = "total", limit_s: float = 0.0, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.limit = limit
        self.limit_s = limit_s


class StreamInterrupted(APIConnectionError):
    """A stream ended before its terminal event. `response` holds what had come until then."""


class APIResponseError(APIError):
    """An answer that is not what the API promises: no JSON, the wrong shape, over a size limit."""


class OutputError(APIError):
    """An answer came, and is not what `text_format` asks for. `response` holds it, whole.

    The message names no content, since messages are logged; `str(error)` does.
    """


class OutputIncomplete(OutputError):
    """The answer was cut before its end.

    Args:
        reason: as `response.incomplete_details` says, e.g. "max_output_tokens" or "content_filter".
    """

    def __init__(self, message: str, *, reason: str | None = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.reason = reason


class OutputRefused(OutputError):
    """The model refused to answer.

    Args:
        refusal: its explanation.
    """

    def __init__(self, message: str, *, refusal: str = "", **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.refusal = refusal

    def _more(self) -> dict[str, str]:
        return {"refusal": self.refusal}


class OutputInvalid(OutputError):
    """The answer is no JSON, or JSON that does not fit.

    Args:
        text: what the model wrote.
        validation: what is wrong with it, in the words of the check.
    """

    def __init__(self, message: str, *, text: str = "", validation: str = "", **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.text = text
        self.validation = validation

    def _more(self) -> dict[str, str]:
        return {"validation": self.validation}


class APIStatusError(APIError):
    """The host refused or failed, by its HTTP status or inside a 200.

    Args:
        body: the error body as it came, decoded where it was JSON; long text is cut.
    """

    def __init__(self, message: str, *, body: object = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.body = body


class BadRequestError(APIStatusError):
    """400: the host does not accept the request."""


class ContextWindowExceededError(BadRequestError):
    """The input is longer than the model can take."""


class ContentPolicyViolationError(BadRequestError):
    """The host's content policy refused input or output."""


class AuthenticationError(APIStatusError):
    """401: the key is missing, wrong or expired."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class BillingError(PermissionDeniedError):
    """402, or a quota that waiting does not refill."""


class NotFoundError(APIStatusError):
    """404: no such model, response or route."""


class ConflictError(APIStatusError):
    """409: the resource is in another state; the host may accept a repeat."""

    retries: ClassVar[bool] = True


class RequestTooLargeError(APIStatusError):
    """413: the body is larger than the host takes."""


class UnprocessableEntityError(APIStatusError):
    """422: well-formed, and still not acceptable."""


class RateLimitError(APIStatusError):
    """429: too many requests or tokens for now."""

    retries: ClassVar[bool] = True


class InternalServerError(APIStatusError):
    """5xx: the host failed."""

    retries: ClassVar[bool] = True


class OverloadedError(InternalServerError):
    """503 or 529: the host has no capacity for now."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean "x"?` for the closest of `known`, or "" when nothing is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def message_of(error: BaseException) -> str:
    """Return what an error says, in one line where it is of this library: no facts, no hint, no place to look."""
    return error.message if isinstance(error, AntiphonError) else str(error)


def forget_frames(error: BaseException | None) -> None:
    """Take the traceback from an error that was dealt with, and from those behind it.

    Whoever keeps the error keeps all frames of its traceback, their callers' and what these hold when they end.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
