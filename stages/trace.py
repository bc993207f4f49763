"""A file of what calls did: one line of JSON a call, for `antiphon trace` and for tools of your own.

    client = antiphon.Client(hooks=[antiphon.Trace("run.jsonl")])     # or antiphon.Observe(antiphon.Trace(...))

A line is an object with the fields of `CallRecord`. Times are seconds; those of attempts, tools and stages count from
the call's start. There is no content in it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, overload

import msgspec

from ..pipeline.api.half_characters import encode_whole
from ..pipeline.api.response_fields import Usage
from ..pipeline.errors import AntiphonError, SetupError
from ..pipeline.file_folder import check_folder
from ..pipeline.reply import StageTime
from ..pipeline.secret import mask
from ..pipeline.signals import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    ResponseSettled,
    Signal,
    ToolEnded,
)


class Span(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One bar of a call's waterfall.

    Args:
        name: of the stage, "provider/model" of an attempt, or the tool.
        start_s, end_s: from the call's start.
        outcome, error, status: how an attempt or tool ended.
        own_s, waited_s: of a stage, as in `StageTime`.
        queued_s, connect_s, first_event_s: of an attempt, as in `Attempt`.
        calls: how often a stage was entered.
        server: of an MCP tool.
    """

    name: str
    start_s: float
    end_s: float
    outcome: str | None = None
    error: str | None = None
    status: int | None = None
    own_s: float | None = None
    waited_s: float | None = None
    queued_s: float | None = None
    connect_s: float | None = None
    first_event_s: float | None = None
    calls: int | None = None
    server: str | None = None


