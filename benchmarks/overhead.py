"""What the library itself costs, without I/O: the stock chain, its streams and bridge, stages, hooks and log lines.

    python benchmarks/overhead.py
    python benchmarks/overhead.py --repeats 200 --only call

Each figure is the difference to what stands in the column "over", measured in turns with it in the same process. The
time is CPU time; beside it stand the function calls (Python's and C's), which no other load of the machine can change.
The targets were set on a machine where a call of raw httpx over a transport in memory took 78.4 us at the least; the
column "scaled" is the minimum at that machine's speed, by what the same call takes here.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import floor
import httpx
import payloads
from canned import Canned, pieces
from measuring import machine, table
from peers import INPUT

import antiphon
from antiphon.pipeline.api.events import decode_event
from antiphon.pipeline.api.params import CreateParams
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.streams.sse import SSEDecoder
from antiphon.providers.dialects.chat_wire import read_piece
from antiphon.providers.dialects.responses import encode_body

DELTAS = 2000
MODEL = "openai/mock"
YARDSTICK, YARDSTICK_US = "httpx, in memory", 78.4
CHAT = {"api_base": "http://127.0.0.1:8000/v1", "api_key": "sk-mock", "dialect": "chat"}

Body = Callable[[int], object]
"""Does one thing so many times."""


class Figure(NamedTuple):
    """One line of the table.

    Args:
        name: what is measured.
        case, over: names of the two bodies whose difference it is.
        share: how many stages, events or chunks the difference is spread over.
        target: what it must not exceed, µs.
    """

    name: str
    case: str
    over: str
    share: int = 1
    target: float | None = None


class PassThrough(antiphon.Stage):
    """A stage that does nothing."""

    async def __call__(self, request: Request, call_next: Handler) -> antiphon.Reply:
        return await call_next(request)


async def pass_through(request: Request, call_next: Handler) -> antiphon.Reply:
    return await call_next(request)


def own_codec(times: int) -> None:
    """The library's own encoding and decoding, without a chain around it."""
    body = payloads.plain()
    for _ in range(times):
        encode_body(CreateParams(model=MODEL, input=INPUT), "mock", lambda name, reason: None)
        Response.from_json(body)


def hand_written(times: int) -> None:
    """A dict encoded, and typed structs decoded to the last leaf."""
    body = payloads.plain()
    for _ in range(times):
        floor.encode({"model": "mock", "input": INPUT})
        floor.decode_response(body)


