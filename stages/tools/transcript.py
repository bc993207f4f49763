"""The conversation as the user sees it: one response, whose items are those of all rounds, and ours among them.

A call of a server's tool is an `mcp_call` item from its first event on, in place of the model's function call; one that
needs the user's approval is an `mcp_approval_request`, once it is written to its end. Calls of Python functions stay
function calls, and get a `function_call_output`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from ...pipeline.api import events as ev
from ...pipeline.api.items import FunctionCall
from ...pipeline.api.params import CreateParams
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Raw
from ...pipeline.context import CallContext
from ...pipeline.streams.item_writers import HostedWriter
from ...pipeline.streams.splice import Splice
from ...pipeline.tool_function import ToolFunction
from .history import Ids, Memory, Pending
from .mcp_results import Said
from .offer import Listing, McpTool, Offer


class Call:
    """One call of ours that the model makes.

    Attributes:
        tool: what it calls; None when there is no such tool.
        item: the call as the model wrote it, as far as it has come.
        waits: whether it waits for the user's approval.
        request_id: of the approval request that the user has answered.
        writer: writes its `mcp_call` item; None for functions, and for calls that wait for an approval.
        said: how it ended.
    """

    __slots__ = ("is_written", "item", "request_id", "said", "tool", "waits", "writer")

    def __init__(
        self,
        tool: McpTool | ToolFunction[..., Any] | None,
        item: FunctionCall,
        *,
        waits: bool = False,
        request_id: str | None = None,
    ) -> None:
        self.tool = tool
        self.item = item
        self.waits = waits
        self.request_id = request_id
        self.writer: HostedWriter | None = None
        self.is_written = False
        self.said: Said | None = None

    @property
    def name(self) -> str:
        """The tool's own name."""
        return self.tool.info.name if isinstance(self.tool, McpTool) else self.item.name

    @property
    def label(self) -> str | None:
        """The server's; None for a function."""
        return self.tool.label if isinstance(self.tool, McpTool) else None


