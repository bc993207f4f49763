"""A conversation of a model with tools, told as one response.

Each round the model is asked, what it calls of ours is run side by side, and what comes of it is in the next question.
The reader of a stream pulls all of it from here: the model's events as they come, and each call's end as it ends.

    ask → read the round's events → run its calls → ask again …
                     └→ the end: no call of ours, one for somebody else to answer, or an approval to wait for

A round that breaks, or that was cut, runs nothing. Each call is run once; what a tool has done is in the response, or
in the partial response of the error, whatever happens to the model afterwards.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...pipeline.api import events as ev
from ...pipeline.api.items import AnyItem, FunctionCall
from ...pipeline.api.params import CreateParams
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Raw
from ...pipeline.errors import AntiphonError, SetupError, UnsupportedParameter
from ...pipeline.open_calls import open_calls
from ...pipeline.reply import Outcome
from ...pipeline.request import Handler, Request
from ...pipeline.runtimes.jobs import Job
from ...pipeline.streams.event_stream import EventStream
from ...pipeline.streams.replay import replay
from ...pipeline.wording import quoted
from .calls import Running
from .history import History, Ids, Memory, Slot, chained_pair, public_name
from .mcp_results import Said, refused, without_images
from .offer import McpTool, Offer
from .question import question
from .transcript import Call, Transcript


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
        request: the call, as the caller made it.
        offer: what the model gets.
        history: the input.
        running: runs the calls.
        max_rounds: how often calls are run before the model must answer without.
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
        running: Running,
        memory: Memory,
        *,
        max_rounds: int,
        before: Progress | None = None,
    ) -> None:
        assert isinstance(request.params, CreateParams)
        self._request, self._params, self._call_next = request, request.params, call_next
        self._offer, self._given, self._running = offer, history, running
        self._context = request.context
        self._max_rounds = max_rounds
        self._transcript = Transcript(offer, self._params, self._context, memory)
        self._stream: EventStream | None = None
        self._calls: list[Call] = []  # of this round
        self._open: dict[int, Call] = {}  # by the host's index
        self._approved: dict[str, Call] = {}
        self._front_is_shown = False
        self._last: Response | None = None
        self._last_event: type[ev.Event] = ev.ResponseCompleted
        self._history: list[Any] = []  # items since the input
        self._news: list[Any] = []  # those of them that a conversation at the host does not have yet
        self._stopped: list[Job[Said]] = []  # told to stop, and perhaps not there yet
        self._rounds = self._executed = 0
        self._is_last_round = False
        self._done = before.approved if before is not None else {}
        self.response: Response | None = None
        self.error: AntiphonError | None = None
        if before is not None:
            self._transcript.resume(before.output, before.usage)
            self._history, self._rounds, self._executed = before.history, before.rounds, before.executed
            self._front_is_shown = bool(before.output)

    # --- a source of events -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Run what the user has approved, and ask the model for the first time.

        Raises:
            AntiphonError: as asking does; nothing of the stream was shown.
        """
        await self._run_approved()
        await self._ask()

    async def pull(self) -> list[ev.Event]:
        while not (events := self._transcript.take()):
            if self.response is not None:
                return []
            await self._go_on()
        return events

    async def finish(self) -> Response:
        """Read to the end, of a call that is not streamed."""
        while self.response is None:
            await self._go_on()
            self._transcript.take()
        if self.error is not None:
            raise self.error
        return self.response

    async def close(self) -> None:
        self._stopped += self._running.stop()
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.release()
        while self._stopped:
            await self._stopped.pop().wait()

    def end_with(self, outcome: Outcome) -> None:
        """Tell the end of the whole as that of what goes on in it: a round and its tools are further in."""
        self._stopped += self._running.stop()
        if self._stream is not None:
            self._stream.end_with(Outcome(outcome.kind, None, outcome.error))

    def abort(self) -> None:
        self._stopped += self._running.stop()
        if self._stream is not None:
            self._stream.abort()

    def error_of(self, event: ev.Event) -> Any:
        """Return the error that the last event reports."""
        return self.error if type(event) in _ENDS else None

    @property
    def progress(self) -> Progress | None:
        """What was done, when that must not be done again."""
        approved = {name: call.said for name, call in self._approved.items() if call.said is not None}
        if self._request.streamed and self._transcript.shown_id is not None:
            return None  # events were shown, so nobody can try again
        if not approved and not self._history:
            return None
        return Progress(
            input=self._params.input,
            approved=approved,
            output=self._transcript.output if self._history else [],
            history=self._history,
            usage=self._transcript.usage,
            rounds=self._rounds,
            executed=self._executed,
        )

    def partial(self) -> Response | None:
        """Return what had come, as a response that is not complete."""
        return None if self._last is None else self._transcript.so_far(self._last, status="incomplete")

    async def _go_on(self) -> None:
        """Do the next thing that takes time."""
        if self._stream is not None:
            await self._read(self._stream)
        elif not self._running.is_idle:
            self._transcript.close(await self._running.next())
            if self._running.is_idle:
                self._next_step()
        else:
            await self._ask()

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        self._transcript.next_round()
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
            self._transcript.whole(item, self._call_of(item))
        self._end_round(reply)

    def _next_request(self) -> Request:
        is_chained = self._params.conversation is not None and bool(self._history)
        return self._request.with_params(
            input=self._news if is_chained else self._input(),
            **question(self._request, self._offer, is_first=not self._rounds, is_last=self._is_last_round),
        )

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

    # --- reading a round ----------------------------------------------------------------------------------------------

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

    def _follow(self, event: Any) -> None:
        if isinstance(event, ev.LifecycleEvent):
            if self._last is None and not self._history:
                self._transcript.begin(event)
            return
        self._show_front()
        index = getattr(event, "output_index", -1)
        if isinstance(event, ev.OutputItemAdded) and (call := self._call_of(event.item)) is not None:
            self._open[index] = call
        self._transcript.follow(event, self._open.get(index))

    async def _end_of(self, stream: EventStream, event: Any) -> None:
        """Let go of a round's stream, and take the error that comes behind its last event."""
        self._stream = None
        try:
            await stream.batch()
        except AntiphonError as error:
            error.response = None
            self.error = error
        if not isinstance(event, ev.ErrorEvent):
            self._last_event = type(event)
            self._end_round(event.response)
            return
        self._show_front()
        self._cut()
        self._transcript.fail(event)
        last = self._last or Response.new(id=self._transcript.shown_id or "")
        self.response = self._transcript.so_far(last, status="failed")

    def _call_of(self, item: AnyItem | None) -> Call | None:
        """Return the call that an item is or begins, when it is ours to run, or calls what nobody has."""
        if not isinstance(item, FunctionCall) or item.namespace is not None:
            return None
        tool = self._offer.by_name.get(item.name)
        if tool is None and (not self._offer.knows_all or item.name in self._offer.callers):
            return None
        waits = isinstance(tool, McpTool) and tool.needs_approval and not self._running.can_approve
        call = Call(tool, item, waits=waits)
        self._calls.append(call)
        return call

    def _show_front(self) -> None:
        """Show what came before the model was asked: the servers' tools, and the calls that the user approved."""
        if self._front_is_shown:
            return
        self._front_is_shown = True
        for listing in self._offer.listings:
            if listing.label not in self._given.listed:
                self._transcript.list_tools(listing)
        for call in self._approved.values():
            if isinstance(call.tool, McpTool):
                self._transcript.approved(call)

    # --- between rounds -----------------------------------------------------------------------------------------------

    def _end_round(self, response: Response) -> None:
        """Take the end of a round, and begin to run its calls."""
        self._show_front()
        self._last = response
        self._transcript.add_usage(response)
        if self.error is not None or response.status not in (None, "completed"):
            self._cut()
            self._next_step()
            return
        for call in self._calls:
            if call.item.status == "incomplete":
                self._transcript.cut(call)
            elif call.waits:
                self._transcript.ask(call)
            elif (words := self._why_not(call)) is not None:
                call.said = refused(words, "failed")
                self._transcript.close(call)
            elif call.tool is not None:
                self._executed += 1
                self._running.add(call)
        if self._running.is_idle:
            self._next_step()

    def _cut(self) -> None:
        for call in self._calls:
            self._transcript.cut(call)

    def _why_not(self, call: Call) -> str | None:
        """Return why a call is not made at all."""
        if call.tool is None:
            known = ", ".join(sorted(self._offer.by_name)) or "none"
            return f"there is no tool {quoted(call.item.name)}; known: {known}"
        if self._is_last_round:
            return "no more tools may be called in this response"
        limit = self._params.max_tool_calls
        if limit is not None and self._executed >= limit:
            return f"the limit of {limit} tool calls in one response is reached"
        return None

    def _next_step(self) -> None:
        """All that this round asked for is done: end, or ask again."""
        response, calls = self._last, [call for call in self._calls if call.said is not None]
        assert response is not None
        is_paused = self.error is None and _is_paused(response)
        if self.error is None and (calls or is_paused):
            self._keep(response, calls)
        ours = {call.item.call_id for call in self._calls}
        others = [item for item in open_calls(response.output) if getattr(item, "call_id", None) not in ours]
        waits = any(call.waits for call in self._calls)
        if not (calls or is_paused) or others or waits or self._is_last_round or self.error is not None:
            self.response = self._transcript.end(response, self._last_event)
            return
        self._rounds += 1
        limit = self._params.max_tool_calls
        has_calls_left = limit is None or self._executed < limit
        self._is_last_round = self._rounds >= self._max_rounds or not has_calls_left

    def _keep(self, response: Response, calls: list[Call]) -> None:
        """Add the round to what the model is told next."""
        self._news = [
            {"type": "function_call_output", "call_id": call.item.call_id, "output": call.said.output}
            for call in calls
            if call.said is not None
        ]
        self._history += [*response.output, *self._news]

    # --- calls that the user has approved -----------------------------------------------------------------------------

    async def _run_approved(self) -> None:
        for slot in self._given.slots:
            pending = slot.pending
            name = public_name(pending.label, pending.name, self._offer.names)
            ids = pending.call or Ids(None, pending.id)
            item = FunctionCall.new(id=ids.item, call_id=ids.call, name=name, arguments=pending.arguments)
            call = Call(self._offer.by_name.get(name), item, request_id=pending.id)
            self._approved[pending.id] = call
            if pending.id in self._done:
                call.said = self._done[pending.id]
            elif call.tool is None:
                call.said = refused(f"server {quoted(pending.label)} offers no tool {quoted(pending.name)}", "failed")
            else:
                self._executed += 1
                self._running.add(call)
        while not self._running.is_idle:
            await self._running.next()


_ENDS = frozenset({*ev.TERMINAL, ev.ErrorEvent})


def _is_paused(response: Response) -> bool:
    details = response.incomplete_details
    return response.status == "incomplete" and details is not None and details.reason == "pause_turn"
