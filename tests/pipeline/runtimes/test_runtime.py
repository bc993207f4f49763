"""Waiting in every mode: blocking, on asyncio, on trio, and on a portal."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
from conftest import Mode
from ctrl_c import ctrl_c
from hand_made import answer, host
from loopback import open_descriptors

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.api import events as ev
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import APIStatusError, SetupError, SuspendedInSync
from antiphon.pipeline.function_stages import stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.runtimes.runtime import Runtime
from antiphon.pipeline.stage import Stage
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.testing import scripted

SLEEPS: dict[str, Callable[[float], Awaitable[None]]] = {
    "asyncio": asyncio.sleep,
    "anyio": anyio.sleep,
    "trio": trio.sleep,
}


async def with_runtime(mode: Mode, use: Callable[[Runtime], Awaitable[Any]]) -> Any:
    """Run `use` inside a stage, with the runtime of a call."""
    found: list[Any] = []

    @stage(terminal=True)
    async def inside(request: Request, call_next: Handler) -> Reply:
        found.append(await use(request.context.runtime))
        return answer()

    await mode.call(Client(Chain([inside])).chain)
    return found[0]


# --- a sync call that suspends --------------------------------------------------------------------------------------


def sleepy(sleep: Callable[[float], Awaitable[None]], cleaned: list[str]) -> Stage:
    class Sleepy(Stage):
        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            try:
                await sleep(0.01)
            finally:
                cleaned.append("yes")
            return await call_next(request)

    return Sleepy()


def sleepy_function(sleep: Callable[[float], Awaitable[None]], cleaned: list[str]) -> Stage:
    @stage
    async def sleepy(request: Request, next_one: Handler) -> Reply:
        try:
            await sleep(0.01)
        finally:
            cleaned.append("yes")
        return await next_one(request)

    return sleepy


@pytest.mark.parametrize("make", [sleepy, sleepy_function])
@pytest.mark.parametrize("library", SLEEPS)
@pytest.mark.parametrize("around", ["nothing", "asyncio", "trio"])
def test_a_sync_call_names_the_stage_that_suspends(make: Any, library: str, around: str) -> None:
    cleaned: list[str] = []
    client = scripted("Hello.", chain=presets.responses.after("retry", make(SLEEPS[library], cleaned)))

    def call() -> None:
        with pytest.raises(SuspendedInSync) as caught:
            client.responses("Hi", "openai/m")
        assert "stage sleepy awaited something other than the runtime's methods in a sync call" in str(caught.value)
        assert "request.context.runtime" in str(caught.value)
        assert "async twin" in str(caught.value)
        assert 'blocking="portal"' in str(caught.value)

    async def inside() -> None:
        call()

    call() if around == "nothing" else anyio.run(inside, backend=around)

    assert cleaned == ["yes"]
    assert client.requests == []


def test_a_stage_may_handle_its_suspension() -> None:
    @stage
    async def careful(request: Request, call_next: Handler) -> Reply:
        try:
            await asyncio.sleep(0)
        except SuspendedInSync:
            return answer("Went on without.")
        return await call_next(request)

    assert Client(Chain([careful, host()])).chain.invoke("Hi").output_text == "Went on without."


def test_other_runtime_errors_stay_what_they_are(mode: Mode) -> None:
    @stage
    async def broken(request: Request, call_next: Handler) -> Reply:
        raise RuntimeError("of the stage's own")

    async def body() -> None:
        with pytest.raises(RuntimeError, match="of the stage's own"):
            await mode.call(Client(Chain([broken, host()])).chain)

    mode.run(body)


# --- the portal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", ["asyncio", "anyio"])
def test_a_portal_runs_stages_that_await_foreign_libraries(library: str) -> None:
    cleaned: list[str] = []
    chain = presets.responses.after("retry", sleepy(SLEEPS[library], cleaned))

    with scripted("Hello.", chain=chain, blocking="portal") as client:
        response = client.responses("Hi", "openai/m")

    assert response.output_text == "Hello."
    assert cleaned == ["yes"]


def test_a_portal_runs_streams() -> None:
    @stage
    async def slowly(request: Request, call_next: Handler) -> Reply:
        inner = await call_next(request)
        assert isinstance(inner, EventStream)

        async def events() -> AsyncIterator[Any]:
            async for event in inner:
                await asyncio.sleep(0)
                yield event

        return EventStream.of(events(), request.context)

    with scripted("Hello there.", chain=presets.responses.before("retry", slowly), blocking="portal") as client:
        with client.responses("Hi", "openai/m", stream=True) as stream:
            text = "".join(stream.text)
        left = client.responses("Hi", "openai/m", stream=True)
        next(left)
        left.close()

    assert text == "Hello there."
    assert stream.outcome is not None
    assert stream.outcome.kind == "completed"
    assert left.outcome is not None
    assert left.outcome.kind == "abandoned"


def test_a_portal_keeps_one_loop_and_sees_the_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    seen: list[Any] = []

    @stage
    async def look(request: Request, call_next: Handler) -> Reply:
        seen.append((asyncio.get_running_loop(), variable.get("unset")))
        return await call_next(request)

    variable.set("the caller's")
    with Client(Chain([look, host()]), blocking="portal") as client:
        client.chain.invoke("Hi")
        client.chain.invoke("Hi")

    assert seen[0] == seen[1]
    assert seen[0][1] == "the caller's"


def test_ctrl_c_ends_what_runs_on_a_portal() -> None:
    seen: list[str] = []

    @stage
    async def hang(request: Request, call_next: Handler) -> Reply:
        press()
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return await call_next(request)

    def note(told: Any) -> None:
        if told.name == "call.end":
            seen.append(told.kind)

    with ctrl_c() as press, Client(Chain([hang, host()]), blocking="portal", hooks=[note]) as client:
        with pytest.raises(KeyboardInterrupt):
            client.chain.invoke("Hi")
        assert seen == ["cancelled", "cancelled"]
        assert client.chain.without("hang").invoke("Hi").output_text == "Hello there."


def test_a_stopped_portal_says_so() -> None:
    with scripted("Hello there.", blocking="portal") as client:
        stream = client.responses("Hi", "openai/m", stream=True)
        next(stream)
        stream.drop()
    with pytest.raises(SetupError, match="a sync call cannot run on its client's event loop"):
        stream.close()


def test_a_portal_serves_a_batch() -> None:
    with scripted(lambda sent: sent["input"], blocking="portal") as client:
        replies = client.chain.batch(list("abc"), model="openai/m")

    assert [reply.output_text for reply in replies if not isinstance(reply, Exception)] == ["a", "b", "c"]


# --- side by side ---------------------------------------------------------------------------------------------------


def test_gather_keeps_the_order_of_its_jobs(mode: Mode) -> None:
    async def body() -> None:
        async def use(runtime: Runtime) -> list[int]:
            async def job(at: int) -> int:
                await runtime.sleep(0.01 - at * 0.003)
                return at

            return await runtime.gather([lambda: job(0), lambda: job(1), lambda: job(2)])

        assert await with_runtime(mode, use) == [0, 1, 2]

    mode.run(body)


def test_gather_of_nothing_is_empty(mode: Mode) -> None:
    async def body() -> None:
        assert await with_runtime(mode, lambda runtime: runtime.gather([])) == []

    mode.run(body)


def test_gather_raises_the_first_error_and_stops_the_others(mode: Mode) -> None:
    ended: list[str] = []

    async def body() -> None:
        async def use(runtime: Runtime) -> None:
            waits = runtime.event()

            async def good() -> None:
                try:
                    waits.set()
                    await runtime.sleep(30)
                    ended.append("slept")
                except BaseException:
                    ended.append("stopped")
                    raise

            async def bad() -> None:
                await waits.wait()
                raise APIStatusError("first")

            with pytest.raises(APIStatusError, match="first"):
                await runtime.gather([good, bad])

        began = time.monotonic()
        await with_runtime(mode, use)

        assert ended == ["stopped"]
        assert time.monotonic() - began < 5

    mode.run(body)


def test_stopping_reaches_nested_gathers(mode: Mode) -> None:
    async def body() -> None:
        async def use(runtime: Runtime) -> None:
            waits = runtime.event()

            async def sleeper() -> None:
                waits.set()
                await runtime.sleep(30)

            async def nested() -> None:
                await runtime.gather([sleeper, sleeper])

            async def bad() -> None:
                await waits.wait()
                raise APIStatusError("outer")

            with pytest.raises(APIStatusError, match="outer"):
                await runtime.gather([nested, bad])

        began = time.monotonic()
        await with_runtime(mode, use)

        assert time.monotonic() - began < 5

    mode.run(body)


def test_race_returns_the_first_result_and_stops_the_others(mode: Mode) -> None:
    async def body() -> None:
        async def use(runtime: Runtime) -> str:
            async def slow() -> str:
                await runtime.sleep(30)
                return "slow"

            async def fails() -> str:
                raise APIStatusError("no")

            async def quick() -> str:
                await runtime.sleep(0.005)
                return "quick"

            return await runtime.race([slow, fails, quick])

        began = time.monotonic()

        assert await with_runtime(mode, use) == "quick"
        assert time.monotonic() - began < 5

    mode.run(body)


def test_race_raises_the_first_error_when_all_fail(mode: Mode) -> None:
    async def body() -> None:
        async def use(runtime: Runtime) -> None:
            async def fails(text: str, after_s: float) -> None:
                await runtime.sleep(after_s)
                raise APIStatusError(text)

            with pytest.raises(APIStatusError, match="first"):
                await runtime.race([lambda: fails("second", 0.02), lambda: fails("first", 0.0)])

        await with_runtime(mode, use)

    mode.run(body)


def test_jobs_see_the_callers_context_and_keep_theirs_to_themselves(mode: Mode) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def body() -> None:
        async def use(runtime: Runtime) -> list[str]:
            async def job(name: str) -> str:
                seen = variable.get()
                variable.set(name)
                return seen

            variable.set("the caller's")
            jobs: list[Any] = [lambda: job("a"), lambda: job("b"), lambda: job("c")]
            return [*await runtime.gather(jobs, limit=1), await runtime.race(jobs[:1]), variable.get()]

        assert await with_runtime(mode, use) == ["the caller's"] * 5

    mode.run(body)


def test_locks_and_events_work_across_jobs(mode: Mode) -> None:
    async def body() -> None:
        async def use(runtime: Runtime) -> list[str]:
            lock, ready, seen = runtime.lock(), runtime.event(), list[str]()

            async def waits() -> None:
                await ready.wait()
                async with lock:
                    seen.append("waited")

            async def sets() -> None:
                async with lock:
                    ready.set()
                    await runtime.sleep(0.002)
                    seen.append("set")

            await runtime.gather([waits, sets])
            assert ready.is_set()
            return seen

        assert await with_runtime(mode, use) == ["set", "waited"]

    mode.run(body)


def test_blocking_code_runs_in_place_in_sync_and_in_a_thread_in_async(mode: Mode) -> None:
    async def body() -> None:
        here = threading.get_ident()

        there = await with_runtime(mode, lambda runtime: runtime.call(threading.get_ident))

        assert (there == here) is not mode.is_async

    mode.run(body)


# --- where calls run ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_sync_calls_work_inside_a_running_loop(backend: str) -> None:
    """As in a notebook."""
    client = scripted("Hello there.")

    async def cell() -> tuple[str, str]:
        plain = client.responses("Hi", "openai/m").output_text
        return plain, "".join(client.responses("Hi", "openai/m", stream=True).text)

    assert anyio.run(cell, backend=backend) == ("Hello there.", "Hello there.")


def test_one_client_serves_64_threads() -> None:
    client = scripted(lambda sent: sent["input"])
    found: dict[int, list[str]] = {}
    together = threading.Barrier(64)

    def work(at: int) -> None:
        together.wait()
        plain = client.responses(str(at), "openai/m")
        stream = client.responses(str(at), "openai/m", stream=True)
        found[at] = [plain.output_text, "".join(stream.text)]

    threads = [threading.Thread(target=work, args=(at,)) for at in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {at: [str(at)] * 2 for at in range(64)}


def test_one_client_serves_several_event_loops() -> None:
    client = scripted("Hello.")

    async def call() -> str:
        return (await client.aresponses("Hi", "openai/m")).output_text

    assert [anyio.run(call, backend=backend) for backend in ("asyncio", "trio", "asyncio")] == ["Hello."] * 3


def test_calls_work_in_a_forked_child() -> None:
    script = """
        import os
        import antiphon
        from antiphon.testing import scripted

        client = scripted("Hello.")
        assert client.responses("Hi", "openai/m").output_text == "Hello."
        assert antiphon.responses("Hi", "scripted/echo").output_text == "Hi"
        if (child := os.fork()) == 0:
            good = client.responses("Hi", "openai/m").output_text == "Hello."
            good = good and antiphon.responses("Ho", "scripted/echo").output_text == "Ho"
            with antiphon.responses("Ho", "scripted/echo", stream=True) as stream:
                good = good and "".join(stream.text) == "Ho"
            antiphon.close()
            os._exit(0 if good else 1)
        _, status = os.waitpid(child, 0)
        assert antiphon.responses("Hi", "scripted/echo").output_text == "Hi"
        raise SystemExit(os.waitstatus_to_exitcode(status))
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=30)

    assert (done.returncode, done.stderr) == (0, "")


