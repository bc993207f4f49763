"""Stages made of functions: `@stage`, and the one-liners `@before`, `@after` and `@on_stream_event`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from .api.events import Event
from .api.response import Response
from .errors import StageError
from .reply import Reply
from .request import Handler, Request
from .stage import Option, Stage, StageFunction, takes
from .streams.event_stream import EventStream

T = TypeVar("T")


class _OfFunction(Stage, frozen=True):
    """A stage that goes by the name of its function."""

    function: Callable[..., Any]

    @property
    def name(self) -> str:
        return _name_of(self.function)


class FunctionStage(_OfFunction, frozen=True, tag="function"):
    """A stage made of a function; `@stage` and bare functions in a chain become one."""

    reads: tuple[Option, ...] = ()
    terminal: bool = False

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        reply: Reply = await self.function(request, call_next)
        return reply

    def __repr__(self) -> str:
        return _name_of(self.function)


class Before(_OfFunction, frozen=True):
    """Change the request on its way in: `function(request)` returns a changed copy, or None to leave it.

    For calls that create a response; those on a stored one pass by.
    """

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if request.operation != "create":
            return await call_next(request)
        changed = self.function(request)
        if inspect.isawaitable(changed):
            changed = await changed
        if changed is not None and not isinstance(changed, Request):
            raise StageError(f"@before {self.name} returned {type(changed).__name__}; a Request or None is expected")
        return await call_next(request if changed is None else changed)

    def __repr__(self) -> str:
        return f"before({_name_of(self.function)})"


class After(_OfFunction, frozen=True):
    """See the final response on its way out: `function(request, response)`, once per call, plain or streamed.

    It may return a changed response; in a stream that replaces the one of the terminal event. It is not called when
    the call fails or the stream is left early, nor for calls on a stored response.
    """

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        if request.operation != "create":
            return reply
        if isinstance(reply, EventStream):
            return reply.conclude(lambda response: self._changed(request, response))
        return self._changed(request, reply) if isinstance(reply, Response) else reply

    def _changed(self, request: Request, response: Response) -> Response:
        changed = self.function(request, response)
        if changed is not None and not isinstance(changed, Response):
            raise StageError(f"@after {self.name} returned {type(changed).__name__}; a Response or None is expected")
        return response if changed is None else changed

    def __repr__(self) -> str:
        return f"after({_name_of(self.function)})"


class OnStreamEvent(_OfFunction, frozen=True):
    """See every event of a streamed reply: `function(event)` returns a changed copy, or None to leave it."""

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        return reply.map(self._changed) if isinstance(reply, EventStream) else reply

    def _changed(self, event: Event) -> Event | None:
        changed = self.function(event)
        if changed is None or isinstance(changed, Event):
            return changed
        raise StageError(
            f"@on_stream_event {self.name} returned {type(changed).__name__}; an event or None is expected",
            hint="return event.replace(...) to change it",
        )

    def __repr__(self) -> str:
        return f"on_stream_event({_name_of(self.function)})"


def _name_of(function: object) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


@overload
def stage(function: StageFunction, /) -> FunctionStage: ...
@overload
def stage(*, options: tuple[Option, ...] = (), terminal: bool = False) -> Callable[[StageFunction], FunctionStage]: ...
def stage(
    function: StageFunction | None = None, /, *, options: tuple[Option, ...] = (), terminal: bool = False
) -> FunctionStage | Callable[[StageFunction], FunctionStage]:
    """Make a stage of an `async def (request, call_next)`.

    Args:
        options: call options that it reads.
        terminal: it answers itself and never calls `call_next`.

    Raises:
        StageError: the function is not async, or does not take two arguments.
    """

    def make(function: StageFunction) -> FunctionStage:
        name = _name_of(function)
        if not _is_async(function):
            raise StageError(
                f"stage {name} is not async",
                hint="write `async def`, or use @before / @after; a hook goes into hooks=[...]",
            )
        if not takes(function, 2):
            raise StageError(
                f"stage {name} does not take (request, call_next)", hint="write `async def stage(request, call_next)`"
            )
        return FunctionStage(function=function, reads=options, terminal=terminal)

    return make if function is None else make(function)


def before(function: Callable[[Request], Any]) -> Before:
    """Make a stage of a plain or async `(request)` that returns a changed request or None.

    >>> import antiphon
    >>> @antiphon.before
    ... def shout(request):
    ...     return request.with_params(input=request.params.input.upper())
    >>> antiphon.presets.responses.before("retry", shout).invoke("hi", model="scripted/echo").output_text
    'HI'
    """
    return Before(_one_liner(function, 1, "(request)"))


def after(function: Callable[[Request, Response], Response | None]) -> After:
    """Make a stage of a plain `(request, response)` that sees the final response, plain or streamed."""
    return After(_plain(_one_liner(function, 2, "(request, response)")))


def on_stream_event(function: Callable[[Any], Any]) -> OnStreamEvent:
    """Make a stage of a plain `(event)` that sees every event of a stream and may return a changed copy."""
    return OnStreamEvent(_plain(_one_liner(function, 1, "(event)")))


def _one_liner(function: T, count: int, shape: str) -> T:
    if not callable(function) or not takes(function, count):
        raise StageError(f"{_name_of(function)} does not take {shape}")
    return function


def _plain(function: T) -> T:
    if _is_async(function):
        raise StageError(f"{_name_of(function)} is async; a plain function is expected", hint="write a @stage for that")
    return function


def _is_async(function: object) -> bool:
    call = getattr(type(function), "__call__", None)  # noqa: B004  whether it is async, not whether it is there
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
