"""One start, exactly one end, the right outcome, in the right order: over random chains, hosts, faults and readers.

What a plan says: which stages stand around Retry and inside it, with observers between them; how the host behaves in
each attempt; how the caller uses the reply; and at which wait a cancellation strikes. The oracle is the caller's own
view: what it got, or what was raised at it.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import pytest
from conftest import Mode
from hand_made import streamed_body, text_events
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from antiphon import Client, Fallback, Observe, after, before, presets
from antiphon.pipeline.context import surrounding
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Outcome, Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.providers.scripted import ScriptedHost
from antiphon.testing import scripted

FAILED = {"status": "failed", "error": {"code": "server_error", "message": "no"}}
CUT_SHORT = streamed_body(text_events("Hel", "lo.", end=False))

HOSTS: dict[str, Any] = {
    "answers": "Hello there.",
    "incomplete": {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    "failed in a 200": FAILED,
    "busy": {"status": 429, "headers": {"retry-after-ms": "1"}, "body": {"error": {"message": "slow down"}}},
    "refuses": {"status": 400, "body": {"error": {"message": "no"}}},
    "breaks": CUT_SHORT,
    "is no host": {"status": 200, "body": "<html>"},
    "accepts": {"status": "queued", "background": True},
}


class Plan(NamedTuple):
    """One case.

    Args:
        outer, inner: stages outside and inside Retry, by name in STAGES.
        hosts: what the host does, attempt by attempt; the last one repeats.
        reader: how the caller uses the reply, by name in READERS.
        after: events that the reader takes before it does what it does.
        strikes: at which wait of the host a cancellation (async), or Ctrl-C, strikes; None: never.
    """

    outer: tuple[str, ...]
    inner: tuple[str, ...]
    hosts: tuple[str, ...]
    reader: str
    after: int = 0
    strikes: int | None = None


class Strike:
    """Cancels, or interrupts, at the nth wait of the host.

    Attributes:
        too_late: whether the host had nothing more to say when it struck, so that the call had ended already.
    """

    def __init__(self, mode: Mode, at: int | None) -> None:
        self.left = 0 if at is None else at + 1
        self.too_late = False
        self.mode = mode
        self.scope = anyio.CancelScope() if mode.is_async else None

    async def wait(self, *, nothing_left: bool = False) -> None:
        self.left -= 1
        if self.left == 0:
            self.too_late = nothing_left
            if self.scope is None:
                raise KeyboardInterrupt
            self.scope.cancel()
        if self.scope is not None:
            await anyio.lowlevel.checkpoint()


class Stepping:
    """A scripted host that really waits, and knows what it has left open."""

    def __init__(self, answers: list[Any], strike: Strike) -> None:
        self.host = ScriptedHost(answers)
        self.strike = strike
        self.open_exchanges: set[Any] = set()

    async def open(self, request: Any, pace: Any) -> Any:
        await self.strike.wait()
        exchange = _Exchange(await self.host.open(request, pace), self)
        self.open_exchanges.add(exchange)
        return exchange

    async def close(self) -> None:
        pass


class _Exchange:
    def __init__(self, exchange: Any, host: Stepping) -> None:
        self._exchange = exchange
        self._host = host
        self.status, self.headers = exchange.status, exchange.headers
        self.queued_s = self.connect_s = 0.0

    async def chunk(self) -> bytes:
        await self._host.strike.wait(nothing_left=not self._exchange._chunks)
        data: bytes = await self._exchange.chunk()
        return data

    async def read(self) -> bytes:
        await self._host.strike.wait()
        self._host.open_exchanges.discard(self)
        data: bytes = await self._exchange.read()
        return data

    async def close(self) -> None:
        self._host.open_exchanges.discard(self)

    def abort(self) -> None:
        self._host.open_exchanges.discard(self)


class Broken(Exception):
    """What goes wrong in a user's stage."""


@before
def breaks_before(request: Request) -> None:
    raise Broken


@after
def breaks_after(request: Request, response: object) -> None:
    raise Broken


@stage
async def drops_the_reply(request: Request, call_next: Handler) -> Reply:
    reply = await call_next(request)
    raise Broken(type(reply))


@stage
async def respins(request: Request, call_next: Handler) -> Reply:
    """Answer by a stream of its own, made of the one inside."""
    reply = await call_next(request)
    return reply.translated(lambda event: [event]) if isinstance(reply, EventStream) else reply


