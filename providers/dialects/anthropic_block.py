"""One block of a message while it is being said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...pipeline.streams.item_writers import CallWriter, ReasoningWriter
from .values import read_json


class OpenBlock:
    """The block that is being said.

    Attributes:
        block: the host's own, as its start said it; pieces are added when it stops.
        pieces: by field, what its deltas said of it.
        writer: of the item that shows it meanwhile.
        start: where in the text of the message it begins.
    """

    __slots__ = ("block", "citations", "kind", "pieces", "start", "writer")

    def __init__(self, block: dict[str, Any]) -> None:
        self.block = block
        self.kind = str(block.get("type"))
        self.pieces: dict[str, list[str]] = {}
        found = block.get("citations")
        self.citations = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
        self.writer: ReasoningWriter | CallWriter | None = None
        self.start = 0

    def add(self, field: str, piece: str) -> None:
        self.pieces.setdefault(field, []).append(piece)

    def whole(self) -> dict[str, Any]:
        """Return the block with its pieces in it."""
        block = dict(self.block)
        for field, pieces in self.pieces.items():
            said = "".join(pieces)
            if field == "input":
                if said:
                    found = read_json(said)
                    block[field] = found if isinstance(found, dict) else {}
            else:
                block[field] = f"{block.get(field) or ''}{said}"
        return block

    def add_fields(self, fields: Mapping[str, Any]) -> None:
        """Add a piece of a kind that is not known: texts grow, all else is set."""
        for name, value in fields.items():
            if name == "type" or value is None:
                continue
            if isinstance(value, str):
                self.add(name, value)
            else:
                self.block = {**self.block, name: value}
