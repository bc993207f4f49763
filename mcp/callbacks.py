"""Functions of the user's: plain ones, which may block, and async ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime


async def called(runtime: Runtime, fn: Callable[..., Any], *arguments: Any) -> Any:
    """Call `fn` and return its value, awaited if need be; a plain one in a thread in async calls."""
    # A function that says it is async waits by itself; what it awaits must fit the mode.
    if inspect.iscoroutinefunction(fn):
        return await fn(*arguments)
    found = await runtime.call(fn, *arguments)
    return await found if inspect.isawaitable(found) else found
