"""The event loop that runs: asyncio's or trio's, and how others reach it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from ..errors import SetupError


def poster(loop: Any) -> Callable[[Callable[[], object]], object]:
    """Return what has a function called in an event loop, from any thread. Raises RuntimeError when it has ended."""
    trio: Any = sys.modules.get("trio")
    is_trio = trio is not None and isinstance(loop, trio.lowlevel.TrioToken)
    post: Callable[[Callable[[], object]], object] = loop.run_sync_soon if is_trio else loop.call_soon_threadsafe
    return post


def is_trio() -> bool:
    """Tell whether a task of trio runs here."""
    trio: Any = sys.modules.get("trio")
    return trio is not None and trio.lowlevel.in_trio_task()


def running_loop() -> Any:
    """Return what stands for the running event loop: trio's token or the asyncio loop.

    Raises:
        SetupError: none runs in this thread.
    """
    if is_trio():
        trio: Any = sys.modules["trio"]
        return trio.lowlevel.current_trio_token()
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise SetupError(
            "an async transport was used outside of an event loop",
            hint="use SlotTransport(is_async=False) in sync code",
        ) from None


def at_loop_end(job: Callable[[], object]) -> Callable[[], None]:
    """Run `job` when the running loop ends: loops close the asynchronous generators that were begun in them.

    Returns:
        what runs it at once instead; whoever drops it ends the wait, and the job runs.
    """

    async def guard() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            job()

    kept = guard()
    step(kept.__anext__())
    return lambda: step(kept.aclose())


def step(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine up to its first suspension, and no further. Raises what it raises."""
    try:
        with contextlib.suppress(StopIteration, StopAsyncIteration):
            coroutine.send(None)
    finally:
        coroutine.close()
