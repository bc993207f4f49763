"""One block of an answer while it is being said."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from ...pipeline.streams.item_writers import CallWriter, ReasoningWriter
from .converse_wire import Thought
from .values import read_json


class OpenBlock:
    """The block that is being said.

    Attributes:
        kind: name of the block's one field, e.g. "toolUse"; "" until a piece tells.
        fields: what its start says of it.
        pieces: of its text or input.
        writer: of the item that shows it meanwhile.
        start: where in the text of the message it begins.
    """

    __slots__ = ("_redacted", "_signature", "citations", "fields", "kind", "parts", "pieces", "start", "writer")

    def __init__(self, kind: str, fields: Mapping[str, Any] | None = None) -> None:
        self.kind = kind
        self.fields = dict(fields or {})
        self.pieces: list[str] = []
        self.parts: list[dict[str, Any]] = []  # of a tool's result
        self.citations: list[dict[str, Any]] = []
        self.writer: ReasoningWriter | CallWriter | None = None
        self.start = 0
        self._signature: list[str] = []
        self._redacted: list[str] = []

    def think(self, thought: Thought) -> None:
        """Add a piece of reasoning."""
        if thought.text:
            self.pieces.append(thought.text)
        if thought.signature:
            self._signature.append(thought.signature)
        if thought.redactedContent:
            self._redacted.append(thought.redactedContent)

    def add_fields(self, fields: Mapping[str, Any]) -> None:
        """Add a piece of a kind that is not known: texts and lists grow, all else is set."""
        self.fields = _grown(self.fields, fields)

    def whole(self) -> dict[str, Any]:
        """Return the block with its pieces in it, as the host takes it back."""
        if self.kind == "reasoningContent":
            return {self.kind: self._reasoning()}
        if self.kind == "toolUse":
            found = read_json("".join(self.pieces)) if self.pieces else self.fields.get("input")
            return {self.kind: {**self.fields, "input": found if isinstance(found, dict) else {}}}
        if self.kind == "toolResult":
            return {self.kind: {"content": [], **self.fields, **({"content": self.parts} if self.parts else {})}}
        return {self.kind: self.fields}

    def _reasoning(self) -> dict[str, Any]:
        if self._redacted:
            return {**self.fields, "redactedContent": _joined(self._redacted)}
        if not self.pieces and not self._signature:
            return self.fields
        said: dict[str, Any] = {"text": "".join(self.pieces)}
        if self._signature:
            said["signature"] = "".join(self._signature)
        return {**self.fields, "reasoningText": said}


def _joined(pieces: list[str]) -> str:
    """Return pieces of base64 as one."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode()
    except binascii.Error:
        return "".join(pieces)


def _grown(known: Any, more: Any) -> Any:
    if isinstance(known, Mapping) and isinstance(more, Mapping):
        return {**known, **{name: _grown(known.get(name), value) for name, value in more.items()}}
    if isinstance(known, str) and isinstance(more, str):
        return known + more
    if isinstance(known, list) and isinstance(more, list):
        return [*known, *more]
    return more
