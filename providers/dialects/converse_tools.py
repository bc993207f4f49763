"""Tools and tool choices of a call, in the form of Converse.

A function is a `toolSpec`; a custom tool is one with a string, `input`; a namespace's tools are named `namespace__name`
(`chat_tools.tool_names` gives the way back). The web search and the code interpreter are Amazon's own where the model
has them. All others are an error, as the call would mean something else without them.

The host has no choice "none", and wants tools in every request whose messages hold calls (its error says so: "The
toolConfig field must be defined when using toolUse and toolResult content blocks", in public reports of 2026). So a
call that forbids tools goes without any if there are no calls in it; else they stay, and words forbid them.

Source: botocore 1.44, `ToolConfiguration`, read 2026-11.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...pipeline.api.params import CreateParams
from ...pipeline.api.wire import embed
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop
from ...pipeline.wording import quoted
from .anthropic_format import fitted
from .converse_messages import cache_point
from .converse_models import SYSTEM_TOOLS, Model
from .named_tools import each_tool, flat_name, name_of, text_parameters
from .tool_choice import allowed_tools, mode_of
from .values import plain

NO_CALLS: Final = "Do not call any tool now; answer in words."

_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_LACKING: Final = ("output_schema", "allowed_callers", "async", "defer_loading")


class _Offer(msgspec.Struct, frozen=True):
    """A tool as it is sent, and what the call knows it by."""

    kind: str
    name: str
    wire_name: str
    sent: dict[str, Any]
    mark: dict[str, Any] | None = None


class Tools:
    """Writes the tools of one call.

    Attributes:
        config: `toolConfig`; {} for none.
        extra: for `additionalModelRequestFields`.
        is_forced: whether the model must call a tool.
        are_forbidden: whether words must keep it from calling one.
    """

    def __init__(self, params: CreateParams, model: Model, called: list[str], drop: Drop) -> None:
        self._params, self._model, self._called, self._drop = params, model, called, drop
        self.config: dict[str, Any] = {}
        self.extra: dict[str, Any] = {}
        self.is_forced = False
        self.are_forbidden = False
        self._offers: list[_Offer] = []

    def write(self) -> None:
        """Set the attributes.

        Raises:
            InvalidParameter: two tools of one name, or a choice of something that is no tool of the call.
        """
        params = self._params
        places: dict[str, str] = {}
        for where, tool, namespace in each_tool(params.tools or []):
            if (offer := self._offer(where, tool, namespace)) is None:
                continue
            if offer.wire_name in places:
                raise InvalidParameter(
                    f"{where} and {places[offer.wire_name]} are both named {quoted(offer.wire_name)}",
                    param="tools",
                    hint="rename one of them",
                )
            places[offer.wire_name] = where
            self._offers.append(offer)
        for at, given in enumerate(params.tools or ()):
            if (tool := plain(given, f"tools[{at}]")).get("type") == "namespace" and tool.get("description"):
                self._drop(f"tools[{at}].description", "Converse has no groups of tools")
        choice = self._choice(params.tool_choice) if params.tool_choice is not None else {"auto": {}}
        if "none" in choice:
            self._forbid()
        elif self._offers:
            self._set(choice)
        elif self._called:
            self._offer_called()

    def _forbid(self) -> None:
        if not self._called:
            return  # what is not offered cannot be called
        if not self._offers:
            self._offer_called()
            return
        self._drop("tool_choice.none", "said in words: the host wants tools where there are calls in the input")
        self.are_forbidden = True
        self._set({"auto": {}})

    def _offer_called(self) -> None:
        """Offer what was called, since the host wants tools, and nothing else is there."""
        self._drop("input", "it has calls, so the host wants their tools: they are offered, and words forbid their use")
        self.are_forbidden = True
        schema = {"json": {"type": "object", "properties": {}}}
        self.config = {"tools": [{"toolSpec": {"name": name, "inputSchema": schema}} for name in self._called]}

    def _set(self, choice: dict[str, Any]) -> None:
        tools: list[dict[str, Any]] = []
        for offer in self._offers:
            tools.append(offer.sent)
            if offer.mark is not None:
                tools.append(offer.mark)
        self.config = {"tools": embed(tools)}
        if "auto" not in choice:
            self.config["toolChoice"] = choice
            self.is_forced = True
        if self._params.parallel_tool_calls is False:
            if self._model.claude is None:
                self._drop("parallel_tool_calls", "the model cannot be told to call one tool at a time")
            else:
                kind = next(iter(choice))
                self.extra["tool_choice"] = {"type": kind, **choice[kind], "disable_parallel_tool_use": True}

    # What is offered

    def _offer(self, where: str, tool: dict[str, Any], namespace: str | None) -> _Offer | None:
        kind = str(tool.get("type"))
        if kind in ("function", "custom"):
            name = name_of(where, tool)
            flat = flat_name(name, namespace)
            return _Offer(kind, name, flat, self._function(where, flat, tool), cache_point(tool))
        plain_kind = "web_search" if kind.startswith("web_search") else kind
        system = SYSTEM_TOOLS.get(plain_kind)
        if system is not None and self._model.system_tools:
            for field, value in tool.items():
                if field != "type" and value is not None and (field, value) != ("container", {"type": "auto"}):
                    self._drop(f"{where}.{field}", f"{system} has no options")
            return _Offer(plain_kind, plain_kind, system, {"systemTool": {"name": system}})
        self._drop(
            "tools",
            f"{where} is a {kind} tool, which the model does not have here; offer a function that you run yourself, or "
            "call a host that has this tool",
        )
        return None

    def _function(self, where: str, name: str, tool: dict[str, Any]) -> dict[str, Any]:
        spec: dict[str, Any] = {"name": name}
        if tool.get("description"):
            spec["description"] = tool["description"]
        if tool["type"] == "custom":
            schema = text_parameters(where, tool, self._drop)
        else:
            schema = plain(tool.get("parameters") or {"properties": {}}, f"{where}.parameters")
        schema = schema if "type" in schema else {"type": "object", **schema}
        if tool.get("strict"):
            if self._model.structured:
                spec["strict"] = True
                schema = fitted(schema, f"{where}.parameters", self._drop)
            else:
                self._drop(f"{where}.strict", "the model does not take it")
        spec["inputSchema"] = {"json": schema}
        for field in _LACKING:
            if tool.get(field) and tool[field] != ["direct"]:
                self._drop(f"{where}.{field}", "Converse has no such field of a tool")
        return {"toolSpec": spec}

    # The choice

    def _choice(self, given: str | dict[str, Any]) -> dict[str, Any]:
        if isinstance(given, str):
            return self._mode(given)
        choice = plain(given, "tool_choice")
        if choice.get("type") == "allowed_tools":
            allowed = [self._offered(tool) for tool in allowed_tools(choice)]
            self._offers = [offer for offer in self._offers if offer in allowed]
            return self._mode(mode_of(choice))
        return {"tool": {"name": self._offered(choice).wire_name}}

    def _mode(self, mode: str) -> dict[str, Any]:
        if mode not in _CHOICES:
            raise InvalidParameter(
                f"tool_choice is {quoted(mode)}",
                param="tool_choice",
                hint=f"known: {', '.join(_CHOICES)}, or an object",
            )
        if not self._offers and mode == "required":
            self._drop("tool_choice", "a call is required, and there is no tool to call")
        return {_CHOICES[mode]: {}}

    def _offered(self, choice: dict[str, Any]) -> _Offer:
        kind = str(choice.get("type"))
        for offer in self._offers:
            if offer.kind == kind and choice.get("name") in (None, offer.name):
                return offer
        raise InvalidParameter(
            f"tool_choice names the {kind} {quoted(choice.get('name') or 'tool')}, which is not among the tools",
            param="tool_choice",
            hint=f"offered: {', '.join(offer.name for offer in self._offers) or 'none'}",
        )
