"""Tools of Amazon's own, which run at the host: a use and its result on the wire, one item in the API.

Source: a recording of the tool for code; that for searching is told in the same way, from memory.
"""

from __future__ import annotations

from typing import Any, Final

from .converse_models import SYSTEM_TOOLS

_SEARCH: Final = SYSTEM_TOOLS["web_search"]
_CODE: Final = SYSTEM_TOOLS["code_interpreter"]


def start_of(use: dict[str, Any]) -> dict[str, Any] | None:
    """Return the item for the use of a tool, as far as it is known before there is a result; None for other tools."""
    given = use.get("input")
    given = given if isinstance(given, dict) else {}
    if use.get("name") == _SEARCH:
        query = str(given.get("query") or "")
        return {"type": "web_search_call", "action": {"type": "search", "query": query, "queries": [query]}}
    if use.get("name") == _CODE:
        code = str(given.get("snippet") or "")
        return {"type": "code_interpreter_call", "container_id": "", "code": code, "outputs": None}
    return None


def result_of(item: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Return what a result adds to its item, the status among it."""
    content = result.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    runs = [part["json"] for part in parts if isinstance(part.get("json"), dict)]
    has_failed = result.get("status") == "error" or any(run.get("isError") is True for run in runs)
    added: dict[str, Any] = {"status": "failed" if has_failed else "completed"}
    if item["type"] == "code_interpreter_call":
        logs = "".join(str(run.get(name) or "") for run in runs for name in ("stdOut", "stdErr"))
        logs += "".join(str(part["text"]) for part in parts if isinstance(part.get("text"), str))
        added["outputs"] = [{"type": "logs", "logs": logs}] if logs else []
    return added