def test_events_have_types() -> None:
    stream = scripted("Hello.").responses("Hi", "openai/m", stream=True)

    assert isinstance(next(stream), ev.ResponseCreated)
    stream.close()


# --- work beside the call --------------------------------------------------------------------------------------------


def test_a_spawned_job_goes_on_when_its_call_has_ended(mode: Mode) -> None:
    caller: contextvars.ContextVar[str] = contextvars.ContextVar("caller", default="nobody")
    seen: list[str] = []

    async def body() -> None:
        caller.set("somebody")

        async def start(runtime: Runtime) -> Any:
            go = runtime.event()

            async def job() -> None:
                await go.wait()
                seen.append(caller.get())

            return runtime.spawn(job, "late"), go

        task, go = await with_runtime(mode, start)
        assert not task.is_done
        assert seen == []
        go.set()
        await task.wait()
        assert task.is_done

    mode.run(body)

    assert seen == ["somebody"]


@pytest.mark.parametrize("stopped_by", ["cancel", "close"])
def test_a_spawned_job_ends_with_its_clean_up(mode: Mode, stopped_by: str) -> None:
    cleaned: list[str] = []

    async def body() -> None:
        spawned: list[Any] = []

        @stage(terminal=True)
        async def inside(request: Request, call_next: Handler) -> Reply:
            runtime = request.context.runtime
            begun = runtime.event()

            async def job() -> None:
                try:
                    begun.set()
                    await runtime.sleep(60)
                finally:
                    cleaned.append("yes")

            spawned.append(runtime.spawn(job, "long"))
            await begun.wait()
            return answer()

        client = Client(Chain([inside]))
        await mode.call(client.chain)
        if stopped_by == "cancel":
            spawned[0].cancel()
            await spawned[0].wait()
        else:
            await mode.close(client)
        assert spawned[0].is_done

    began = time.monotonic()
    mode.run(body)

    assert cleaned == ["yes"]
    assert time.monotonic() - began < 30


