"""One run of reasoning of a chat completion while it is being said, and the host's own form of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ...pipeline.streams.item_writers import ReasoningWriter

Seal: TypeAlias = Callable[[str, tuple[Any, ...]], str]
"""Makes `encrypted_content` of the form and the host's own blocks of a reasoning item."""


class Thought:
    """An open reasoning item, and the host's own form of it."""

    __slots__ = ("blocks", "form", "writer")

    def __init__(self, writer: ReasoningWriter, form: str) -> None:
        self.writer = writer
        self.form = form
        self.blocks: list[dict[str, Any]] = []

    def keep_entry(self, entry: dict[str, Any], *, is_whole: bool = False) -> None:
        """Keep an entry of `reasoning_details`; pieces of one are joined, unless it is whole."""
        last = self.blocks[-1] if self.blocks else None
        if last is None or is_whole or _begins(entry, last):
            self.blocks.append({name: [value] if name in _GROWING else value for name, value in entry.items()})
            return
        for name, value in entry.items():
            if name in _GROWING and value is not None:
                last.setdefault(name, []).append(value)
            elif value is not None:
                last[name] = value

    def keep_chunk(self, part: dict[str, Any]) -> None:
        """Keep a `thinking` part of a message's content; pieces of one are joined."""
        if not self.blocks:
            self.blocks.append({**part, "thinking": []})
        block = self.blocks[-1]
        block["thinking"].append(text_of(part.get("thinking")))
        block.update({name: value for name, value in part.items() if name != "thinking" and value is not None})

    def close(self, seal: Seal, status: str) -> None:
        sealed = seal(self.form, tuple(map(_joined, self.blocks)))
        self.writer.close(encrypted_content=sealed, status=status)


_GROWING = frozenset({"text", "summary", "data"})


def _begins(entry: dict[str, Any], last: dict[str, Any]) -> bool:
    """Tell whether an entry in a stream is another one than the last: a signature ends one, and an id is one's own."""
    if any(last.get(name) != entry.get(name) for name in ("type", "index")):
        return True
    if entry.get("id") and last.get("id") and entry["id"] != last["id"]:
        return True
    return bool(last.get("signature")) and any(entry.get(name) for name in _GROWING)


def _joined(block: dict[str, Any]) -> dict[str, Any]:
    """Return a block with its pieces joined."""
    whole = {name: _one(value) if name in _GROWING else value for name, value in block.items()}
    if isinstance(pieces := whole.get("thinking"), list):
        whole["thinking"] = [{"type": "text", "text": "".join(pieces)}]
    return whole


def _one(pieces: list[Any]) -> Any:
    texts = [piece for piece in pieces if isinstance(piece, str)]
    return "".join(texts) if texts else pieces[0]


def text_of(thinking: Any) -> str:
    return thinking if isinstance(thinking, str) else "".join(_texts(thinking))


def _texts(parts: Any) -> Iterator[str]:
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict) and isinstance(text := part.get("text"), str):
            yield text
