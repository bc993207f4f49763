"""Hooks that run beside the call: order, room, errors, contexts, and closing."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import gc
import subprocess
import sys
import threading
import time
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from conftest import Mode

from antiphon import Client, in_background
from antiphon.pipeline.errors import BadRequestError
from antiphon.pipeline.signals import Signal
from antiphon.testing import scripted

USER: contextvars.ContextVar[str] = contextvars.ContextVar("user", default="nobody")


def test_a_slow_hook_runs_in_the_clients_thread(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        seen: list[tuple[str, str]] = []

        def slow(signal: Signal) -> None:
            time.sleep(0.01)
            seen.append((signal.name, threading.current_thread().name))

        client = scripted("Hello.", hooks=[in_background(slow)])
        began = time.monotonic()
        await mode.response(client.chain, model="openai/m", streamed=streamed)
        assert time.monotonic() - began < 0.04 + 0.5  # did not wait for four naps in a row, loaded machine or not
        await mode.either(client.flush, client.aflush)

        names = [name for name, _ in seen]
        assert names[0] == "call.start"
        assert names[-1] == "call.end"
        assert {thread for _, thread in seen} == {"antiphon-hooks"}
        await mode.close(client)

    mode.run(body)


def test_the_call_does_not_wait_for_a_hook_beside_it(mode: Mode) -> None:
    async def body() -> None:
        let_go = threading.Event()
        client = scripted("Hello.", hooks=[in_background(lambda signal: let_go.wait(5))])
        response = await mode.call(client.chain, model="openai/m")

        assert response.output_text == "Hello."
        assert not client.flush(0.01)
        let_go.set()
        assert client.flush()
        await mode.close(client)

    mode.run(body)


def test_queued_hooks_see_the_context_of_their_signal(mode: Mode) -> None:
    async def body() -> None:
        seen: list[tuple[str, str]] = []

        async def hook(signal: Signal) -> None:
            await anyio.lowlevel.checkpoint()
            seen.append(("async", USER.get()))

        slow = in_background(lambda signal: seen.append(("slow", USER.get())))
        client = scripted("Hello.", hooks=[hook, slow])
        for user in ("ann", "bob"):
            token = USER.set(user)
            await mode.call(client.chain, model="openai/m")
            USER.reset(token)
        await mode.either(client.flush, client.aflush)

        for kind in ("async", "slow"):
            assert [user for found, user in seen if found == kind] == ["ann"] * 4 + ["bob"] * 4
        await mode.close(client)

    mode.run(body)


def test_async_hooks_of_async_calls_run_on_the_callers_loop(mode: Mode) -> None:
    async def body() -> None:
        here: list[bool] = []
        caller = threading.get_ident()

        async def hook(signal: Signal) -> None:
            await anyio.lowlevel.checkpoint()
            here.append(threading.get_ident() == caller)

        client = scripted("Hello.", hooks=[functools.partial(hook)])
        await mode.call(client.chain, model="openai/m")
        await mode.either(client.flush, client.aflush)

        assert here == [mode.is_async] * 4
        await mode.close(client)

    mode.run(body)


def test_what_finds_no_room_is_dropped_and_counted(mode: Mode) -> None:
    async def body() -> None:
        let_go, seen = threading.Event(), list[str]()

        def stuck(signal: Signal) -> None:
            let_go.wait(5)
            seen.append(signal.name)

        client = scripted("Hello.", hooks=[in_background(stuck)], hook_limit=2)
        for _ in range(3):
            await mode.call(client.chain, model="openai/m")
        dropped = client.hook_drops
        let_go.set()
        client.flush()

        assert dropped in (9, 10)  # of 12: two wait, and one may have been taken by the thread already
        assert len(seen) == 12 - dropped
        await mode.close(client)

    mode.run(body)


def test_async_hooks_find_no_endless_room_either(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []

        async def hook(signal: Signal) -> None:
            await anyio.sleep(0.005)
            seen.append(signal.name)

        client = scripted("Hello.", hooks=[hook], hook_limit=2)
        for _ in range(3):
            await mode.call(client.chain, model="openai/m")
        await mode.either(client.flush, client.aflush)

        assert client.hook_drops >= 6
        assert len(seen) + client.hook_drops == 12
        await mode.close(client)

    mode.run(body)


def test_errors_beside_the_call_are_counted_and_reported_once(mode: Mode, caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        async def broken(signal: Signal) -> None:
            raise ZeroDivisionError("sk-proj-abcdefghijklmnopqrstuvwxyz")

        def broken_too(signal: Signal) -> None:
            raise LookupError

        client = scripted("Hello.", hooks=[broken, in_background(broken_too)])
        await mode.call(client.chain, model="openai/m")
        await mode.either(client.flush, client.aflush)
        client.flush()

        assert client.hook_errors == 8
        assert len([record for record in caplog.records if "a hook failed" in record.getMessage()]) == 1
        assert "abcdefghij" not in caplog.text
        await mode.close(client)

    mode.run(body)


def test_closing_waits_for_what_is_queued(mode: Mode) -> None:
    async def body() -> None:
        seen: list[str] = []

        async def hook(signal: Signal) -> None:
            await anyio.sleep(0.002)
            seen.append(signal.name)

        client = scripted("Hello.", hooks=[hook])
        await mode.call(client.chain, model="openai/m")
        await mode.close(client)

        assert seen == ["call.start", "attempt.start", "attempt.end", "call.end"]
        assert client.hook_drops == 0

    mode.run(body)


def test_hooks_whose_loop_has_ended_count_as_dropped() -> None:
    async def never(signal: Signal) -> None:
        await anyio.sleep_forever()

    client = scripted("Hello.", hooks=[never])
    kept: list[Any] = []  # the loop, which would else take its count along

    async def body() -> None:
        import asyncio

        kept.append(asyncio.get_running_loop())
        await client.chain.ainvoke("Hi", model="openai/m")

    anyio.run(body)

    assert client.hook_drops == 4
    client.close()


def test_a_portal_runs_async_hooks_on_its_own_loop() -> None:
    seen: list[str] = []

    async def hook(signal: Signal) -> None:
        await anyio.sleep(0.001)
        seen.append(signal.name)

    with scripted("Hello.", hooks=[hook], blocking="portal") as client:
        client.responses("Hi", "openai/m")
        client.flush()

        assert seen == ["call.start", "attempt.start", "attempt.end", "call.end"]


def test_an_idle_queue_keeps_no_signal_and_no_client_alive() -> None:
    last: list[weakref.ref[Any]] = []

    def hook(signal: Any) -> None:
        if signal.name == "call.end":
            last.append(weakref.ref(signal.outcome.error))

    client = scripted({"status": 400, "body": {}}, hooks=[in_background(hook)])
    with contextlib.suppress(BadRequestError):
        client.responses("Hi", "openai/m")
    assert client.flush()
    gc.collect()
    assert last[0]() is None
    gone = weakref.ref(client)
    thread = next(thread for thread in threading.enumerate() if thread.name == "antiphon-hooks")
    del client
    gc.collect()

    assert gone() is None
    thread.join(5)
    assert not thread.is_alive()


def test_what_is_queued_when_the_program_ends_is_done() -> None:
    script = (
        "import time\n"
        "from antiphon import Client, in_background\n"
        "from antiphon.testing import scripted\n"
        "def slow(signal):\n"
        "    time.sleep(0.01)\n"
        "    print(signal.name, flush=True)\n"
        "client = scripted('Hello.', hooks=[in_background(slow)])\n"
        "client.responses('Hi', 'openai/m')\n"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)

    assert done.stdout.split() == ["call.start", "attempt.start", "attempt.end", "call.end"]
    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_without_such_hooks_has_no_queue_to_flush() -> None:
    with Client() as client:
        assert client.flush()
        assert client.hook_drops == 0
