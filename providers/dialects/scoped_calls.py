"""Ids of tool calls that begin anew with every response: made unique by the id of the response.

Bedrock Mantle names the calls of each response "call_0", "call_1" …; two responses in one conversation would have calls
of one name. So `call_0` is read as `resp_…:call_0`, which the host takes back as it is (recorded 2026-07). Only a call
that the host keeps itself is answered by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...pipeline.api import events as ev
from ...pipeline.api.items import AnyItem
from ...pipeline.api.response import Response
from ...pipeline.api.wire import Wire
from ...pipeline.errors import APIError
from ...pipeline.request import StreamDecoder


def scoped(response: Response) -> Response:
    """Return the response with unique ids of calls."""
    if b'"call_id"' not in bytes(response.output_json):
        return response
    return response.replace(output=[_named(item, response.id) for item in response.output])


def _named(item: AnyItem, response_id: str) -> AnyItem:
    call_id = getattr(item, "call_id", None)
    if not call_id or not response_id or call_id.startswith(f"{response_id}:"):
        return item
    named: AnyItem = item.replace(call_id=f"{response_id}:{call_id}")
    return named


def own_names(given: object, response_id: str) -> Any:
    """Return input in which results of a kept response's calls have the host's own ids."""
    prefix = f"{response_id}:"
    if not isinstance(given, list | tuple):
        return given
    return [_unnamed(item, prefix) for item in given]


def _unnamed(item: Any, prefix: str) -> Any:
    call_id = item.get("call_id") if isinstance(item, Mapping) else getattr(item, "call_id", None)
    if not isinstance(call_id, str) or not call_id.startswith(prefix):
        return item
    own = call_id.removeprefix(prefix)
    return item.replace(call_id=own) if isinstance(item, Wire) else {**item, "call_id": own}


class ScopedStream:
    """A stream's decoder whose calls get unique ids. See `StreamDecoder`."""

    __slots__ = ("_decoder", "_response_id", "error")

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder
        self._response_id = ""
        self.error: APIError | None = None

    @property
    def is_done(self) -> bool:
        return self._decoder.is_done

    def feed(self, data: bytes) -> list[ev.Event]:
        return self._all(self._decoder.feed(data))

    def finish(self) -> list[ev.Event]:
        return self._all(self._decoder.finish())

    def _all(self, events: list[ev.Event]) -> list[ev.Event]:
        self.error = self._decoder.error
        return [self._scoped(event) for event in events]

    def _scoped(self, event: ev.Event) -> ev.Event:
        if isinstance(event, ev.LifecycleEvent):
            self._response_id = event.response.id or self._response_id
            response = scoped(event.response)
            return event if response is event.response else event.replace(response=response)
        if isinstance(event, ev.OutputItemAdded | ev.OutputItemDone) and event.item is not None:
            named = _named(event.item, self._response_id)
            return event if named is event.item else event.replace(item=named)
        return event
