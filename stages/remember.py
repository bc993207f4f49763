"""State for every provider: what a host does not keep is kept here."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ..pipeline.api.params import CompactParams, CreateParams, GetParams, ListInputItemsParams, Operation, Params
from ..pipeline.api.response import DeletedResponse, Response
from ..pipeline.errors import APIError, SetupError, StoreConflict, StoreError
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.runtimes.tasks import Task
from ..pipeline.stage import Option, Scope, Stage
from ..pipeline.stores.given import masked, store_of
from ..pipeline.stores.memory import MemoryStore
from ..pipeline.stores.store import Store
from ..pipeline.streams.event_stream import EventStream
from ..providers.response_ids import GIVEN, is_kept
from .state import background_calls
from .state.background import settled
from .state.compaction import compacted, question
from .state.desk import Desk, tell_settled
from .state.hosts import host_of, reference_of, serves
from .state.input_items import page
from .state.past import before_response, go_on, whole_input
from .state.shelf import Found, Shelf, not_kept
from .state.turn import OneTurn

STORE_ENV: Final = "ANTIPHON_STORE"
DEFAULT_BYTES: Final = 64 * 1024 * 1024


class Remember(Stage, frozen=True):
    """Keep responses, so that every host has what the API promises: `previous_response_id`, get, delete, background.

    Stages before this one see one conversation wherever it goes; stages after it see single turns, each with its whole
    input where the host does not keep the conversation itself. What a host keeps is left to it, and a copy is kept
    here too, so that another host can go on with it. A call with `store=False` leaves nothing.

    A store that fails when a response is to be kept does not take the answer from the caller: `reply.meta.notes` says
    so. Where a call cannot do without what is kept, the store's error is raised.

    Args:
        state_store: a store, its URL, or a function that returns the URL. The call option `state_store` wins over it;
            without either it is the client's, then that of the environment variable ANTIPHON_STORE, else one in this
            process's memory, of 64 MB.
        ttl_s: how long a response is kept, seconds; None until it is deleted. Hosts keep theirs for 30 days.
        copies: whether what a host keeps is kept here too.
        lease_s: how long others believe that the worker of a background response lives when they hear nothing of it.
        background_s: how long a background response may take, seconds.
        on_lost: what happens to a background response whose worker has died, when somebody looks at it: it "fail"s,
            or is "rerun", which asks the model again, at most twice.

    Raises:
        NotFoundError: a response, or one that it goes on from, is not kept; it is named.
        ConflictError: a response that a call goes on from has not ended.
        InvalidParameter: another host keeps that response, and there is no copy here.
        StoreError: what is needed cannot be read or written.
    """

    state_store: Any = None
    ttl_s: Annotated[float, Meta(gt=0)] | None = 30 * 86400.0
    copies: bool = True
    lease_s: Annotated[float, Meta(gt=0)] = 30.0
    background_s: Annotated[float, Meta(gt=0)] = 3600.0
    on_lost: Literal["fail", "rerun"] = "fail"

    options = (Option("state_store", (object,), "a store of responses for this call, or its URL", secret=True),)
    needs = ("target",)
    sets = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "state_store", masked(self.state_store))

    def setup(self, scope: Scope) -> object:
        return _Stores(scope, self.state_store)

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        if not _is_of_interest(request.params):
            return await call_next(request)
        context = request.context
        stores = context.state_of(self, _Stores)
        store = stores.store_of(request.options.get("state_store"))
        shelf = Shelf(store, context.tenant, context, self.ttl_s)
        return await _SERVED[request.operation](Desk(self, request, shelf, stores.owner, stores.running), call_next)


class _Stores:
    """What lives across calls: the store, and the background responses that are worked on."""

    __slots__ = ("_given", "_scope", "_usual", "owner", "running")

    def __init__(self, scope: Scope, given: object) -> None:
        self._scope = scope
        self._given = given
        self._usual: Store | None = None
        self.owner = os.urandom(8).hex()
        self.running: dict[str, Task] = {}

    def store_of(self, asked: object) -> Store:
        """Return the store of a call that asks for this one, or for none."""
        if asked is not None:
            return store_of(asked, self._scope)
        if self._usual is None:
            given = self._given or self._scope.resources.get("state_store") or os.environ.get(STORE_ENV, "").strip()
            self._usual = store_of(given, self._scope) if given else self._scope.shared("state_store", _in_memory)
        return self._usual


def _in_memory() -> MemoryStore:
    return MemoryStore(total_bytes=DEFAULT_BYTES)


def _is_of_interest(params: Params) -> bool:
    """Tell whether a call leaves something here, or needs something that may be here."""
    if not isinstance(params, CreateParams) or params.store is not False:
        return True
    return bool(params.previous_response_id or params.conversation or params.background)


# --- the calls of the API ---------------------------------------------------------------------------------------------


async def _create(desk: Desk, call_next: Handler) -> Reply:
    turn = await OneTurn.of(desk)
    if turn.in_background:
        return await background_calls.begin(desk, turn, call_next)
    if turn.does_nothing:
        return await call_next(turn.request)
    try:
        reply = await call_next(turn.request)
    except APIError as error:
        if error.response is not None:
            error.response = await turn.kept(error.response)
        raise
    if isinstance(reply, EventStream):
        return await turn.followed(reply)
    return await turn.kept(reply) if isinstance(reply, Response) else reply


async def _get(desk: Desk, call_next: Handler) -> Reply:
    params = desk.request.params
    assert isinstance(params, GetParams)
    if _is_hosts(desk, "get"):
        return await _with_end_noted(desk, await call_next(desk.request))
    ref, found = await _found(desk)
    if found is None:
        return await call_next(desk.request)
    record = await background_calls.current(desk, ref, found, call_next)
    if not desk.request.streamed:
        return record.reply()
    start = 0 if params.starting_after is None else params.starting_after + 1
    return background_calls.stream_of(desk, ref, record, start, call_next)


async def _cancel(desk: Desk, call_next: Handler) -> Reply:
    if not is_kept(desk.request.param("response_id")):
        return await _with_end_noted(desk, await call_next(desk.request))
    ref, found = await _found(desk)
    assert found is not None
    return await background_calls.cancel(desk, ref, found)


async def _delete(desk: Desk, call_next: Handler) -> Reply:
    ref = reference_of(desk.request)
    was_here = await desk.shelf.delete(ref)
    if not is_kept(ref):  # the copy is gone; the host's own is left to delete
        return await call_next(desk.request)
    if not was_here:
        raise not_kept(ref)
    background_calls.stop(desk, ref)
    return DeletedResponse.new(id=ref, deleted=True)


async def _list_input_items(desk: Desk, call_next: Handler) -> Reply:
    params = desk.request.params
    assert isinstance(params, ListInputItemsParams)
    if _is_hosts(desk, "list_input_items"):
        return await call_next(desk.request)
    ref, found = await _found(desk)
    if found is None:
        return await call_next(desk.request)
    said = await before_response(desk.shelf, ref, found.record)
    return page([*(item for each in said for item in each.items), *found.record.input], params, ref)


async def _compact(desk: Desk, call_next: Handler) -> Reply:
    host = host_of(desk.request)
    request, _ = await go_on(desk.request, host, desk.shelf)
    if host.speaks_responses and serves(request.target, "compact"):
        return await call_next(request)
    params = request.params
    assert isinstance(params, CompactParams)
    items = whole_input([], params.input, host, desk.context.drop)
    answer = await call_next(request.replace(operation="create", params=question(params, items)))
    if not isinstance(answer, Response):
        raise SetupError(f"the summary of a conversation came as {type(answer).__name__}; a response is expected")
    return answer if desk.context.dry else compacted(items, answer)


async def _count_input_tokens(desk: Desk, call_next: Handler) -> Reply:
    request, _ = await go_on(desk.request, host_of(desk.request), desk.shelf)
    return await call_next(request)


_SERVED: Final[dict[Operation, Callable[[Desk, Handler], Awaitable[Reply]]]] = {
    "create": _create,
    "get": _get,
    "delete": _delete,
    "cancel": _cancel,
    "list_input_items": _list_input_items,
    "compact": _compact,
    "count_input_tokens": _count_input_tokens,
}


def _is_hosts(desk: Desk, operation: Operation) -> bool:
    """Tell whether the host is to be asked about the response of a call."""
    return not is_kept(desk.request.param("response_id")) and serves(desk.request.target, operation)


async def _found(desk: Desk) -> tuple[str, Found | None]:
    """Return the record of the response that a call means; None where it is a host's own and has no copy here.

    Raises:
        NotFoundError: it could only be here, and is not.
    """
    ref = reference_of(desk.request)
    found = await desk.shelf.find(ref)
    if found is None and is_kept(ref):
        raise not_kept(ref)
    return ref, found


async def _with_end_noted(desk: Desk, reply: Reply) -> Reply:
    """Bring the copy of a host's background response up to date when its end is seen for the first time."""
    if not isinstance(reply, Response) or not reply.is_terminal:
        return reply
    ref = reference_of(desk.request)
    try:
        found = await desk.shelf.find(ref)
        if found is None or found.record.is_settled:
            return reply
        await desk.shelf.keep(ref, settled(found.record, reply), found.version)
    except StoreConflict:
        return reply
    except StoreError as error:
        desk.not_kept(error)
        return reply
    given = desk.request.options.get(GIVEN)
    tell_settled(desk.context, reply.id if given is None else given.public, reply)
    return reply
