"""Signals: what observers are told about a call. (The word event belongs to the API.)

Two levels: `call.*` once per call, `attempt.*` once per exchange with a host; between them retries, a stream's first
event, and `tool.*` for each tool that runs. A signal carries ids, numbers and outcomes; content only on request.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, TypeAlias

import msgspec

from .params import Operation
from .reply import Attempt, Meta, Outcome, OutcomeKind
from .response import Usage


class Signal(msgspec.Struct, frozen=True, kw_only=True):
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
    """

    name: ClassVar[str] = "call.start"

    model: str | None = None
    streamed: bool = False


class CallEnded(Signal, frozen=True, kw_only=True):
    """A call has ended: exactly one for each `CallStarted`.

    Args:
        outcome: how; its `response` and `error` are there for observers that want more than numbers.
        meta: provider, attempts, timings, dropped.
        usage: tokens as the host reported them; None when it did not.
        model: the model as the caller wrote it.
        streamed: whether an event stream was asked for.
    """

    name: ClassVar[str] = "call.end"

    outcome: Outcome
    meta: Meta
    usage: Usage | None = None
    model: str | None = None
    streamed: bool = False

    @property
    def kind(self) -> OutcomeKind:
        """The outcome's kind."""
        return self.outcome.kind


class AttemptStarted(Signal, frozen=True, kw_only=True):
    """A host is being asked."""

    name: ClassVar[str] = "attempt.start"

    attempt: Attempt


class AttemptEnded(Signal, frozen=True, kw_only=True):
    """A host has answered, or will not: exactly one for each `AttemptStarted`."""

    name: ClassVar[str] = "attempt.end"

    attempt: Attempt


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


class ToolStarted(Signal, frozen=True, kw_only=True):
    """A tool is being run: one of an MCP server, or a Python function.

    Args:
        tool: its own name.
        server: the server's label; None for a function.
        tool_call_id: the model's id of this use.
        arguments: JSON text as the model wrote it; only where the Tools stage was told so.
    """

    name: ClassVar[str] = "tool.start"

    tool: str
    server: str | None = None
    tool_call_id: str = ""
    arguments: str | None = None


class ToolEnded(Signal, frozen=True, kw_only=True):
    """A tool has run, or will not: exactly one for each `ToolStarted`.

    Args:
        tool, server, tool_call_id: as when it started.
        outcome: "completed"; "failed", as the tool or its server says; "refused": an `approve` function said no;
            "timeout"; "cancelled", for the call has ended.
        duration_s: seconds from its start.
        error: what went wrong, as a class name or "tool_error"; None when nothing did.
        result: what the model was told; only where the Tools stage was told so.
    """

    name: ClassVar[str] = "tool.end"

    tool: str
    server: str | None = None
    tool_call_id: str = ""
    outcome: Literal["completed", "failed", "refused", "timeout", "cancelled"]
    duration_s: float
    error: str | None = None
    result: object = None


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


Sink: TypeAlias = Callable[[Signal], None]
