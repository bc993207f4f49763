"""Does a stage keep the contract? It is run in every mode, plain and streamed, to its end and cut off in the middle.

case               what must hold
plain              a `Response` comes back, the call ends "completed"
streamed           the events keep the grammar, the call ends "completed", and the text is that of the plain answer
failing            a host's error ends the call as "failed", or the stage makes an answer of it
left early         a reader who closes a stream after its first event ends the call, and lets go of the connection
dropped            so does one who forgets it
cancelled          a call that is cancelled while the host is silent ends as "cancelled", and is over at once
cancelled within   so does one that is cancelled in the middle of its answer

In sync calls Ctrl-C stands for being cancelled. In every case the call's end is told exactly once, what was opened is
closed, and no thread and no task is left behind.
"""

from __future__ import annotations

import gc
import importlib.util
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec

from ..pipeline.api.response import Response
from ..pipeline.build import is_terminal
from ..pipeline.chain import Chain
from ..pipeline.runtimes.driver import drive
from ..pipeline.stage import StageLike
from ..pipeline.streams.event_stream import EventStream
from ..pipeline.streams.grammar import check_grammar
from ..pipeline.wording import quoted
from ..providers.scripted import Answer
from ..stages import presets
from .fault_host import http_error
from .stage_trial import CountingHost, Trial

T = TypeVar("T")
Mode: TypeAlias = Literal["sync", "asyncio", "trio"]

_LIMIT_S = 10.0  # for a stage that hangs; no case of one that does not comes near
_SHOWN = 4  # pieces of an answer that come before the host falls silent in its middle


class StageProblem(msgspec.Struct, frozen=True):
    """Something that a stage got wrong.

    Args:
        mode: "sync", "asyncio" or "trio".
        case: as in this module's table.
        message: what is wrong.
    """

    mode: str
    case: str
    message: str

    def __str__(self) -> str:
        return f"{self.mode}, {self.case}: {self.message}"


def check_stage(
    stage: StageLike,
    *,
    before: str | int | None = None,
    answers: Sequence[Answer] = ("Hello there.",),
    modes: Sequence[Mode] = ("sync", "asyncio", "trio"),
    **call: Any,
) -> list[StageProblem]:
    """Run a stage in all modes and ways of ending; return what it got wrong, [] when it keeps the contract.

        assert check_stage(MyStage(limit=3)) == []

    Only the network is not real. It takes a few hundredths of a second. Works inside a running event loop too.

    Args:
        stage: a stage, a function, or a fragment of a chain. A whole chain, or a terminal stage, runs by itself.
        before: the stage of the stock chain outside of which it stands. By default where it fits: at the end when it
            needs the HTTP request, outside Resolve when it must stand there, else just outside Retry.
        answers: of the scripted host, in turn; the last one repeats.
        modes: those to run in; trio only where it is installed.
        call: keywords of the calls; by default `input="Hi"` and a model.
    """
    chain = _chain_with(stage, before)
    call = {"input": "Hi", "model": "openai/m", **call}
    found: list[StageProblem] = []
    for mode in modes:
        if mode == "trio" and importlib.util.find_spec("trio") is None:
            continue
        threads = set(threading.enumerate())
        check = _Check(mode, chain, answers, call, found)
        if mode == "sync":
            drive(check.all())
        else:
            _in_a_thread(partial(_run_async, check.all, mode))
        left = [one for one in threading.enumerate() if one not in threads and one.name.startswith("antiphon")]
        for thread in left:
            thread.join(1.0)
        found += [StageProblem(mode, "all", f"thread {one.name} is left behind") for one in left if one.is_alive()]
    return found


def _chain_with(stage: StageLike, before: str | int | None) -> Chain:
    chain = Chain([stage])
    stages = chain.flat()
    if stages and is_terminal(stages[-1]):
        return chain
    if before is None and any(one.name == chain.stages[0].name for one in presets.responses):
        return presets.responses.replace(chain.stages[0].name, chain)  # one of the stock chain, with other settings
    if before is None:
        needs = {need for one in stages for need in one.needs}
        is_outside = any("target" in one.outside for one in stages)
        before = "dispatch" if "wire" in needs else "resolve" if is_outside else "retry"
    return presets.responses.before(before, chain)


