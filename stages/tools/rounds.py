"""A conversation of a model with tools, told as one response.

Each round the model is asked, what it calls of ours is run side by side, and what comes of it is in the next question.
The reader of a stream pulls all of it from here: the model's events as they come, and each call's end as it ends.

    ask → read the round's events → run its calls → ask again …
                     └→ the end: no call of ours, one for somebody else to answer, or an approval to wait for

A round that breaks, or that was cut, runs nothing. Each call is run once; what a tool has done is in the response, or
in the partial response of the error, whatever happens to the model afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from ...pipeline import events as ev
from ...pipeline.assembler import HostedWriter, replay
from ...pipeline.errors import AntiphonError, APITimeoutError, SetupError, UnsupportedParameter
from ...pipeline.event_stream import EventStream
from ...pipeline.items import AnyItem, FunctionCall
from ...pipeline.jobs import Job, Jobs
from ...pipeline.open_calls import open_calls
from ...pipeline.params import CreateParams
from ...pipeline.request import Handler, Request
from ...pipeline.response import Response
from ...pipeline.signals import ToolEnded, ToolStarted
from ...pipeline.splice import Splice
from ...pipeline.tool_function import ToolFunction
from ...pipeline.wire import Raw
from .calls import Runner
from .history import History, Ids, Memory, Pending, Slot, chained_pair, public_name
from .mcp_results import Said, refused, without_images
from .offer import McpTool, Offer


class Call:
    """One call of ours that the model makes.

    Attributes:
        tool: what it calls; None when there is no such tool.
        item: the call as the model wrote it, as far as it has come.
        writer: writes its `mcp_call` item; None for functions, and for calls that wait for an approval.
        waits: whether it waits for the user's approval.
        said: how it ended.
    """

    __slots__ = ("item", "said", "tool", "waits", "writer", "wrote")

    def __init__(self, tool: McpTool | ToolFunction[..., Any] | None, item: FunctionCall, *, waits: bool) -> None:
        self.tool = tool
        self.item = item
        self.waits = waits
        self.writer: HostedWriter | None = None
        self.wrote = False  # the end of its arguments
        self.said: Said | None = None

    @property
    def name(self) -> str:
        return self.tool.info.name if isinstance(self.tool, McpTool) else self.item.name

    @property
    def label(self) -> str | None:
        return self.tool.label if isinstance(self.tool, McpTool) else None


class Progress(msgspec.Struct):
    """What a conversation that failed had done, for another attempt of the same call at it.

    Args:
        input: the call's input, by which the attempt is known to be the same.
        approved: how calls that the user had approved ended, by the request's id.
    """

    input: Any
    approved: dict[str, Said]
    output: list[Raw]
    history: list[Any]
    usage: dict[str, Any] | None
    rounds: int
    executed: int


class Rounds:
    """Runs one conversation. A `Source` of its events; a plain call reads them all and takes `response`.

    Args:
        request: the call, as the caller made it but for the history.
        offer: what the model gets.
        history: the input.
        runner: runs one call.
        max_rounds: how often calls are run before the model must answer without.
        parallel: how many run at once.
        content: whether signals carry arguments and results.
        before: what an earlier attempt has done.

    Attributes:
        response: the whole; None before the end.
        error: what the last event reports.
    """

    def __init__(
        self,
        request: Request,
        call_next: Handler,
        offer: Offer,
        history: History,
        runner: Runner,
        memory: Memory,
        *,
        max_rounds: int,
        parallel: int,
        content: bool,
        before: Progress | None = None,
    ) -> None:
        assert isinstance(request.params, CreateParams)
        self._request, self._params, self._call_next = request, request.params, call_next
        self._offer, self._given, self._runner, self._memory = offer, history, runner, memory
        self._context = request.context
        self._max_rounds, self._content = max_rounds, content
        self._token, self._made = secrets.token_hex(8), 0
        self._splice = Splice()
        self._assembler = self._splice.assembler
        self._jobs: Jobs[Said] = Jobs(self._context.runtime, parallel, self._began)
        self._stream: EventStream | None = None
        self._calls: list[Call] = []  # of this round
        self._open: dict[int, Call] = {}  # by the host's index
        self._approved: dict[str, Call] = {}
        self._front_is_shown = False
        self._shown_id: str | None = None  # of the response, once the stream has said it
        self._last: Response | None = None
        self._last_event: type[ev.Event] = ev.ResponseCompleted
        self._history: list[Any] = []  # items since the input
        self._news: list[Any] = []  # those of them that a conversation at the host does not have yet
        self._rounds = self._executed = 0
        self._is_last_round = False
        self._progress = before
        self.response: Response | None = None
        self.error: AntiphonError | None = None
        if before is not None:
            self._resume(before)

    # --- a source of events ------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Run what the user has approved, and ask the model for the first time.

        Raises:
            AntiphonError: as asking does; nothing of the stream was shown.
        """
        await self._run_approved()
        await self._ask()

    async def pull(self) -> list[ev.Event]:
        while not (events := self._assembler.take()):
            if self.response is not None:
                return []
            await self._go_on()
        return events

    async def finish(self) -> Response:
        """Read to the end, of a call that is not streamed."""
        while self.response is None:
            await self._go_on()
            self._assembler.take()
        if self.error is not None:
            raise self.error
        return self.response

    async def close(self) -> None:
        stopped = self._stop()
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.release()
        for job in stopped:
            await job.wait()

    def abort(self) -> None:
        self._stop()
        if self._stream is not None:
            self._stream.abort()

    def error_of(self, event: ev.Event) -> Any:
        """Return the error that the last event reports."""
        return self.error if type(event) in _ENDS else None

    @property
    def progress(self) -> Progress | None:
        """What was done, when that must not be done again."""
        approved = {name: call.said for name, call in self._approved.items() if call.said is not None}
        if self._request.streamed and self._shown_id is not None:
            return None  # events were shown, so nobody can try again
        if not approved and not self._history:
            return None
        return Progress(
            input=self._params.input,
            approved=approved,
            output=self._assembler.output if self._history else [],
            history=self._history,
            usage=self._splice.usage,
            rounds=self._rounds,
            executed=self._executed,
        )

    def partial(self) -> Response | None:
        """Return what had come, as a response that is not complete."""
        return None if self._last is None else self._whole(self._last, status="incomplete")

    def _stop(self) -> list[Job[Said]]:
        stopped = self._jobs.cancel()
        for job in stopped:
            self._ended(job, "cancelled", "cancelled")
        return stopped

    def _resume(self, before: Progress) -> None:
        self._splice.usage = before.usage
        self._history, self._rounds, self._executed = before.history, before.rounds, before.executed
        self._front_is_shown = bool(before.output)
        for item in before.output:
            self._assembler.keep(self._assembler.place(), item)

    # --- asking ------------------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        self._splice.next_round()
        self._calls, self._open = [], {}
        try:
            reply = await self._call_next(self._next_request())
        except UnsupportedParameter:
            if not self._drop_images():
                raise
            reply = await self._call_next(self._next_request())
        if isinstance(reply, EventStream):
            self._stream = reply
            return
        if not isinstance(reply, Response):
            raise SetupError(f"a call that creates a response was answered by {type(reply).__name__}")
        if self._request.streamed:
            self._stream = EventStream.of(replay(reply), self._context)
            return
        self._show_front()
        for item in reply.output:
            if (call := self._call_of(item)) is not None:
                self._begin(call)
                self._written(call)
            if call is None or not isinstance(call.tool, McpTool):
                self._splice.whole(item)
        self._end_round(reply)

    def _next_request(self) -> Request:
        offer, params = self._offer, self._params
        changes: dict[str, Any] = {"tools": offer.tools or None, "tool_choice": offer.choice if offer.tools else None}
        if self._rounds and not self._is_still_wanted(offer.choice):
            changes["tool_choice"] = None
        if self._is_last_round:
            # The caller's own tools stay: an answer may have to come through one of them.
            changes["tools"] = offer.others or offer.tools
            changes["tool_choice"] = offer.choice if offer.others else "none"
        if offer.knows_all:
            changes["max_tool_calls"] = None  # counted here
        if params.conversation is not None and self._history:
            changes["input"] = self._news
        else:
            changes["input"] = self._input()
        return self._request.with_params(**changes)

    def _is_still_wanted(self, choice: Any) -> bool:
        """Tell whether a forced tool is still forced after a round: only where it is somebody else's to answer."""
        if choice in ("required", "any"):
            return bool(self._offer.others)
        if isinstance(choice, Mapping) and choice.get("type") == "function":
            return choice.get("name") not in self._offer.by_name
        return bool(self._offer.others) or not (isinstance(choice, Mapping) and choice.get("mode") == "required")

    def _input(self) -> Any:
        given: Any = self._given.items
        if isinstance(given, list):
            given = [each for item in given for each in self._filled(item)]
        if not self._history:
            return given
        if isinstance(given, str):
            given = [{"role": "user", "content": given}]
        return [*(given or ()), *self._history]

    def _filled(self, item: Any) -> list[Any]:
        if not isinstance(item, Slot):
            return [item]
        call = self._approved[item.pending.id]
        assert call.said is not None
        return chained_pair(call.item.name, item.pending, call.said.output, item.is_chained)

    def _drop_images(self) -> bool:
        """Say in words what a host does not take as an image; tell whether there was one."""
        changed = False
        for at, item in enumerate(self._history):
            if isinstance(item, dict) and isinstance(item.get("output"), list):
                self._history[at] = {**item, "output": without_images(item["output"])}
                changed = True
        for call in self._approved.values():
            if call.said is not None and isinstance(call.said.output, list):
                call.said = msgspec.structs.replace(call.said, output=without_images(call.said.output))
                changed = True
        if changed:
            self._context.drop("images in results of tools", "the host takes none there")
        return changed

    # --- reading a round ---------------------------------------------------------------------------------------------

    async def _go_on(self) -> None:
        """Do the next thing that takes time."""
        if self._stream is not None:
            await self._read(self._stream)
        elif not self._jobs.is_idle:
            self._take_result(await self._context.waiting(self._jobs.next()))
            if self._jobs.is_idle:
                self._next_step()
        else:
            await self._ask()

    async def _read(self, stream: EventStream) -> None:
        try:
            for event in await stream.batch():
                if type(event) in _ENDS:
                    await self._end_of(stream, event)
                else:
                    self._follow(event)
        except AntiphonError as error:
            error.response = None  # that of the round; the reader wants that of the whole
            raise

    async def _end_of(self, stream: EventStream, event: Any) -> None:
        """Let go of a round's stream, and take the error that comes behind its last event."""
        self._stream = None
        try:
            await stream.batch()
        except AntiphonError as error:
            error.response = None
            self.error = error
        if isinstance(event, ev.ErrorEvent):
            self._show_front()
            self._close_cut()
            self._assembler.forward(event)
            self.response = self._whole(self._last or Response.new(id=self._shown_id or ""), status="failed")
        else:
            self._last_event = type(event)
            self._end_round(event.response)

    def _follow(self, event: Any) -> None:
        if isinstance(event, ev.LifecycleEvent):
            if self._last is None:  # the first round's beginning is that of the whole
                self._shown_id = event.response.id
                self._assembler.forward(event, response=self._masked(event.response))
            return
        self._show_front()
        index = getattr(event, "output_index", -1)
        if isinstance(event, ev.OutputItemAdded) and (call := self._call_of(event.item)) is not None:
            self._open[index] = call
            self._begin(call)
        found = self._open.get(index)
        if found is None or not isinstance(found.tool, McpTool):
            self._splice.follow(event)
        if found is not None:
            self._follow_call(found, event)

    def _follow_call(self, call: Call, event: Any) -> None:
        if isinstance(event, ev.FunctionCallArgumentsDelta) and call.writer is not None:
            call.writer.tell(ev.McpCallArgumentsDelta, delta=event.delta)
        elif isinstance(event, ev.OutputItemDone) and isinstance(event.item, FunctionCall):
            call.item = event.item
            self._written(call)

    def _call_of(self, item: AnyItem | None) -> Call | None:
        """Return the call that an item begins, when it is ours to run, or calls what nobody has."""
        if not isinstance(item, FunctionCall):
            return None
        tool = self._offer.by_name.get(item.name) if item.namespace is None else None
        if tool is None and (not self._offer.knows_all or self._is_callers(item)):
            return None
        asks = isinstance(tool, McpTool) and tool.needs_approval and not self._runner.can_approve
        call = Call(tool, item, waits=asks)
        self._calls.append(call)
        return call

    def _is_callers(self, item: FunctionCall) -> bool:
        return item.namespace is not None or item.name in self._offer.callers

    def _begin(self, call: Call) -> None:
        """Open the item that shows a call of a server's tool."""
        if isinstance(call.tool, McpTool) and not call.waits:
            call.writer = self._assembler.hosted(self._mcp_call(call.tool, ""))
            call.writer.tell(ev.McpCallInProgress)

    def _written(self, call: Call) -> None:
        """The model has written a call to its end."""
        if call.writer is not None and not call.wrote:
            call.wrote = True
            where = {"item_id": call.writer.id, "output_index": call.writer.index}
            self._assembler.add_said(ev.McpCallArgumentsDone, "arguments", call.item.arguments, **where)

    # --- between rounds ----------------------------------------------------------------------------------------------

    def _end_round(self, response: Response) -> None:
        """Take the end of a round, and begin to run its calls."""
        self._show_front()
        self._last = response
        self._splice.add_usage(response)
        if self.error is not None or response.status not in (None, "completed"):
            self._close_cut()
            self._next_step()
            return
        for call in self._calls:
            if call.item.status == "incomplete":
                self._close(call)
            elif call.waits:
                self._question(call)
            elif (words := self._why_not(call)) is not None:
                call.said = refused(words, "failed")
                self._close(call)
            elif call.tool is not None:
                self._executed += 1
                self._jobs.add(self._runner.job(call.tool, call.item, tag=call))
        if self._jobs.is_idle:
            self._next_step()

    def _why_not(self, call: Call) -> str | None:
        """Return why a call is not made at all."""
        if call.tool is None:
            known = ", ".join(sorted(self._offer.by_name)) or "none"
            return f"there is no tool {call.item.name!r}; known: {known}"
        if self._is_last_round:
            return "no more tools may be called in this response"
        limit = self._params.max_tool_calls
        if limit is not None and self._executed >= limit:
            return f"the limit of {limit} tool calls in one response is reached"
        return None

    def _take_result(self, job: Job[Said]) -> None:
        call: Call = job.tag
        if job.error is not None and not isinstance(job.error, Exception):
            raise SetupError(f"the client was closed while {call.name} ran")
        if isinstance(job.error, TimeoutError) and not self._context.time_left():
            self._ended(job, "timeout", "APITimeoutError")
            limit_s = self._context.timeouts.total
            raise APITimeoutError(f"{call.name} ran when the call's {limit_s:g} s were over", limit_s=limit_s)
        try:
            call.said = self._runner.said(job)
        except AntiphonError as error:
            self._ended(job, "failed", type(error.__cause__ or error).__name__)
            raise
        self._ended(job, call.said.kind, call.said.error, call.said.output)
        self._close(call)

    def _next_step(self) -> None:
        """All that this round asked for is done: end, or ask again."""
        response, calls = self._last, [call for call in self._calls if call.said is not None]
        assert response is not None
        is_paused = _is_paused(response) and self.error is None
        if self.error is None and (calls or is_paused):
            self._keep(response, calls)
        ours = {call.item.call_id for call in self._calls}
        others = [item for item in open_calls(response.output) if getattr(item, "call_id", None) not in ours]
        waits = any(call.waits for call in self._calls)
        if not (calls or is_paused) or others or waits or self._is_last_round or self.error is not None:
            self._finish(response)
            return
        self._rounds += 1
        limit = self._params.max_tool_calls
        has_calls_left = limit is None or self._executed < limit
        self._is_last_round = self._rounds >= self._max_rounds or not has_calls_left

    def _keep(self, response: Response, calls: list[Call]) -> None:
        """Add the round to what the model is told next."""
        outputs = [
            {"type": "function_call_output", "call_id": call.item.call_id, "output": call.said.output}
            for call in calls
            if call.said is not None
        ]
        self._history += [*response.output, *outputs]
        self._news = outputs

    def _finish(self, response: Response) -> None:
        self.response = self._whole(response)
        if self._shown_id is not None and response.id and self._shown_id != response.id:
            self._memory.link(self._shown_id, response.id)
        self._assembler.add(self._last_event, response_json=Raw(self.response.raw))

    def _whole(self, response: Response, **fields: Any) -> Response:
        """Return the last round's response with the items and the usage of all."""
        whole: dict[str, Any] = {"output": self._assembler.output, **fields}
        if self._splice.usage is not None:
            whole["usage"] = self._splice.usage
        if self._shown_id is not None:
            whole["id"] = self._shown_id
        return self._masked(response, **whole).with_meta(self._context.meta())

    def _masked(self, response: Response, **fields: Any) -> Response:
        """Return a response that shows the caller's tools, not what became of them."""
        for name in ("tool_choice", "max_tool_calls"):
            if (given := getattr(self._params, name)) is not None:
                fields[name] = given
        return response.replace(tools=self._offer.shown, **fields)

    # --- the items that are ours -------------------------------------------------------------------------------------

    def _id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{self._token}{self._made:04d}"

    def _mcp_call(self, tool: McpTool, arguments: str, request_id: str | None = None) -> dict[str, Any]:
        return {
            "type": "mcp_call",
            "id": self._id("mcp"),
            "server_label": tool.label,
            "name": tool.info.name,
            "arguments": arguments,
            "approval_request_id": request_id,
            "output": None,
            "error": None,
        }

    def _show_front(self) -> None:
        """Show what came before the model was asked: the servers' tools, and the calls that the user approved."""
        if self._front_is_shown:
            return
        self._front_is_shown = True
        assembler = self._assembler
        for listing in self._offer.listings:
            if listing.label in self._given.listed:
                continue
            item = listing.item(self._id("mcpl"))
            index = assembler.open({**item, "tools": []})
            where = {"item_id": item["id"], "output_index": index}
            assembler.add(ev.McpListToolsInProgress, **where)
            assembler.add(ev.McpListToolsCompleted if listing.error is None else ev.McpListToolsFailed, **where)
            assembler.close(index, item)
        for request_id, call in self._approved.items():
            if isinstance(call.tool, McpTool):
                call.writer = assembler.hosted(self._mcp_call(call.tool, "", request_id))
                call.writer.tell(ev.McpCallInProgress)
                self._written(call)
                self._close(call)

    def _question(self, call: Call) -> None:
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

    def _close(self, call: Call) -> None:
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

    def _close_cut(self) -> None:
        """Close what a round that was cut has left open; none of it is run."""
        for call in self._calls:
            if call.writer is not None:
                self._written(call)
            elif call.waits and isinstance(call.tool, McpTool):
                self._begin_cut(call, call.tool)
            self._close(call)

    def _begin_cut(self, call: Call, tool: McpTool) -> None:
        call.waits = False
        call.writer = self._assembler.hosted(self._mcp_call(tool, ""))
        self._written(call)

    # --- calls that the user has approved ----------------------------------------------------------------------------

    async def _run_approved(self) -> None:
        done = self._progress.approved if self._progress is not None else {}
        for slot in self._given.slots:
            pending = slot.pending
            name = public_name(pending.label, pending.name, self._offer.names)
            ids = pending.call or Ids(None, pending.id)
            item = FunctionCall.new(id=ids.item, call_id=ids.call, name=name, arguments=pending.arguments)
            call = Call(self._offer.by_name.get(name), item, waits=False)
            self._approved[pending.id] = call
            if pending.id in done:
                call.said = done[pending.id]
            elif call.tool is None:
                call.said = refused(f"server {pending.label!r} offers no tool {pending.name!r}", "failed")
            else:
                self._executed += 1
                self._jobs.add(self._runner.job(call.tool, item, tag=call, is_approved=True))
        while not self._jobs.is_idle:
            job = await self._context.waiting(self._jobs.next())
            call = job.tag
            if job.error is not None and not isinstance(job.error, Exception):
                raise SetupError(f"the client was closed while {call.name} ran")
            call.said = self._runner.said(job)
            self._ended(job, call.said.kind, call.said.error, call.said.output)

    # --- signals -----------------------------------------------------------------------------------------------------

    def _began(self, job: Job[Said]) -> None:
        call, context = job.tag, self._context
        if context.sinks:
            context.emit(
                ToolStarted(
                    call_id=context.id,
                    operation=context.operation,
                    at_s=job.began_at,
                    tool=call.name,
                    server=call.label,
                    tool_call_id=call.item.call_id,
                    arguments=call.item.arguments if self._content else None,
                )
            )

    def _ended(self, job: Job[Said], outcome: Any, error: str | None, result: object = None) -> None:
        call, context = job.tag, self._context
        if context.sinks:
            now = context.runtime.now()
            context.emit(
                ToolEnded(
                    call_id=context.id,
                    operation=context.operation,
                    at_s=now,
                    tool=call.name,
                    server=call.label,
                    tool_call_id=call.item.call_id,
                    outcome=outcome,
                    duration_s=job.duration_s or now - job.began_at,
                    error=error,
                    result=result if self._content else None,
                )
            )


_ENDS = frozenset({*ev.TERMINAL, ev.ErrorEvent})


def _is_paused(response: Response) -> bool:
    details = response.incomplete_details
    return response.status == "incomplete" and details is not None and details.reason == "pause_turn"
