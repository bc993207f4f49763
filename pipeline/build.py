"""Building: a chain is checked, then compiled once into nested closures."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn

import msgspec

from .api.response import CompactedResponse, DeletedResponse, InputTokens, ItemPage, Response
from .errors import ChainError, StageError
from .function_stages import FunctionStage
from .reply import Reply, StageTime
from .request import Handler, Request
from .stage import Option, Scope, Stage, StageFunction
from .streams.event_stream import EventStream
from .wording import quoted

if TYPE_CHECKING:
    from .chain import Chain

_REPLIES = frozenset({Response, EventStream, DeletedResponse, ItemPage, CompactedResponse, InputTokens})


class Built:
    """A chain ready to run on one client.

    Attributes:
        handler: runs a request through all stages.
        traced: the same with the time of each stage noted in the context.
        states: what the stages' `setup` made, by the identity of the built stage.
        options: the call options that the stages read.
        wants_stage_times: whether one of the stages asks for the time of each.
    """

    __slots__ = ("handler", "options", "stages", "states", "traced", "wants_stage_times")

    def __init__(self, chain: Chain, options: dict[str, Option], scope_of: Callable[[str], Scope]) -> None:
        check(chain)
        self.options = options
        # Copies, so that a stage that stands in two places, or in two clients' chains, has a state in each.
        self.stages = [msgspec.structs.replace(stage) for stage in chain.flat()]
        self.states: dict[int, object] = {}
        for index, stage in enumerate(self.stages):
            state = stage.setup(scope_of(f"{chain.name}[{index}] {stage.name}"))
            if state is not None:
                self.states[id(stage)] = state
        self.wants_stage_times = any(getattr(stage, "wants_stage_times", False) for stage in self.stages)
        self.handler = link(self.stages)
        self.traced = link(self.stages, traced=True)


def check(chain: Chain) -> None:
    """Raise ChainError unless the chain has one terminal stage, at its end, and its stages' order rules hold."""
    stages = chain.flat()
    where = f'chain "{chain.name}"'
    if not stages:
        raise ChainError(f"{where} is empty", hint="a chain that runs ends with a stage that answers, e.g. Dispatch()")
    terminals = [index for index, stage in enumerate(stages) if is_terminal(stage)]
    if not terminals:
        raise ChainError(
            f"{where} has no terminal stage, so nothing would answer",
            hint="end it with Dispatch(); a chain without one is a fragment to nest in another",
        )
    if terminals[0] != len(stages) - 1:
        last, next_ = stages[terminals[0]], stages[terminals[0] + 1]
        raise ChainError(
            f"{where}: {next_.name} stands after {last.name}, which answers by itself, so it would never run",
            hint=f"place {next_.name} before {last.name}; in a | b the stage on the left is the outer one",
        )
    _check_repeats(where, stages)
    _check_order(where, stages)


def _check_repeats(where: str, stages: list[Stage]) -> None:
    seen: set[type[Stage]] = set()
    for stage in stages:
        if stage.at_most_once and type(stage) in seen:
            raise ChainError(
                f"{where} has two {type(stage).__name__} stages on one path; their repeats would multiply",
                hint=f"keep one, e.g. by .without({quoted(stage.name)}) on the chain that should not have it",
            )
        seen.add(type(stage))


def _check_order(where: str, stages: list[Stage]) -> None:
    there: set[str] = set()
    for index, stage in enumerate(stages):
        if early := [part for part in stage.outside if part in there]:
            maker = next(before.name for before in stages if early[0] in (before.sets or ()))
            raise ChainError(
                f"{where}: {stage.name} stands inside {maker}, which has decided the {early[0]} already",
                hint=f"place {stage.name} before {maker}",
            )
        if stage.sets is None and (isinstance(stage, FunctionStage) or _is_users(stage)):
            return  # it may set anything; a missing target or wire request is found when the call runs
        missing = [need for need in stage.needs if need not in there]
        if missing:
            makers = [later.name for later in stages[index:] if missing[0] in (later.sets or ())]
            hint = f"place {makers[0]} before {stage.name}" if makers else f"add {_MAKERS[missing[0]]}() before it"
            raise ChainError(
                f"{where}: {stage.name} needs request.{missing[0]}, which no stage before it sets", hint=hint
            )
        there.update(stage.sets or ())


_MAKERS = {"target": "Resolve", "wire": "Transform"}


def is_terminal(stage: Stage) -> bool:
    """Tell whether a stage answers itself, and so ends a chain."""
    return stage.terminal if isinstance(stage, FunctionStage) else stage.is_terminal


_PACKAGE = __name__.removesuffix("pipeline.build")


def _is_users(stage: Stage) -> bool:
    return not type(stage).__module__.startswith(_PACKAGE)


def link(stages: list[Stage], *, traced: bool = False) -> Handler:
    """Return one handler that runs the stages, the first one outermost."""
    handler: Handler = _nothing_after
    for index in range(len(stages) - 1, -1, -1):
        stage = stages[index]
        # A function by itself runs without the coroutine of the stage around it.
        call: StageFunction = stage.function if isinstance(stage, FunctionStage) else stage.__call__
        if traced:
            call = _timed(call, index, stage.name)
        if traced or isinstance(stage, FunctionStage) or _is_users(stage):
            handler = _checked(call, handler, stage.name)
        else:
            handler = _plain(call, handler)
    return handler


def _plain(call: StageFunction, call_next: Handler) -> Handler:
    def handler(request: Request) -> Awaitable[Reply]:
        return call(request, call_next)

    handler.__qualname__ = "call_next"  # what Python's own errors and tracebacks call it
    return handler


def _checked(call: StageFunction, call_next: Handler, name: str) -> Handler:
    """A handler that holds a user's stage to the contract: a reply comes back, and nothing else."""

    async def checked(request: Request) -> Reply:
        reply = await call(request, call_next)
        if reply.__class__ is Response or reply.__class__ in _REPLIES:  # the usual one first
            return reply
        _refuse(name, reply)

    checked.__qualname__ = "call_next"
    return checked


def _refuse(name: str, reply: object) -> NoReturn:
    if inspect.iscoroutine(reply):
        reply.close()
        raise StageError(
            f"stage {name} returned a coroutine instead of a reply", hint="write `return await call_next(request)`"
        )
    raise StageError(
        f"stage {name} returned {'None' if reply is None else type(reply).__name__}; "
        "a stage must return the reply of call_next or its own",
        hint="end it with `return reply`" if reply is None else None,
    )


def _nothing_after(request: Request) -> Awaitable[Reply]:
    raise StageError(
        "the last stage of the chain called call_next, and no stage comes after it",
        hint="a stage with is_terminal = True answers by itself, and never calls call_next",
    )


def _timed(call: StageFunction, index: int, name: str) -> StageFunction:
    """Note the stage's own time, that of the stages inside it taken off, and apart from it its wait for the host."""

    async def timed(request: Request, call_next: Handler) -> Reply:
        context = request.context
        inside = waited_inside = 0.0

        async def next_(request: Request) -> Reply:
            nonlocal inside, waited_inside
            began, waited = time.perf_counter(), context.waited_s
            try:
                return await call_next(request)
            finally:
                inside += time.perf_counter() - began
                waited_inside += context.waited_s - waited

        began, waited = time.perf_counter(), context.waited_s
        try:
            return await call(request, next_)
        finally:
            waited_s = context.waited_s - waited - waited_inside
            left, start = time.perf_counter(), context.traced_at
            own_s = left - began - inside - waited_s
            context.note_stage(index, StageTime(name, own_s, 1, waited_s, began - start, left - start))

    return timed
