"""Which of a host's API formats a call takes: the one that loses least of what the call asks for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..pipeline.api.params import CreateParams, Params
from .rows import Feature, Provider


class Choice(msgspec.Struct, frozen=True):
    """A dialect, and why it is not the row's first one; "" where it is."""

    dialect: str
    why: str = ""


def choose_dialect(row: Provider, model: str, params: Params) -> Choice:
    """Return the dialect for a call that names none itself.

    Args:
        model: as the host knows it.
    """
    first = row.dialects[0]
    if not isinstance(params, CreateParams):
        if first != "responses" and "responses" not in row.dialects:
            return Choice(first)  # the host does not serve it; a stage that does may ask for a response instead
        # The other operations are those of the Responses API, which a row serves under this name or not at all.
        return Choice("responses", "" if first == "responses" else "only the Responses API has this call")
    chosen = Choice(first)
    if is_fixed(row):
        return chosen
    for rule in row.prefer:
        holds = not rule.models or _is_of(model, rule.models)
        if holds and _ASKS[rule.when](params) and not _is_of(model, rule.unless_models):
            chosen = Choice(rule.dialect, rule.why) if rule.dialect != first else chosen
            break
    if chosen.dialect != "responses" and _serves_all(row) and (name := _native_only(row, params)):
        return Choice("responses", f"only the Responses API has {name}")
    return chosen


def is_fixed(row: Provider) -> bool:
    """Tell whether every response of a host is asked for in its first dialect, whatever model and call are."""
    return len(row.dialects) == 1 or (row.dialects[0] == "responses" and not row.prefer)


def _serves_all(row: Provider) -> bool:
    """Tell whether the host has the Responses API, and not for some of its models only."""
    return "responses" in row.dialects and not any(rule.dialect == "responses" and rule.models for rule in row.prefer)


def _asks_for_structure(params: CreateParams) -> bool:
    form = (params.text or {}).get("format")
    return isinstance(form, Mapping) and form.get("type") in ("json_schema", "json_object")


_ASKS: dict[Feature, Callable[[CreateParams], bool]] = {
    "always": lambda params: True,
    "tools": lambda params: bool(params.tools),
    "structured_output": _asks_for_structure,
    "reasoning": lambda params: bool(params.reasoning),
}

_NATIVE_PARAMS = ("previous_response_id", "conversation", "prompt", "background")
_CHAT_TOOLS = frozenset({"function", "custom", "namespace"})


def _native_only(row: Provider, params: CreateParams) -> str | None:
    """Return the name of something in the call that only the Responses API has, and this host takes."""
    for name in _NATIVE_PARAMS:
        if getattr(params, name) and name not in row.unsupported:
            return name
    if params.tools and "tools" not in row.unsupported:
        for tool in params.tools:
            kind = _type_of(tool)
            if kind not in _CHAT_TOOLS and not (kind == "mcp" and _runs_here(row, tool)):
                return f"tools of type {kind}"
    return None


def _runs_here(row: Provider, tool: Any) -> bool:
    """Tell whether an MCP server is called from here, so that its tools are functions like others."""
    names = ("connector_id", "tunnel_id", "server_url")
    get = tool.get if isinstance(tool, Mapping) else functools.partial(getattr, tool)
    connector, tunnel, url = (get(name, None) for name in names)
    if connector or tunnel:
        return False
    return not row.mcp or not str(url or "").lower().startswith(("http://", "https://"))


def _type_of(tool: Any) -> str:
    kind = tool.get("type") if isinstance(tool, Mapping) else getattr(tool, "type", None)
    return str(kind or "function")


def _is_of(model: str, beginnings: tuple[str, ...]) -> bool:
    return bool(beginnings) and (model.startswith(beginnings) or model.rpartition("/")[2].startswith(beginnings))
