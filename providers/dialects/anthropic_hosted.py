"""Tools that run at the host: pairs of blocks on the wire, one item in the API.

A search or a fetch is a `web_search_call`, a run of code a `code_interpreter_call`, a tool of an MCP server an
`mcp_call`; they show what the API's items have a place for. All other blocks that only the host can read are items of
type `anthropic_blocks`, which no other host takes. The blocks themselves travel in `encrypted_content`, in an
envelope like that of reasoning, and go back as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from ...pipeline.api import events as ev
from .values import json_text

Block: TypeAlias = dict[str, Any]
OTHER: Final = "anthropic_blocks"
"""Type of an item that is nothing but the host's own blocks."""

USES: Final = frozenset({"server_tool_use", "mcp_tool_use"})
_RUNS: Final = frozenset({"code_execution", "bash_code_execution", "text_editor_code_execution"})

_ENDS: Final[dict[tuple[str, str], type[ev.ItemEvent]]] = {
    ("web_search_call", "completed"): ev.WebSearchCallCompleted,
    ("code_interpreter_call", "completed"): ev.CodeInterpreterCallCompleted,
    ("mcp_call", "completed"): ev.McpCallCompleted,
    ("mcp_call", "failed"): ev.McpCallFailed,
}
PREFIXES: Final = {"web_search_call": "ws", "code_interpreter_call": "ci", "mcp_call": "mcp"}


def is_result(block: Block) -> bool:
    """Tell whether a block is what a host's tool gave."""
    return str(block.get("type")).endswith("_tool_result") and isinstance(block.get("tool_use_id"), str)


def start_of(use: Block) -> Block:
    """Return the item for the use of a tool, as far as it is known before there is a result."""
    name, given = str(use.get("name")), use.get("input")
    given = given if isinstance(given, dict) else {}
    if use["type"] == "mcp_tool_use":
        server = str(use.get("server_name"))
        return {"type": "mcp_call", "server_label": server, "name": name, "arguments": json_text(given)}
    if name == "web_search":
        query = str(given.get("query") or "")
        return {"type": "web_search_call", "action": {"type": "search", "query": query, "queries": [query]}}
    if name == "web_fetch":
        return {"type": "web_search_call", "action": {"type": "open_page", "url": given.get("url")}}
    if name in _RUNS:
        code = given.get("code") or given.get("command")
        text = code if isinstance(code, str) and len(given) == 1 else json_text(given)
        return {"type": "code_interpreter_call", "container_id": "", "code": text, "outputs": None}
    return {"type": OTHER}


def steps_of(item: Block) -> Iterator[tuple[type[ev.ItemEvent], Block]]:
    """Yield the events that say that the tool runs, with their own fields."""
    if item["type"] == "web_search_call":
        yield ev.WebSearchCallInProgress, {}
        yield ev.WebSearchCallSearching, {}
    elif item["type"] == "code_interpreter_call":
        yield ev.CodeInterpreterCallInProgress, {}
        yield ev.CodeInterpreterCallCodeDone, {"code": item["code"]}
        yield ev.CodeInterpreterCallInterpreting, {}
    elif item["type"] == "mcp_call":
        yield ev.McpCallInProgress, {}
        yield ev.McpCallArgumentsDone, {"arguments": item["arguments"]}


def end_step(item: Block, status: str) -> type[ev.ItemEvent] | None:
    """Return the event that says that the tool has ended so, if there is one."""
    return _ENDS.get((item["type"], status))


def result_of(item: Block, result: Block) -> Block:
    """Return what a result adds to its item, the status among it."""
    content = result.get("content")
    has_failed = bool(result.get("is_error")) or (
        isinstance(content, dict) and str(content.get("type")).endswith("_error")
    )
    added: Block = {"status": "failed" if has_failed else "completed"}
    if item["type"] == "web_search_call" and isinstance(content, list):
        found = [each.get("url") for each in content if isinstance(each, dict)]
        sources = [{"type": "url", "url": url} for url in found if isinstance(url, str)]
        added["action"] = {**item["action"], "sources": sources}
    elif item["type"] == "code_interpreter_call":
        logs = "".join(_logs(content))
        added["outputs"] = [{"type": "logs", "logs": logs}] if logs else []
    elif item["type"] == "mcp_call":
        text = "".join(_texts(content))
        added |= {"output": None, "error": text} if has_failed else {"output": text, "error": None}
    return added


def _logs(content: object) -> Iterator[str]:
    if isinstance(content, dict):
        for name in ("stdout", "stderr", "error_code"):
            if isinstance(text := content.get(name), str):
                yield text


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            yield part["text"] if isinstance(part.get("text"), str) else json_text(part)
