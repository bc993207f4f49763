"""Servers run on an event loop: one body for asyncio and trio."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import pytest
from conftest import MODES


@pytest.fixture(params=[mode for mode in MODES if mode != "sync"])
def served(request: pytest.FixtureRequest) -> Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]:
    """Run a test's `async def` body on each kind of event loop."""
    return partial(anyio.run, backend=request.param)
