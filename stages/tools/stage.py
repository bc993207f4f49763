"""Run the tools that a model calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from ...pipeline.api.params import CountInputTokensParams, CreateParams
from ...pipeline.errors import AntiphonError, InvalidParameter, UnsupportedParameter
from ...pipeline.reply import Reply
from ...pipeline.request import Handler, Request, Target
from ...pipeline.secret import Secret
from ...pipeline.stage import Option, Scope, Stage
from ...pipeline.streams.event_stream import EventStream
from ...pipeline.wording import quoted
from ...providers import catalog

if TYPE_CHECKING:
    from ...mcp.registry import McpServers
    from .history import Memory
    from .offer import Offer
    from .rounds import Progress, Rounds

Execute = Literal["auto", "local", "native"]


class Tools(Stage, frozen=True):
    """Offer MCP servers' tools and Python functions to the model, run what it calls, and ask again with the results.

    Stages before this one see one conversation: one response, one stream, with the items and the usage of all rounds;
    stages after it see one call for each turn of the model. What is not ours, the caller's own functions and a host's
    hosted tools, passes through, and a call without tools of ours costs nothing.

    In `tools`, a Python function is ours, and so is a tool of type `mcp` whose `server_url` is "antiphon",
    "antiphon/NAME" (or LiteLLM's "litellm_proxy", "litellm_proxy/mcp/NAME"), or the URL of a server that the model's
    host does not call itself. A turn that a host pauses (`pause_turn`) is gone on with in the same way.

    Args:
        max_rounds: how often what the model calls is run before it has to answer without tools; >= 1. The call option
            `max_tool_rounds` wins.
        parallel: calls of one round that run at once.
        mcp_execute: "auto" leaves a server's URL to a host that is known to call MCP servers itself, "local" to none,
            "native" to every one, as for a gateway in front of such a host. The call option of that name wins.
        tool_errors: what an exception of a Python function becomes: "tell" tells the model, and writes a warning to the
            log; "raise" raises `ToolFailed`.
        max_result_chars: the longest text that the model gets of one result; the middle of a longer one is left out.
        signal_content: whether the signals `tool.start` and `tool.end` carry arguments and results.

    Raises:
        UnknownMcpServer, McpAddressRefused: a tool leads to no server.
        McpError: no server gave a tool, and the call has no others.
        ToolFailed: with `tool_errors="raise"`.
    """

    max_rounds: Annotated[int, Meta(ge=1)] = 10
    parallel: Annotated[int, Meta(ge=1)] = 8
    mcp_execute: Execute = "auto"
    tool_errors: Literal["tell", "raise"] = "tell"
    max_result_chars: Annotated[int, Meta(ge=1000)] = 50_000
    signal_content: bool = False

    options = (
        Option("mcp_servers", (object,), "further MCP servers of this call, by name: URLs, commands, objects"),
        Option("mcp_execute", (str,), 'who calls MCP servers with a URL: "auto", "local" or "native"'),
        Option("approve", (Callable,), "a function that approves calls of MCP tools, instead of approval items"),  # type: ignore[arg-type]
        Option("max_tool_rounds", (int,), "how often what the model calls is run in one call"),
    )
    needs = ("target",)
    sets = ()
    at_most_once = True
    calls_again_for = "turn of the model"

    def setup(self, scope: Scope) -> object:
        return _Surroundings(scope)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        around = request.context.state_of(self, _Surroundings)
        if around.memory is not None:
            request = _by_last_id(request, around.memory)
        tools = getattr(request.params, "tools", None)
        if not tools or not self._concern(request, tools):
            return await call_next(self._with_history(request, around))
        params = request.params
        if isinstance(params, CountInputTokensParams):
            offer = await self._offer(request, params.tools, params.tool_choice, around)
            return await call_next(request.with_params(tools=offer.tools or None, tool_choice=offer.choice))
        assert isinstance(params, CreateParams)
        if params.background:
            raise UnsupportedParameter(
                "background is asked for together with tools that run here",
                param="background",
                hint="leave one of them out: a host goes on alone only with tools that it runs itself",
            )
        offer = await self._offer(request, params.tools, params.tool_choice, around)
        if request.context.dry:
            return await call_next(
                request.with_params(tools=offer.tools or None, tool_choice=offer.choice if offer.tools else None)
            )
        return await self._converse(request, call_next, offer, around)

    async def _converse(self, request: Request, call_next: Handler, offer: Offer, around: _Surroundings) -> Reply:
        context = request.context
        rounds = self._rounds(request, call_next, offer, around)
        try:
            await rounds.open()
            if request.streamed:
                stream = EventStream(rounds, context, error_of=rounds.error_of)
                stream.on_end(rounds.end_with)
                return stream
            return await rounds.finish()
        except BaseException as error:
            if isinstance(error, AntiphonError):
                error.response = error.response or rounds.partial()
            if (progress := rounds.progress) is not None:
                context.scratch[_PROGRESS] = progress  # for a stage outside that tries the call elsewhere
            await rounds.close()
            raise

    def _rounds(self, request: Request, call_next: Handler, offer: Offer, around: _Surroundings) -> Rounds:
        from .calls import Runner, Running
        from .history import read_history
        from .rounds import Rounds

        params, options = request.params, request.options
        assert isinstance(params, CreateParams)
        memory = around.remembering()
        is_chained = params.previous_response_id is not None or params.conversation is not None
        most = options.get("max_tool_rounds", self.max_rounds)
        if most < 1:
            raise InvalidParameter(f"max_tool_rounds is {most}; at least 1 is expected", param="max_tool_rounds")
        before: Progress | None = request.context.scratch.pop(_PROGRESS, None)
        runner = Runner(
            context=request.context,
            model=params.model or "",
            metadata=params.metadata,
            approve=options.get("approve"),
            on_error=self.tool_errors,
            max_result_chars=self.max_result_chars,
            content=self.signal_content,
        )
        return Rounds(
            request,
            call_next,
            offer,
            read_history(
                params.input,
                offer.labels,
                offer.names,
                memory,
                is_chained=is_chained,
                all_ours=not self._may_know_mcp(request),
            ),
            Running(runner, self.parallel, content=self.signal_content),
            memory,
            max_rounds=most,
            before=before if before is not None and before.input is params.input else None,
        )

    async def _offer(self, request: Request, tools: Any, choice: Any, around: _Surroundings) -> Offer:
        from .offer import make_offer

        servers, old = around.servers(request.options.get("mcp_servers"))
        if old is not None:
            await request.context.runtime.call(old.close)
        return await make_offer(
            tools,
            choice,
            is_hosts=lambda tool: self._is_hosts(request, tool),
            servers=servers,
            context=request.context,
        )

    def _concern(self, request: Request, tools: list[Any]) -> bool:
        """Tell whether there is anything to do here."""
        target = request.target
        assert target is not None
        for tool in tools:
            if callable(tool):
                return True
            kind = tool.get("type") if isinstance(tool, Mapping) else getattr(tool, "type", None)
            if kind == "mcp" and not self._is_hosts(request, tool):
                return True
            if kind not in ("function", "custom") and target.dialect.name == "anthropic":
                return isinstance(request.params, CreateParams)  # the host may pause
        return False

    def _with_history(self, request: Request, around: _Surroundings) -> Request:
        """Say what ran in earlier calls in terms of functions, in a call that has no tools for us."""
        given = getattr(request.params, "input", None)
        if given.__class__ is str or not isinstance(given, list | tuple) or self._may_know_mcp(request):
            return request
        from .history import read_history

        is_chained = any(getattr(request.params, name, None) for name in ("previous_response_id", "conversation"))
        items = read_history(given, frozenset(), {}, around.remembering(), is_chained=is_chained, all_ours=True).items
        return request if items is given else request.with_params(input=items)

    def _may_know_mcp(self, request: Request) -> bool:
        """Tell whether items of MCP may go out as they are; codecs of other formats than the API's own see to them."""
        target = request.target
        assert target is not None
        return target.dialect.name != "responses" or _mcp_at(target) != "" or self._execute(request) == "native"

    def _is_hosts(self, request: Request, tool: Any) -> bool:
        from .offer import is_hosts

        target = request.target
        assert target is not None
        return is_hosts(tool, _mcp_at(target), self._execute(request))

    def _execute(self, request: Request) -> Execute:
        execute: Execute = request.options.get("mcp_execute", self.mcp_execute)
        if execute not in ("auto", "local", "native"):
            raise InvalidParameter(
                f'mcp_execute is {quoted(execute)}; "auto", "local" or "native" is expected',
                param="mcp_execute",
            )
        return execute


def _mcp_at(target: Target) -> Literal["", "unasked", "all"]:
    """Return what the host does about MCP servers. Of one at another address than the row's only the name is known."""
    row = catalog.find(target.provider)
    return row.mcp if target.dialect.name != "chat" and target.base_url == row.base_url else ""


_PROGRESS = "antiphon.tools.progress"


class _Surroundings:
    """What a client's calls find around them: its MCP servers and their connections, and what calls leave behind."""

    __slots__ = ("_lock", "_of_calls", "_scope", "memory")

    _MOST = 64  # registries of calls

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._lock = threading.Lock()
        self._of_calls: dict[Any, McpServers] = {}
        self.memory: Memory | None = None

    def remembering(self) -> Memory:
        """Return the memory, made with the first conversation."""
        from .history import Memory

        with self._lock:
            if self.memory is None:
                self.memory = Memory()
            return self.memory

    def servers(self, of_call: Any) -> tuple[McpServers, McpServers | None]:
        """Return the servers that a call may use, and those of an old call that are to be closed in their favour.

        The former are those of the client and those that the call brings; a registry that it brings stands for both.
        Connections to a call's servers are kept for the next call that brings the same.
        """
        from ...mcp.registry import McpServers

        if isinstance(of_call, McpServers):
            return of_call, None
        given: Any = self._scope.resources.get("mcp_servers")
        if not isinstance(given, McpServers):
            given = self._scope.shared("mcp_servers", lambda: McpServers(given or {}))
        if of_call is None:
            return given, None
        if not isinstance(of_call, Mapping):
            raise InvalidParameter(
                f"mcp_servers is {type(of_call).__name__}; a mapping of names to servers is expected",
                param="mcp_servers",
                hint='mcp_servers={"docs": "https://docs.example/mcp"}',
            )
        return self._beside(given, of_call)

    def _beside(self, servers: McpServers, of_call: Mapping[str, Any]) -> tuple[McpServers, McpServers | None]:
        key = tuple(sorted((name, _key_of(server)) for name, server in of_call.items()))
        with self._lock:
            found = self._of_calls.pop(key, None)
            if found is None:
                if not self._of_calls:
                    self._scope.on_close(self._close)
                found = servers.beside(of_call)
            self._of_calls[key] = found
            old = self._of_calls.pop(next(iter(self._of_calls))) if len(self._of_calls) > self._MOST else None
        return found, old

    def _close(self) -> None:
        with self._lock:
            found, self._of_calls = list(self._of_calls.values()), {}
        for servers in found:
            servers.close()


def _key_of(value: Any) -> Any:
    """Return what two servers that are the same have in common; objects are the same only as themselves."""
    if isinstance(value, Secret):
        return ("secret", value.reveal())
    if isinstance(value, Mapping):
        return ("fields", tuple(sorted((str(name), _key_of(each)) for name, each in value.items())))
    if isinstance(value, list | tuple):
        return ("list", tuple(_key_of(each) for each in value))
    return (type(value).__name__, repr(value) if isinstance(value, str | bool | int | float) else str(id(value)))


def _by_last_id(request: Request, memory: Memory) -> Request:
    """Ask the host by the id of the last response of a conversation that the user knows by its first one's."""
    for name in ("previous_response_id", "response_id"):
        known = getattr(request.params, name, None)
        if (last := memory.last_id(known)) != known:
            return request.with_params(**{name: last})
    return request
