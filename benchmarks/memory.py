"""What a long stream costs that is read and thrown away: memory, and CPU per event at two lengths.

    python benchmarks/memory.py
    python benchmarks/memory.py --events 1000,1000000

Without I/O, and each measurement in a fresh process. The memory that may grow is that of the answer's own text, which
the stream keeps so that a broken one can hand over what has come; the number of events must not show.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import payloads
from measuring import machine, rss_kib, table
from peers import INPUT

BLOCK = 250
"""Deltas of one read: 62 KB."""


class Stream:
    """The reads of one stream of any length; what is kept of them does not depend on the length."""

    def __init__(self, deltas: int) -> None:
        from canned import pieces

        words = [payloads.WORDS[index % len(payloads.WORDS)] + " " for index in range(BLOCK)]
        block = [payloads.delta(4 + index, word) for index, word in enumerate(words)]
        blocks, rest = divmod(deltas, BLOCK)
        text = "".join(words) * blocks + "".join(words[:rest])
        self.text_kib = len(text) / 1024
        self._head, self._block, self._rest = b"".join(payloads.head()), b"".join(block), b"".join(block[:rest])
        self._blocks = blocks
        self._tail = pieces(b"".join(payloads.tail(4 + deltas, text)))

    def reads(self) -> Iterator[bytes]:
        yield self._head
        for _ in range(self._blocks):
            yield self._block
        if self._rest:
            yield self._rest
        yield from self._tail


def measure(what: str, mode: str, deltas: int) -> float:
    """Read one stream; return CPU µs per event, the peak of the heap's growth or that of the resident memory, KiB."""
    from canned import Canned

    import antiphon

    os.environ["OPENAI_API_KEY"] = "sk-mock"
    loop = asyncio.new_event_loop()
    long, short = Stream(deltas), Stream(BLOCK)
    step = 1000
    peak = 0

    def read(stream: Stream, *, watched: bool) -> int:
        nonlocal peak
        client = antiphon.Client(transport=Canned(stream.reads))
        count = 0
        if mode == "sync":
            for _event in client.responses(INPUT, "openai/mock", stream=True):
                count += 1
                if watched and count % step == 0:
                    peak = max(peak, rss_kib())
            return count

        async def aread() -> int:
            nonlocal count, peak
            async for _event in await client.aresponses(INPUT, "openai/mock", stream=True):
                count += 1
                if watched and count % step == 0:
                    peak = max(peak, rss_kib())
            return count

        return loop.run_until_complete(aread())

    read(short, watched=False)  # loads what is loaded late
    if what == "heap":
        tracemalloc.start()
        read(long, watched=False)
        return tracemalloc.get_traced_memory()[1] / 1024
    if what == "rss":
        before = rss_kib()
        read(long, watched=True)
        return max(peak, rss_kib()) - before
    began = time.process_time_ns()
    count = read(long, watched=False)
    return (time.process_time_ns() - began) / count / 1e3


def in_a_process(what: str, mode: str, deltas: int) -> float:
    command = [sys.executable, __file__, "--measure", what, mode, str(deltas)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", default="10000,100000", metavar="N,M", help="text deltas of the streams")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, mode, deltas = options.measure
        print(measure(what, mode, int(deltas)))
        return

    lengths = [int(text) for text in options.events.split(",")]
    print(f"{machine()}; {options.rounds} rounds", flush=True)
    rows: list[list[object]] = []
    for mode in ("sync", "async"):
        cpu: dict[int, list[float]] = {length: [] for length in lengths}
        for _ in range(options.rounds):
            for length in lengths:
                cpu[length].append(in_a_process("cpu", mode, length))
        for length in lengths:
            ratios = [one / other for one, other in zip(cpu[length], cpu[lengths[0]], strict=True)]
            rows.append(
                [
                    mode,
                    f"{length:,}",
                    statistics.median(ratios),
                    statistics.median(cpu[length]),
                    min(cpu[length]),
                    round(Stream(length).text_kib),
                    round(in_a_process("heap", mode, length)),
                    round(in_a_process("rss", mode, length)),
                ]
            )
    shortest = f"× {lengths[0]:,}"
    memory = ("text KiB", "heap peak KiB", "RSS growth KiB")
    print(f"\n{table(('mode', 'events', shortest, 'CPU µs/event', 'CPU µs/event min', *memory), rows)}")
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()
