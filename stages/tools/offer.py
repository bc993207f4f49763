"""What the model is offered in one call: which tools are ours to run, and what they are called in front of it.

A tool of type `mcp` is ours when it names servers of the client, when the model's host calls no MCP servers itself, or
when the call says `mcp_execute="local"`. All else goes to the host as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from ...mcp.connection import Connection
from ...mcp.errors import McpError
from ...mcp.registry import McpServers
from ...mcp.server import McpServer
from ...mcp.types import ToolInfo
from ...pipeline.context import CallContext
from ...pipeline.errors import AntiphonError, InvalidParameter
from ...pipeline.tool_function import ToolFunction, tool_function
from ...pipeline.wording import quoted
from .approvals import is_allowed, named, needs_approval
from .history import plain
from .names import public_names

Execute = Literal["auto", "local", "native"]


class McpTool(msgspec.Struct, frozen=True, kw_only=True):
    """A server's tool in this call.

    Args:
        public: what the model calls it.
        label: the server, as the user sees it.
        needs_approval: whether somebody has to approve each call.
    """

    public: str
    label: str
    info: ToolInfo
    server: McpServer
    connection: Connection
    needs_approval: bool

    @property
    def definition(self) -> dict[str, Any]:
        """The function that stands for it. Its schema is the server's, so strict mode's rules may not hold."""
        # What is null is empty at a server in Go, and refused by hosts (issue 224 of mcp-go, 2025-04).
        schema = {name: value for name, value in self.info.input_schema.items() if value is not None}
        whole = schema if "properties" in schema else {**schema, "properties": {}}
        return {
            "type": "function",
            "name": self.public,
            "description": self.info.description,
            "parameters": whole if whole.get("type") == "object" else {**whole, "type": "object"},
            "strict": False,
        }


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What one server has answered.

    Args:
        tools: those that the call lets through.
        error: why there are none.
    """

    label: str
    tools: tuple[ToolInfo, ...] = ()
    error: AntiphonError | None = None

    def item(self, item_id: str) -> dict[str, Any]:
        """Return it as an `mcp_list_tools` item."""
        tools = [
            {
                "name": tool.name,
                "description": tool.description,
                "input_schema": tool.input_schema,
                "annotations": tool.annotations or None,
            }
            for tool in self.tools
        ]
        error = {} if self.error is None else {"error": self.error.message}
        return {"type": "mcp_list_tools", "id": item_id, "server_label": self.label, "tools": tools, **error}


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The tools of a call.

    Args:
        tools: as the host gets them.
        others: those of them that are not ours.
        callers: names of the functions that the caller answers.
        shown: as the response shows them: the caller's, without credentials.
        choice: `tool_choice` as the host gets it.
        by_name: what runs here, by the name that the model calls it.
        listings: of the servers, in order.
        labels: of the servers that are called from here.
        knows_all: whether every function that the model may call is among the tools.
    """

    tools: list[Any]
    others: list[Any]
    callers: frozenset[str] = frozenset()
    shown: list[Any]
    choice: Any
    by_name: dict[str, McpTool | ToolFunction[..., Any]]
    listings: tuple[Listing, ...] = ()
    labels: frozenset[str] = frozenset()
    knows_all: bool = False

    @property
    def names(self) -> dict[tuple[str, str], str]:
        """What the servers' tools are called, by label and own name."""
        return {(tool.label, tool.info.name): name for name, tool in self.by_name.items() if isinstance(tool, McpTool)}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of type `mcp` that is ours.

    Args:
        where: its place in the call.
        servers: label and server of each that it means.
    """

    where: str
    tool: Mapping[str, Any]
    servers: list[tuple[str, McpServer]]


def is_hosts(tool: Any, host_runs: Literal["", "unasked", "all"], execute: Execute) -> bool:
    """Tell whether a tool goes to the host as it is.

    Args:
        host_runs: what the host does about MCP servers, as its row says.
    """
    if callable(tool):
        return False
    kind = tool.get("type") if isinstance(tool, Mapping) else getattr(tool, "type", None)
    if kind != "mcp":
        return True
    given = plain(tool)
    if given.get("connector_id") or given.get("tunnel_id"):
        if execute == "local":
            what = "connector_id" if given.get("connector_id") else "tunnel_id"
            raise InvalidParameter(
                f'a tool of type "mcp" has a {what}, which its host alone can use, and mcp_execute is "local"',
                param="tools",
                hint="give the server's URL, or leave mcp_execute out",
            )
        return True
    if not str(given.get("server_url") or "").lower().startswith(("http://", "https://")) or execute == "local":
        return False
    return (
        execute == "native"
        or host_runs == "all"
        or (host_runs == "unasked" and given.get("require_approval") == "never")
    )


async def make_offer(
    tools: Sequence[Any],
    choice: Any,
    *,
    is_hosts: Callable[[Any], bool],
    servers: McpServers,
    context: CallContext,
) -> Offer:
    """Sort a call's tools, ask the servers for theirs, and give all of them names.

    Args:
        is_hosts: whether a tool goes to the host as it is.
        servers: finds those that a tool means, and keeps the connections.

    Raises:
        CallError: a tool that cannot be offered, or names that clash.
        McpError: no server gave any tool, and the call has no others.
    """
    ordered = [
        tool if is_hosts(tool) else tool_function(tool) if callable(tool) else _entry(at, plain(tool), servers)
        for at, tool in enumerate(tools)
    ]
    entries = [tool for tool in ordered if isinstance(tool, Entry)]
    for entry in entries:
        _report_unused(entry, context)
    listed = await _list_all(entries, servers, context)
    functions = [tool for tool in ordered if isinstance(tool, ToolFunction)]
    others = [tool for tool in ordered if not isinstance(tool, Entry | ToolFunction)]
    taken = [*filter(None, map(_name_of, others)), *(tool.name for tool in functions)]
    if (name := next((each.name for each in functions if taken.count(each.name) > 1), None)) is not None:
        raise InvalidParameter(
            f'two tools are called "{name}"', param="tools", hint='rename one: antiphon.tool(fn, name="...")'
        )
    offered = _name_all(entries, listed, taken)
    if entries and not context.dry and not (functions or others or any(offered)):
        raise _no_tools(entries, listed)
    by_name: dict[str, McpTool | ToolFunction[..., Any]] = {tool.public: tool for found in offered for tool in found}
    by_name |= {tool.name: tool for tool in functions}
    definitions: list[Any] = []
    rest = iter(offered)
    for tool in ordered:
        if isinstance(tool, Entry):
            definitions += [found.definition for found in next(rest)]
        else:
            definitions.append(tool.definition if isinstance(tool, ToolFunction) else tool)
    labels = frozenset(label for entry in entries for label, _ in entry.servers)
    return Offer(
        tools=definitions,
        others=others,
        callers=frozenset(filter(None, map(_name_of, others))),
        shown=[_shown(tool) for tool in ordered],
        choice=_choice(choice, offered, len(functions) + len(others), labels),
        by_name=by_name,
        listings=tuple([listing for found in listed for listing, _ in found]),
        labels=labels,
        knows_all=all(_kind(tool) in (None, "function") for tool in others),
    )


# --- servers ----------------------------------------------------------------------------------------------------------


def _entry(at: int, tool: dict[str, Any], registry: McpServers) -> Entry:
    where = f"tools[{at}]"
    servers = registry.find(tool)
    if not servers:
        raise InvalidParameter(
            f"{where} names no MCP server: {quoted(tool.get('server_url') or tool.get('server_label'))}",
            param="tools",
            hint='give a URL as server_url, or "antiphon/NAME" for a server of Client(mcp_servers={...})',
        )
    label = tool.get("server_label")
    if len(servers) == 1 and isinstance(label, str) and label:
        servers = [(label, servers[0][1])]
    return Entry(where=where, tool=tool, servers=servers)


_UNUSED = {
    "server_description": "what the tools say of themselves is all that the model gets",
    "defer_loading": "all tools are offered at once",
    "allowed_callers": "programs of the model do not call tools that run here",
}


def _report_unused(entry: Entry, context: CallContext) -> None:
    """Report what of a definition has no effect where the server is called from here."""
    for name, reason in _UNUSED.items():
        if entry.tool.get(name):
            context.drop(f"{entry.where}.{name}", reason)
    if all(server.url is None for _, server in entry.servers):
        for name in ("headers", "authorization"):
            if entry.tool.get(name):
                context.drop(f"{entry.where}.{name}", "the server is not reached by HTTP")


Listed = list[tuple[Listing, Connection | None]]


async def _list_all(entries: list[Entry], servers: McpServers, context: CallContext) -> list[Listed]:
    """Ask all servers side by side. One that fails keeps nobody else from answering."""
    runtime = context.runtime
    seen: dict[str, McpServer] = {}
    for entry in entries:
        for label, server in entry.servers:
            if seen.setdefault(label, server) is not server and len(entry.servers) == 1:
                raise InvalidParameter(
                    f'{entry.where}: another tool has the server_label "{label}" too', param="tools", hint="rename one"
                )
    if context.dry:
        for entry in entries:
            context.drop(f"{entry.where} (mcp)", "which tools its servers have is asked when the call runs")
        return [[] for _ in entries]

    async def ask(entry: Entry, label: str, server: McpServer) -> tuple[Listing, Connection | None]:
        try:
            connection = await servers.connection(label, server, runtime)
            found = await connection.list_tools()
        except McpError as error:
            return Listing(label=label, error=error), None
        allowed = entry.tool.get("allowed_tools")
        kept = tuple([tool for tool in found if is_allowed(allowed, tool, entry.where)])
        missing = set(named(allowed)) - {tool.name for tool in found} if len(entry.servers) == 1 else ()
        for name in sorted(missing):
            context.drop(f"{entry.where}.allowed_tools", f'server "{label}" has no tool "{name}"')
        return Listing(label=label, tools=kept), connection

    jobs = [(entry, label, server) for entry in entries for label, server in entry.servers]
    if len(jobs) == 1:  # no need of a thread in sync calls
        answers = iter([await context.waiting(ask(*jobs[0]))])
    else:
        asking = [functools.partial(ask, *job) for job in jobs]
        answers = iter(await context.waiting(runtime.gather(asking, _MOST_AT_ONCE)))
    return [[next(answers) for _ in entry.servers] for entry in entries]


_MOST_AT_ONCE = 16


def _no_tools(entries: list[Entry], listed: list[Listed]) -> AntiphonError:
    """Return the error of a call that asks for servers' tools and has none: it names them all."""
    listings = [listing for found in listed for listing, _ in found]
    errors = [listing.error for listing in listings if listing.error is not None]
    if len(errors) == len(listings) == 1:
        return errors[0]
    said = "; ".join(f"{each.label}: {each.error.message if each.error else 'none'}" for each in listings)
    if errors:
        error = McpError(f"no MCP server gave a tool ({said})", server=listings[0].label, method="tools/list")
        error.__cause__ = errors[0]
        return error
    return InvalidParameter(
        f"no MCP server has a tool that the call lets through ({said})",
        param="tools",
        hint=f"look at allowed_tools of {', '.join(entry.where for entry in entries)}",
    )