class CallRecord(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One call; one line of the file.

    The later end of a background response is a record too: operation "response.settled", inside of the call that
    began it, with the outcome and the tokens that the call could not know.

    Args:
        call_id, parent_id, operation: as in `CallEnded`.
        started: time of day, seconds since 1970 (UTC).
        model: as the caller wrote it; `provider` and `asked` as the host was asked.
        outcome, error, message: how it ended; `message` is masked.
        duration_s, first_event_s, cost, cost_source: as in `Meta`.
        input_tokens, output_tokens, cached_tokens, reasoning_tokens: as the host reported them.
        stages, attempts, tools: what happened inside, in order.
    """

    call_id: str
    operation: str
    started: float
    duration_s: float
    outcome: str
    model: str | None = None
    provider: str | None = None
    asked: str | None = None
    parent_id: str | None = None
    streamed: bool = False
    status: int | None = None
    error: str | None = None
    message: str | None = None
    request_id: str | None = None
    response_id: str | None = None
    first_event_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | None = None
    cost_source: str | None = None
    dropped: list[str] = []
    stages: list[Span] = []
    attempts: list[Span] = []
    tools: list[Span] = []


class Trace:
    """A hook that appends each finished call to a file. Safe between threads and processes: a line is one write.

    Args:
        path: the file; made when the first call ends, appended to when it is there.

    Raises:
        InvalidParameter: the file's folder is not there.
    """

    wants_stage_times = True

    _file: int | None = None

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        check_folder(self._path, f"trace {path}", "path")
        self._lock = threading.Lock()
        self._open: dict[str, _OpenCall] = {}

    def __call__(self, signal: Signal) -> None:
        match signal:
            case CallStarted():
                self._open[signal.call_id] = _OpenCall()
            case AttemptStarted():
                if (call := self._open.get(signal.call_id)) is not None:
                    call.begun[signal.attempt.number] = signal.at_s
            case AttemptEnded():
                if (call := self._open.get(signal.call_id)) is not None:
                    call.attempts.append(signal)
            case ToolEnded():
                if (call := self._open.get(signal.call_id)) is not None:
                    call.tools.append(signal)
            case CallEnded():
                if (call := self._open.pop(signal.call_id, None)) is not None:
                    self._write(call.record(signal))
            case ResponseSettled():
                self._write(_settled(signal))
            case _:
                pass

    def _write(self, record: CallRecord) -> None:
        line = encode_whole(record) + b"\n"
        with self._lock:
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(self._file, line)

    def close(self) -> None:
        """Close the file. Idempotent; a call that ends later opens it again."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def __del__(self) -> None:
        if self._file is not None:
            self.close()

    def __repr__(self) -> str:
        return f"Trace({str(self._path)!r})"


class _OpenCall:
    """What is known of a call that goes on: the ends of its attempts and tools."""

    __slots__ = ("attempts", "begun", "tools")

    def __init__(self) -> None:
        self.begun: dict[int, float] = {}
        self.attempts: list[AttemptEnded] = []
        self.tools: list[ToolEnded] = []

    def record(self, signal: CallEnded) -> CallRecord:
        meta, outcome = signal.meta, signal.outcome
        error, start_s = outcome.error, signal.at_s - meta.duration_s
        return CallRecord(
            call_id=signal.call_id,
            operation=signal.operation,
            started=_rounded(time.time() - meta.duration_s),
            duration_s=_rounded(meta.duration_s),
            outcome=outcome.kind,
            model=signal.model,
            provider=meta.provider,
            asked=meta.model,
            parent_id=signal.parent_id,
            streamed=signal.streamed,
            status=meta.status,
            error=None if error is None else type(error).__name__,
            # Of a foreign exception only its class: nobody has looked at what its text holds.
            message=mask(error.message)[:500] if isinstance(error, AntiphonError) else None,
            request_id=meta.request_id,
            response_id=outcome.response.id if outcome.response is not None else None,
            first_event_s=_rounded(meta.first_event_s),
            **_tokens(signal.usage),
            cost=meta.cost,
            cost_source=meta.cost_source,
            dropped=[item.name for item in meta.dropped],
            stages=[_stage(stage) for stage in meta.stages],
            attempts=[self._attempt(one, start_s) for one in self.attempts],
            tools=[_tool(tool, start_s) for tool in self.tools],
        )

    def _attempt(self, signal: AttemptEnded, start_s: float) -> Span:
        one = signal.attempt
        return Span(
            name=f"{one.provider}/{one.model}",
            start_s=_rounded(self.begun.get(one.number, signal.at_s) - start_s),
            end_s=_rounded(signal.at_s - start_s),
            outcome=one.outcome,
            error=one.error,
            status=one.status,
            queued_s=_rounded(one.queued_s),
            connect_s=_rounded(one.connect_s),
            first_event_s=_rounded(one.first_event_s),
        )


def _settled(signal: ResponseSettled) -> CallRecord:
    return CallRecord(
        call_id=f"{signal.call_id}.settled",
        parent_id=signal.call_id,
        operation=signal.name,
        started=_rounded(time.time()),
        duration_s=0.0,
        outcome=signal.outcome,
        response_id=signal.response_id,
        **_tokens(signal.usage),
    )


def _tokens(usage: Usage | None) -> dict[str, Any]:
    if usage is None:
        return {}
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.input_tokens_details.cached_tokens,
        "reasoning_tokens": usage.output_tokens_details.reasoning_tokens,
    }


def _tool(signal: ToolEnded, start_s: float) -> Span:
    end_s = signal.at_s - start_s
    return Span(
        name=signal.tool,
        start_s=_rounded(max(0.0, end_s - signal.duration_s)),
        end_s=_rounded(end_s),
        outcome=signal.outcome,
        error=signal.error,
        server=signal.server,
    )


def _stage(stage: StageTime) -> Span:
    return Span(
        name=stage.name,
        start_s=_rounded(stage.entered_s),
        end_s=_rounded(stage.left_s),
        own_s=_rounded(stage.own_s),
        waited_s=_rounded(stage.waited_s),
        calls=stage.calls,
    )


@overload
def _rounded(seconds: float) -> float: ...
@overload
def _rounded(seconds: float | None) -> float | None: ...
def _rounded(seconds: float | None) -> float | None:
    """Return microseconds' precision: more would double the file."""
    return None if seconds is None else round(seconds, 6)


def read_trace(lines: Iterable[bytes]) -> list[CallRecord]:
    """Read the lines of a trace file; a last line that is not whole yet is left out.

    Raises:
        SetupError: a line in the middle is no call.
    """
    found: list[CallRecord] = []
    broken: tuple[int, Exception] | None = None
    decode = msgspec.json.Decoder(CallRecord).decode
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if broken is not None:
            raise SetupError(f"line {broken[0]} of the trace is no call: {broken[1]}") from broken[1]
        try:
            found.append(decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            broken = number, error
    return found
