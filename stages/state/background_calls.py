"""The calls on background responses of hosts that have none."""

from __future__ import annotations

import functools
import time
from typing import Any, Final

import msgspec

from ...pipeline.api import events as ev
from ...pipeline.api.params import CreateParams
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Raw, value
from ...pipeline.errors import APIError, BadRequestError, InvalidParameter, StoreConflict
from ...pipeline.reply import Reply
from ...pipeline.request import Handler, Request
from ...pipeline.streams.event_sources import Finished
from ...pipeline.streams.event_stream import EventStream
from ...providers.dialects.echo import response_fields
from ...providers.host_errors import make_error, read_value
from ...providers.response_ids import ELSEWHERE, GIVEN, RESOLVE
from .background import Worker, failed, first_events, is_abandoned, settled
from .desk import Desk, tell_settled
from .event_log import EventLog, replayed
from .hosts import host_of
from .past import Past, before_response, said_in, whole_input
from .records import Record, Run, plain_json
from .shelf import Found, not_kept
from .turn import OneTurn

_MOST_RUNS: Final = 3
_LOST: Final = "its worker is gone: the process ended without a word, or did not reach the store for too long"

# Options that are kept with a call that may be run again; none of them is a credential.
_KEPT: Final = frozenset(
    {
        *("api_base", "base_url", "custom_llm_provider", "dialect", "drop", "extra_body", "extra_query"),
        *("api_version", "aws_profile_name", "aws_region_name", "vertex_project", "vertex_location"),
    }
)
# Options that a later call brings along itself, or that do not matter to the answer.
_OF_A_CALL: Final = frozenset(
    {
        *("api_key", "azure_ad_token", "azure_ad_token_provider", "vertex_credentials"),
        *("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
        *("timeout", "hooks", "trace", "state_store", "num_retries", "max_retries", GIVEN, ELSEWHERE),
    }
)
_NOT_AGAIN: Final = frozenset(
    {
        *("input", "previous_response_id", "conversation", "store", "stream", "stream_options"),
        *("background", "background_options"),
    }
)


async def begin(desk: Desk, turn: OneTurn, call_next: Handler) -> Reply:
    """Start a background response; return it as it is then: queued, or its stream.

    Raises:
        InvalidParameter: with `store=False`.
        StoreError: it cannot be kept, so nothing was begun.
    """
    params = desk.request.params
    assert isinstance(params, CreateParams)
    if params.store is False:
        raise InvalidParameter(
            "background=True with store=False: nobody could ask for the response later",
            param="store",
            hint="leave store out",
        )
    if params.background_options:
        desk.context.drop("background_options", "the response is worked on by this library, which begins at once")
    turn.created_at = int(time.time())
    turn.request = turn.request.with_params(stream=True)
    queued, ref = _queued(turn, params), turn.own_id
    run = Run(owner=desk.owner, until=time.time() + desk.stage.lease_s, call=_call(desk, params))
    record = await turn.record(ref, queued, run)
    await desk.shelf.add_events(ref, first_events(queued), 0)
    version = await desk.shelf.keep(ref, record, expect=0)
    _work(desk, turn, Found(record, version), call_next)
    return stream_of(desk, ref, record, 0) if desk.request.streamed else queued.with_facts(desk.context.facts)


def _queued(turn: OneTurn, params: CreateParams) -> Response:
    target = turn.request.target
    assert target is not None
    if plain_json(params.tools) is None:  # functions of this program, which have no place in a response
        params = msgspec.structs.replace(params, tools=None)
    return turn.changed(Response.new(**{**response_fields(params, target), "id": "", "status": "queued", "output": []}))


def _call(desk: Desk, params: CreateParams) -> Raw:
    """Return what another process needs to run the call again; null where it may not, or cannot."""
    options = desk.request.options
    if desk.stage.on_lost != "rerun" or options.keys() - _KEPT - _OF_A_CALL:
        return Raw(b"null")
    given = msgspec.structs.asdict(params).items()
    again = {name: value for name, value in given if value is not None and name not in _NOT_AGAIN}
    kept = {name: options[name] for name in _KEPT if name in options}
    return plain_json({"params": again, "options": kept}) or Raw(b"null")


def _work(desk: Desk, turn: OneTurn, found: Found, call_next: Handler, *, logs: bool = True) -> None:
    context = desk.context.detached(desk.stage.background_s)
    context.operation = "create"
    request, ref = turn.request.replace(context=context), turn.own_id

    async def answer() -> Reply:
        return await call_next(request)

    async def tell(record: Record) -> None:
        await turn.join_conversation(record.reply())

    async def run() -> None:
        try:
            await worker.run()
        finally:
            desk.running.pop(ref, None)

    worker = Worker(
        desk.shelf.of(context),
        ref,
        found,
        context.runtime,
        answer=answer,
        change=turn.changed,
        lease_s=desk.stage.lease_s,
        told=lambda record: tell_settled(context, ref, record.reply()),
        tell=tell,
        logs=logs,
    )
    worker.task = desk.running[ref] = context.runtime.spawn(run, "background-response")


def stream_of(desk: Desk, ref: str, record: Record, start: int, call_next: Handler | None = None) -> EventStream:
    """Return the stream of a response that is kept here, from an event's number on; its end in any case."""
    context, response = desk.context, record.reply()
    error_of = functools.partial(_error_of, record)
    if not response.background:
        return EventStream(Finished(replayed(response, start)), context, error_of=error_of)
    abandoned = functools.partial(take_over, desk, ref, call_next=call_next)
    log = EventLog(desk.shelf, ref, context.runtime, start=start, end_at=context.ends_at, abandoned=abandoned)
    return EventStream(log, context, error_of=error_of)


def _error_of(record: Record, event: ev.Event) -> APIError | None:
    if not isinstance(event, ev.ResponseFailed):
        return None
    said = read_value({"error": value(event.response.error_json)}, "the response failed")
    error = make_error(said, 200, {}, provider=record.provider, model=record.model)
    error.response = event.response
    return error


async def current(desk: Desk, ref: str, found: Found, call_next: Handler) -> Record:
    """Return the record of a response as it is now, its worker looked after."""
    return await take_over(desk, ref, found, call_next=call_next) if is_abandoned(found.record) else found.record


async def take_over(desk: Desk, ref: str, found: Found, *, call_next: Handler | None) -> Record:
    """Do what is to be done with a response whose worker is gone; return its record as it is then."""
    record, run = found.record, found.record.run
    assert run is not None
    resolve = desk.context.scratch.get(RESOLVE)
    can_run = bytes(run.call) != b"null" and run.number < _MOST_RUNS and call_next is not None and resolve is not None
    try:
        if can_run and desk.stage.on_lost == "rerun":
            return await _run_again(desk, ref, found, call_next, resolve)
        record = settled(record, failed(record.reply(), _LOST))
        await desk.shelf.keep(ref, record, found.version)
    except StoreConflict:  # somebody else was quicker
        now = await desk.shelf.find(ref)
        if now is None:
            raise not_kept(ref) from None
        return now.record
    tell_settled(desk.context, ref, record.reply())
    return record


async def _run_again(desk: Desk, ref: str, found: Found, call_next: Any, resolve: Any) -> Record:
    """Take the lease over and ask the model once more. Events are not kept: a reader has seen others already."""
    record, run = found.record, found.record.run
    assert run is not None
    until = time.time() + desk.stage.lease_s
    taken = msgspec.structs.replace(
        record, run=msgspec.structs.replace(run, owner=desk.owner, until=until, number=run.number + 1)
    )
    version = await desk.shelf.keep(ref, taken, found.version)
    call: Any = msgspec.json.decode(bytes(run.call))
    own = {name: option for name, option in desk.request.options.items() if name in _OF_A_CALL and name[0] != "_"}
    request: Request = await resolve(
        Request(
            operation="create",
            params=CreateParams(**call["params"], stream=True),
            options={**call["options"], **own},
            context=desk.context,
        )
    )
    host = host_of(request)
    said = await before_response(desk.shelf, ref, record)
    whole = whole_input([*said, _own_input(record)], None, host, desk.context.drop)
    previous = record.reply().previous_response_id or ""
    past = Past(public=previous, conversation=record.conversation, turns=record.turns)
    turn = OneTurn(desk, request.with_params(input=whole), host, past, record.input)
    turn.own_id, turn.is_kept = ref, True
    turn.created_at = int(record.reply().created_at)
    _work(desk, turn, Found(taken, version), call_next, logs=False)
    return taken


def _own_input(record: Record) -> Any:
    return msgspec.structs.replace(said_in(record), items=record.input)


async def cancel(desk: Desk, ref: str, found: Found) -> Response:
    """End a background response, whoever works on it; return it as it has ended.

    Raises:
        BadRequestError: it is none.
    """
    while True:
        record, response = found.record, found.record.reply()
        if not response.background:
            raise BadRequestError(
                "only a background response can be cancelled",
                status=400,
                param="response_id",
                hint="make it with background=True; a stream is ended by closing it",
            )
        if record.is_settled:
            return response
        cancelled = response.replace(status="cancelled")
        try:
            await desk.shelf.keep(ref, settled(record, cancelled), found.version)
        except StoreConflict:  # its worker has written in between
            now = await desk.shelf.find(ref)
            if now is None:
                raise not_kept(ref) from None
            found = now
            continue
        stop(desk, ref)
        tell_settled(desk.context, ref, cancelled)
        return cancelled


def stop(desk: Desk, ref: str) -> None:
    """Stop the worker of a response, where it is this client's."""
    if (task := desk.running.get(ref)) is not None:
        task.cancel()
