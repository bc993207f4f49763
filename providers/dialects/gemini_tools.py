"""Tools and tool choices of a call, in the form of generateContent.

All functions stand in one entry of `tools`; a custom tool becomes a function with one string, `input`, and a
namespace's tools become functions named `namespace__name` (`chat_tools.tool_names` gives the way back). Of hosted
tools, those that Google has too are asked for; any other is an error, as the call would mean something else without it.

Source: Gemini API reference, Tool and ToolConfig, and the types of google-genai 3.4, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from ...pipeline.api.params import CreateParams
from ...pipeline.api.wire import embed
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop, Target
from ...pipeline.wording import quoted
from .gemini_models import generation
from .named_tools import each_tool, flat_name, name_of, text_parameters
from .tool_choice import allowed_tools, mode_of, offered
from .values import plain

_EXTRAS: Final = ("output_schema", "allowed_callers", "async", "defer_loading")
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


class Offer(msgspec.Struct, frozen=True):
    """A function as it is sent, and what the call knows it by."""

    where: str
    kind: str
    name: str
    strict: bool
    sent: dict[str, Any]


def add_tools(body: dict[str, Any], params: CreateParams, target: Target, drop: Drop) -> None:
    """Set what the call says of tools.

    Raises:
        InvalidParameter: two tools of one name, or a choice of something that is no tool of the call.
    """
    model = target.model
    offers, hosted = _offers(params.tools or [], drop)
    config = _choose(params.tool_choice, offers, model, drop)
    tools = [*hosted, {"functionDeclarations": embed([offer.sent for offer in offers])}] if offers else hosted
    if tools:
        body["tools"] = tools
    mode = config.get("mode")
    strict = [offer for offer in offers if offer.strict]
    if strict and mode in (None, "AUTO"):
        if len(strict) == len(offers) and generation(model) >= (2, 5):
            config["mode"] = "VALIDATED"  # as AUTO, with arguments that fit their schemas
        else:
            for offer in strict:
                drop(f"{offer.where}.strict", "arguments are checked for all functions of a call, or for none")
    found: dict[str, Any] = {"functionCallingConfig": config} if config else {}
    if offers and hosted and generation(model) >= (3,) and "aiplatform" not in target.base_url:
        # Without it both kinds at once are refused; Vertex AI does not know it (source of Pydantic AI, August 2026).
        found["includeServerSideToolInvocations"] = True
    if found:
        body["toolConfig"] = found
    if params.parallel_tool_calls is False and offers:
        drop("parallel_tool_calls", "the model cannot be told to call one function at a time")


def _offers(tools: list[Any], drop: Drop) -> tuple[list[Offer], list[dict[str, Any]]]:
    offers: list[Offer] = []
    hosted: list[dict[str, Any]] = []
    places: dict[str, str] = {}
    for where, tool, namespace in each_tool(tools):
        kind = tool.get("type")
        if kind not in ("function", "custom"):
            hosted += filter(None, [_hosted(where, tool, drop)])
            continue
        name = name_of(where, tool)
        flat = flat_name(name, namespace)
        if flat in places:
            raise InvalidParameter(
                f"{where} and {places[flat]} are both named {quoted(flat)}", param="tools", hint="rename one of them"
            )
        places[flat] = where
        sent = _declaration(where, flat, tool, drop)
        offers.append(Offer(where, kind, name, kind == "function" and tool.get("strict") is True, sent))
    for at, given in enumerate(tools):
        if (tool := plain(given, f"tools[{at}]")).get("type") == "namespace" and tool.get("description"):
            drop(f"tools[{at}].description", "Gemini has no groups of tools")
    return offers, hosted


def _declaration(where: str, name: str, tool: dict[str, Any], drop: Drop) -> dict[str, Any]:
    sent: dict[str, Any] = {"name": name, "description": tool.get("description") or ""}
    if tool["type"] == "custom":
        sent["parametersJsonSchema"] = text_parameters(where, tool, drop)
    elif tool.get("parameters"):
        sent["parametersJsonSchema"] = tool["parameters"]
    for extra in _EXTRAS:
        if tool.get(extra) and tool[extra] != ["direct"]:
            drop(f"{where}.{extra}", "Gemini has no such field of a function")
    return sent


def _hosted(where: str, tool: dict[str, Any], drop: Drop) -> dict[str, Any]:
    kind = str(tool.get("type"))
    if kind.startswith("web_search"):
        return _web_search(where, tool, drop)
    if (write := _HOSTED.get(kind)) is not None:
        return write(where, tool, drop)
    hint = "offer a function that you run yourself, or call a host that serves the Responses API and has this tool"
    drop("tools", f"{where} is a {kind} tool, which Gemini does not have; {hint}")
    return {}


def _web_search(where: str, tool: dict[str, Any], drop: Drop) -> dict[str, Any]:
    for field, value in tool.items():
        if field != "type" and value:
            drop(f"{where}.{field}", "Google's search has no such option")
    return {"googleSearch": {}}


def _code(where: str, tool: dict[str, Any], drop: Drop) -> dict[str, Any]:
    container = tool.get("container")
    if container is not None and container != {"type": "auto"}:
        drop(f"{where}.container", "Google's code execution has no containers to choose from")
    return {"codeExecution": {}}


def _file_search(where: str, tool: dict[str, Any], drop: Drop) -> dict[str, Any]:
    sent: dict[str, Any] = {"fileSearchStoreNames": embed(tool.get("vector_store_ids") or [])}
    if tool.get("max_num_results") is not None:
        sent["topK"] = tool["max_num_results"]
    for field in ("filters", "ranking_options"):
        if tool.get(field):
            drop(f"{where}.{field}", "Google's file search has no such option")
    return {"fileSearch": sent}


_HOSTED: Final[dict[str, Callable[[str, dict[str, Any], Drop], dict[str, Any]]]] = {
    "code_interpreter": _code,
    "file_search": _file_search,
}


def _choose(given: str | dict[str, Any] | None, offers: list[Offer], model: str, drop: Drop) -> dict[str, Any]:
    """Return the `functionCallingConfig` for a choice."""
    if given is None:
        return {}
    if isinstance(given, str):
        return _mode(given, offers, drop)
    choice = plain(given, "tool_choice")
    kind = choice.get("type")
    if kind in ("function", "custom"):
        return {"mode": "ANY", "allowedFunctionNames": [offered(choice, offers).sent["name"]]}
    if kind != "allowed_tools":
        drop("tool_choice", f"Gemini cannot be told to use {kind}")
        return {}
    allowed: list[str] = []
    for tool in allowed_tools(choice):
        if tool.get("type") not in ("function", "custom"):
            drop("tool_choice", f"{tool.get('type')} cannot be chosen among Gemini's tools")
        else:
            allowed.append(offered(tool, offers).sent["name"])
    mode = mode_of(choice)
    if mode not in ("auto", "required"):
        raise InvalidParameter(f"tool_choice.mode is {quoted(mode)}", param="tool_choice", hint="known: auto, required")
    if mode == "auto" and generation(model) < (2, 5):
        offers[:] = [offer for offer in offers if offer.sent["name"] in allowed]  # AUTO takes no names
        return {}
    return {"mode": "ANY" if mode == "required" else "VALIDATED", "allowedFunctionNames": allowed}


def _mode(given: str, offers: list[Offer], drop: Drop) -> dict[str, Any]:
    if given not in _MODES:
        hint = f"known: {', '.join(_MODES)}, or an object"
        raise InvalidParameter(f"tool_choice is {quoted(given)}", param="tool_choice", hint=hint)
    if offers:
        return {"mode": _MODES[given]} if given != "auto" else {}
    if given == "required":
        drop("tool_choice", "a call is required, and there is no function to call")
    return {}
