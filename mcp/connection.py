"""A connection to one server: what is asked of it, and what is remembered of its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .types import ToolInfo, ToolResult

OnProgress = Callable[[float, float | None, str | None], object]
"""Called with (progress, total, message) while a tool runs. Must not wait."""


class Connection:
    """A server as one event loop, or all sync calls, talk to it. Callable from any of their tasks or threads."""

    server_name: str
    """Its own name, or the registered one before it has told it."""
    protocol_version: str | None
    """The revision that is spoken; None before the first request and for objects of this process."""

    async def list_tools(self) -> tuple[ToolInfo, ...]:
        """Return all tools that are allowed, of all pages; remembered until the server says that they changed."""
        raise NotImplementedError

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> ToolResult:
        """Run a tool. It is never run twice, unless `idempotent` says that it may be."""
        raise NotImplementedError

    async def close(self) -> None:
        """End the session, and the server if it was started here. Idempotent; a later request begins anew."""
