"""Steps of the tools that run at Google: parts of a call and its result, as one item of the API each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

_CALLS: Final = ("executableCode", "toolCall")
_RESULTS: Final = ("codeExecutionResult", "toolResponse")


class Whole(msgspec.Struct, frozen=True):
    """Steps that are over: their parts as they came, and the items that show them."""

    parts: tuple[dict[str, Any], ...]
    items: tuple[dict[str, Any], ...]


class Steps:
    """Holds the parts of steps until the result of each is there."""

    __slots__ = ("_open", "_parts")

    def __init__(self) -> None:
        self._parts: list[dict[str, Any]] = []
        self._open = 0

    @staticmethod
    def has(part: dict[str, Any]) -> bool:
        """Tell whether a part belongs to a step."""
        return any(name in part for name in (*_CALLS, *_RESULTS))

    def add(self, part: dict[str, Any], begin: Callable[[], None]) -> bool:
        """Take a part, tell whether all steps so far are over. `begin` is called before the first of some."""
        if not self._parts:
            begin()
        self._parts.append(part)
        self._open += 1 if any(name in part for name in _CALLS) else -1
        return self._open <= 0

    def take(self) -> Whole:
        """Return the steps, and forget them."""
        parts, self._parts, self._open = tuple(self._parts), [], 0
        return Whole(parts, tuple(_items(parts)))


def _items(parts: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(code := part.get("executableCode"), dict):
            items.append(_run(code.get("code") or ""))
        elif isinstance(result := part.get("codeExecutionResult"), dict):
            if not items or items[-1]["type"] != "code_interpreter_call" or items[-1]["outputs"]:
                items.append(_run(None))
            _add_result(items[-1], result)
        elif isinstance(call := part.get("toolCall"), dict) and (item := _called(call)):
            items.append(item)
    return items


def _run(code: str | None) -> dict[str, Any]:
    status = "incomplete"  # until its result is known
    return {"type": "code_interpreter_call", "status": status, "container_id": "", "code": code, "outputs": []}


def _add_result(item: dict[str, Any], result: dict[str, Any]) -> None:
    outcome = result.get("outcome")
    item["status"] = "completed" if outcome in (None, "OUTCOME_OK", "OUTCOME_UNSPECIFIED", 0, 1) else "failed"
    if result.get("output"):
        item["outputs"].append({"type": "logs", "logs": result["output"]})


def _called(call: dict[str, Any]) -> dict[str, Any] | None:
    """Return the item for a call of a tool of Google's; None for one that the API has no item for."""
    kind, args = str(call.get("toolType") or ""), call.get("args")
    given = args.get("queries") if isinstance(args, dict) else None
    queries = [str(query) for query in given if query] if isinstance(given, list) else []
    if kind.startswith("GOOGLE_SEARCH"):
        action = {"type": "search", "query": queries[0] if queries else "", "queries": queries}
        return {"type": "web_search_call", "status": "completed", "action": action}
    if kind == "FILE_SEARCH":
        return {"type": "file_search_call", "status": "completed", "queries": queries, "results": None}
    return None
