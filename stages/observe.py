"""Call the user's functions as a call goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase

from ..pipeline.context import CallContext
from ..pipeline.errors import StageError, did_you_mean
from ..pipeline.hook_queue import Hook, runs_in_place, wants_stage_times
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.signals import (
    SIGNALS,
    AttemptEnded,
    AttemptStarted,
    CacheHit,
    CacheMissed,
    CacheStored,
    CallEnded,
    CallStarted,
    FallbackScheduled,
    McpNotice,
    ParameterDropped,
    ResponseSettled,
    RetryScheduled,
    Signal,
    Sink,
    StreamFirstEvent,
    ToolEnded,
    ToolProgress,
    ToolStarted,
)
from ..pipeline.stage import Scope, Stage
from ..pipeline.watch import watch


class Observe(Stage, frozen=True):
    """Tell functions of a call's start, its attempts, its tools and its one end.

    What it sees is what stands inside it: outside Retry the call with all its attempts, inside Retry every attempt as
    a call of its own. Each start has exactly one end, also when a stream is left early, dropped or cancelled. A
    hook's error never reaches the call; the client counts it (`client.hook_errors`) and warns once.

    Plain functions run in place. Async ones, and those marked by `in_background`, run beside the call; the client's
    `flush` and `aflush` wait for them.

    Args:
        on_signal: gets every signal; the others get those of their name.
        on_call_start, on_call_end: `CallStarted`, `CallEnded` (outcome, usage, meta).
        on_attempt_start, on_attempt_end: one exchange with a host.
        on_stream_first_event: `StreamFirstEvent` (after_s).
        on_retry: `RetryScheduled` (delay_s, error).
        on_fallback: `FallbackScheduled` (failed, next, error).
        on_cache: `CacheHit`, `CacheMissed`, `CacheStored` (key).
        on_dropped: `ParameterDropped` (dropped.name, dropped.reason).
        on_tool_start, on_tool_progress, on_tool_end: one tool that this library ran.
        on_mcp_notice: what an MCP server says of itself while its tool runs.
        on_response_settled: `ResponseSettled`, of a background response.
        only: names of the signals to tell of at all, e.g. ("call.*", "tool.end"); all when empty.
        when: takes a signal, returns whether to tell of it, e.g. `lambda signal: signal.operation == "create"`.

    Raises:
        StageError: `only` names no signal; raised when the chain is built.
    """

    on_signal: Hook | None = None
    on_call_start: Hook | None = None
    on_call_end: Hook | None = None
    on_attempt_start: Hook | None = None
    on_attempt_end: Hook | None = None
    on_stream_first_event: Hook | None = None
    on_retry: Hook | None = None
    on_fallback: Hook | None = None
    on_cache: Hook | None = None
    on_dropped: Hook | None = None
    on_tool_start: Hook | None = None
    on_tool_progress: Hook | None = None
    on_tool_end: Hook | None = None
    on_mcp_notice: Hook | None = None
    on_response_settled: Hook | None = None
    only: Sequence[str] = ()
    when: Callable[[Signal], bool] | None = None

    sets = ()

    @property
    def wants_stage_times(self) -> bool:
        """Whether a hook asks for the time of each stage."""
        return wants_stage_times(self.on_signal)

    def setup(self, scope: Scope) -> object:
        return _Sinks(self)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        context = request.context
        sinks = context.state_of(self, _Sinks).of(context)
        return await (watch(request, call_next, sinks) if sinks else call_next(request))


class _Sinks:
    """The hooks of one Observe, as what a watched call tells its signals to; in each mode."""

    __slots__ = ("_made", "_stage", "_wanted")

    def __init__(self, stage: Observe) -> None:
        self._stage = stage
        self._wanted = _kinds(stage.only)
        self._made: dict[bool, tuple[Sink, ...]] = {}

    def of(self, context: CallContext) -> tuple[Sink, ...]:
        runtime = context.runtime
        made = self._made.get(runtime.is_async)
        if made is None:
            made = self._made[runtime.is_async] = tuple(self._make(context))
        return made

    def _make(self, context: CallContext) -> Iterator[Sink]:
        stage = self._stage
        for setting, kinds in _HOOKS.items():
            hook = getattr(stage, setting)
            kinds = kinds & self._wanted
            if hook is None or not kinds:
                continue
            sink = hook if runs_in_place(hook) else context.owner.hook_queue.sink(hook, context.runtime)
            everything = kinds == _EVERY and stage.when is None
            yield sink if everything else _filtered(sink, kinds, stage.when)


def _filtered(sink: Sink, kinds: frozenset[type[Signal]], when: Callable[[Signal], bool] | None) -> Sink:
    if when is None:

        def tell(signal: Signal) -> None:
            if signal.__class__ in kinds:
                sink(signal)

    else:

        def tell(signal: Signal) -> None:
            if signal.__class__ in kinds and when(signal):
                sink(signal)

    return tell


def _kinds(names: Sequence[str]) -> frozenset[type[Signal]]:
    """Return the signals of these names; "call.*" is all that begin so, and no names are all."""
    if not names:
        return _EVERY
    found: set[type[Signal]] = set()
    for name in names:
        matching = {kind for known, kind in SIGNALS.items() if fnmatchcase(known, name)}
        if not matching:
            raise StageError(
                f'observe: no signal is called "{name}"{did_you_mean(name, SIGNALS)}',
                hint=f"known: {', '.join(SIGNALS)}",
            )
        found |= matching
    return frozenset(found)


_EVERY = frozenset(SIGNALS.values())
_HOOKS: dict[str, frozenset[type[Signal]]] = {
    "on_signal": _EVERY,
    "on_call_start": frozenset({CallStarted}),
    "on_call_end": frozenset({CallEnded}),
    "on_attempt_start": frozenset({AttemptStarted}),
    "on_attempt_end": frozenset({AttemptEnded}),
    "on_stream_first_event": frozenset({StreamFirstEvent}),
    "on_retry": frozenset({RetryScheduled}),
    "on_fallback": frozenset({FallbackScheduled}),
    "on_cache": frozenset({CacheHit, CacheMissed, CacheStored}),
    "on_dropped": frozenset({ParameterDropped}),
    "on_tool_start": frozenset({ToolStarted}),
    "on_tool_progress": frozenset({ToolProgress}),
    "on_mcp_notice": frozenset({McpNotice}),
    "on_tool_end": frozenset({ToolEnded}),
    "on_response_settled": frozenset({ResponseSettled}),
}
