"""Tools and tool choices of a call, in the form of chat completions.

Chat completions know functions, and at OpenAI custom tools; see `named_tools.py`. A hosted tool is an error, as the
call would mean something else without it; only web search has a field of its own, for the models that search.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...pipeline.api.params import CreateParams
from ...pipeline.api.wire import embed
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from ...pipeline.wording import quoted
from ..rows import ChatFlags
from .named_tools import each_tool, flat_name, name_of, text_parameters
from .tool_choice import allowed_tools, mode_of, offered
from .values import plain

# The models that search in the web, and take `web_search_options` (OpenAI API reference, Chat › Create, read 2026-11).
_SEARCHING: Final = ("-search-preview", "-search-api")

_EXTRAS: Final = ("output_schema", "allowed_callers", "async", "defer_loading")
"""Fields of a tool that chat completions do not have."""

_CHOICES: Final = ("auto", "none", "required")


class _Offer(msgspec.Struct, frozen=True):
    """A tool as it is sent, and what the call knows it by."""

    kind: str
    name: str
    sent: dict[str, Any]

    @property
    def reference(self) -> dict[str, Any]:
        """What names it in a choice."""
        kind = self.sent["type"]
        return {"type": kind, kind: {"name": self.sent[kind]["name"]}}


def add_tools(body: dict[str, Any], params: CreateParams, target: Target, flags: ChatFlags, drop: Drop) -> None:
    """Set what the call says of tools in a chat body.

    Raises:
        InvalidParameter: two tools of one name, or a choice of something that is no tool of the call.
    """
    offers = _offers(body, params.tools, target, flags, drop) if params.tools else []
    if params.tool_choice is not None:
        offers = _choose(body, params.tool_choice, offers, flags, drop)
    if offers:
        body["tools"] = embed([offer.sent for offer in offers])
        if params.parallel_tool_calls is not None:
            body["parallel_tool_calls"] = params.parallel_tool_calls


def _offers(body: dict[str, Any], tools: list[Any], target: Target, flags: ChatFlags, drop: Drop) -> list[_Offer]:
    offers: list[_Offer] = []
    places: dict[str, str] = {}
    for where, tool, namespace in each_tool(tools):
        kind = tool.get("type")
        if kind not in ("function", "custom"):
            _hosted(body, where, tool, target, drop)
            continue
        name = name_of(where, tool)
        flat = flat_name(name, namespace)
        if flat in places:
            raise InvalidParameter(
                f"{where} and {places[flat]} are both named {quoted(flat)}", param="tools", hint="rename one of them"
            )
        places[flat] = where
        write = _function if kind == "function" else _custom
        offers.append(_Offer(kind, name, write(where, flat, tool, flags, drop)))
        for extra in _EXTRAS:
            if tool.get(extra) and tool[extra] != ["direct"]:
                drop(f"{where}.{extra}", "chat completions have no such field of a tool")
    for at, given in enumerate(tools):
        if (tool := plain(given, f"tools[{at}]")).get("type") == "namespace" and tool.get("description"):
            drop(f"tools[{at}].description", "chat completions have no groups of tools")
    return offers


def _function(where: str, name: str, tool: dict[str, Any], flags: ChatFlags, drop: Drop) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name}
    if tool.get("description") is not None:
        function["description"] = tool["description"]
    function["parameters"] = tool.get("parameters") or {"type": "object", "properties": {}}
    strict = tool.get("strict")
    if strict is not None:
        if flags.strict_tools:
            function["strict"] = strict
        elif strict:
            drop(f"{where}.strict", "")
    return {"type": "function", "function": function}


def _custom(where: str, name: str, tool: dict[str, Any], flags: ChatFlags, drop: Drop) -> dict[str, Any]:
    custom: dict[str, Any] = {"name": name}
    if tool.get("description") is not None:
        custom["description"] = tool["description"]
    if flags.custom_tools:
        if tool.get("format") is not None:
            form = plain(tool["format"], f"{where}.format")
            inner = {key: value for key, value in form.items() if key != "type"}
            custom["format"] = {"type": "grammar", "grammar": inner} if form.get("type") == "grammar" else form
        return {"type": "custom", "custom": custom}
    return {"type": "function", "function": {**custom, "parameters": text_parameters(where, tool, drop)}}


def _hosted(body: dict[str, Any], where: str, tool: dict[str, Any], target: Target, drop: Drop) -> None:
    kind = str(tool.get("type"))
    if not kind.startswith("web_search") or not any(mark in target.model for mark in _SEARCHING):
        drop(
            "tools",
            f"{where} is a {kind} tool, which chat completions do not have; offer a function that you run yourself, or "
            "call a host that serves the Responses API and has this tool",
        )
        return
    options: dict[str, Any] = {}
    for field, value in tool.items():
        if field == "search_context_size" and value is not None:
            options[field] = value
        elif field == "user_location" and value is not None:
            place = {name: part for name, part in plain(value, f"{where}.{field}").items() if name != "type"}
            options[field] = {"type": "approximate", "approximate": place}
        elif field != "type" and value is not None:
            drop(f"{where}.{field}", "the web search of chat completions has no such option")
    body["web_search_options"] = embed(options)


def _choose(
    body: dict[str, Any], given: str | dict[str, Any], offers: list[_Offer], flags: ChatFlags, drop: Drop
) -> list[_Offer]:
    """Set `tool_choice`; return the tools that may be called, where the host can be told so in no other way."""
    if isinstance(given, str):
        if given not in _CHOICES:
            raise InvalidParameter(
                f"tool_choice is {quoted(given)}",
                param="tool_choice",
                hint=f"known: {', '.join(_CHOICES)}, or an object",
            )
        return _set_mode(body, given, offers, flags, drop)
    choice = plain(given, "tool_choice")
    kind = choice.get("type")
    if kind == "allowed_tools":
        return _allow(body, choice, offers, flags, drop)
    if kind not in ("function", "custom"):
        drop("tool_choice", f"{kind} is no tool that chat completions have")
    elif "function" not in flags.tool_choices:
        drop("tool_choice", "the host cannot be told which tool to call")
    else:
        body["tool_choice"] = offered(choice, offers).reference
    return offers


def _set_mode(body: dict[str, Any], mode: str, offers: list[_Offer], flags: ChatFlags, drop: Drop) -> list[_Offer]:
    if not offers:
        if mode == "required":
            drop("tool_choice", "a call is required, and there is no tool to call")
    elif mode in flags.tool_choices:
        body["tool_choice"] = mode
    elif mode == "none":
        return []  # what is not offered cannot be called
    elif mode != "auto":  # which is what every host does anyway
        drop("tool_choice", f"the host does not take {quoted(mode)}")
    return offers


def _allow(
    body: dict[str, Any], choice: dict[str, Any], offers: list[_Offer], flags: ChatFlags, drop: Drop
) -> list[_Offer]:
    mode = mode_of(choice)
    allowed: list[_Offer] = []
    for tool in allowed_tools(choice):
        if tool.get("type") not in ("function", "custom"):
            drop("tool_choice", f"{tool.get('type')} is no tool that chat completions have")
        else:
            allowed.append(offered(tool, offers))
    if "allowed_tools" in flags.tool_choices:
        references = [offer.reference for offer in allowed]
        body["tool_choice"] = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": references}}
        return offers
    return _set_mode(body, mode, [offer for offer in offers if offer in allowed], flags, drop)
