"""A checker of stages that finds what is wrong, and nothing in what is right."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from conftest import Mode
from hand_made import host

import antiphon
from antiphon import Cache, Chain, Fallback, Guard, Handler, Reply, Request, Response, Retry, Scope, Stage, presets
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.stage import StageLike
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.testing import StageProblem, check_stage, message

SOUND: dict[str, StageLike] = {
    "one of the stock chain": Retry(attempts=2),
    "one that holds streams back": Guard(on_output=lambda response: None),
    "one that stands outside resolve": Fallback(("groq/m",)),
    "one with state": Cache(),
    "a fragment": Chain([Guard(on_input=lambda request: None), Fallback()]),
    "a terminal": host(),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_stage_has_no_problems(name: str) -> None:
    assert check_stage(SOUND[name]) == []


def found(subject: StageLike, **given: Any) -> dict[str, set[str]]:
    """Return the cases with a problem, and the modes in which it shows; the message must be the same in all."""
    modes: dict[str, set[str]] = {}
    for problem in check_stage(subject, **given):
        modes.setdefault(f"{problem.case}: {problem.message}", set()).add(problem.mode)
    return modes


EVERY = {"sync", "asyncio", "trio"}


def test_a_stage_that_changes_plain_answers_only_is_found() -> None:
    @stage
    async def half(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        return reply.replace(output=[message("changed")]) if isinstance(reply, Response) else reply

    assert found(half) == {'streamed: the streamed answer is "Hello there.", the plain one "changed"': EVERY}


def test_a_stage_that_leaves_a_stream_open_is_found() -> None:
    kept: list[Reply] = []

    @stage
    async def answers_by_itself(request: Request, call_next: Handler) -> Reply:
        kept.append(await call_next(request))
        return Response.new(id="r", status="completed", output=[message("mine")])

    open_ = found(answers_by_itself)
    kept.clear()

    assert open_["streamed: 1 of 1 exchanges with the host were left open"] == EVERY


def test_a_stage_that_answers_a_cancelled_call_is_found() -> None:
    @stage
    async def stubborn(request: Request, call_next: Handler) -> Reply:
        try:
            return await call_next(request)
        except BaseException:
            if request.streamed:
                raise
            return Response.new(id="r", status="completed", output=[message("never mind")])

    assert found(stubborn)["cancelled, plain: it went on although it was cancelled; let what is no Exception pass"] == (
        EVERY
    )


def test_a_stage_that_waits_for_something_else_is_found_where_it_may_not() -> None:
    @stage
    async def foreign(request: Request, call_next: Handler) -> Reply:
        await asyncio.sleep(0)
        return await call_next(request)

    problems = check_stage(foreign, modes=("sync", "asyncio"))

    assert {problem.mode for problem in problems} == {"sync"}
    assert str(problems[0]).startswith("sync, plain: SuspendedInSync: stage foreign awaited something other than")


def test_a_stage_that_breaks_streams_is_found() -> None:
    @stage
    async def cuts(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        if not isinstance(reply, EventStream):
            return reply
        events = [event async for event in reply]
        return EventStream.of([*events[:3], *events[4:]], request.context)

    @stage
    async def plain(request: Request, call_next: Handler) -> Reply:
        reply = await call_next(request)
        return await reply.finish() if isinstance(reply, EventStream) else reply

    assert any("breaks the grammar" in case for case in found(cuts, modes=("sync",)))
    assert found(plain, modes=("sync",)) == {
        "streamed: a streamed call returned Response; an EventStream is expected": {"sync"}
    }


def test_work_that_nobody_ends_is_found() -> None:
    tasks: list[asyncio.Task[None]] = []

    @stage
    async def spawns(request: Request, call_next: Handler) -> Reply:
        tasks.append(asyncio.ensure_future(asyncio.sleep(3600)))
        return await call_next(request)

    assert "plain: 1 tasks are left behind" in found(spawns, modes=("asyncio",))


def test_a_stage_is_placed_where_it_fits_or_where_one_says() -> None:
    seen: list[tuple[bool, bool]] = []

    class Look(Stage):
        needs = ("target", "wire")

        def setup(self, scope: Scope) -> object:
            return None

        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            seen.append((request.target is not None, request.wire is not None))
            return await call_next(request)

    @stage
    async def bare(request: Request, call_next: Handler) -> Reply:
        seen.append((request.target is not None, request.wire is not None))
        return await call_next(request)

    assert check_stage(Look(), modes=("sync",)) == []
    assert check_stage(bare, modes=("sync",)) == []
    assert check_stage(bare, modes=("sync",), before=0, temperature=0.5) == []
    assert sorted(set(seen)) == [(False, False), (True, False), (True, True)]


def test_a_whole_chain_is_checked_as_it_is() -> None:
    assert check_stage(presets.responses.with_(retry={"attempts": 1}), modes=("asyncio",)) == []


def test_it_runs_inside_a_running_loop_too(mode: Mode) -> None:
    async def body() -> list[StageProblem]:
        return check_stage(Retry(attempts=2), modes=("asyncio",))

    assert mode.run(body) == []


NEEDED: dict[str, dict[str, Any]] = {"Budget": {"tokens": 10_000}}
"""Settings without which a stage means nothing, though each has a default."""


def _by_default() -> list[Stage]:
    kinds = [found for name in antiphon.__all__ if isinstance(found := getattr(antiphon, name), type)]
    stages = [kind for kind in kinds if issubclass(kind, Stage) and kind is not Stage and not kind.is_terminal]
    return [
        kind(**NEEDED.get(kind.__name__, {}))
        for kind in stages
        if all(not field.required for field in msgspec.structs.fields(kind))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("subject", _by_default(), ids=lambda one: one.name)
def test_our_own_stages_keep_the_contract(subject: Stage) -> None:
    assert check_stage(subject) == []
