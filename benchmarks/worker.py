"""One peer in one process: reads commands as JSON lines, answers each with one JSON line of figures.

Started by run.py, with the peer's own Python: nothing is imported here that a peer's environment may lack.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from measuring import rss_kib
from peers import APIS, Peer

Figures = dict[str, float]


class Worker:
    """Runs one peer. `units` are calls, or streams; figures are per call, or per event."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._aopened = False
        peer.open()

    def run(self, operation: str, model: str, units: int, in_flight: int) -> Figures:
        """Measure one operation: call, acall, stream, astream or conc."""
        if operation in ("call", "stream"):
            body = self._call if operation == "call" else self._stream
            began = _now()
            count = body(model, units)
            ended = time.perf_counter_ns()
            _settle()
            return _figures(began, ended, count, units)
        return self._loop.run_until_complete(self._arun(operation, model, units, in_flight))

    async def _arun(self, operation: str, model: str, units: int, in_flight: int) -> Figures:
        if not self._aopened:
            await self._peer.aopen()
            self._aopened = True
        rss = rss_kib()
        began = _now()
        if operation == "astream":
            count = await self._astream(model, units)
        elif operation == "acall":
            count = await self._acall(model, units)
        else:
            count = await self._conc(model, units, in_flight)
        ended = time.perf_counter_ns()
        await asyncio.sleep(_SETTLE_S * ("litellm" in sys.modules))
        return {**_figures(began, ended, count, units), "rss_growth_kib": rss_kib() - rss}

    def _call(self, model: str, units: int) -> int:
        call = self._peer.call
        for _ in range(units):
            call(model)
        return units

    async def _acall(self, model: str, units: int) -> int:
        call = self._peer.acall
        for _ in range(units):
            await call(model)
        return units

    def _stream(self, model: str, units: int) -> int:
        events = 0
        for _ in range(units):
            for _event in self._peer.stream(model):
                events += 1
        return events

    async def _astream(self, model: str, units: int) -> int:
        events = 0
        for _ in range(units):
            async for _event in self._peer.astream(model):
                events += 1
        return events

    async def _conc(self, model: str, units: int, in_flight: int) -> int:
        call: Callable[[str], Awaitable[object]] = self._peer.acall
        left = units

        async def run() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                await call(model)

        await asyncio.gather(*(run() for _ in range(in_flight)))
        return units


# litellm logs in a thread of its own after the call; its share belongs to the call.
_SETTLE_S = 0.03


def _settle() -> None:
    if "litellm" in sys.modules:
        time.sleep(_SETTLE_S)


def _now() -> tuple[int, int]:
    return time.perf_counter_ns(), time.process_time_ns()


def _figures(began: tuple[int, int], ended: int, count: int, units: int) -> Figures:
    cpu_us = (time.process_time_ns() - began[1]) / 1e3
    wall_us = (ended - began[0]) / 1e3
    return {"cpu_us": cpu_us / count, "wall_us": wall_us / count, "count": count, "units": units}


def main() -> None:
    # What the peer prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def answer(value: dict[str, Any]) -> None:
        print(json.dumps(value), file=answers)

    api, name, url = sys.argv[1:]
    try:
        worker = Worker(APIS[api][name](url))
    except Exception as error:
        return answer({"error": f"{type(error).__name__}: {error}"[:300]})
    answer({"ready": True})
    for line in sys.stdin:
        try:
            answer(worker.run(**json.loads(line)))
        except Exception as error:
            traceback.print_exc()
            answer({"error": f"{type(error).__name__}: {error}"[:300]})


if __name__ == "__main__":
    main()
