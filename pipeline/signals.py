"""Signals: what observers are told about a call. (The word event belongs to the API.)

Two levels: `call.*` once per call, `attempt.*` once per exchange with a host; between them repeats, other targets,
tools, a cache's answers and a stream's first event. A signal's own fields are ids, numbers and names. Content is only
where `outcome.response` leads, for observers that are meant to see it, and in those of tools on request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, TypeAlias

import msgspec

from .api.params import Operation
from .api.response_fields import Usage
from .reply import Attempt, Dropped, Meta, Outcome, OutcomeKind


class Signal(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Base of all signals.

    Args:
        call_id: id of the call, the same on all its signals.
        operation: which call of the API.
        at_s: the runtime's clock (monotonic seconds) when it happened.
    """

    name: ClassVar[str] = ""

    call_id: str
    operation: Operation
    at_s: float


class CallStarted(Signal, frozen=True, kw_only=True):
    """A call has begun.

    Args:
        model: the model as the caller wrote it.
        streamed: whether an event stream was asked for.
        parent_id: id of the watched call inside which this one was made, by a stage or a tool of it; else None.
    """

    name: ClassVar[str] = "call.start"

    model: str | None = None
    streamed: bool = False
    parent_id: str | None = None


class CallEnded(Signal, frozen=True, kw_only=True):
    """A call has ended: exactly one for each `CallStarted`.

    Args:
        outcome: how; its `response` and `error` are there for observers that want more than numbers.
        meta: target, attempts, timings, cost, dropped.
        model, streamed, parent_id: as in `CallStarted`.
    """

    name: ClassVar[str] = "call.end"

    outcome: Outcome
    meta: Meta
    model: str | None = None
    streamed: bool = False
    parent_id: str | None = None

    @property
    def kind(self) -> OutcomeKind:
        """The outcome's kind."""
        return self.outcome.kind

    @property
    def usage(self) -> Usage | None:
        """Tokens as the host reported them, of an answer that was cut too; None when it did not, which is not 0."""
        return self.outcome.usage

    @property
    def output_token_s(self) -> float | None:
        """Seconds per output token from a stream's first event to its end; None where that is not known."""
        first_s, usage = self.meta.first_event_s, self.usage
        if first_s is None or usage is None or usage.output_tokens < 1:
            return None
        return (self.meta.duration_s - first_s) / usage.output_tokens


class AttemptStarted(Signal, frozen=True, kw_only=True):
    """A host is being asked.

    Args:
        attempt: its facts so far.
    """

    name: ClassVar[str] = "attempt.start"

    attempt: Attempt


class AttemptEnded(Signal, frozen=True, kw_only=True):
    """A host has answered, or will not: exactly one for each `AttemptStarted`.

    Args:
        attempt: its facts, final.
        outcome: how it ended.
    """

    name: ClassVar[str] = "attempt.end"

    attempt: Attempt
    outcome: Outcome

    @property
    def usage(self) -> Usage | None:
        """Tokens of this attempt, as `CallEnded.usage`."""
        return self.outcome.usage


class StreamFirstEvent(Signal, frozen=True, kw_only=True):
    """The first event of a streamed answer is there.

    Args:
        after_s: seconds since the call's start.
    """

    name: ClassVar[str] = "stream.first_event"

    after_s: float


class RetryScheduled(Signal, frozen=True, kw_only=True):
    """An attempt failed for a passing reason and will be repeated.

    Args:
        attempt: number of the attempt that failed, from 1.
        delay_s: seconds until the next one.
        error: class name of the failure.
    """

    name: ClassVar[str] = "retry.scheduled"

    attempt: int
    delay_s: float
    error: str


class FallbackScheduled(Signal, frozen=True, kw_only=True):
    """A target failed and another one will be asked.

    Args:
        failed: the model string that was asked, e.g. "openai/gpt-5".
        next: the model string that comes now.
        error: class name of the failure.
    """

    name: ClassVar[str] = "fallback.scheduled"

    failed: str
    next: str
    error: str


class CacheHit(Signal, frozen=True, kw_only=True):
    """The answer was there already; no host is asked.

    Args:
        key: what the answer is kept under; a digest, no content.
        age_s: seconds since it was kept; None where the store does not know.
    """

    name: ClassVar[str] = "cache.hit"

    key: str
    age_s: float | None = None


