"""Tools and tool choices of a call, in the form of chat completions.

Chat completions know functions, and at OpenAI custom tools. A namespace's tools become tools named
`namespace__name`; a custom tool becomes a function with one string, `input`, where the host knows functions only.
`tool_names` gives the way back. A hosted tool is an error, as the call would mean something else without it; only web
search has a field of its own, for the models that search.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec

from ...pipeline.errors import InvalidParameter
from ...pipeline.params import CreateParams
from ...pipeline.request import Drop, Target
from ...pipeline.wire import embed
from ...pipeline.wording import quoted
from ..rows import ChatFlags
from .turns import listed, plain

_NAME_LENGTH: Final = 64  # of a function (OpenAI API reference, Chat › Create, read 2026-11)

# The models that search in the web, and take `web_search_options` (OpenAI API reference, Chat › Create, read 2026-11).
_SEARCHING: Final = ("-search-preview", "-search-api")

_EXTRAS: Final = ("output_schema", "allowed_callers", "async", "defer_loading")
"""Fields of a tool that chat completions do not have."""

_CHOICES: Final = ("auto", "none", "required")


class ToolName(msgspec.Struct, frozen=True):
    """What the call has for a function's name in chat completions.

    Args:
        name, namespace: the tool's own name, and that of its group.
        custom: whether it is a custom tool, whose text is in the argument `input` if the host calls it as a function.
    """

    name: str
    namespace: str | None = None
    custom: bool = False


_NO_NAMES: Final[Mapping[str, ToolName]] = {}


def tool_names(tools: list[Any] | None, flags: ChatFlags) -> Mapping[str, ToolName]:
    """Return, by the name that the host uses, the tools that the call knows as something else than that function."""
    if not tools:
        return _NO_NAMES
    return {
        flat_name(name, namespace): ToolName(name, namespace, tool["type"] == "custom")
        for _, tool, namespace in each_tool(tools)
        if (namespace or (tool.get("type") == "custom" and not flags.custom_tools))
        and tool.get("type") in ("function", "custom")
        and isinstance(name := tool.get("name"), str)
    }


def flat_name(name: str, namespace: str | None) -> str:
    """Return the name of a tool in chat completions; a long one is cut, and made distinct by a digest."""
    if not namespace:
        return name
    flat = f"{namespace}__{name}"
    if len(flat) <= _NAME_LENGTH:
        return flat
    return f"{flat[: _NAME_LENGTH - 9]}_{hashlib.sha256(flat.encode()).hexdigest()[:8]}"


class Offered(Protocol):
    """What is offered to a model, as a choice names it."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


AnOffer = TypeVar("AnOffer", bound=Offered)

FUNCTIONS_ONLY: Final = ChatFlags()
"""For `tool_names`, where custom tools go out as functions."""


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


def each_tool(tools: list[Any]) -> Iterator[tuple[str, dict[str, Any], str | None]]:
    """Yield each tool with its place in the call and the name of its namespace.

    Raises:
        InvalidParameter: one that is no object, or has no type.
    """
    for at, given in enumerate(tools):
        tool = _typed(given, f"tools[{at}]")
        if tool["type"] != "namespace":
            yield f"tools[{at}]", tool, None
            continue
        for index, member in enumerate(listed(tool.get("tools"), f"tools[{at}].tools")):
            where = f"tools[{at}].tools[{index}]"
            yield where, _typed(member, where), tool.get("name")


def _typed(given: Any, where: str) -> dict[str, Any]:
    tool = plain(given, where)
    if tool.get("type") is None:
        raise InvalidParameter(f"{where} has no type", param="tools", hint='a function has "type": "function"')
    return tool


def name_of(where: str, tool: dict[str, Any]) -> str:
    """Return the name of a function or a custom tool.

    Raises:
        InvalidParameter: it has none.
    """
    name = tool.get("name")
    if isinstance(name, str) and name:
        return name
    hint = "fields of a function stand beside its type" if "function" in tool else None
    raise InvalidParameter(f"{where} ({tool['type']}) has no name", param="tools", hint=hint)


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


def text_parameters(where: str, tool: dict[str, Any], drop: Drop) -> dict[str, Any]:
    """Return the parameters of the function that stands for a custom tool: its text."""
    form = None if tool.get("format") is None else plain(tool["format"], f"{where}.format")
    if form is not None and form.get("type") != "text":
        drop(f"{where}.format", "the host takes functions only, and their text cannot be bound to a grammar")
    return {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


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


def allowed_tools(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tools of a choice among allowed ones.

    Raises:
        InvalidParameter: they are no list of objects.
    """
    given = listed(choice.get("tools"), "tool_choice.tools")
    return [plain(each, f"tool_choice.tools[{at}]") for at, each in enumerate(given)]


def mode_of(choice: dict[str, Any]) -> str:
    """Return the mode of a choice among allowed tools.

    Raises:
        InvalidParameter: it is no text.
    """
    mode = choice.get("mode") or "auto"
    if not isinstance(mode, str):
        raise InvalidParameter(f"tool_choice.mode is {type(mode).__name__}; text is expected", param="tool_choice")
    return mode


def offered(choice: dict[str, Any], offers: list[AnOffer]) -> AnOffer:
    """Return what is offered of the kind and name that a tool choice has.

    Raises:
        InvalidParameter: nothing is.
    """
    for offer in offers:
        if offer.name == choice.get("name") and offer.kind == choice["type"]:
            return offer
    raise InvalidParameter(
        f"tool_choice names the {choice['type']} {quoted(choice.get('name'))}, which is not among the tools",
        param="tool_choice",
        hint=f"offered: {', '.join(offer.name for offer in offers) or 'none'}",
    )
