"""The call's input as the model's host gets it: what ran here before, in terms of functions.

item of ours             becomes
mcp_list_tools           nothing: the tools are in the request
mcp_call                 a function_call and its function_call_output, by the name that the tool has in this call
mcp_approval_request     nothing while its call is in the input too; else a function_call …
mcp_approval_response    … and its output: that of the call, which runs now, or that it was not approved

Items of servers that the host itself calls stay as they are.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from ...pipeline.api.wire import Wire, encode, loads
from ...pipeline.errors import InvalidParameter
from ...pipeline.wording import quoted
from .mcp_results import error_text, shown_parts

NOT_APPROVED = "The user did not approve this call, so it was not made."


class Ids(msgspec.Struct, frozen=True):
    """The ids that a model's call had at its host: hosts know the reasoning before a call by them."""

    item: str | None
    call: str


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits for an approval, or that was just approved.

    Args:
        id: of the approval request.
        call: the model's own ids of the call; None where only the request came back to us.
    """

    id: str
    label: str
    name: str
    arguments: str
    call: Ids | None = None


class Memory:
    """What one client's streams and questions leave behind for later calls, the newest `_MOST` of each kind."""

    _MOST = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[str, Pending] = {}
        self._calls: dict[str, Ids] = {}
        self._last_ids: dict[str, str] = {}

    def ask(self, pending: Pending) -> None:
        """Remember a call that waits for an approval."""
        self._keep(self._pending, pending.id, pending)

    def asked(self, request_id: str) -> Pending | None:
        """Return the call of an approval request, if it is remembered."""
        return self._pending.get(request_id)

    def show(self, item_id: str, ids: Ids) -> None:
        """Remember which call of the model an `mcp_call` item shows."""
        self._keep(self._calls, item_id, ids)

    def shown(self, item_id: str) -> Ids | None:
        """Return the ids of the call that an `mcp_call` item shows, if they are remembered."""
        return self._calls.get(item_id)

    def link(self, shown_id: str, last_id: str) -> None:
        """Remember which response of the host holds the end of what the user knows by its first response's id."""
        self._keep(self._last_ids, shown_id, last_id)

    def last_id(self, shown_id: str | None) -> str | None:
        """Return the id to ask the host by."""
        return None if shown_id is None else self._last_ids.get(shown_id, shown_id)

    def _keep(self, kept: dict[str, Any], name: str, value: Any) -> None:
        with self._lock:
            kept.pop(name, None)
            kept[name] = value
            while len(kept) > self._MOST:
                del kept[next(iter(kept))]


class Slot(msgspec.Struct, frozen=True):
    """A place in the input that an approved call's items take once it has run.

    Args:
        is_chained: whether the host has the model's call already, so that only the output goes there.
    """

    pending: Pending
    is_chained: bool


class History(msgspec.Struct, frozen=True, kw_only=True):
    """An input made ready.

    Args:
        items: for the host, with a `Slot` for each approved call; the input itself where nothing is of ours.
        listed: labels whose tools were listed in it.
    """

    items: Any
    listed: frozenset[str] = frozenset()

    @property
    def slots(self) -> list[Slot]:
        """The approved calls, in order."""
        return [item for item in self.items if isinstance(item, Slot)] if isinstance(self.items, list) else []


def read_history(
    given: Any,
    labels: frozenset[str],
    names: Mapping[tuple[str, str], str],
    memory: Memory,
    *,
    is_chained: bool,
    all_ours: bool = False,
) -> History:
    """Return the input with what is of ours in terms of functions.

    Args:
        given: the call's `input`.
        labels: of the servers that are called from here.
        names: what tools are called in this call, by label and own name.
        memory: knows the questions of earlier calls.
        is_chained: whether the host adds what came before by itself (`previous_response_id`, `conversation`).
        all_ours: whether the host knows nothing of MCP, so that calls of servers that are not named now are ours too.

    Raises:
        InvalidParameter: an answer to a question that is neither in the input nor remembered.
    """
    if not isinstance(given, list | tuple) or not any(_kind(item) in _KINDS for item in given):
        return History(items=given)
    found = [plain(item) if _kind(item) in _KINDS else item for item in given]
    ours = [item if _kind(item) in _KINDS else None for item in found]
    done = {item.get("approval_request_id") for item in ours if item and item["type"] == "mcp_call"}
    asked = {str(item.get("id")): item for item in ours if item and item["type"] == "mcp_approval_request"}
    answered = {item.get("approval_request_id") for item in ours if item and item["type"] == "mcp_approval_response"}
    items: list[Any] = []
    listed: set[str] = set()
    for at, (item, own) in enumerate(zip(found, ours, strict=True)):
        label = str(own.get("server_label")) if own else None
        if own is None:
            items.append(item)
        elif own["type"] == "mcp_approval_response":
            items += _answer(at, own, done, asked, labels, names, memory, is_chained)
        elif label not in labels and not all_ours:
            items.append(item)
        elif own["type"] == "mcp_list_tools":
            listed.add(str(label))
        elif own["type"] == "mcp_call":
            item_id = str(own.get("id") or f"mcp_{at}")
            ids = memory.shown(item_id) or Ids(None, item_id)
            items += pair(_public(own, names), str(own.get("arguments") or ""), ids, _said(own))
        elif own.get("id") not in done | answered:
            words = "The call was not made: nobody has approved it."
            items += pair(_public(own, names), str(own.get("arguments") or ""), Ids(None, str(own["id"])), words)
    return History(items=items, listed=frozenset(listed))


