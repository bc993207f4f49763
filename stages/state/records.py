"""What is kept of a response: the formats of the records, and what of them goes back to a model.

A record holds what one turn added: its own input items and its response. What stood before them is told by reference,
so a conversation of n turns takes room for n turns:

    record of resp_3       thread "resp_1", place 2       value under the response's key
    log of thread resp_1   ["resp_1", "resp_2", "resp_3"]

The record at place p goes on from the first p responses of its thread's log. Whoever goes on from the middle of a
thread begins a thread of its own, named by its own response.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from ...pipeline.api.items import AnyItem, read_item
from ...pipeline.api.response import TERMINAL_STATUSES, Response
from ...pipeline.api.wire import REFUSED, Raw, encode, loads, read_list
from ...pipeline.errors import InvalidParameter, StoreSchemaNewer, StoreUnreadable

FORMAT: Final = 1
"""Version of what is written here. A reader takes all versions up to its own."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The work on a background response.

    Args:
        owner: who works on it.
        until: when others may take the worker for dead, seconds of the wall clock; it is renewed.
        number: 1 for the first try.
        call: the parameters and options of the call, where it may be run again by another process; else null.
    """

    owner: str
    until: float
    number: int = 1
    call: Raw = Raw(b"null")


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One response and what its turn added to the conversation.

    Args:
        format: version of this layout.
        provider, deployment, model: who made it; the deployment is the fingerprint of an address.
        status: that of the response.
        input: the turn's own input items, without those that stood before it.
        response: the API's object as it came, or as the caller got it.
        changes: fields of it that the caller got otherwise; writing them into its JSON can wait until it is read.
        thread: name of the log with the responses that it goes on from; "" for a first turn.
        place: how many these are.
        conversation, turns: the conversation that it belongs to, and how many turns that had before it.
        run: of a background response of this library.
    """

    format: int = FORMAT
    provider: str
    deployment: str
    model: str
    status: str
    input: list[Raw]
    response: Raw
    changes: dict[str, Any] = {}
    thread: str = ""
    place: int = 0
    conversation: str = ""
    turns: int = 0
    run: Run | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the response will not change any more."""
        return self.status in TERMINAL_STATUSES

    def reply(self) -> Response:
        """Return the response as the caller got it."""
        response = Response.from_json(bytes(self.response))
        return response.replace(**self.changes) if self.changes else response


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """What one response adds to a conversation: a value of the conversation's log.

    Args:
        format: version of this layout.
        provider, deployment: who made the output.
        items: input items, then output items.
    """

    format: int = FORMAT
    provider: str
    deployment: str
    items: list[Raw]


R = TypeVar("R", Record, Turn)

_decoders = {kind: msgspec.json.Decoder(kind).decode for kind in (Record, Turn)}


def read(data: bytes, kind: type[R], what: str) -> R:
    """Decode a record.

    Args:
        what: what it is of, for errors.

    Raises:
        StoreSchemaNewer: a newer version of this library wrote it.
        StoreUnreadable: it is no record.
    """
    try:
        found: Any = _decoders[kind](data)
    except REFUSED:
        found = _read_odd(data, kind, what)
    if found.format > FORMAT:
        raise _newer(found.format, what)
    parts = [*found.input, found.response] if kind is Record else found.items
    if not all(map(_is_object, parts)):
        raise _unreadable(what, "a part of it is no object")
    return found  # type: ignore[no-any-return]


def _read_odd(data: bytes, kind: type[R], what: str) -> R:
    """Decode a record in which a host or a caller has said what the fast decoder refuses, such as half a character."""
    try:
        found: Any = loads(data)
        version = found.get("format", 0) if isinstance(found, dict) else 0
        if isinstance(version, int) and version > FORMAT:
            raise _newer(version, what)
        for name in ("input", "items"):
            if name in found:
                found[name] = [Raw(encode(item)) for item in found[name]]
        if "response" in found:
            found["response"] = Raw(encode(found["response"]))
        if found.get("run"):
            found["run"]["call"] = Raw(encode(found["run"].get("call")))
        return msgspec.convert(found, kind)
    except (msgspec.DecodeError, TypeError, AttributeError, UnicodeEncodeError) as error:
        raise _unreadable(what, str(error)) from None


def _unreadable(what: str, why: str) -> StoreUnreadable:
    return StoreUnreadable(
        f"what is kept of {what} is no record: {why}",
        hint="delete it from the store, and send the conversation as input",
    )


def _newer(version: int, what: str) -> StoreSchemaNewer:
    return StoreSchemaNewer(
        f"what is kept of {what} has format {version}, and this version reads up to {FORMAT}",
        hint="a newer version of this library wrote it: upgrade here too",
    )


def input_items(given: Any) -> list[Raw]:
    """Return a call's `input` as items: text as a message of the user, messages with their type.

    Raises:
        InvalidParameter: something that has no JSON form.
    """
    if given is None:
        return []
    if isinstance(given, str):
        return [Raw(_TEXT % encode(given))]
    try:
        return [Raw(encode(_typed(item))) for item in given]
    except TypeError as error:
        raise InvalidParameter(f"the input cannot be kept: {error}", param="input") from None


_TEXT: Final = b'{"type":"message","role":"user","content":[{"type":"input_text","text":%b}]}'


def _typed(item: Any) -> Any:
    if isinstance(item, Mapping) and "role" in item and "type" not in item:
        return {"type": "message", **item}
    return item


def output_items(response: Response | Raw) -> list[Raw]:
    """Return the items of a response that a conversation can go on with: no call that was cut in its middle."""
    found = response if isinstance(response, Response) else Response.from_json(response)
    members = _objects_in(found.output_json)
    if found.status == "completed":
        return members
    return [item for item in members if _is_whole(item)]


def _objects_in(members: Raw) -> list[Raw]:
    if not bytes(members).startswith(b"["):
        return []
    return [item for item in read_list(members) if _is_object(item)]


def _is_object(raw: Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"{"


def _is_whole(item: Raw) -> bool:
    fields = loads(bytes(item))
    return fields.get("type") == "message" or fields.get("status") not in ("in_progress", "incomplete")


def for_host(items: Iterable[Raw], *, is_its_own: bool, speaks_responses: bool) -> tuple[list[AnyItem], list[str]]:
    """Return items as a host can read them, and the types of those that it cannot.

    What another host made goes to a host of the Responses API without its ids, which that host would look up, and
    without what only its maker can read. Codecs of other formats see to that by themselves.
    """
    if is_its_own or not speaks_responses:
        return [read_item(item) for item in items], []
    found: list[AnyItem] = []
    left_out: list[str] = []
    for item in items:
        if b'"id"' not in bytes(item) and b'"status"' not in bytes(item):
            found.append(read_item(item))
            continue
        fields = loads(bytes(item))
        if fields.get("type") in _ONLY_THEIRS:
            left_out.append(fields["type"])
            continue
        if fields.get("type") not in _NEEDS_ID:
            fields = {name: value for name, value in fields.items() if name not in ("id", "status")}
        found.append(read_item(encode(fields)))
    return found, left_out


_ONLY_THEIRS: Final = frozenset(
    {
        "reasoning",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "mcp_list_tools",
        "tool_search_call",
        "tool_search_output",
    }
)
# Items whose id is what others name them by, or without which they mean nothing.
_NEEDS_ID: Final = frozenset({"item_reference", "mcp_call", "mcp_approval_request", "compaction", "local_shell_call"})


def plain_json(value: object) -> Raw | None:
    """Return a value as JSON to be kept, None when it has no such form."""
    try:
        return Raw(encode(value))
    except (TypeError, *REFUSED):
        return None
