"""Tools and tool choices of a call, in the form of the Messages API.

A function is a tool with an `input_schema`; a custom tool is one with a string, `input`; a namespace's tools are named
`namespace__name` (`chat_tools.tool_names` gives the way back). Web search, the code interpreter, tool search and MCP
servers are tools that run at the host here too. Anthropic's own tools (`web_fetch_20250910`) are sent as they are. All
others are an error, as the call would mean something else without them.

Source: types of Anthropic's Python package 0.125 (`ToolUnionParam`, `ToolChoiceParam`), read 2026-11; MCP servers:
Anthropic documentation, MCP connector, in its form of `mcp-client-2025-04-04`, in which a recording asks for one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ...pipeline.api.params import CreateParams
from ...pipeline.api.wire import embed
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Drop
from ...pipeline.wording import quoted
from .anthropic_format import fitted
from .anthropic_models import Claude
from .named_tools import each_tool, flat_name, name_of, text_parameters
from .tool_choice import allowed_tools, mode_of
from .values import listed, plain

MCP_BETA: Final = "mcp-client-2025-04-04"

_OWN: Final = re.compile(r".+_\d{8}")
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_SENT_AS_IS: Final = ("cache_control", "defer_loading", "input_examples", "eager_input_streaming")
_LACKING: Final = ("output_schema", "allowed_callers", "async")
_PLACE: Final = ("city", "region", "country", "timezone")


class _Offer(msgspec.Struct, frozen=True):
    """A tool as it is sent, and what the call knows it by."""

    kind: str
    name: str
    sent: dict[str, Any]


class Tools:
    """Writes the tools of one call.

    Args:
        searches: whether the host has a web search; Bedrock has none (source of Pydantic AI of August 2026).

    Attributes:
        fields: of the body: `tools`, `tool_choice`, `mcp_servers`, `container`.
        betas: features that the tools need.
        is_forced: whether the model must call a tool.
    """

    def __init__(self, params: CreateParams, claude: Claude, drop: Drop, *, searches: bool = True) -> None:
        self._params, self._claude, self._drop = params, claude, drop
        self._searches = searches
        self.fields: dict[str, Any] = {}
        self.betas: set[str] = set()
        self.is_forced = False
        self._places: dict[str, str] = {}
        self._offers: list[_Offer] = []

    def write(self) -> None:
        """Set the fields.

        Raises:
            InvalidParameter: two tools of one name, or a choice of something that is no tool of the call.
        """
        params = self._params
        for where, tool, namespace in each_tool(params.tools or []):
            self._offer(where, tool, namespace)
        for at, given in enumerate(params.tools or ()):
            if (tool := plain(given, f"tools[{at}]")).get("type") == "namespace" and tool.get("description"):
                self._drop(f"tools[{at}].description", "the Messages API has no groups of tools")
        choice = None if params.tool_choice is None else self._choice(params.tool_choice)
        if self._offers:
            self.fields["tools"] = embed([offer.sent for offer in self._offers])
            if params.parallel_tool_calls is False and (choice is None or choice["type"] != "none"):
                choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
            if choice is not None:
                self.fields["tool_choice"] = choice
        self.is_forced = choice is not None and choice["type"] in ("any", "tool")
        if self.is_forced and not self._claude.forced_choice:
            self._drop("tool_choice", "the model cannot be told to call a tool")

    def _offer(self, where: str, tool: dict[str, Any], namespace: str | None) -> None:
        kind, name = str(tool.get("type")), tool.get("name")
        if kind in ("function", "custom"):
            sent = self._function(where, flat_name(name_of(where, tool), namespace), tool)
        elif kind.startswith("web_search") and not self._searches:
            self._drop("tools", f"{where} is a {kind} tool, which Claude does not have at this host")
            return
        elif kind.startswith("web_search") and not _OWN.fullmatch(kind):
            sent = self._web_search(where, tool)
        elif kind == "code_interpreter":
            sent = self._code(where, tool)
        elif kind == "tool_search":
            sent = {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}
        elif kind == "mcp":
            self._mcp(where, tool)
            return
        elif _OWN.fullmatch(kind):
            sent = dict(tool)
        else:
            self._drop(
                "tools",
                f"{where} is a {kind} tool, which the Messages API does not have; offer a function that you run "
                "yourself, or call a host that has this tool",
            )
            return
        on_wire = str(sent.get("name"))
        if on_wire in self._places:
            raise InvalidParameter(
                f"{where} and {self._places[on_wire]} are both named {quoted(on_wire)}",
                param="tools",
                hint="rename one of them",
            )
        self._places[on_wire] = where
        self._offers.append(_Offer(kind, name if isinstance(name, str) else on_wire, sent))

    def _function(self, where: str, name: str, tool: dict[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = {"name": name}
        if tool.get("description") is not None:
            sent["description"] = tool["description"]
        if tool["type"] == "custom":
            schema = text_parameters(where, tool, self._drop)
        else:
            schema = plain(tool.get("parameters") or {"properties": {}}, f"{where}.parameters")
        schema = schema if "type" in schema else {"type": "object", **schema}
        sent["input_schema"] = schema
        if tool.get("strict"):
            if self._claude.structured:
                sent |= {"strict": True, "input_schema": fitted(schema, f"{where}.parameters", self._drop)}
            else:
                self._drop(f"{where}.strict", "the model does not take it")
        sent.update((field, tool[field]) for field in _SENT_AS_IS if tool.get(field) is not None)
        for field in _LACKING:
            if tool.get(field) and tool[field] != ["direct"]:
                self._drop(f"{where}.{field}", "the Messages API has no such field of a tool")
        return sent

    # Tools that run at the host

    def _web_search(self, where: str, tool: dict[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
        for field, value in tool.items():
            if value is None or field == "type":
                continue
            if field == "filters":
                for name, domains in plain(value, f"{where}.filters").items():
                    if name in ("allowed_domains", "blocked_domains"):
                        sent[name] = domains
                    elif domains is not None:
                        self._drop(f"{where}.filters.{name}", "the web search of the Messages API has no such option")
            elif field == "user_location":
                place = plain(value, f"{where}.user_location")
                known = {name: place[name] for name in _PLACE if place.get(name) is not None}
                sent[field] = {"type": "approximate", **known}
            elif field in ("max_uses", "allowed_domains", "blocked_domains", "cache_control"):
                sent[field] = value
            else:
                self._drop(f"{where}.{field}", "the web search of the Messages API has no such option")
        if self._params.max_tool_calls is not None:
            sent.setdefault("max_uses", self._params.max_tool_calls)
        return sent

    def _code(self, where: str, tool: dict[str, Any]) -> dict[str, Any]:
        container = tool.get("container")
        if isinstance(container, str):
            self.fields["container"] = container
        elif isinstance(container, Mapping) and container.get("file_ids"):
            self._drop(f"{where}.container.file_ids", "files reach its container as parts of the input only")
        return {"type": f"code_execution_{self._claude.code_execution}", "name": "code_execution"}

    def _mcp(self, where: str, tool: dict[str, Any]) -> None:
        label, url = tool.get("server_label"), tool.get("server_url")
        if not isinstance(url, str) or not isinstance(label, str):
            self._drop("tools", f"{where} names no server by its server_label and server_url, and the host has no own")
            return
        if tool.get("require_approval") != "never":
            self._drop("tools", f'{where} wants to be asked, which the host cannot: set require_approval to "never"')
            return
        server: dict[str, Any] = {"type": "url", "url": url, "name": label}
        if tool.get("authorization") is not None:
            server["authorization_token"] = tool["authorization"]
        allowed = tool.get("allowed_tools")
        names = allowed.get("tool_names") if isinstance(allowed, Mapping) else allowed
        if names is not None:
            allowed = listed(names, f"{where}.allowed_tools")
            server["tool_configuration"] = {"enabled": True, "allowed_tools": allowed}
        if tool.get("headers"):
            self._drop("tools", f"{where} has headers of its own, which the host does not send; use authorization")
        self.fields.setdefault("mcp_servers", []).append(server)
        self.betas.add(MCP_BETA)

    # The choice

    def _choice(self, given: str | dict[str, Any]) -> dict[str, Any] | None:
        if isinstance(given, str):
            return self._mode(given)
        choice = plain(given, "tool_choice")
        kind = choice.get("type")
        if kind == "allowed_tools":
            allowed = [self._offered(tool) for tool in allowed_tools(choice)]
            self._offers = [offer for offer in self._offers if offer in allowed]
            return self._mode(mode_of(choice))
        return {"type": "tool", "name": self._offered(choice).sent["name"]}

    def _mode(self, mode: str) -> dict[str, Any] | None:
        if mode not in _CHOICES:
            raise InvalidParameter(
                f"tool_choice is {quoted(mode)}",
                param="tool_choice",
                hint=f"known: {', '.join(_CHOICES)}, or an object",
            )
        if not self._offers and mode == "required" and "mcp_servers" not in self.fields:
            self._drop("tool_choice", "a call is required, and there is no tool to call")
        return None if mode == "auto" else {"type": _CHOICES[mode]}

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
