"""A server's list of tools: read, and how long it may be used."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from .param_headers import Path, WrongHeaders, header_paths
from .types import ToolInfo

log = logging.getLogger("antiphon.mcp")

MOST_PAGES = 1000
MOST_TOOLS = 10_000


class ToolList(msgspec.Struct, frozen=True):
    """The tools that may be seen.

    Args:
        paths: which arguments of a tool go into headers, by its name; {} for most.
        wrong: tools that must not be used, and why.
        fresh_until: how long it may be used, on the runtime's clock.
    """

    tools: tuple[ToolInfo, ...]
    paths: dict[str, dict[str, Path]]
    wrong: dict[str, str]
    fresh_until: float


def read_tool_list(
    server: str, raw: list[Any], *, allowed: tuple[str, ...] | None, with_headers: bool, fresh_until: float
) -> ToolList:
    """Read definitions as they came. Those that cannot be used are left out, with a line in the log.

    Of two with one name the first is taken: a server that says an empty cursor at the end sends its first page again.

    Args:
        server: its name, for the log.
        with_headers: whether arguments may have to go into headers.
    """
    tools: list[ToolInfo] = []
    paths: dict[str, dict[str, Path]] = {}
    wrong: dict[str, str] = {}
    seen: set[str] = set()
    for definition in raw[:MOST_TOOLS]:
        try:
            tool = ToolInfo.of(definition if isinstance(definition, dict) else {})
        except ValueError as error:
            log.warning("server %s lists %s; it is left out", server, error)
            continue
        if tool.name in seen or (allowed is not None and tool.name not in allowed):
            continue
        seen.add(tool.name)
        if with_headers:
            try:
                found = header_paths(tool.input_schema)
            except WrongHeaders as error:
                log.warning("tool %s of server %s must not be used: %s", tool.name, server, error)
                wrong[tool.name] = str(error)
                continue
            if found:
                paths[tool.name] = found
        tools.append(tool)
    return ToolList(tuple(tools), paths, wrong, fresh_until)


class Pages:
    """The walk through a list's pages, which a server may make endless."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._seen: set[str] = set()
        self.items: list[Any] = []
        self.cursor: str | None = None
        self.held_s: float | None = None

    def add(self, items: list[Any], page: dict[str, Any]) -> bool:
        """Take a page; tell whether there is another, at `cursor`.

        `held_s` becomes how long the list holds, as the page says that says the least; 0 where one says nothing.
        """
        self.items.extend(items)
        ttl_ms = page.get("ttlMs")
        held_s = ttl_ms / 1000 if isinstance(ttl_ms, int | float) and ttl_ms > 0 else 0.0
        self.held_s = held_s if self.held_s is None else min(self.held_s, held_s)
        cursor = page.get("nextCursor")
        if not isinstance(cursor, str):  # an empty text is a cursor like others
            return False
        if cursor in self._seen or len(self._seen) >= MOST_PAGES or len(self.items) >= MOST_TOOLS:
            log.warning(
                "the pages of server %s have no end; the first %d items are taken", self._server, len(self.items)
            )
            return False
        self._seen.add(cursor)
        self.cursor = cursor
        return True