@stage
async def interrupts(request: Request, call_next: Handler) -> Reply:
    raise KeyboardInterrupt


STAGES = {
    "breaks_before": breaks_before,
    "breaks_after": breaks_after,
    "drops_the_reply": drops_the_reply,
    "respins": respins,
    "interrupts": interrupts,
}
MILD = ["observe", "observe", "respins", "breaks_after"]
READERS = ["plain", "reads", "until_done", "closes", "drops", "fails", "is interrupted"]

plans = st.builds(
    Plan,
    outer=st.lists(st.sampled_from(["observe", *MILD, *STAGES]), max_size=3).map(tuple),
    inner=st.lists(st.sampled_from(["observe", *MILD, *STAGES]), max_size=2).map(tuple),
    hosts=st.lists(st.sampled_from(["busy", *HOSTS]), min_size=1, max_size=3).map(tuple),
    reader=st.sampled_from(READERS),
    after=st.integers(0, 9),
    strikes=st.none() | st.integers(0, 6),
)


class Told(NamedTuple):
    """One signal, by whom it was heard."""

    observer: str
    signal: Any


async def use(mode: Mode, client: Client, plan: Plan) -> str:
    """Make the call and use its reply; return the outcome that the caller sees."""
    chain = client.chain.bind(api_key="sk-test")
    try:
        if plan.reader == "plain":
            return Outcome.of_response(await mode.call(chain, model="openai/m")).kind
        stream: EventStream = await mode.call(chain, model="openai/m", stream=True)
        return await read(mode, stream, plan)
    except Exception:
        return "failed"
    except KeyboardInterrupt:
        return "cancelled"


async def read(mode: Mode, stream: Any, plan: Plan) -> str:
    if plan.reader == "reads":
        last: Any = (await mode.events(stream))[-1]
        return Outcome.of_response(last.response).kind
    if plan.reader == "until_done":
        return Outcome.of_response(await mode.until_done(stream)).kind
    kind, nothing = "abandoned", None
    for _ in range(plan.after):
        event: Any = await anext(stream, nothing) if mode.is_async else next(stream, nothing)
        if event is None:
            break
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            kind = Outcome.of_response(event.response).kind
    if plan.reader == "drops":
        del stream
        return kind
    raised = {"fails": ZeroDivisionError, "is interrupted": KeyboardInterrupt}.get(plan.reader)
    with contextlib.suppress(ZeroDivisionError, KeyboardInterrupt):
        if mode.is_async:
            async with stream:
                if raised is not None:
                    raise raised
        else:
            with stream:
                if raised is not None:
                    raise raised
    return kind


async def play(mode: Mode, plan: Plan) -> tuple[str, list[Told], Client, Stepping]:
    told: list[Told] = []
    numbers = iter(range(100))

    def place(names: tuple[str, ...], where: str) -> list[Any]:
        def recorder() -> Observe:
            observer = f"{where} {next(numbers)}"
            return Observe(lambda signal: told.append(Told(observer, signal)))

        return [recorder() if name == "observe" else STAGES[name] for name in names]

    outer, inner = place(plan.outer, "outer"), place(plan.inner, "inner")
    chain = presets.responses.with_(retry={"base_delay_s": 0}).before("validate", *outer).after("retry", *inner)
    strike = Strike(mode, plan.strikes)
    host = Stepping([HOSTS[name] for name in plan.hosts], strike)
    hook: Callable[[Any], None] = lambda signal: told.append(Told("client", signal))  # noqa: E731
    client = Client(chain, transport=host, hooks=[hook])
    seen = ""
    if strike.scope is None:
        seen = await use(mode, client, plan)
    else:
        with strike.scope:
            seen = await use(mode, client, plan)
            await anyio.lowlevel.checkpoint()
        if strike.scope.cancelled_caught and not seen:
            seen = "cancelled"
    return seen, told, client, host


def check(plan: Plan, seen: str, told: list[Told], client: Client, host: Stepping) -> None:
    order = [told_.observer for told_ in told if told_.signal.name == "call.end"]
    for observer in {told_.observer for told_ in told}:
        signals = [told_.signal for told_ in told if told_.observer == observer]
        check_segments(signals, once=not observer.startswith("inner"))
        times = [signal.at_s for signal in signals]
        assert times == sorted(times)
        assert len({signal.call_id for signal in signals}) == 1
        if not observer.startswith("inner"):
            assert order.index(observer) <= order.index("client")  # who stands inside learns of the end first
    assert order[-1] == "client"
    (end,) = (told_.signal for told_ in told if told_.observer == "client" and told_.signal.name == "call.end")
    assert end.kind == seen or (seen == "cancelled" and host.strike.too_late)
    assert end.meta.attempts == () or end.meta.attempts[-1].outcome != "open"
    assert client.hook_errors == 0
    assert not host.open_exchanges
    assert surrounding.get() is None


