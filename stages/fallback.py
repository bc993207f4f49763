"""Ask another target when one fails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from ..pipeline import errors
from ..pipeline.aim import Aim, named
from ..pipeline.api.response import Response
from ..pipeline.errors import AntiphonError, SetupError, StageError, did_you_mean, forget_frames
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.signals import FallbackScheduled
from ..pipeline.stage import Option, Scope, Stage
from ..pipeline.streams.continued_stream import ContinuedStream
from ..pipeline.streams.event_stream import EventStream, committed
from ..pipeline.streams.replay import replay
from ..providers.response_ids import GIVEN, is_hosts_conversation, is_kept

_USUAL = (
    "APIConnectionError",
    "APIResponseError",
    "AuthenticationError",
    "PermissionDeniedError",
    "NotFoundError",
    "RateLimitError",
    "InternalServerError",
    "ContextWindowExceededError",
    "MissingKey",
)


class Fallback(Stage, frozen=True):
    """Ask another target when one fails.

    It stands outside Resolve, so that all of a target is decided anew: address, key, API format, limits. Stages before
    it see one call; stages after it see one for each target. A stream goes to another target only until its first
    content, since a second answer would be shown after the beginning of a first one.

    What a call says about its first target (key, address, API format, `extra_headers`, `extra_query`, `extra_body`)
    is left behind, and reported in `meta.dropped`; a further target has its own in its place in the list.

    With `after_content` a stream that breaks later goes on with the next target's answer, from its beginning: what had
    come stays, its open items are closed as incomplete, and an event `antiphon.fallback` stands before the new ones
    (`pipeline/streams/continued_stream.py`). The response keeps the id that it began with, which the next target does
    not know.

    Args:
        targets: the further ones in their order: "provider/model", or a dict with `model` and what else is
            particular, e.g. {"model": "azure/gpt-5", "api_base": ..., "max_output_tokens": 900}. The call option
            `fallbacks` wins.
        on: class names of the errors, subclasses included, after which another target is asked. By default those that
            another host may not share; a call that is wrong in itself (400, 422) would be wrong there too.
        after_content: whether a stream goes on with another target when it breaks after its first content. Not one
            in which tools have run, since they would run again.

    Raises:
        The last target's error; its notes (`error.__notes__`) name the ones before.
    """

    targets: Sequence[str | Mapping[str, Any]] = ()
    on: Sequence[str] = _USUAL
    after_content: bool = False

    options = (Option("fallbacks", (list, tuple), "further models to ask, in this order, when the first one fails"),)
    outside = ("target",)
    sets = ()
    calls_again_for = "target"

    def setup(self, scope: Scope) -> object:
        return _Rules(_classes(self.on), scope.options, [Aim.of(target, scope.options) for target in self.targets])

    def ways_on(self) -> Iterable[tuple[str, str]]:
        return [("when it fails", named(target)) for target in self.targets]

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        rules = request.context.state_of(self, _Rules)
        given = request.options.get("fallbacks")
        aims = rules.aims if given is None else [Aim.of(target, rules.options, "fallbacks") for target in given]
        if not aims or request.operation != "create":
            return await call_next(request)
        further = _Further(request, rules, aims)
        reply = await further.answer(request, call_next)
        if not self.after_content or not isinstance(reply, EventStream) or request.param("background"):
            return reply
        source = ContinuedStream(reply, partial(further.stream, call_next))
        stream = EventStream(source, request.context, error_of=source.error_of)
        stream.on_end(source.end_with)
        return stream


# Items that show that a tool has run, here or at an MCP server of the host's.
_OF_TOOLS = frozenset({"function_call_output", "mcp_call"})


class _Further:
    """The targets that are left for one call."""

    __slots__ = ("_aims", "_asked", "_dropped", "_failed", "_request", "_rules")

    def __init__(self, request: Request, rules: _Rules, aims: list[Aim]) -> None:
        self._request, self._rules = request, rules
        self._aims = list(aims)
        self._asked = request
        self._failed: list[str] = []
        self._dropped = list(request.context.dropped)

    async def answer(self, asked: Request, call_next: Handler) -> Reply:
        """Return the first answer that comes, of this target or one behind it."""
        while True:
            try:
                return await committed(await call_next(asked), asked)
            except AntiphonError as error:
                asked = self.after(error)

    async def stream(self, call_next: Handler, error: AntiphonError) -> tuple[EventStream, dict[str, Any]]:
        """Return the stream that goes on where one has broken, and what is said of it."""
        broken = self._asked.model
        if error.response is not None and any(item.type in _OF_TOOLS for item in error.response.output):
            error.add_note("no other target was asked: tools have run in this answer, and would run again")
            raise error
        reply = await self.answer(self.after(error), call_next)
        if not isinstance(reply, EventStream):
            if not isinstance(reply, Response):
                raise SetupError(f"a call that creates a response was answered by {type(reply).__name__}")
            reply = EventStream.of(replay(reply), self._request.context)
        now = self._asked.model
        self._request.context.note(f"{broken} broke after its first content; {now} was asked anew")
        return reply, {"failed": broken, "next": now, "error": type(error).__name__}

    def after(self, error: AntiphonError) -> Request:
        """Return the call to the next target; raise the error where there is none, or it would not help."""
        for line in self._failed:
            error.add_note(line)
        if not self._aims or not self._goes_on(error):
            raise error
        context, before = self._request.context, self._asked
        self._failed.append(f"asked before: {before.model}: {type(error).__name__}: {error.message}")
        context.dropped[:] = self._dropped  # what is told in the end is what did not reach who answers
        self._asked = self._aims.pop(0).at(self._request, "it belongs to the first target, which failed")
        _tell(before, self._asked, type(error).__name__)
        forget_frames(error)  # hooks may keep it, and by it this call's frames, and by them the stream that comes now
        return self._asked

    def _goes_on(self, error: AntiphonError) -> bool:
        request, rules = self._request, self._rules
        if not isinstance(error, rules.kinds) or not request.context.time_left():
            return False
        kept = _kept_there(request, is_remembered="state_store" in rules.options)
        if kept is not None:
            error.add_note(f"no other target was asked: {kept} is known to this one only")
        return kept is None


def _tell(before: Request, asked: Request, failure: str) -> None:
    context = asked.context
    if context.sinks:
        context.emit(
            FallbackScheduled(
                call_id=context.id,
                operation=context.operation,
                at_s=context.runtime.now(),
                failed=before.model or "",
                next=asked.model or "",
                error=failure,
            )
        )


def _kept_there(request: Request, *, is_remembered: bool) -> str | None:
    """Return the parameter that names what the first target keeps, and no other one has; None when there is none.

    Args:
        is_remembered: whether a stage further in has what other targets need to go on: any response that says who made
            it, and conversations but those of hosts.
    """
    previous, conversation = request.param("previous_response_id"), request.param("conversation")
    if previous is not None and not (is_remembered and (is_kept(previous) or request.options.get(GIVEN) is not None)):
        return "previous_response_id"
    if conversation is not None and not (is_remembered and not is_hosts_conversation(conversation)):
        return "conversation"
    return None


class _Rules:
    """What `setup` found out: the errors after which it goes on, the chain's options, the targets of the setting."""

    __slots__ = ("aims", "kinds", "options")

    def __init__(self, kinds: tuple[type[AntiphonError], ...], options: Mapping[str, Option], aims: list[Aim]) -> None:
        self.kinds = kinds
        self.options = options
        self.aims = aims


def _classes(names: Sequence[str]) -> tuple[type[AntiphonError], ...]:
    known = {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AntiphonError)
    }
    for name in names:
        if name not in known:
            raise StageError(
                f'stage Fallback: there is no error class "{name}"{did_you_mean(name, known)}',
                hint="docs/errors.md lists them all",
            )
    return tuple(known[name] for name in names)