def _in_a_thread(fn: Callable[[], object]) -> None:
    """Run a function where no event loop runs, raise what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            fn()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="stage-check")
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def _run_async(body: Callable[[], Coroutine[Any, Any, None]], mode: str) -> None:
    import anyio

    anyio.run(body, backend=mode)


class _Check:
    """Runs every case in one mode."""

    def __init__(
        self, mode: Mode, chain: Chain, answers: Sequence[Answer], call: dict[str, Any], found: list[StageProblem]
    ) -> None:
        self._mode = mode
        self._is_async = mode != "sync"
        self._chain = chain
        self._answers = answers
        self._call = call
        self._found = found
        self._text: str | None = None  # of the plain answer

    async def all(self) -> None:
        await self._case("plain", self._plain)
        await self._case("streamed", self._streamed)
        for streamed in (False, True):
            way = "streamed" if streamed else "plain"
            failing, cancelled = partial(self._failing, streamed=streamed), partial(self._cancelled, streamed=streamed)
            await self._case(f"failing, {way}", failing, fails=True)
            await self._case(f"cancelled, {way}", cancelled, silent_after=0)
            await self._case(f"cancelled within, {way}", cancelled, silent_after=_SHOWN)
        await self._case("left early", self._left_early)
        await self._case("dropped", self._dropped)

    async def _case(
        self,
        name: str,
        body: Callable[[Trial], Awaitable[None]],
        *,
        fails: bool = False,
        silent_after: int | None = None,
    ) -> None:
        answers = [http_error(500, "scripted failure")] if fails else self._answers
        host = CountingHost(answers, self._is_async, silent_after)
        tasks = _tasks(self._is_async)
        call = Trial(self._chain, host, self._call, self._is_async)
        try:
            await body(call)
        except Exception as error:
            call.problems.append(f"{type(error).__name__}: {error}")
        finally:
            await call.close()
        if len(call.ends) != call.begun:
            call.problems.append(f"{call.begun} call begun, and its end was told {len(call.ends)} times")
        if host.left_open:
            call.problems.append(f"{host.left_open} of {host.opened} exchanges with the host were left open")
        if left := _tasks(self._is_async) - tasks:
            call.problems.append(f"{len(left)} tasks are left behind")
        self._found += [StageProblem(self._mode, name, problem) for problem in call.problems]

    async def _plain(self, call: Trial) -> None:
        reply = await call.make(streamed=False)
        if not isinstance(reply, Response):
            call.problems.append(f"a plain call returned {type(reply).__name__}; a Response is expected")
            return
        self._text = reply.output_text
        call.expect_end("completed", "incomplete")

    async def _streamed(self, call: Trial) -> None:
        reply = await call.make(streamed=True)
        if not isinstance(reply, EventStream):
            call.problems.append(f"a streamed call returned {type(reply).__name__}; an EventStream is expected")
            return
        events = await call.read(reply)
        call.problems += [
            f"event {broken.index} {broken.event} breaks the grammar ({broken.rule}): {broken.message}"
            for broken in check_grammar(events)
        ]
        text = reply.response.output_text if reply.response is not None else None
        if self._text is not None and text != self._text:
            call.problems.append(f"the streamed answer is {quoted(text)}, the plain one {quoted(self._text)}")
        call.expect_end("completed", "incomplete")

    async def _failing(self, call: Trial, *, streamed: bool) -> None:
        try:
            reply = await call.make(streamed=streamed)
            if isinstance(reply, EventStream):
                await call.read(reply)
        except Exception:
            call.expect_end("failed")
        else:
            call.expect_end("completed", "incomplete")  # the stage has made something of it

    async def _left_early(self, call: Trial) -> None:
        reply = await call.make(streamed=True)
        if isinstance(reply, EventStream):
            await call.next(reply)
            await call.close_stream(reply)
            call.expect_end("abandoned")

    async def _dropped(self, call: Trial) -> None:
        reply: Any = await call.make(streamed=True)
        if isinstance(reply, EventStream):
            await call.next(reply)
        del reply
        if not call.ends:  # a cycle holds it
            gc.collect()
        call.expect_end("abandoned", "completed")

    async def _cancelled(self, call: Trial, *, streamed: bool) -> None:
        async def whole() -> None:
            reply = await call.make(streamed=streamed)
            if isinstance(reply, EventStream):
                await call.read(reply)

        if not await (_cut_async(whole, call.host) if self._is_async else _cut_sync(whole)) and call.host.is_silent:
            call.problems.append("it went on although it was cancelled; let what is no Exception pass")
        elif call.host.is_silent:
            call.expect_end("cancelled")


def _tasks(is_async: bool) -> set[int]:
    """Return the ids of the tasks that run on this event loop."""
    if not is_async:
        return set()
    import anyio

    return {task.id for task in anyio.get_running_tasks()}


async def _cut_sync(body: Callable[[], Awaitable[None]]) -> bool:
    """Run a body during which the host raises KeyboardInterrupt; tell whether that ended it."""
    try:
        await body()
    except KeyboardInterrupt:
        return True
    return False


async def _cut_async(body: Callable[[], Awaitable[None]], host: CountingHost) -> bool:
    """Run a body that is cancelled when the host falls silent; tell whether that ended it."""
    import anyio

    scope = anyio.CancelScope()
    host.silence = silence = anyio.Event()
    raised: list[Exception] = []

    async def run() -> None:
        try:
            with scope:
                await body()
        except Exception as error:
            raised.append(error)
        finally:
            silence.set()

    with anyio.fail_after(_LIMIT_S):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await silence.wait()
            scope.cancel()
    if raised:
        raise raised[0]
    return scope.cancelled_caught