class Transcript:
    """Makes the events and the final response of one conversation.

    Attributes:
        shown_id: the response's id, once the stream has said it.
        usage: of all rounds.
    """

    def __init__(self, offer: Offer, params: CreateParams, context: CallContext, memory: Memory) -> None:
        self._offer, self._params, self._context, self._memory = offer, params, context, memory
        self._splice = Splice()
        self._assembler = self._splice.assembler
        self._token, self._made = secrets.token_hex(8), 0
        self.shown_id: str | None = None
        self.take = self._assembler.take
        self.next_round = self._splice.next_round
        self.add_usage = self._splice.add_usage

    @property
    def usage(self) -> dict[str, Any] | None:
        return self._splice.usage

    @property
    def output(self) -> list[Raw]:
        """The items so far."""
        return self._assembler.output

    def resume(self, output: Iterable[Raw], usage: dict[str, Any] | None) -> None:
        """Begin with what an earlier attempt has brought."""
        self._splice.usage = usage
        for item in output:
            self._assembler.keep(self._assembler.place(), item)

    # --- the model's events -------------------------------------------------------------------------------------------

    def begin(self, event: ev.LifecycleEvent) -> None:
        """Take the first round's beginning for that of the whole."""
        self.shown_id = event.response.id
        self._assembler.forward(event, response=self._masked(event.response))

    def follow(self, event: ev.Event, call: Call | None) -> None:
        """Take an event of a round, and the call of ours that it is about."""
        if call is None or not isinstance(call.tool, McpTool):
            self._splice.follow(event)
        if call is None:
            return
        if isinstance(event, ev.OutputItemAdded):
            self._open(call)
        elif isinstance(event, ev.FunctionCallArgumentsDelta) and call.writer is not None:
            call.writer.tell(ev.McpCallArgumentsDelta, delta=event.delta)
        elif isinstance(event, ev.OutputItemDone) and isinstance(event.item, FunctionCall):
            call.item = event.item
            self._written(call)

    def whole(self, item: Any, call: Call | None) -> None:
        """Take an item of a round that is not streamed."""
        if call is None or not isinstance(call.tool, McpTool):
            self._splice.whole(item)
        if call is not None:
            self._open(call)
            self._written(call)

    def fail(self, event: ev.ErrorEvent) -> None:
        """Take a host's error as the end of the whole."""
        self._assembler.forward(event)

    def end(self, response: Response, event: type[ev.Event]) -> Response:
        """Close the response; return the whole, made of the last round's."""
        whole = self.so_far(response)
        if self.shown_id is not None and response.id and self.shown_id != response.id:
            self._memory.link(self.shown_id, response.id)
        self._assembler.add(event, response_json=Raw(whole.raw))
        return whole

    def so_far(self, response: Response, **fields: Any) -> Response:
        """Return the last round's response with the items and the usage of all."""
        whole: dict[str, Any] = {"output": self.output, **fields}
        if self.usage is not None:
            whole["usage"] = self.usage
        if self.shown_id is not None:
            whole["id"] = self.shown_id
        return self._masked(response, **whole).with_facts(self._context.facts)

    def _masked(self, response: Response, **fields: Any) -> Response:
        """Return a response that shows the caller's tools, not what became of them."""
        for name in ("tool_choice", "max_tool_calls"):
            if (given := getattr(self._params, name)) is not None:
                fields[name] = given
        return response.replace(tools=self._offer.shown, **fields)

    # --- the items that are ours --------------------------------------------------------------------------------------

    def list_tools(self, listing: Listing) -> None:
        """Show what a server has answered when it was asked for its tools."""
        item = listing.item(self._id("mcpl"))
        index = self._assembler.open({**item, "tools": []})
        where = {"item_id": item["id"], "output_index": index}
        self._assembler.add(ev.McpListToolsInProgress, **where)
        self._assembler.add(ev.McpListToolsCompleted if listing.error is None else ev.McpListToolsFailed, **where)
        self._assembler.close(index, item)

    def approved(self, call: Call) -> None:
        """Show a call that the user had approved, and that has run before the model was asked."""
        self._open(call)
        self._written(call)
        self.close(call)

    def ask(self, call: Call) -> None:
        """Ask the user whether a call may be made."""
        assert isinstance(call.tool, McpTool)
        pending = Pending(
            id=self._id("mcpr"),
            label=call.tool.label,
            name=call.tool.info.name,
            arguments=call.item.arguments,
            call=Ids(call.item.id, call.item.call_id),
        )
        self._memory.ask(pending)
        self._assembler.item(
            {
                "type": "mcp_approval_request",
                "id": pending.id,
                "server_label": pending.label,
                "name": pending.name,
                "arguments": pending.arguments,
            }
        )

    def close(self, call: Call) -> None:
        """Show how a call has ended."""
        said = call.said
        if call.writer is not None:
            self._memory.show(call.writer.id, Ids(call.item.id, call.item.call_id))
            if said is not None:
                has_failed = said.shown.get("status") == "failed"
                call.writer.tell(ev.McpCallFailed if has_failed else ev.McpCallCompleted)
            shown = said.shown if said is not None else {"status": "incomplete"}
            call.writer.close(**{**shown, "arguments": call.item.arguments})
        elif said is not None:
            output = {"call_id": call.item.call_id, "output": said.output, "status": "completed"}
            self._assembler.item({"type": "function_call_output", "id": self._id("fco"), **output})

    def cut(self, call: Call) -> None:
        """Show a call that is not run, since its round was cut or broken."""
        call.waits = False
        if call.writer is None:
            self._open(call)
        self._written(call)
        self.close(call)

    def _open(self, call: Call) -> None:
        if not isinstance(call.tool, McpTool) or call.waits:
            return
        call.writer = self._assembler.hosted(
            {
                "type": "mcp_call",
                "id": self._id("mcp"),
                "server_label": call.tool.label,
                "name": call.tool.info.name,
                "arguments": "",
                "approval_request_id": call.request_id,
                "output": None,
                "error": None,
            }
        )
        call.writer.tell(ev.McpCallInProgress)

    def _written(self, call: Call) -> None:
        """The model has written a call to its end, or to where it was cut."""
        if call.writer is not None and not call.is_written:
            call.is_written = True
            where = {"item_id": call.writer.id, "output_index": call.writer.index}
            self._assembler.add_said(ev.McpCallArgumentsDone, "arguments", call.item.arguments, **where)

    def _id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{self._token}{self._made:04d}"
