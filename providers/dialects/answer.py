"""What the answers of all codecs but the native one have in common: told what a host says, they make the events."""

from __future__ import annotations

import secrets
from typing import Any

from ...pipeline.assembler import Assembler
from ...pipeline.events import Event


class Answer:
    """Told what a host says, it makes the events of the response.

    Args:
        fields: of the response, but `id`, `created_at` and what the answer itself says.
        token: part of all ids that are made here; a random one by default.

    Attributes:
        is_done: whether the terminal event was made.
    """

    def __init__(self, fields: dict[str, Any], token: str | None = None) -> None:
        self._fields = fields
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

    @property
    def _out(self) -> Assembler:
        assert self._assembler is not None
        return self._assembler

    def _item_id(self, prefix: str) -> str:
        self._items += 1
        return f"{prefix}_{self._token}{self._items:04d}"
