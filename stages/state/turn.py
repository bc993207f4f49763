"""One turn of a conversation: a call that makes a response, and how that is kept."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ...pipeline.api import events as ev
from ...pipeline.api.params import CreateParams
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Raw, is_absent
from ...pipeline.errors import InvalidParameter, StoreError
from ...pipeline.reply import Outcome
from ...pipeline.request import Request
from ...pipeline.streams.event_stream import EventStream
from ...providers.response_ids import GIVEN, new_kept_id
from .background import failed
from .desk import Desk
from .hosts import Host, host_of, reference
from .past import Past, go_on
from .records import Record, Run, Turn, input_items, output_items

_LIFECYCLE: Final[frozenset[type[ev.Event]]] = frozenset(
    {*ev.TERMINAL, ev.ResponseCreated, ev.ResponseQueued, ev.ResponseInProgress}
)


class OneTurn:
    """A call that makes a response.

    A response that its host does not keep gets an id that leads to the store here; others keep their own.

    Attributes:
        request: the call as it goes on: with its whole input where its host does not know what stands before, and
            without what is served here.
        own_id: the id of this library for the response; "" where it has the host's.
        is_kept: whether its response is kept here.
        in_background: whether it has to be worked on in the background here.
        created_at: of a background response: when it was queued, seconds of the wall clock.
    """

    def __init__(self, desk: Desk, request: Request, host: Host, past: Past, given: Any) -> None:
        self.desk = desk
        self.request = request
        self.host = host
        self.past = past
        self.given = given
        self.own_id = ""
        self.is_kept = False
        self.in_background = False
        self.created_at: int | None = None

    @classmethod
    async def of(cls, desk: Desk) -> OneTurn:
        """Return the turn of a call. Raises as `go_on`."""
        host, params = host_of(desk.request), desk.request.params
        assert isinstance(params, CreateParams)
        request, past = await go_on(desk.request, host, desk.shelf)
        turn = cls(desk, request, host, past, params.input)
        dry = desk.context.dry
        changes: dict[str, Any] = {}
        if params.background and not host.has_background:
            turn.in_background = not dry
            changes.update(background=None, background_options=None)
            if host.keeps:
                changes["store"] = False  # under another id, by which nobody could delete it
        if params.store and not host.keeps:
            changes["store"] = None  # it is kept here
        turn.is_kept = params.store is not False and not dry and (desk.stage.copies or not host.keeps)
        if turn.in_background or (turn.is_kept and not host.keeps):
            turn.own_id = new_kept_id()
            if params.previous_response_id is not None and not past.public:  # get has no host that would say it
                given = desk.request.options.get(GIVEN)
                public = params.previous_response_id if given is None else given.public
                turn.past = msgspec.structs.replace(past, public=public)
        if changes:
            turn.request = request.with_params(**changes)
        return turn

    @property
    def does_nothing(self) -> bool:
        """Whether the call is the host's alone."""
        return not (self.is_kept or self.past.public or self.past.conversation)

    def changed(self, response: Response) -> Response:
        """Return a response of the host as the caller gets it."""
        scalars = self._changes(response)
        if scalars:
            response = response.with_scalars(**scalars)
        return response.replace(conversation={"id": self.past.conversation}) if self.past.conversation else response

    def _changes(self, response: Response) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if self.own_id and response.id != self.own_id:
            self.desk.context.upstream_id = response.id or None
            fields["id"] = self.own_id
            fields["store"] = True
        if self.past.public:
            fields["previous_response_id"] = self.past.public
        if self.created_at is not None:
            fields["background"] = True
            fields["created_at"] = self.created_at
        return fields

    async def kept(self, response: Response) -> Response:
        """Keep a plain response; return it as the caller gets it."""
        changed = self.changed(response)
        await self.keep(response)
        return changed

    async def followed(self, stream: EventStream) -> EventStream:
        """Keep the response of a stream before its end is shown; return the stream as the caller gets it."""
        last: list[Response] = []

        def change(event: ev.Event) -> ev.Event | None:
            assert isinstance(event, ev.LifecycleEvent)
            response = event.response
            changed = self.changed(response)
            if event.__class__ in ev.TERMINAL:
                last.append(response)
            return None if changed is response else event.replace(response=changed)

        async def keep(outcome: Outcome) -> None:
            if last:
                await self.keep(last[-1])
            elif self.own_id and outcome.response is not None:
                await self.keep(_cut(outcome.response, outcome))

        stream.map(change, _LIFECYCLE)
        await stream.before_end(keep)
        return stream

    async def keep(self, response: Response) -> None:
        """Write a response of the host, and what its turn adds to the conversation; what cannot be written is noted."""
        try:
            if self.is_kept and (ref := self.reference(response)):
                await self.desk.shelf.keep(ref, await self.record(ref, response))
            await self.join_conversation(response)
        except (StoreError, InvalidParameter) as error:  # the latter for input that has no JSON form
            self.desk.not_kept(error)

    def reference(self, response: Response) -> str:
        """Return the name of a response here; "" for one that its host gives no id."""
        if self.own_id or not response.id:
            return self.own_id
        return reference(self.host.provider, self.host.deployment, response.id)

    async def record(self, ref: str, response: Response, run: Run | None = None) -> Record:
        """Return the record of a response of the host; its place in the conversation is taken by this."""
        past, shelf = self.past, self.desk.shelf
        thread, place = "", 0
        if past.previous:
            before = past.record
            if before is None and (found := await shelf.find(past.previous)) is not None:
                before = found.record
            thread, place = await shelf.place_after(ref, past.previous, before)
        changes = self._changes(response)
        if past.conversation:
            changes["conversation"] = {"id": past.conversation}
        return Record(
            provider=self.host.provider,
            deployment=self.host.deployment,
            model=(self.desk.request.model or "").encode("utf-8", "replace").decode(),
            status=response.status or "completed",
            input=input_items(self.given),
            response=Raw(response.raw),
            changes=changes,
            thread=thread,
            place=place,
            conversation=past.conversation,
            turns=past.turns,
            run=run,
        )

    async def join_conversation(self, response: Response) -> None:
        """Add what was said to the conversation, where it is one of this library. What failed was not said."""
        if not self.past.conversation or response.status not in ("completed", "incomplete", None):
            return
        items = [*input_items(self.given), *output_items(response)]
        turn = Turn(provider=self.host.provider, deployment=self.host.deployment, items=items)
        await self.desk.shelf.add_turn(self.past.conversation, turn)


def _cut(response: Response, outcome: Outcome) -> Response:
    """Return what there is of a response whose stream broke, or was let go, as it is kept."""
    if outcome.kind != "failed":
        return response.replace(status="cancelled")
    if is_absent(response.error_json):
        return failed(response, getattr(outcome.error, "message", None) or "the stream broke")
    return response.replace(status="failed")