def test_a_spawned_job_ends_with_its_event_loop() -> None:
    for backend in ("asyncio", "trio"):
        cleaned: list[str] = []

        async def body(backend: str = backend, cleaned: list[str] = cleaned) -> None:
            async def start(runtime: Runtime) -> None:
                begun = runtime.event()

                async def job() -> None:
                    try:
                        begun.set()
                        await runtime.sleep(60)
                    finally:
                        cleaned.append(backend)

                runtime.spawn(job, "long")
                await begun.wait()

            await with_runtime(Mode(backend), start)  # type: ignore[arg-type]

        anyio.run(body, backend=backend)

        assert cleaned == [backend]


def test_an_error_of_a_spawned_job_is_logged(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async def start(runtime: Runtime) -> Any:
            async def job() -> None:
                raise ValueError("nobody listens")

            return runtime.spawn(job, "broken")

        await (await with_runtime(mode, start)).wait()

    mode.run(body)

    assert "background task broken failed: ValueError('nobody listens')" in caplog.text


def test_spawned_threads_run_their_clean_up_at_exit() -> None:
    program = """
        import antiphon
        from antiphon.pipeline.chain import Chain
        from antiphon.pipeline.function_stages import stage
        from antiphon.stages.dispatch import Dispatch

        @stage
        async def leave_one_running(request, call_next):
            runtime = request.context.runtime
            begun = runtime.event()

            async def job():
                try:
                    begun.set()
                    await runtime.sleep(60)
                finally:
                    print("cleaned", flush=True)

            runtime.spawn(job, "long")
            await begun.wait()
            return await call_next(request)

        antiphon.presets.responses.before("retry", leave_one_running).invoke("Hi", model="scripted/echo")
    """
    began = time.monotonic()

    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "cleaned\n"
    assert done.stderr == ""
    assert time.monotonic() - began < 30


# --- events, locks and descriptors ------------------------------------------------------------------------------------


def test_an_event_is_waited_for_and_for_so_long(mode: Mode) -> None:
    async def use(runtime: Runtime) -> tuple[bool, bool, float]:
        event = runtime.event()
        began = runtime.now()
        before = await event.wait(0.05)
        took = runtime.now() - began
        event.set()
        return before, await event.wait(), took

    before, after, took = mode.run(lambda: with_runtime(mode, use))

    assert (before, after) == (False, True)
    assert took >= 0.04


def test_a_descriptor_is_waited_for_and_for_so_long(mode: Mode) -> None:
    told, tell = os.pipe()

    async def use(runtime: Runtime) -> tuple[bool, bool]:
        before = await runtime.readable(told, 0.02)
        os.write(tell, b"x")
        return before, await runtime.readable(told)

    try:
        assert mode.run(lambda: with_runtime(mode, use)) == (False, True)
    finally:
        os.close(told)
        os.close(tell)


@pytest.mark.parametrize("what", ["event", "lock", "descriptor"])
def test_whoever_wins_a_race_ends_the_waits_of_the_others(mode: Mode, what: str) -> None:
    told, tell = os.pipe()
    before = open_descriptors()

    async def use(runtime: Runtime) -> str:
        lock = runtime.lock()

        async def wait() -> str:
            if what == "event":
                await runtime.event().wait()
            elif what == "lock":
                async with lock:
                    return "never"
            else:
                await runtime.readable(told)
            return "never"

        async def win() -> str:
            await runtime.sleep(0.05)
            return "won"

        async with lock:
            return await runtime.race([wait, wait, win]) if what != "descriptor" else await runtime.race([wait, win])

    began = time.monotonic()
    try:
        assert mode.run(lambda: with_runtime(mode, use)) == "won"
        assert time.monotonic() - began < 5
        assert open_descriptors() <= before + 1
    finally:
        os.close(told)
        os.close(tell)


def test_a_spawned_thread_that_waits_for_an_event_can_be_stopped() -> None:
    async def use(runtime: Runtime) -> bool:
        cleaned = []

        async def job() -> None:
            try:
                await runtime.event().wait()
            finally:
                cleaned.append(True)

        task = runtime.spawn(job, "waits")
        await runtime.sleep(0.02)
        task.cancel()
        await task.wait()
        return cleaned == [True]

    assert Mode("sync").run(lambda: with_runtime(Mode("sync"), use))


def test_a_home_is_told_of_its_end(mode: Mode) -> None:
    ended: list[object] = []

    async def use(runtime: Runtime) -> Callable[[], None]:
        home = runtime.home()
        assert home == runtime.home()
        return runtime.at_end(lambda: ended.append(home))

    forget = mode.run(lambda: with_runtime(mode, use))

    assert len(ended) == (1 if mode.is_async else 0)  # a process ends later
    forget()
    assert len(ended) == 1