class InMemory(httpx.BaseTransport):
    """Answers at once."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "application/json"}, content=payloads.plain())


def raw_httpx(times: int) -> None:
    """A call as one would write it by hand over httpx, without a socket."""
    headers = {"authorization": "Bearer sk-mock", "content-type": "application/json"}
    with httpx.Client(transport=InMemory()) as client:
        for _ in range(times):
            body = floor.encode({"model": "mock", "input": INPUT})
            answer = client.post("http://127.0.0.1:8000/v1/responses", content=body, headers=headers)
            floor.decode_response(answer.content)


def split_and_decode(reads: list[bytes]) -> Body:
    def body(times: int) -> None:
        for _ in range(times):
            decoder = SSEDecoder()
            for data in reads:
                for name, payload in decoder.feed(data):
                    decode_event(name, payload)

    return body


def split_and_decode_chat(reads: list[bytes]) -> Body:
    def body(times: int) -> None:
        for _ in range(times):
            decoder = SSEDecoder()
            for data in reads:
                for _name, payload in decoder.feed(data):
                    if payload != b"[DONE]":
                        read_piece(payload)

    return body


def calls(client: antiphon.Client, **keywords: Any) -> Body:
    def body(times: int) -> None:
        responses = client.responses
        for _ in range(times):
            responses(INPUT, MODEL, **keywords)

    return body


def streams(client: antiphon.Client, **keywords: Any) -> Body:
    def body(times: int) -> None:
        for _ in range(times):
            for _event in client.responses(INPUT, MODEL, stream=True, **keywords):
                pass

    return body


def acalls(client: antiphon.Client, **keywords: Any) -> Callable[[int], Awaitable[None]]:
    async def body(times: int) -> None:
        aresponses = client.aresponses
        for _ in range(times):
            await aresponses(INPUT, MODEL, **keywords)

    return body


def astreams(client: antiphon.Client, **keywords: Any) -> Callable[[int], Awaitable[None]]:
    async def body(times: int) -> None:
        for _ in range(times):
            async for _event in await client.aresponses(INPUT, MODEL, stream=True, **keywords):
                pass

    return body


def logged(body: Body) -> Body:
    def with_log(times: int) -> None:
        logger = logging.getLogger("antiphon")
        logger.setLevel(logging.INFO)
        try:
            body(times)
        finally:
            logger.setLevel(logging.WARNING)

    return with_log


def cases(loop: asyncio.AbstractEventLoop, deltas: int) -> dict[str, Body]:
    """Return everything that is measured, by name."""

    def on_loop(body: Callable[[int], Any]) -> Body:
        return lambda times: loop.run_until_complete(body(times))

    def with_stages(*stages: Any) -> antiphon.Client:
        return antiphon.Client(antiphon.Chain([*stages, antiphon.presets.responses]), transport=burst)

    one_read_an_event = list(payloads.frames(deltas))
    large_reads = pieces(b"".join(one_read_an_event))
    burst, drip = Canned(lambda: large_reads), Canned(lambda: one_read_an_event)
    stock, dripped = antiphon.Client(transport=burst), antiphon.Client(transport=drip)
    one_read_a_chunk = list(payloads.chat_frames(deltas))
    large_chat_reads = pieces(b"".join(one_read_a_chunk))
    chat = antiphon.Client(transport=Canned(lambda: large_chat_reads))
    dripped_chat = antiphon.Client(transport=Canned(lambda: one_read_a_chunk))
    seven = [
        *(antiphon.Log(), antiphon.Observe(), antiphon.Validate(), antiphon.Resolve()),
        *(antiphon.Retry(), antiphon.Transform(), antiphon.Dispatch()),
    ]
    given = {"api_base": "http://127.0.0.1:8000/v1", "api_key": "sk-mock"}
    stateless = {"custom_llm_provider": "groq", "api_key": "sk-mock"}
    return {
        YARDSTICK: raw_httpx,
        "own encode + decode": own_codec,
        "msgspec by hand": hand_written,
        "call": calls(stock, store=False),
        "call, seven stages": calls(antiphon.Client(antiphon.Chain(seven), transport=burst), store=False),
        "call, kept": calls(stock),
        "call, stateless": calls(stock, store=False, **stateless),
        "call, stateless, kept": calls(stock, **stateless),
        "call, key and address given": calls(stock, store=False, **given),
        "acall": on_loop(acalls(stock, store=False)),
        "call, hook": calls(stock, store=False, hooks=[lambda signal: None]),
        "call, log line": logged(calls(stock, store=False)),
        "10 stages": calls(with_stages(*(PassThrough() for _ in range(10))), store=False),
        "50 stages": calls(with_stages(*(PassThrough() for _ in range(50))), store=False),
        "50 stages, async": on_loop(acalls(with_stages(*(PassThrough() for _ in range(50))), store=False)),
        "10 functions": calls(with_stages(*[pass_through] * 10), store=False),
        "50 functions": calls(with_stages(*[pass_through] * 50), store=False),
        "split + decode, burst": split_and_decode(large_reads),
        "split + decode, drip": split_and_decode(one_read_an_event),
        "stream, burst": streams(stock),
        "stream, drip": streams(dripped),
        "astream, burst": on_loop(astreams(stock)),
        "astream, drip": on_loop(astreams(dripped)),
        "chat: split + decode, burst": split_and_decode_chat(large_chat_reads),
        "chat: split + decode, drip": split_and_decode_chat(one_read_a_chunk),
        "chat: stream, burst": streams(chat, **CHAT),
        "chat: stream, drip": streams(dripped_chat, **CHAT),
        "chat: astream, burst": on_loop(astreams(chat, **CHAT)),
        "chat: astream, drip": on_loop(astreams(dripped_chat, **CHAT)),
    }


def figures(deltas: int) -> list[Figure]:
    codec, events, chunks = "own encode + decode", deltas + 8, deltas + 3
    return [
        Figure("a call", "call", codec, target=20),
        Figure("a call, async", "acall", codec, target=20),
        Figure("a call", "call", "msgspec by hand"),
        Figure("a call through seven stages", "call, seven stages", codec, target=20),
        Figure("a call, key and address given", "call, key and address given", codec),
        Figure("its response kept, a copy", "call, kept", "call", target=50),
        Figure("its response kept, of a host without state", "call, stateless, kept", "call, stateless", target=50),
        Figure("hooks=, one observer", "call, hook", "call", target=5),
        Figure("a log line", "call, log line", "call", target=12),
        Figure("a stage, of 10", "10 stages", "call", 10, 0.25),
        Figure("a stage, of 50", "50 stages", "call", 50, 0.25),
        Figure("a stage, of 50, async", "50 stages, async", "acall", 50, 0.25),
        Figure("a function as stage, of 10", "10 functions", "call", 10, 0.25),
        Figure("a function as stage, of 50", "50 functions", "call", 50, 0.25),
        Figure("an event, 64 KB reads", "stream, burst", "split + decode, burst", events, 0.5),
        Figure("an event, 64 KB reads, async", "astream, burst", "split + decode, burst", events, 0.5),
        Figure("an event, one per read", "stream, drip", "split + decode, drip", events, 0.5),
        Figure("an event, one per read, async", "astream, drip", "split + decode, drip", events, 0.5),
        Figure("a chat chunk, 64 KB reads", "chat: stream, burst", "chat: split + decode, burst", chunks),
        Figure("a chat chunk, 64 KB reads, async", "chat: astream, burst", "chat: split + decode, burst", chunks),
        Figure("a chat chunk, one per read", "chat: stream, drip", "chat: split + decode, drip", chunks),
        Figure("a chat chunk, one per read, async", "chat: astream, drip", "chat: split + decode, drip", chunks),
    ]


def cpu_us(body: Body, times: int) -> float:
    began = time.process_time_ns()
    body(times)
    return (time.process_time_ns() - began) / times / 1e3


def function_calls(body: Body, times: int) -> float:
    """Count the calls of functions, Python's and C's, that one run of `body` makes."""
    count = 0

    def note(frame: object, kind: str, argument: object) -> None:
        nonlocal count
        count += kind == "call" or kind == "c_call"

    sys.setprofile(note)
    try:
        body(times)
    finally:
        sys.setprofile(None)
    return count / times


def measure(bodies: dict[str, Body], repeats: int, budget_s: float) -> dict[str, list[float]]:
    """Return each body's CPU µs, one value per repeat; all bodies take turns in shuffled order."""
    times: dict[str, int] = {}
    for name, body in bodies.items():
        body(3)
        times[name] = max(1, int(budget_s * 1e6 / max(cpu_us(body, 3), 0.1)))
        cpu_us(body, times[name])
    found: dict[str, list[float]] = {name: [] for name in bodies}
    for _ in range(repeats):
        for name in random.sample(list(bodies), len(bodies)):
            found[name].append(cpu_us(bodies[name], times[name]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--budget", type=float, default=0.03, metavar="S", help="seconds of one measurement")
    parser.add_argument("--deltas", type=int, default=DELTAS, help="text deltas of one stream")
    parser.add_argument("--only", default="", metavar="TEXT", help="figures with this text in their name")
    options = parser.parse_args()

    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        del os.environ[name]
    os.environ["OPENAI_API_KEY"] = "sk-mock"  # where most users have it
    with open(os.devnull, "w") as nowhere:
        antiphon.configure_logging("WARNING", stream=nowhere)
        loop = asyncio.new_event_loop()
        wanted = [figure for figure in figures(options.deltas) if options.only in figure.name]
        needed = {YARDSTICK, *(name for figure in wanted for name in (figure.case, figure.over))}
        bodies = {name: body for name, body in cases(loop, options.deltas).items() if name in needed}
        print(f"{machine()}; {options.repeats} repeats", flush=True)
        found = measure(bodies, options.repeats, options.budget)
        counts = {name: function_calls(body, 5) for name, body in bodies.items()}
        loop.close()

    speed = YARDSTICK_US / min(found[YARDSTICK])
    rows = []
    for figure in wanted:
        case, over = found[figure.case], found[figure.over]
        differences = [one - other for one, other in zip(case, over, strict=True)]
        least = (min(case) - min(over)) / figure.share
        rows.append(
            [
                figure.name,
                figure.over,
                None if figure.target is None else f"≤ {figure.target:g}",
                f"{statistics.median(differences) / figure.share:.3f}",
                f"{least:.3f}",
                f"{least * speed:.3f}",
                f"{(counts[figure.case] - counts[figure.over]) / figure.share:.1f}",
            ]
        )
    columns = ("what", "over", "target µs", "CPU µs", "CPU µs min", "scaled", "function calls")
    print(f"\n{table(columns, rows)}\n")
    rows = [
        [name, f"{statistics.median(values):.1f}", f"{min(values):.1f}", f"{counts[name]:.0f}"]
        for name, values in found.items()
    ]
    print(table(("the whole of", "CPU µs", "CPU µs min", "function calls"), rows))
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
