"""One test body, every mode: sync, asyncio and trio."""

from __future__ import annotations

import gc
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import anyio
import pytest
from hypothesis import HealthCheck, settings

import antiphon
from antiphon.pipeline.api.events import Event
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.streams.event_stream import EventStream
from antiphon.providers import catalog

T = TypeVar("T")

# How long an example takes depends on what else the machine does.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


class Mode:
    """Runs a test's `async def` body in one mode, and calls chains in that mode from inside it."""

    def __init__(self, name: Literal["sync", "asyncio", "trio", "uvloop"]) -> None:
        self.name = name
        self.is_async = name != "sync"

    def run(self, body: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if not self.is_async:
            return drive(body())
        if self.name == "uvloop":
            return anyio.run(body, backend="asyncio", backend_options={"use_uvloop": True})
        return anyio.run(body, backend=self.name)

    async def call(self, chain: Chain, input: Any = "Hi", **keywords: Any) -> Any:
        """Run a chain: `ainvoke`, or `invoke` in sync mode."""
        return await chain.ainvoke(input, **keywords) if self.is_async else chain.invoke(input, **keywords)

    async def events(self, stream: EventStream) -> list[Event]:
        """Read a stream to its end."""
        return [event async for event in stream] if self.is_async else list(stream)

    async def next(self, stream: EventStream) -> Event:
        return await anext(stream) if self.is_async else next(stream)

    async def until_done(self, stream: EventStream) -> Response:
        return await stream.auntil_done() if self.is_async else stream.until_done()

    async def response(self, chain: Chain, input: Any = "Hi", *, streamed: bool, **keywords: Any) -> Response:
        """Run a chain to its final response, plain or through a stream."""
        if not streamed:
            response: Response = await self.call(chain, input, **keywords)
            return response
        return await self.until_done(await self.call(chain, input, stream=True, **keywords))

    async def close(self, thing: Any) -> None:
        """Close a client or a stream."""
        if self.is_async:
            await thing.aclose()
        else:
            thing.close()

    def run_calls(self, body: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a test's body, then close what its one-call functions have opened."""

        async def closing() -> T:
            try:
                return await body()
            finally:
                await self.either(antiphon.close, antiphon.aclose)

        return self.run(closing)

    async def responses(self, **call: Any) -> Any:
        """Call `antiphon.responses`, or `aresponses`."""
        return await self.either(lambda: antiphon.responses(**call), lambda: antiphon.aresponses(**call))

    async def either(self, plain: Callable[[], T], awaited: Callable[[], Awaitable[T]]) -> T:
        """Call the function of this mode: a sync one, or its async twin."""
        return await awaited() if self.is_async else plain()


# Fewer in ANTIPHON_MODES are for a second run, as on another Python.
MODES = os.environ.get("ANTIPHON_MODES", "sync asyncio trio").split()


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> Mode:
    return Mode(request.param)


@pytest.fixture
def run(mode: Mode) -> Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]:
    return mode.run


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    value: bool = request.param
    return value


@pytest.fixture
def own_catalogue() -> Iterator[None]:
    """Let a test register rows: afterwards the catalogue is as before."""
    before = catalog._catalogue
    yield
    catalog._catalogue = before


@cache
def _replays_recordings(path: Path) -> bool:
    return "recordings import" in path.read_text("utf-8")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of files that replay recordings: they are most of all tests, and of the codecs alone."""
    for item in items:
        if _replays_recordings(item.path):
            item.add_marker("recorded")


def pytest_collection_finish() -> None:
    """Spare the collector what stays to the end: thousands of tests, through which each `gc.collect()` would walk."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own keys and proxies out of the tests."""
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_API_BASE", "_BASE_URL")) or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