class CacheMissed(Signal, frozen=True, kw_only=True):
    """The answer was not there; a host is asked.

    Args:
        key: as in `CacheHit`.
    """

    name: ClassVar[str] = "cache.miss"

    key: str


class CacheStored(Signal, frozen=True, kw_only=True):
    """An answer is kept for the next call like this one.

    Args:
        key: as in `CacheHit`.
    """

    name: ClassVar[str] = "cache.stored"

    key: str


class ParameterDropped(Signal, frozen=True, kw_only=True):
    """Something of the call does not reach the host.

    Args:
        dropped: what, and why; each once a call, as in `meta.dropped`.
    """

    name: ClassVar[str] = "dropped"

    dropped: Dropped


class _ToolSignal(Signal, frozen=True, kw_only=True):
    """What both signals of a tool's run say of it.

    Args:
        tool: its own name.
        server: the server's label; None for a function.
        tool_call_id: the model's id of this use.
    """

    tool: str
    server: str | None = None
    tool_call_id: str = ""

    @property
    def kind(self) -> Literal["mcp", "function"]:
        """Whether it is a server's tool, or a function of this program."""
        return "function" if self.server is None else "mcp"


class ToolStarted(_ToolSignal, frozen=True, kw_only=True):
    """A tool is being run: one of an MCP server, or a Python function.

    Args:
        arguments: JSON text as the model wrote it; only where the Tools stage was told so.
    """

    name: ClassVar[str] = "tool.start"

    arguments: str | None = None


class ToolEnded(_ToolSignal, frozen=True, kw_only=True):
    """A tool has run, or will not: exactly one for each `ToolStarted`.

    Args:
        outcome: "completed"; "failed", as the tool or its server says; "refused": an `approve` function said no;
            "timeout"; "cancelled", for the call has ended.
        duration_s: seconds from its start.
        error: what went wrong, as a class name or "tool_error"; None when nothing did.
        result: what the model was told; only where the Tools stage was told so.
    """

    name: ClassVar[str] = "tool.end"

    outcome: Literal["completed", "failed", "refused", "timeout", "cancelled"]
    duration_s: float
    error: str | None = None
    result: object = None


class ToolProgress(_ToolSignal, frozen=True, kw_only=True):
    """An MCP server tells how far a tool is. Told by the thread that reads the server, in async mode by its event loop.

    Args:
        progress, total: of it, in the server's own measure; `total` None where it does not know.
        message: in the server's words; only where the Tools stage was told so.
    """

    name: ClassVar[str] = "tool.progress"

    progress: float
    total: float | None = None
    message: str | None = None


class McpNotice(Signal, frozen=True, kw_only=True):
    """An MCP server has said something of itself while a tool of it ran. Told as `ToolProgress` is.

    Args:
        server: its label.
        kind: "log", a message of its log; "list_changed", its tools are others now.
        level: of a log message, e.g. "warning".
        data: what the message says; only where the Tools stage was told so.
    """

    name: ClassVar[str] = "mcp.notice"

    server: str
    kind: Literal["log", "list_changed"]
    level: str | None = None
    data: object = None


class ResponseSettled(Signal, frozen=True, kw_only=True):
    """A background response has come to its end, which its own call (outcome "accepted") did not wait for.

    Args:
        response_id: the id as the caller got it.
        outcome: how it ended.
        usage: tokens as the host reported them; None when it did not.
    """

    name: ClassVar[str] = "response.settled"

    response_id: str
    outcome: OutcomeKind
    usage: Usage | None = None


SIGNALS: dict[str, type[Signal]] = {
    kind.name: kind
    for kind in (
        CallStarted,
        AttemptStarted,
        StreamFirstEvent,
        AttemptEnded,
        RetryScheduled,
        FallbackScheduled,
        CacheHit,
        CacheMissed,
        CacheStored,
        ParameterDropped,
        ToolStarted,
        ToolProgress,
        McpNotice,
        ToolEnded,
        CallEnded,
        ResponseSettled,
    )
}
"""Every signal's class by its name."""

Sink: TypeAlias = Callable[[Signal], None]