# --- names ------------------------------------------------------------------------------------------------------------


def _name_all(entries: list[Entry], listed: list[Listed], taken: list[str]) -> list[list[McpTool]]:
    """Return the tools of each entry under their names for the model. One that stands in two entries is the first's."""
    wanted: list[list[tuple[str, ToolInfo, McpServer, Connection]]] = []
    seen: set[tuple[str, str]] = set()
    for entry, found in zip(entries, listed, strict=True):
        wanted.append([])
        for (listing, connection), (label, server) in zip(found, entry.servers, strict=False):
            for info in listing.tools:
                if connection is not None and (label, info.name) not in seen:
                    seen.add((label, info.name))
                    wanted[-1].append((label, info, server, connection))
    names = iter(public_names([(label, info.name) for each in wanted for label, info, _, _ in each], taken))
    return [
        [
            McpTool(
                public=next(names),
                label=label,
                info=info,
                server=server,
                connection=connection,
                needs_approval=needs_approval(entry.tool.get("require_approval"), info, entry.where),
            )
            for label, info, server, connection in each
        ]
        for entry, each in zip(entries, wanted, strict=True)
    ]


def _kind(tool: Any) -> str | None:
    kind = tool.get("type") if isinstance(tool, Mapping) else getattr(tool, "type", None)
    return kind if isinstance(kind, str) else None


