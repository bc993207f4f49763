"""List the tools of an MCP server with their schemas, or call one of them."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

import msgspec

from ..mcp.registry import McpServers
from ..mcp.types import ToolInfo
from ..pipeline.engine import Engine
from ..pipeline.errors import InvalidParameter, did_you_mean
from . import terminal
from .tool_servers import called_tool, listed_tools, read_servers

EXAMPLES = """\
  antiphon tools "python weather.py"
  antiphon tools "python weather.py" --json
  antiphon tools "python weather.py" call get_weather '{"city": "Rome"}'
  antiphon tools mcp.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("server", help="a URL, a command, or an mcp.json file")
    parser.add_argument(
        "action", nargs="?", choices=("list", "call"), default="list", help="list its tools, the default, or call one"
    )
    parser.add_argument("name", nargs="?", help="call: the tool")
    parser.add_argument("arguments", nargs="?", default="{}", help='call: a JSON object; "-" is the standard input')
    parser.add_argument("--json", action="store_true", help="write definitions, or the result, as JSON")
    parser.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="the longest that the server may take to start, to list its tools, or to run one",
    )


def run(options: argparse.Namespace) -> int:
    if options.action == "call" and not options.name:
        raise InvalidParameter("call needs the name of a tool", hint="antiphon tools SERVER call NAME '{…}'")
    if options.action == "list" and options.name:
        raise InvalidParameter(f'"{options.name}" is one word too many', hint="antiphon tools SERVER call NAME '{…}'")
    arguments = _arguments(options.arguments)
    with (
        contextlib.closing(McpServers(read_servers([options.server]))) as servers,
        contextlib.closing(Engine()) as engine,
    ):
        tools = list(listed_tools(servers, engine, options.timeout))
        if options.action == "list":
            _show(tools, len(servers.servers), as_json=options.json)
            return 0
        server = _server_of(options.name, tools)
        result = called_tool(servers, engine, server, options.name, arguments, options.timeout)
    if options.json:
        terminal.print_json(
            {"content": result.content, "structuredContent": result.structured, "isError": result.is_error}
        )
    else:
        for block in result.content:
            text = block["text"] if block.get("type") == "text" else f"[{block.get('type')}; --json shows it]"
            print(terminal.shown(str(text)))
        if not result.content and result.structured is not None:
            terminal.print_json(result.structured)
    if result.is_error:
        terminal.complain(f'the tool "{options.name}" says that it failed')
        return 1
    return 0


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(sys.stdin.read() if text == "-" else text)
    except msgspec.DecodeError as error:
        raise InvalidParameter(f"the arguments are no JSON: {error}", hint="""e.g. '{"city": "Rome"}'""") from None
    if not isinstance(found, dict):
        raise InvalidParameter("the arguments are no JSON object", hint="""e.g. '{"city": "Rome"}'""")
    return found


def _server_of(name: str, tools: list[tuple[str, ToolInfo]]) -> str:
    """Return the server that has a tool."""
    for server, tool in tools:
        if tool.name == name:
            return server
    known = [tool.name for _, tool in tools]
    raise InvalidParameter(
        f'there is no tool "{name}"{did_you_mean(name, known)}', hint=f"known: {', '.join(known) or 'none'}"
    )


def _show(tools: list[tuple[str, ToolInfo]], servers: int, *, as_json: bool) -> None:
    if as_json:
        terminal.print_json([{"server": server, **tool.raw} for server, tool in tools])
        return
    for server, tool in tools:
        print(terminal.shown(f"{server}: {tool.name}" if servers > 1 else tool.name))
        for line in tool.description.splitlines():
            print(f"    {terminal.shown(line)}".rstrip())
        for line in _parameters(tool.input_schema):
            print(f"  {terminal.shown(line)}")


def _parameters(schema: dict[str, Any]) -> list[str]:
    """Return a line for each parameter: name, type, whether it has to be given, and what it means."""
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict):
        return []
    needed = required if isinstance(required, list) else []
    return [_parameter(name, field, name in needed) for name, field in properties.items() if isinstance(field, dict)]


def _parameter(name: str, field: dict[str, Any], is_needed: bool) -> str:
    kind = field.get("type") or ("enum" if "enum" in field else "any")
    shown = "|".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    if "enum" in field:
        shown = " | ".join(map(str, field["enum"]))
    said = " ".join(str(field.get("description") or "").split())
    default = f", default {field['default']!r}" if "default" in field else ""
    return f"{name} ({shown}{'' if is_needed else ', optional'}{default}){f': {said}' if said else ''}"
