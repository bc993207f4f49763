"""Background responses at hosts that have none: begun, followed, resumed, cancelled, lost, and settled once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import Mode
from hand_made import text_events

import antiphon
from antiphon import Chain, Client, presets
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.api.wire import loads
from antiphon.pipeline.errors import (
    BadRequestError,
    InternalServerError,
    InvalidParameter,
    NotFoundError,
    UnsupportedParameter,
)
from antiphon.pipeline.function_stages import FunctionStage, stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.signals import CallEnded, ResponseSettled, Signal
from antiphon.pipeline.stores.sqlite import SqliteStore
from antiphon.pipeline.stores.store import Store
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.testing import ScriptedHost, message

CALL: dict[str, Any] = {"model": "groq/m", "api_key": "k", "background": True}
SETTLED = ("completed", "failed", "cancelled", "incomplete")


class Gate:
    """A stage that lets calls through when it is open."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = 0
        self.left = 0

    def stage(self) -> FunctionStage:
        @stage
        async def gate(request: Request, call_next: Handler) -> Reply:
            self.entered += 1
            try:
                while not self.opened.is_set():
                    await request.context.runtime.sleep(0.01)
                return await call_next(request)
            finally:
                self.left += 1

        return gate


def slow_host(*deltas: str, pause_s: float = 0.02, fails: bool = False) -> FunctionStage:
    """Return a terminal stage whose stream takes its time."""

    @stage(terminal=True)
    async def slow(request: Request, call_next: Handler) -> Reply:
        async def events() -> AsyncIterator[ev.Event]:
            for event in text_events(*deltas):
                if fails and isinstance(event, ev.ResponseCompleted):
                    raise InternalServerError("it broke", status=500, code="broken")
                yield event
                await request.context.runtime.sleep(pause_s)

        return EventStream.of(events(), request.context)

    return slow