def _name_of(tool: Any) -> str | None:
    name = tool.get("name") if isinstance(tool, Mapping) else getattr(tool, "name", None)
    return name if isinstance(name, str) else None


def _shown(tool: Any) -> Any:
    if isinstance(tool, ToolFunction):
        return tool.definition
    given = tool.tool if isinstance(tool, Entry) else plain(tool) if _kind(tool) == "mcp" else tool
    if not isinstance(given, Mapping) or given.get("type") != "mcp":
        return tool
    return {name: value for name, value in given.items() if name not in ("authorization", "headers")}


# --- the choice among them --------------------------------------------------------------------------------------------


def _choice(choice: Any, offered: list[list[McpTool]], others: int, labels: frozenset[str]) -> Any:
    """Return `tool_choice` in terms of functions where it names a server of ours."""
    given = plain(choice) if choice is not None and not isinstance(choice, str) else {}
    if given.get("type") == "mcp" and given.get("server_label") in labels:
        names = _names(given, offered)
        if len(names) == 1:
            return {"type": "function", "name": names[0]}
        if len(names) == sum(len(found) for found in offered) and not others:
            return "required"
        return {"type": "allowed_tools", "mode": "required", "tools": [_function(name) for name in names]}
    if given.get("type") == "allowed_tools" and isinstance(given.get("tools"), list):
        tools: list[Any] = []
        for tool in map(plain, given["tools"]):
            ours = tool.get("type") == "mcp" and tool.get("server_label") in labels
            tools += [_function(name) for name in _names(tool, offered)] if ours else [tool]
        return {**given, "tools": tools}
    return choice


def _function(name: str) -> dict[str, str]:
    return {"type": "function", "name": name}


def _names(given: Mapping[str, Any], offered: list[list[McpTool]]) -> list[str]:
    label, name = given.get("server_label"), given.get("name")
    names = [
        tool.public for found in offered for tool in found if tool.label == label and name in (None, tool.info.name)
    ]
    if not names:
        raise InvalidParameter(
            f'tool_choice asks for {name or "a tool"} of server "{label}", which is not offered',
            param="tool_choice",
            hint="offer it in tools, or leave tool_choice out",
        )
    return names