def check_segments(signals: list[Any], *, once: bool) -> None:
    """Check that starts and ends pair up, and that nothing lies outside of them; `once`: there is one such pair."""
    inside, attempts, calls = False, list[int](), 0
    for signal in signals:
        if signal.name == "call.start":
            assert not inside
            inside, calls = True, calls + 1
            continue
        assert inside, f"{signal.name} outside of a call"
        if signal.name == "call.end":
            assert not attempts, "an attempt outlives its call"
            inside = False
        elif signal.name == "attempt.start":
            attempts.append(signal.attempt.number)
        elif signal.name == "attempt.end":
            attempts.remove(signal.attempt.number)
            assert signal.attempt.outcome != "open"
    assert not inside, "a call without an end"
    assert calls == 1 or not once


@given(plan=plans)
@example(plan=Plan((), (), ("answers",), "drops", after=2))
@example(plan=Plan(("observe", "respins"), ("respins", "observe"), ("busy", "breaks"), "reads"))
@example(plan=Plan(("observe",), ("observe",), ("busy", "answers"), "is interrupted", after=3))
@example(plan=Plan((), ("observe",), ("answers",), "reads", strikes=3))
@example(plan=Plan(("drops_the_reply",), (), ("answers",), "drops", after=1))
@settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_call_ends_once_with_what_its_caller_saw(mode: Mode, plan: Plan) -> None:
    async def body() -> None:
        seen, told, client, host = await play(mode, plan)
        if plan.reader == "drops" and mode.name == "trio":
            await let_trio_forget()
        check(plan, seen, told, client, host)

    mode.run(body)


def test_ctrl_c_in_a_hook_reaches_the_caller_and_every_other_hook_learns_of_the_end(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[str] = []

        def interrupt(signal: Any) -> None:
            if signal.name == "call.end":
                raise KeyboardInterrupt

        chain = presets.responses.before(0, Observe(lambda signal: seen.append(signal.name))).before(
            "retry", Observe(interrupt)
        )
        client = scripted("Hello.", chain=chain)
        with pytest.raises(KeyboardInterrupt):
            await mode.response(client.chain, model="openai/m", streamed=streamed)

        assert seen.count("call.start") == seen.count("call.end") == 1

    mode.run(body)


async def let_trio_forget() -> None:
    """From Python 3.12 on a wait in trio, as before a repeat, leaves a cycle of frames, and one until the next wait."""
    await anyio.lowlevel.checkpoint()
    gc.collect()


def again_elsewhere(keys: list[str]) -> Any:
    """Return a chain and hosts that answer well at the second attempt, in three ways."""
    ways: dict[str, Any] = {
        "retry": (presets.responses.with_(retry={"base_delay_s": 0.0}), HOSTS["busy"], "k"),
        "fallback": (
            presets.responses.before("resolve", Fallback(["openai/n"])).with_(retry={"attempts": 1}),
            HOSTS["busy"],
            "k",
        ),
        "renewed key": (presets.responses, {"status": 401, "body": {"error": {"message": "no"}}}, keys.pop),
    }
    return ways


@pytest.mark.parametrize("way", ["retry", "fallback", "renewed key"])
def test_a_stream_that_came_late_ends_when_it_is_dropped_though_a_hook_keeps_the_failure_before(
    mode: Mode, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    async def body() -> None:
        signals: list[Any] = []
        chain, failure, key = again_elsewhere(["second", "first"])[way]
        client = scripted(failure, "Hello there.", chain=chain, hooks=[signals.append])
        option = {"api_key": key} if callable(key) else {}
        stream = await mode.call(client.chain, model="openai/m", stream=True, **option)
        await mode.next(stream)
        gc.disable()
        try:
            del stream
            if mode.name == "trio":
                await let_trio_forget()
            assert [signal.name for signal in signals].count("call.end") == 1
        finally:
            gc.enable()

    mode.run(body)
