"""One line a call, for people and machines."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Literal

from ..pipeline.api.response import Response
from ..pipeline.api.wire import encode_loosely
from ..pipeline.errors import message_of
from ..pipeline.logging_output import DEBUG, ERROR, INFO, Line, configure_logging, is_enabled, write
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.secret import mask
from ..pipeline.signals import (
    AttemptEnded,
    CacheHit,
    CallEnded,
    FallbackScheduled,
    ResponseSettled,
    RetryScheduled,
    Signal,
    ToolEnded,
)
from ..pipeline.stage import Stage
from ..pipeline.watch import watch

__all__ = ["Log", "configure_logging"]


class Log(Stage, frozen=True):
    """Write one wide line at the end of each call, and at debug level one for each attempt, repeat and tool.

    Silent, and free, until logging for "antiphon" is enabled at info level: by `antiphon.configure_logging()` or by
    the standard library's `logging`. Lines carry ids, names, numbers and outcomes, and what the caller bound by
    `structlog.contextvars`; never keys, and no content unless asked.

    Args:
        content: "none"; "hash" for digests of input and output, by which equal ones are found; "full" for both as
            they are, but for what looks like a key.
    """

    content: Literal["none", "hash", "full"] = "none"

    sets = ()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if not is_enabled(INFO):
            return await call_next(request)
        # Only the end matters then; but of a background response the later end too, for which one has to listen.
        ends_only = not is_enabled(DEBUG) and not request.param("background")
        return await watch(request, call_next, (partial(_write, request, self.content),), ends_only=ends_only)


def _write(request: Request, content: str, signal: Signal) -> None:
    if isinstance(signal, CallEnded):
        write(_call(request, content, signal))
    elif isinstance(signal, ResponseSettled):
        usage = signal.usage
        write(
            _SettledLine(
                level=INFO,
                event="settled",
                call_id=signal.call_id,
                response_id=signal.response_id,
                outcome=signal.outcome,
                input_tokens=None if usage is None else usage.input_tokens,
                output_tokens=None if usage is None else usage.output_tokens,
            )
        )
    elif is_enabled(DEBUG) and (line := _detail(signal)) is not None:
        write(line)


class _CallLine(Line, kw_only=True):
    operation: str
    outcome: str
    provider: str | None = None
    model: str | None = None
    streamed: bool = False
    status: int | None = None
    duration_ms: float
    first_event_ms: float | None = None
    attempts: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    request_id: str | None = None
    parent_id: str | None = None
    dropped: list[str] | None = None
    error: str | None = None
    message: str | None = None
    instructions: str | None = None
    input: str | None = None
    output: str | None = None
    instructions_sha256: str | None = None
    input_sha256: str | None = None
    output_sha256: str | None = None


class _SettledLine(Line, kw_only=True):
    response_id: str
    outcome: str
    input_tokens: int | None = None
    output_tokens: int | None = None


class _AttemptLine(Line, kw_only=True):
    number: int
    provider: str
    model: str
    outcome: str
    error: str | None = None
    status: int | None = None
    request_id: str | None = None
    duration_ms: float | None = None
    queued_ms: float | None = None
    connect_ms: float | None = None
    first_event_ms: float | None = None


class _RetryLine(Line, kw_only=True):
    attempt: int
    delay_s: float
    error: str


class _FallbackLine(Line, kw_only=True):
    failed: str
    next: str
    error: str


class _CacheLine(Line, kw_only=True):
    key: str
    age_s: float | None = None


class _ToolLine(Line, kw_only=True):
    tool: str
    tool_call_id: str
    kind: str
    outcome: str
    duration_ms: float
    server: str | None = None
    error: str | None = None


def _call(request: Request, content: str, signal: CallEnded) -> _CallLine:
    meta, outcome = signal.meta, signal.outcome
    usage, error = outcome.usage, outcome.error
    line = _CallLine(
        level=ERROR if outcome.kind == "failed" else INFO,
        event="call",
        call_id=signal.call_id,
        operation=signal.operation,
        outcome=outcome.kind,
        provider=meta.provider,
        model=meta.model or signal.model,
        streamed=signal.streamed,
        status=meta.status,
        duration_ms=round(meta.duration_s * 1000, 1),
        first_event_ms=_ms(meta.first_event_s),
        attempts=len(meta.attempts),
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        cost=meta.cost,
    )
    line.request_id, line.parent_id = meta.request_id, signal.parent_id
    if meta.dropped:
        line.dropped = [item.name for item in meta.dropped]
    if error is not None:
        line.error = type(error).__name__
        line.message = mask(message_of(error), request.secrets())[:500] or None
    if content != "none":
        for name, value in _content(request, outcome.response, content).items():
            setattr(line, name, value)
    return line


def _detail(signal: Signal) -> Line | None:
    """Return the line of a signal that is told at debug level only."""
    call_id = signal.call_id
    match signal:
        case AttemptEnded():
            one = signal.attempt
            return _AttemptLine(
                level=DEBUG,
                event="attempt",
                call_id=call_id,
                number=one.number,
                provider=one.provider,
                model=one.model,
                outcome=one.outcome,
                error=one.error,
                status=one.status,
                request_id=one.request_id,
                duration_ms=_ms(one.duration_s),
                queued_ms=_ms(one.queued_s),
                connect_ms=_ms(one.connect_s),
                first_event_ms=_ms(one.first_event_s),
            )
        case RetryScheduled():
            delay_s = round(signal.delay_s, 3)
            return _RetryLine(
                level=DEBUG,
                event="retry",
                call_id=call_id,
                attempt=signal.attempt,
                delay_s=delay_s,
                error=signal.error,
            )
        case FallbackScheduled():
            return _FallbackLine(
                level=DEBUG,
                event="fallback",
                call_id=call_id,
                failed=signal.failed,
                next=signal.next,
                error=signal.error,
            )
        case CacheHit():
            return _CacheLine(level=DEBUG, event="cache_hit", call_id=call_id, key=signal.key, age_s=signal.age_s)
        case ToolEnded():
            return _ToolLine(
                level=DEBUG,
                event="tool",
                call_id=call_id,
                tool=signal.tool,
                tool_call_id=signal.tool_call_id,
                kind=signal.kind,
                outcome=signal.outcome,
                duration_ms=round(signal.duration_s * 1000, 1),
                server=signal.server,
                error=signal.error,
            )
        case _:
            return None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def _content(request: Request, response: Response | None, how: str) -> dict[str, str]:
    """Return the call's input and output, or their digests."""
    secrets = request.secrets()
    found = {
        "instructions": request.param("instructions"),
        "input": request.param("input"),
        "output": _output(response),
    }
    shown: dict[str, str] = {}
    for name, value in found.items():
        if value is None:
            continue
        text = value if isinstance(value, str) else encode_loosely(value).decode()
        if how == "full":
            shown[name] = mask(text, secrets)
        else:
            shown[f"{name}_sha256"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return shown


def _output(response: Response | None) -> object:
    """Return the text where that is all, else the items."""
    if response is None or not response.output:
        return None
    if all(item.type == "message" for item in response.output):
        return response.output_text
    return list(response.output)
