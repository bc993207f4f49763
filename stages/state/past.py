"""What a call goes on from: the conversation behind a response, or behind the name of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...pipeline.api.items import read_item
from ...pipeline.api.wire import Raw
from ...pipeline.errors import ConflictError, UnsupportedParameter
from ...pipeline.request import Request
from ...providers.response_ids import ELSEWHERE, GIVEN, GivenId, is_kept, refused
from .hosts import Host, conversation_of, reference
from .records import Record, for_host, input_items, output_items
from .shelf import Shelf, not_kept, shown


class Said(msgspec.Struct, frozen=True):
    """Items of one turn, and whose output is among them."""

    provider: str
    deployment: str
    items: list[Raw]


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What stands before a call's own input.

    Args:
        said: by turns, the oldest first; nothing where the host knows it by itself.
        previous: the response that the call goes on from, as a reference; "" for none.
        public: its id, as the caller gave it, where the host does not say it.
        record: its record, where it was read.
        conversation: name of a conversation that is kept here, "" for none.
        turns: how many turns that has.
    """

    said: list[Said] = []
    previous: str = ""
    public: str = ""
    record: Record | None = None
    conversation: str = ""
    turns: int = 0


NOTHING = Past()


async def go_on(request: Request, host: Host, shelf: Shelf) -> tuple[Request, Past]:
    """Return a call with its whole input, where its host does not know what stands before, and what that is.

    Raises:
        NotFoundError: a response that it goes on from is not kept; it is named.
        ConflictError: that response has not ended yet.
        InvalidParameter: another host keeps that response, and there is no copy here.
        UnsupportedParameter: the host cannot read something without which the conversation would be another one.
    """
    previous = request.param("previous_response_id")
    conversation = conversation_of(request.param("conversation"), host)
    if previous is not None:
        if ELSEWHERE in request.options:
            past = await _elsewhere(shelf, request.options[GIVEN], request)
        elif host.keeps and not is_kept(previous):
            return request, Past(previous=reference(host.provider, host.deployment, previous))
        else:
            past = await behind_response(shelf, reference(host.provider, host.deployment, previous), previous)
    elif conversation:
        past = await behind_conversation(shelf, conversation)
    else:
        theirs = request.param("conversation")
        if theirs is None:
            return request, NOTHING
        # What was said in it is not known here, and whoever goes on elsewhere has to miss it.
        name = theirs.get("id") if isinstance(theirs, Mapping) else theirs
        return request, Past(previous=reference(host.provider, host.deployment, f"conversation {name}"))
    whole = whole_input(past.said, request.param("input"), host, request.context.drop)
    if previous is not None:
        return request.with_params(input=whole, previous_response_id=None), past
    return request.with_params(input=whole, conversation=None), past


async def _elsewhere(shelf: Shelf, given: GivenId, request: Request) -> Past:
    """Return what stands behind a response that another host keeps, from the copy here."""
    ref = reference(given.provider, given.deployment or "", given.upstream)
    found = await shelf.find(ref)
    if found is None:
        target = request.target
        assert target is not None
        raise refused(given, target.provider, target.base_url, "previous_response_id")
    return await behind_response(shelf, ref, given.public, found.record)


async def behind_response(shelf: Shelf, ref: str, public: str, record: Record | None = None) -> Past:
    """Return what stands before a call that goes on from this response. Raises as `go_on`."""
    if record is None:
        found = await shelf.find(ref)
        if found is None:
            raise not_kept(ref, param="previous_response_id")
        record = found.record
    if not record.is_settled:
        raise ConflictError(
            f"response {shown(ref)} is {record.status}, so nothing can go on from it yet",
            status=409,
            param="previous_response_id",
            hint="poll it until it has ended",
        )
    said = [*await before_response(shelf, ref, record), said_in(record)]
    return Past(said=said, previous=ref, public=public, record=record)


async def behind_conversation(shelf: Shelf, name: str, turns: int | None = None) -> Past:
    """Return what has been said in a conversation, or in its first turns."""
    found = await shelf.conversation(name) if turns is None else await shelf.conversation(name, turns)
    said = [Said(turn.provider, turn.deployment, turn.items) for turn in found]
    return Past(said=said, conversation=name, turns=len(found))


async def before_response(shelf: Shelf, ref: str, record: Record) -> list[Said]:
    """Return what stood before a response's own input. Raises NotFoundError for what is not kept any more."""
    earlier = await shelf.before(ref, record)
    first = earlier[0] if earlier else record
    # A branch that leaves a conversation has its turns before it, however long the branch is.
    said = (await behind_conversation(shelf, first.conversation, first.turns)).said if first.conversation else []
    return [*said, *(said_in(each) for each in earlier)]


def said_in(record: Record) -> Said:
    """Return what a response has added to its conversation."""
    return Said(record.provider, record.deployment, [*record.input, *output_items(record.response)])


def whole_input(said: list[Said], given: Any, host: Host, drop: Callable[[str, str], None]) -> list[Any]:
    """Return the input that says all of it to this host.

    Args:
        given: the call's own input.
        drop: told of what the host cannot read.

    Raises:
        UnsupportedParameter: without something that it cannot read the conversation would be another one.
    """
    items: list[Any] = []
    for each in said:
        is_its_own = (each.provider, each.deployment) == (host.provider, host.deployment)
        found, left_out = for_host(each.items, is_its_own=is_its_own, speaks_responses=host.speaks_responses)
        for kind in left_out:
            drop(f"{kind} of {each.provider}", f"{each.provider} made it in a former turn, and no other host reads it")
        if not is_its_own and any(getattr(item, "type", "") == "compaction" for item in found):
            raise UnsupportedParameter(
                f"a former turn holds a compaction of {each.provider}, which {host.provider} cannot read",
                provider=host.provider,
                param="previous_response_id",
                hint=f"go on with {each.provider}, or from a response before the compaction",
            )
        items.extend(found)
    if isinstance(given, str):
        items.extend(read_item(item) for item in input_items(given))
    elif given is not None:
        items.extend(given)
    return items