class Here:
    """A client in one mode, and the signals of its calls."""

    def __init__(self, mode: Mode, chain: Chain, store: Store | None, **settings: Any) -> None:
        self.mode = mode
        self.signals: list[Signal] = []
        self.client = Client(chain, state_store=store, hooks=[self.signals.append], **settings)

    async def begin(self, given: str = "Hi", **call: Any) -> Any:
        return await self.mode.call(self.client.chain, given, **{**CALL, **call})

    async def get(self, response_id: str, **call: Any) -> Any:
        client = self.client
        return await self.mode.either(
            lambda: client.get_responses(response_id, **call), lambda: client.aget_responses(response_id, **call)
        )

    async def cancel(self, response_id: str) -> Response:
        client = self.client
        return await self.mode.either(
            lambda: client.cancel_responses(response_id), lambda: client.acancel_responses(response_id)
        )

    async def poll(self, response_id: str) -> Response:
        client = self.client
        return await self.mode.either(
            lambda: client.poll_responses(response_id, interval_s=0.02),
            lambda: client.apoll_responses(response_id, interval_s=0.02),
        )

    async def pause(self, seconds: float = 0.02) -> None:
        await self.mode.either(lambda: time.sleep(seconds), lambda: anyio.sleep(seconds))

    async def until(self, true: Callable[[], object]) -> None:
        for _ in range(500):
            if true():
                return
            await self.pause(0.01)
        raise AssertionError("it did not come to that")

    async def close(self) -> None:
        await self.mode.close(self.client)

    @property
    def settled(self) -> list[tuple[str, str]]:
        return [(each.response_id, each.outcome) for each in self.signals if isinstance(each, ResponseSettled)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = SqliteStore(tmp_path / "state.db")
    yield made
    made.close()


def gated(gate: Gate, answer: Any = "Hello there.") -> tuple[Chain, ScriptedHost]:
    return presets.responses.before("retry", gate.stage()), ScriptedHost([answer])


def with_host(host: FunctionStage, **remember: Any) -> Chain:
    return presets.responses.replace("dispatch", host).with_(remember=remember)


def test_it_is_queued_at_once_and_ends_later(mode: Mode) -> None:
    async def body() -> None:
        gate = Gate()
        chain, host = gated(gate)
        here = Here(mode, chain, None, transport=host)

        begun = await here.begin(metadata={"a": "b"}, instructions="Be brief.")
        assert (begun.status, begun.background, begun.output, begun.store) == ("queued", True, (), True)
        assert (begun.metadata, begun.instructions) == ({"a": "b"}, "Be brief.")
        assert [each.kind for each in here.signals if isinstance(each, CallEnded)] == ["accepted"]
        assert (await here.get(begun.id)).status == "queued"

        gate.opened.set()
        ended = await here.poll(begun.id)

        assert (ended.status, ended.output_text, ended.background) == ("completed", "Hello there.", True)
        assert (ended.id, ended.created_at) == (begun.id, begun.created_at)
        assert ended.usage is not None
        assert here.settled == [(begun.id, "completed")]
        sent = host.requests[0].body or b""
        assert b"background" not in sent
        assert b'"store"' not in sent
        await here.close()

    mode.run(body)


def test_it_is_in_progress_when_the_host_has_begun(mode: Mode) -> None:
    async def body() -> None:
        here = Here(mode, with_host(slow_host(*"abcdefgh", pause_s=0.05)), None)
        begun = await here.begin()
        seen = {begun.status}

        while (response := await here.get(begun.id)).status not in SETTLED:
            seen.add(response.status)
            await here.pause()

        assert seen == {"queued", "in_progress"}
        assert response.output_text == "abcdefgh"
        await here.close()

    mode.run(body)


def test_its_stream_shows_what_comes_as_it_comes(mode: Mode) -> None:
    async def body() -> None:
        here = Here(mode, with_host(slow_host("Hel", "lo")), None)

        stream = await here.begin(stream=True)
        events = await mode.events(stream)

        assert antiphon.check_grammar(events) == []
        assert [event.type for event in events[:2]] == ["response.created", "response.queued"]
        assert events[0].response.status == "queued"  # type: ignore[attr-defined]
        assert stream.response.output_text == "Hello"
        assert len({event.response.id for event in events if isinstance(event, ev.LifecycleEvent)}) == 1
        assert stream.outcome.kind == "completed"
        await here.close()

    mode.run(body)


def test_a_stream_that_is_left_is_taken_up_again(mode: Mode, any_store: Store) -> None:
    """By another client, that shares nothing but the store."""

    async def body() -> None:
        here = Here(mode, with_host(slow_host("Hel", "lo", " there")), any_store)
        there = Here(mode, presets.responses, any_store)

        stream = await here.begin(stream=True)
        first = [await mode.next(stream) for _ in range(4)]
        await mode.close(stream)
        rest = await mode.events(await there.get(stream.response.id, stream=True, starting_after=3))
        whole = await mode.events(await there.get(stream.response.id, stream=True))

        assert [event.sequence_number for event in first + rest] == list(range(len(first + rest)))
        assert antiphon.check_grammar(first + rest) == []
        assert [event.raw for event in whole] == [event.raw for event in first + rest]
        assert rest[-1].response.output_text == "Hello there"  # type: ignore[attr-defined]
        await here.until(lambda: here.settled)  # told once the store has the end, which the other client sees
        assert (here.settled, there.settled) == ([(stream.response.id, "completed")], [])
        await here.close()
        await there.close()

    mode.run(body)


def test_a_stream_that_is_over_still_shows_its_end(mode: Mode) -> None:
    async def body() -> None:
        here = Here(mode, with_host(slow_host("Hello")), None)
        begun = await here.begin()
        await here.poll(begun.id)

        (event,) = await mode.events(await here.get(begun.id, stream=True, starting_after=1000))

        assert isinstance(event, ev.ResponseCompleted)
        assert event.response.output_text == "Hello"
        await here.close()

    mode.run(body)


def test_it_goes_on_from_a_response_and_others_from_it(mode: Mode) -> None:
    async def body() -> None:
        host = ScriptedHost(["One.", "Two.", "Three."])
        here = Here(mode, presets.responses, None, transport=host)

        first = await here.begin("a", background=None)
        second = await here.begin("b", previous_response_id=first.id)
        await here.poll(second.id)
        third = await here.begin("c", background=None, previous_response_id=second.id)

        assert (second.previous_response_id, third.previous_response_id) == (first.id, second.id)
        sent = loads(host.requests[2].body or b"")
        assert [item.get("role") for item in sent["input"]] == ["user", "assistant"] * 2 + ["user"]
        await here.close()

    mode.run(body)


def test_what_has_not_ended_cannot_be_gone_on_from(mode: Mode) -> None:
    async def body() -> None:
        gate = Gate()
        chain, host = gated(gate)
        here = Here(mode, chain, None, transport=host)
        begun = await here.begin()

        with pytest.raises(antiphon.ConflictError, match="is queued, so nothing can go on from it yet"):
            await here.begin("b", background=None, previous_response_id=begun.id)
        await here.close()

    mode.run(body)


def test_a_failure_is_its_end(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        here = Here(mode, with_host(slow_host("Hel", "lo", fails=True)), None)
        begun = await here.begin()

        ended = await here.poll(begun.id)

        assert (ended.status, ended.output_text) == ("failed", "Hello")
        assert ended.error is not None
        assert (ended.error.code, ended.error.message) == ("broken", "it broke")
        assert here.settled == [(begun.id, "failed")]
        if streamed:
            with pytest.raises(antiphon.APIStatusError, match="it broke"):
                await mode.events(await here.get(begun.id, stream=True))
        await here.close()

    mode.run(body)


@pytest.mark.parametrize("by", ["the same client", "another client"])
def test_it_is_cancelled_by_whoever_has_the_store(mode: Mode, store: Store, by: str) -> None:
    async def body() -> None:
        gate = Gate()
        chain, host = gated(gate)
        here = Here(mode, chain.with_(remember={"lease_s": 0.3}), store, transport=host)
        there = here if by == "the same client" else Here(mode, presets.responses, store)
        begun = await here.begin()
        await here.until(lambda: gate.entered)

        cancelled = await there.cancel(begun.id)
        await here.until(lambda: gate.left)

        assert cancelled.status == "cancelled"
        assert (await here.get(begun.id)).status == "cancelled"
        assert (await there.cancel(begun.id)).status == "cancelled"
        assert here.settled + (there.settled if there is not here else []) == [(begun.id, "cancelled")]
        assert host.requests == []
        stream = await there.get(begun.id, stream=True)
        assert (await mode.until_done(stream)).status == "cancelled"
        assert stream.outcome.kind == "cancelled"
        await here.close()
        await there.close()

    mode.run(body)


def test_what_is_no_background_response_is_not_cancelled(mode: Mode) -> None:
    async def body() -> None:
        here = Here(mode, presets.responses, None, transport=ScriptedHost(["Hello."]))
        response = await here.begin(background=None)

        with pytest.raises(BadRequestError, match="only a background response"):
            await here.cancel(response.id)
        await here.close()

    mode.run(body)


def test_deleting_it_stops_the_work(mode: Mode, store: Store) -> None:
    async def body() -> None:
        gate = Gate()
        chain, host = gated(gate)
        here = Here(mode, chain, store, transport=host)
        begun = await here.begin()
        await here.until(lambda: gate.entered)

        client = here.client
        await mode.either(lambda: client.delete_responses(begun.id), lambda: client.adelete_responses(begun.id))
        await here.until(lambda: gate.left)

        with pytest.raises(NotFoundError):
            await here.get(begun.id)
        assert here.settled == []
        await here.close()

    mode.run(body)


def test_nothing_to_be_kept_is_nothing_for_the_background(mode: Mode) -> None:
    async def body() -> None:
        here = Here(mode, presets.responses, None, transport=ScriptedHost(["Hello."]))

        with pytest.raises(InvalidParameter, match="nobody could ask for the response later"):
            await here.begin(store=False)
        await here.close()

    mode.run(body)


def test_without_the_stage_the_host_decides(mode: Mode) -> None:
    async def body() -> None:
        here = Here(mode, presets.responses.without("remember"), None, transport=ScriptedHost(["Hello."]))

        with pytest.raises(UnsupportedParameter, match="background"):
            await here.begin()
        await here.close()

    mode.run(body)


def test_a_dry_run_begins_nothing() -> None:
    explanation = presets.responses.explain("Hi", **CALL)

    assert explanation.request is not None
    assert explanation.request.body == {"model": "m", "input": "Hi"}


def test_a_host_with_a_background_of_its_own_keeps_it(mode: Mode) -> None:
    async def body() -> None:
        queued = {"id": "resp_1", "status": "queued", "background": True}
        ended = {"id": "resp_1", "status": "completed", "output": [message("Done.")]}
        host = ScriptedHost([queued, queued, ended, ended, "Next."])
        here = Here(mode, presets.responses, None, transport=host)

        begun = await here.begin(model="openai/m")
        for _ in range(3):
            await here.get(begun.id, api_key="k")

        assert b'"background":true' in (host.requests[0].body or b"")
        assert here.settled == [(begun.id, "completed")]
        # Its end is known here too, so that another host can go on with it.
        await here.begin("And?", background=None, previous_response_id=begun.id)
        assert b"Done." in (host.requests[4].body or b"")
        await here.close()

    mode.run(body)


def test_at_a_host_that_keeps_responses_nothing_is_left_of_it(mode: Mode) -> None:
    async def body() -> None:
        host = ScriptedHost([{"id": "resp_1"}, {"id": "resp_2", "output": [message("Done.")]}, "Next."])
        here = Here(mode, presets.responses, None, transport=host)
        first = await here.begin(background=None, model="xai/m")

        begun = await here.begin(model="xai/m", previous_response_id=first.id)
        ended = await here.poll(begun.id)
        await here.begin("And?", background=None, model="xai/m", previous_response_id=begun.id)

        sent = [loads(request.body or b"") for request in host.requests]
        assert (ended.id, ended.previous_response_id) == (begun.id, first.id)
        assert (sent[1]["previous_response_id"], sent[1]["store"], "background" in sent[1]) == ("resp_1", False, False)
        assert len(sent[2]["input"]) == 4
        await here.close()

    mode.run(body)


# --- workers that go away -------------------------------------------------------------------------------------------


def test_closing_the_client_ends_it_with_the_reason(mode: Mode, store: Store) -> None:
    async def body() -> None:
        gate = Gate()
        chain, host = gated(gate)
        here = Here(mode, chain, store, transport=host)
        begun = await here.begin()
        await here.until(lambda: gate.entered)

        await here.close()

        there = Here(mode, presets.responses, store)
        ended = await there.get(begun.id)
        assert ended.status == "failed"
        assert ended.error is not None
        assert "the client was closed" in ended.error.message
        assert here.settled == [(begun.id, "failed")]
        await there.close()

    mode.run(body)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_end_of_its_event_loop_ends_it(backend: Any, store: Store) -> None:
    gate = Gate()
    chain, host = gated(gate)
    client = Client(chain, state_store=store, transport=host)

    async def begin() -> str:
        response: Response = await client.aresponses("Hi", **CALL)
        return response.id

    begun = anyio.run(begin, backend=backend)

    with Client(state_store=store) as other:
        ended = other.get_responses(begun)
        assert ended.status == "failed"
        assert ended.error is not None
        assert "the event loop ended" in ended.error.message
    client.close()


SCRIPT = """
    import sys, time
    import antiphon
    from antiphon import presets, stage
    from antiphon.testing import ScriptedHost

    @stage
    async def forever(request, call_next):
        while True:
            await request.context.runtime.sleep(0.01)

    chain = presets.responses.before("retry", forever).with_(remember={{"lease_s": {lease_s}, "on_lost": {on_lost!r}}})
    client = antiphon.Client(chain, state_store={url!r}, transport=ScriptedHost(["Hello."]))
    print(client.responses("Hi", "groq/m", api_key="k", background=True).id, flush=True)
    {then}
"""


def begun_elsewhere(
    url: str, then: str = "", *, kill: bool = False, lease_s: float = 30.0, on_lost: str = "fail"
) -> str:
    """Begin a background response in another process, which then ends or is killed; return its id."""
    script = textwrap.dedent(SCRIPT).format(url=url, then=then, lease_s=lease_s, on_lost=on_lost)
    with subprocess.Popen([sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        begun = process.stdout.readline().strip()
        if kill:
            os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    assert process.returncode == (-signal.SIGKILL if kill else 0)
    return begun


def test_the_end_of_the_interpreter_ends_it(store: Store, tmp_path: Path) -> None:
    begun = begun_elsewhere(f"sqlite:///{tmp_path}/state.db")

    with Client(state_store=store) as client:
        ended = client.get_responses(begun)
    assert ended.status == "failed"
    assert ended.error is not None
    assert "the interpreter exited" in ended.error.message


SPEAKER = """
    import sys, time
    import antiphon
    from antiphon import presets, stage
    from antiphon.pipeline.api import events as ev
    from antiphon.pipeline.streams.replay import replay
    from antiphon.pipeline.streams.event_stream import EventStream
    from antiphon.pipeline.api.response import Response
    from antiphon.testing import message

    @stage(terminal=True)
    async def slow(request, call_next):
        async def events():
            said = Response.new(id="resp_1", status="completed", output=[message("one two three four five six seven")])
            for event in replay(said):
                await request.context.runtime.sleep(0.05)
                yield event
        return EventStream.of(events(), request.context)

    with antiphon.Client(presets.responses.replace("dispatch", slow), state_store={url!r}) as client:
        begun = client.responses("Hi", "groq/m", api_key="k", background=True)
        print(begun.id, flush=True)
        client.poll_responses(begun.id, interval_s=0.05)
"""


@contextlib.contextmanager
def speaking(url: str) -> Generator[str, None, None]:
    """Have another process work on a response that takes half a second; the id of it."""
    script = textwrap.dedent(SPEAKER).format(url=url)
    with subprocess.Popen([sys.executable, "-P", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.wait(30)
    assert process.returncode == 0


def test_what_one_process_begins_another_streams_to_its_end(mode: Mode, store: Store, tmp_path: Path) -> None:
    async def body() -> None:
        here = Here(mode, presets.responses, store)
        with speaking(f"sqlite:///{tmp_path}/state.db") as begun:
            stream = await here.get(begun, stream=True)
            seen = [(await mode.next(stream), time.monotonic())]
            while not isinstance(seen[-1][0], ev.ResponseCompleted):
                seen.append((await mode.next(stream), time.monotonic()))
            await mode.close(stream)

        assert antiphon.check_grammar([event for event, _ in seen]) == []
        assert stream.response.output_text == "one two three four five six seven"
        assert seen[-1][1] - seen[0][1] > 0.3  # they came as they were made
        assert here.settled == []
        await here.close()

    mode.run(body)


def test_sync_calls_on_an_event_loop_of_their_own_work_in_the_background_too() -> None:
    settled: list[Signal] = []
    with Client(with_host(slow_host("Hel", "lo")), blocking="portal", hooks=[settled.append]) as client:
        begun = client.responses("Hi", **CALL)
        ended = client.poll_responses(begun.id, interval_s=0.02)

    assert ended.output_text == "Hello"
    assert [each.outcome for each in settled if isinstance(each, ResponseSettled)] == ["completed"]


@pytest.fixture
def killed(tmp_path: Path) -> str:
    """The id of a response whose worker was killed; its lease is short."""
    return begun_elsewhere(f"sqlite:///{tmp_path}/state.db", "time.sleep(60)", kill=True, lease_s=0.4)


def test_a_worker_that_was_killed_is_missed_when_somebody_looks(mode: Mode, store: Store, killed: str) -> None:
    """Two look at once; one of them writes the end, and tells of it."""

    async def body() -> None:
        one, other = Here(mode, presets.responses, store), Here(mode, presets.responses, store)
        await one.pause(0.45)

        seen = [await each.get(killed) for each in (one, other)]

        assert {response.status for response in seen} == {"failed"}
        assert seen[0].error is not None
        assert "its worker is gone" in seen[0].error.message
        assert one.settled + other.settled == [(killed, "failed")]
        await one.close()
        await other.close()

    mode.run(body)


def test_who_follows_the_stream_of_a_killed_worker_learns_of_its_end(store: Store, killed: str) -> None:
    with Client(state_store=store) as client:
        stream = client.get_responses(killed, stream=True)
        with pytest.raises(antiphon.APIStatusError, match="its worker is gone"):
            list(stream)


def test_what_may_be_run_again_is(mode: Mode, store: Store, tmp_path: Path) -> None:
    async def body() -> None:
        url = f"sqlite:///{tmp_path}/state.db"
        begun = begun_elsewhere(url, "time.sleep(60)", kill=True, lease_s=0.4, on_lost="rerun")
        host = ScriptedHost(["Hello again."])
        here = Here(mode, presets.responses.with_(remember={"on_lost": "rerun"}), store, transport=host)
        await here.pause(0.45)

        assert (await here.get(begun, api_key="k")).status in ("queued", "in_progress", "completed")
        ended = await here.poll(begun)

        assert (ended.id, ended.status, ended.output_text) == (begun, "completed", "Hello again.")
        assert here.settled == [(begun, "completed")]
        assert len(host.requests) == 1
        events = await mode.events(await here.get(begun, stream=True))
        assert isinstance(events[-1], ev.ResponseCompleted)
        await here.close()

    mode.run(body)


def test_what_is_stopped_and_may_be_run_again_is_left_to_others(mode: Mode, store: Store) -> None:
    async def body() -> None:
        gate = Gate()
        chain, host = gated(gate)
        rerun = {"remember": {"on_lost": "rerun"}}
        here = Here(mode, chain.with_(**rerun), store, transport=host)
        begun = await here.begin()
        await here.until(lambda: gate.entered)
        await here.close()

        there = Here(mode, presets.responses.with_(**rerun), store, transport=host)
        await there.get(begun.id, api_key="k")  # at once, without waiting for the lease

        assert (await there.poll(begun.id)).output_text == "Hello there."
        assert (here.settled, there.settled) == ([], [(begun.id, "completed")])
        await there.close()

    mode.run(body)


def test_a_lease_is_renewed_as_long_as_the_worker_lives(mode: Mode, store: Store) -> None:
    async def body() -> None:
        gate = Gate()
        chain, host = gated(gate)
        here = Here(mode, chain.with_(remember={"lease_s": 1.0}), store, transport=host)
        there = Here(mode, presets.responses, store)
        begun = await here.begin()

        await here.pause(1.5)
        assert (await there.get(begun.id)).status == "queued"
        gate.opened.set()

        assert (await there.poll(begun.id)).status == "completed"
        await here.close()
        await there.close()

    mode.run(body)
