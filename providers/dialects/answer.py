"""What the answers of all codecs but the native one have in common: told what a host says, they make the events."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ...pipeline.api.events import Event
from ...pipeline.streams.assembler import Assembler
from ...pipeline.streams.item_writers import CallWriter
from .named_tools import ToolName


class Answer:
    """Told what a host says, it makes the events of the response.

    Args:
        fields: of the response, but `id`, `created_at` and what the answer itself says.
        names: functions on the wire that stand for other tools.
        token: part of all ids that are made here; a random one by default.

    Attributes:
        is_done: whether the terminal event was made.
    """

    def __init__(
        self, fields: dict[str, Any], names: Mapping[str, ToolName] | None = None, token: str | None = None
    ) -> None:
        self._fields = fields
        self._names = names or {}
        self._token = token or secrets.token_hex(12)
        self._assembler: Assembler | None = None
        self._items = 0  # so many were opened
        self._extra: dict[str, Any] = {}  # fields of the host's own, for the response
        self.is_done = False

    @property
    def has_begun(self) -> bool:
        """Whether the response is open."""
        return self._assembler is not None

    @property
    def has_ended(self) -> bool:
        """Whether the host has said why the answer ends; more may still follow."""
        raise NotImplementedError

    def end(self) -> None:
        """The answer is over."""
        raise NotImplementedError

    def take(self) -> list[Event]:
        """Return the events made since the last time."""
        return self._assembler.take() if self._assembler is not None else []

    def _open(self, host_id: str | None, fields: dict[str, Any]) -> None:
        """Open the response, under the host's id where it has one; `fields` are what the answer says of itself."""
        self._assembler = Assembler({**self._fields, "id": host_id or f"resp_{self._token}", **fields})
        self._assembler.start()

    def _begin_call(
        self, name: str, call_id: str, fields: Mapping[str, Any] = {}, *, is_custom: bool = False
    ) -> CallWriter:
        """Open a call of the function of this name on the wire, under the name that the caller knows it by.

        Args:
            fields: further ones of the item.
            is_custom: whether the host itself knows it as a custom tool.
        """
        tool = self._names.get(name)
        known: dict[str, Any] = {"call_id": call_id, "name": tool.name if tool else name}
        if tool is not None and tool.namespace:
            known["namespace"] = tool.namespace
        if is_custom or (tool is not None and tool.custom):
            return self._out.custom_tool_call({"id": self._item_id("ctc"), **known, **fields})
        return self._out.function_call({"id": self._item_id("fc"), **known, **fields})

    @property
    def _out(self) -> Assembler:
        assert self._assembler is not None
        return self._assembler

    def _item_id(self, prefix: str) -> str:
        self._items += 1
        return f"{prefix}_{self._token}{self._items:04d}"
