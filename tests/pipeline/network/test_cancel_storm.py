"""Many calls cancelled at random moments: afterwards every permit is back, every call works, no descriptor is left.

Each seed: tasks open dripping streams and are cancelled while they queue, connect, shake hands or read. The TLS runs
catch descriptors lost below the pool, which plain HTTP hides.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from loopback import Connection, Server, client_context, open_descriptors, server_context, serving

from antiphon.pipeline.errors import APIConnectionError
from antiphon.pipeline.http import HttpRequest
from antiphon.pipeline.network.transport import AbortScope, SlotTransport
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.timeouts import Pace, Timeouts

ROUNDS = 4
STYLES = ("native once", "native twice", "native thrice", "scope on asyncio", "scope on trio")

pytestmark = pytest.mark.filterwarnings("error")


def serve(connection: Connection) -> None:
    while (received := connection.request()) is not None:
        if received.body == b"drip":
            connection.begin_stream()
            for _ in range(200):
                connection.send_chunk(b"data: {}\n\n")
                time.sleep(0.004)
            connection.send_chunk(b"")
        else:
            connection.answer(b"fine")


async def use(transport: SlotTransport, url: str, body: bytes, total: float = 20.0) -> bytes:
    now = time.monotonic()
    pace = Pace(Timeouts(total=total), ends_at=now + total, now=now, streamed=body == b"drip")
    exchange = await transport.open(HttpRequest("POST", url, (), body, streamed=body == b"drip"), pace)
    try:
        pieces = []
        while piece := await exchange.chunk():
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        await exchange.close()


async def cancel_natively(times: int, rng: random.Random, top_s: float, call: Callable[[], Awaitable[object]]) -> None:
    task = asyncio.ensure_future(call())
    await asyncio.sleep(rng.uniform(0, top_s))
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def cancel_by_scope(rng: random.Random, top_s: float, call: Callable[[], Awaitable[object]]) -> None:
    with anyio.move_on_after(rng.uniform(0, top_s)):
        await call()


async def storm(seed: int, style: str, size: int, server: Server) -> None:
    rng = random.Random(seed)
    transport = SlotTransport(is_async=True, max_connections=size, verify=client_context())
    for _ in range(ROUNDS):
        top_s = rng.choice([0.002, 0.006, 0.025]) * (4 if server.tls else 1)

        async def one(top_s: float = top_s) -> None:
            async def call() -> object:
                return await use(transport, server.url, b"drip")

            if style.startswith("native"):
                times = ("once", "twice", "thrice").index(style.split()[1]) + 1
                await cancel_natively(times, rng, top_s, call)
            else:
                await cancel_by_scope(rng, top_s, call)

        async with anyio.create_task_group() as group:
            for _ in range(2 * size + 2):
                group.start_soon(one)
        pool = transport._home().pool
        assert (pool.free, len(pool.live), pool.waiting) == (size, 0, 0)

        answers: list[bytes] = []

        async def afterwards(answers: list[bytes] = answers) -> None:
            answers.append(await use(transport, server.url, b"plain"))

        async with anyio.create_task_group() as group:
            for _ in range(2 * size):
                group.start_soon(afterwards)
        assert answers == [b"fine"] * (2 * size)
        assert pool.idle <= size
    await transport.close()
    await anyio.lowlevel.checkpoint()


def run_storms(seeds: range, style: str, size: int, tls: bool) -> None:
    backend = "trio" if "trio" in style else "asyncio"

    async def all_seeds() -> list[tuple[int, int]]:
        wrong = []
        await storm(-1, style, size, server)  # what is opened once, is opened here
        for seed in seeds:
            before = await settled()
            await storm(seed, style, size, server)
            after = await settled()
            if after != before:
                wrong.append((seed, after - before))
        return wrong

    async def settled() -> int:
        for _ in range(500):
            if not server.open_connections:
                break
            await anyio.sleep(0.005)
        gc.collect()
        await anyio.sleep(0.005)
        return open_descriptors()

    with serving(serve, tls=server_context("127.0.0.1") if tls else None) as server:
        assert anyio.run(all_seeds, backend=backend) == []


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
@pytest.mark.parametrize("style", STYLES)
def test_a_few_storms_leave_nothing_behind(style: str, tls: bool) -> None:
    run_storms(range(2), style, 2, tls)


# More of them, to hunt for what is rare: ANTIPHON_STORM_SEEDS=15 make test-rest ARGS="-k storms".
SEEDS = int(os.environ.get("ANTIPHON_STORM_SEEDS", "4"))


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
@pytest.mark.parametrize("size", [2, 8])
@pytest.mark.parametrize("style", STYLES)
def test_storms_leave_nothing_behind(style: str, size: int, tls: bool) -> None:
    run_storms(range(100, 100 + SEEDS), style, size, tls)


def test_cancelling_at_every_step_of_a_call_gives_the_permit_back() -> None:
    """Cancel after 0, 1, 2, … turns of the loop, so that every await of a call is hit once, close included."""

    async def body() -> int:
        transport = SlotTransport(is_async=True, max_connections=1)
        await use(transport, server.url, b"plain")
        turns = 0
        while True:
            task: asyncio.Task[Any] = asyncio.ensure_future(use(transport, server.url, b"plain"))
            for _ in range(turns):
                await asyncio.sleep(0.0002)
            if task.done():
                return turns
            task.cancel()
            with pytest.raises((asyncio.CancelledError, APIConnectionError)):
                await task
            assert transport._home().pool.free == 1
            assert await use(transport, server.url, b"plain", total=60.0) == b"fine"
            turns += 1

    with serving(serve) as server:
        assert asyncio.run(body()) > 0


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_threads_that_are_aborted_at_random_leave_nothing_behind(tls: bool) -> None:
    """The sync twin: threads queue, connect, shake hands and read while another one aborts them all."""
    rng = random.Random(5)
    transport = SlotTransport(is_async=False, max_connections=3, verify=client_context())

    def work(context: contextvars.Context, failures: list[Exception]) -> None:
        try:
            context.run(lambda: drive(use(transport, server.url, b"drip")))
        except Exception as error:
            failures.append(error)

    def one_round() -> None:
        failures: list[Exception] = []
        with AbortScope() as scope:
            threads = [
                threading.Thread(target=work, args=(contextvars.copy_context(), failures), daemon=True)
                for _ in range(8)
            ]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0, 0.03))
        scope.abort()
        for thread in threads:
            thread.join(60)
        assert len(failures) == 8
        assert all("was aborted" in str(error) for error in failures)
        pool = transport._home().pool
        assert (pool.free, len(pool.live), pool.waiting) == (3, 0, 0)
        assert drive(use(transport, server.url, b"plain", total=5.0)) == b"fine"

    with serving(serve, tls=server_context("127.0.0.1") if tls else None) as server:
        one_round()
        drive(transport.close())
        before = settled(server)
        for _ in range(20):
            one_round()
        drive(transport.close())
        assert settled(server) == before


def settled(server: Server) -> int:
    """Count descriptors once the server has noticed what was closed."""
    for _ in range(500):
        if not server.open_connections:
            break
        time.sleep(0.005)
    gc.collect()
    return open_descriptors()
