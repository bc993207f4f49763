"""Call the user's functions as a call goes on."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..pipeline.errors import StageError
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.signals import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    CallStarted,
    RetryScheduled,
    Signal,
    StreamFirstEvent,
)
from ..pipeline.stage import Scope, Stage
from ..pipeline.watch import watch

Hook = Callable[[Any], object]


class Observe(Stage, frozen=True):
    """Tell plain functions of a call's start, its attempts and its one end.

    What it sees is what stands inside it: outside Retry the call with all its attempts, inside Retry every attempt as
    a call of its own. Each start has exactly one end, also when a stream is left early, dropped or cancelled. A
    hook's error never reaches the call; the client counts it (`client.hook_errors`) and warns once.

    Args:
        on_signal: gets every signal; the others get those of their name.
        on_call_start, on_call_end: `CallStarted`, `CallEnded` (outcome, usage, meta).
        on_attempt_start, on_attempt_end: one exchange with a host.
        on_stream_first_event: `StreamFirstEvent` (after_s).
        on_retry: `RetryScheduled` (delay_s, error).
    """

    on_signal: Hook | None = None
    on_call_start: Hook | None = None
    on_call_end: Hook | None = None
    on_attempt_start: Hook | None = None
    on_attempt_end: Hook | None = None
    on_stream_first_event: Hook | None = None
    on_retry: Hook | None = None

    sets = ()

    def setup(self, scope: Scope) -> object:
        hooks = {kind: hook for kind, name in _HOOKS.items() if (hook := getattr(self, name)) is not None}
        for hook in (self.on_signal, *hooks.values()):
            if inspect.iscoroutinefunction(hook):
                raise StageError(
                    f"observe: {getattr(hook, '__name__', hook)} is async; hooks are plain functions",
                    hint="put what the hook sees into a queue that a task of yours reads",
                )
        return _Dispatcher(self.on_signal, hooks)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await watch(request, call_next, request.context.state_of(self, _Dispatcher).tell)


class _Dispatcher:
    """The hooks of one Observe, by the signal that they want."""

    __slots__ = ("_every", "_hooks")

    def __init__(self, every: Hook | None, hooks: dict[type[Signal], Hook]) -> None:
        self._every = every
        self._hooks = hooks

    def tell(self, signal: Signal) -> None:
        if self._every is not None:
            self._every(signal)
        hook = self._hooks.get(type(signal))
        if hook is not None:
            hook(signal)


_HOOKS: dict[type[Signal], str] = {
    CallStarted: "on_call_start",
    CallEnded: "on_call_end",
    AttemptStarted: "on_attempt_start",
    AttemptEnded: "on_attempt_end",
    StreamFirstEvent: "on_stream_first_event",
    RetryScheduled: "on_retry",
}