def pair(name: str, arguments: str, ids: Ids, output: Any) -> list[dict[str, Any]]:
    """Return a function call and its output, as input items."""
    call = {"type": "function_call", "call_id": ids.call, "name": name, "arguments": arguments}
    if ids.item is not None:
        call["id"] = ids.item
    return [call, {"type": "function_call_output", "call_id": ids.call, "output": output}]


def public_name(label: str, name: str, names: Mapping[tuple[str, str], str]) -> str:
    """Return what a tool is called in this call; one that is not offered any more gets a name that tells of it."""
    return names.get((label, name)) or re.sub(r"[^A-Za-z0-9_-]+", "_", f"{label}__{name}")[:64]


def plain(item: Any) -> dict[str, Any]:
    """Return an input item as a dict."""
    if isinstance(item, dict):
        return item
    found = item.to_dict() if isinstance(item, Wire) else loads(encode(item))
    assert isinstance(found, dict)  # it has a type
    return found


_KINDS = frozenset({"mcp_list_tools", "mcp_call", "mcp_approval_request", "mcp_approval_response"})


def _kind(item: Any) -> str | None:
    kind = item.get("type") if isinstance(item, Mapping) else getattr(item, "type", None)
    return kind if isinstance(kind, str) else None


def _public(item: Mapping[str, Any], names: Mapping[tuple[str, str], str]) -> str:
    return public_name(str(item.get("server_label")), str(item.get("name")), names)


def _said(item: Mapping[str, Any]) -> Any:
    """Return what the model was told about a call."""
    if item.get("output") is not None:
        return shown_parts(str(item["output"]))
    return error_text(item.get("error"))


def _answer(
    at: int,
    item: Mapping[str, Any],
    done: set[Any],
    asked: Mapping[str, Mapping[str, Any]],
    labels: frozenset[str],
    names: Mapping[tuple[str, str], str],
    memory: Memory,
    is_chained: bool,
) -> list[Any]:
    request_id = str(item.get("approval_request_id"))
    if request_id in done:
        return []
    remembered, question = memory.asked(request_id), asked.get(request_id)
    if question is not None:
        pending = Pending(
            id=request_id,
            label=str(question.get("server_label")),
            name=str(question.get("name")),
            arguments=str(question.get("arguments") or ""),
            call=remembered.call if remembered else None,
        )
    elif remembered is not None:
        pending = remembered
    elif is_chained:
        return [item]  # the host may have asked itself
    else:
        raise InvalidParameter(
            f"input[{at}] answers the approval request {quoted(request_id)}, which is not known here",
            param="input",
            hint="send the response's items too, the mcp_approval_request among them",
        )
    if pending.label not in labels:
        return [item]
    host_has_it = is_chained and pending.call is not None
    if item.get("approve") is True:
        return [Slot(pending, host_has_it)]
    reason = item.get("reason")
    words = f"{NOT_APPROVED} Reason: {reason}" if reason else NOT_APPROVED
    name = public_name(pending.label, pending.name, names)
    return chained_pair(name, pending, words, host_has_it)


def chained_pair(name: str, pending: Pending, output: Any, host_has_it: bool) -> list[dict[str, Any]]:
    """Return a call and its output, without the call where the host has it."""
    made = pair(name, pending.arguments, pending.call or Ids(None, pending.id), output)
    return made[1:] if host_has_it else made
