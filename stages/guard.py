"""Stop a call whose input or answer must not pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..pipeline.api.response import Response
from ..pipeline.errors import GuardTripped, StageError
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Stage
from ..pipeline.streams.event_stream import EventStream


class Guard(Stage, frozen=True):
    """Stop a call whose input or answer must not pass.

    A check returns None to let it pass, or a text that says why not. Plain and async functions will do; in sync calls
    an async one may wait only by the runtime. Stages before this one see GuardTripped in place of the answer. Inside
    Tools it looks at every turn of the model, outside at the whole conversation.

    A streamed answer is held back until it is whole and has passed, since what has been shown cannot be taken back;
    the events come then all at once. Without `on_output` streams are untouched.

    Args:
        on_input: takes the request, before anything is sent.
        on_output: takes the final response.

    Raises:
        GuardTripped: a check said no. Of an answer it carries the response.
    """

    on_input: Callable[[Request], Any] | None = None
    on_output: Callable[[Response], Any] | None = None

    sets = ()

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if request.operation != "create":
            return await call_next(request)
        if self.on_input is not None:
            await _check(self.on_input, request, "input", None)
        reply = await call_next(request)
        if self.on_output is None:
            return reply
        if isinstance(reply, EventStream):
            events = [event async for event in reply]
            if reply.response is not None:
                await _check(self.on_output, reply.response, "output", reply.response)
            return EventStream.of(events, request.context)
        if isinstance(reply, Response):
            await _check(self.on_output, reply, "output", reply)
        return reply


async def _check(fn: Callable[[Any], Any], value: object, side: str, response: Response | None) -> None:
    said = fn(value)
    if inspect.isawaitable(said):
        said = await said
    if said is None:
        return
    name = getattr(fn, "__name__", type(fn).__name__)
    if not isinstance(said, str):
        raise StageError(
            f"guard {name} returned {type(said).__name__}; None or a text that says why not is expected",
            hint="return None to let it pass",
        )
    raise GuardTripped(f"guard {name} stopped the {side}: {said}", reason=said, side=side, response=response)
