"""One tool call of a chat completion while it is being said."""

from __future__ import annotations

from typing import Final

import msgspec

from ...pipeline.streams.item_writers import CallWriter

_PLACEHOLDERS: Final = ("{}", "null", '""')
"""What stands for no arguments; some gateways send it first, and the arguments behind it (Claude's empty `input`, which
is only the beginning of one; issue 4537 of LiteLLM, 2024-07, and pull request 712 of OpenAI's Agents SDK, 2025-12)."""


class Call:
    """An open call; nothing of it is shown before its name is known."""

    __slots__ = ("_length", "call_id", "early", "index", "is_closed", "is_custom", "is_wrapped", "name", "writer")

    def __init__(self, index: int, is_custom: bool) -> None:
        self.index = index
        self.is_custom = is_custom
        self.is_wrapped = False  # a custom tool that went out as a function: its input is inside the arguments
        self.is_closed = False
        self.call_id = ""
        self.name = ""
        self.early: list[str] = []  # arguments that are not shown yet
        self.writer: CallWriter | None = None
        self._length = 0

    @property
    def so_far(self) -> str:
        return (self.writer.so_far if self.writer else "") + "".join(self.early)

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are whole JSON."""
        if self.is_custom or self.writer is None:
            return False
        try:
            msgspec.json.decode(self.so_far)
        except (msgspec.DecodeError, RecursionError):
            return False
        return True

    def is_another(self, call_id: str, name: str, text: str) -> bool:
        """Tell whether a piece under the same index begins another call."""
        if not name or self.writer is None:
            return False
        if call_id and self.call_id and call_id != self.call_id:
            return name != self.name or self.is_whole
        if call_id == self.call_id != "":
            return False
        return name != self.name or (text != "" and self.is_whole and text != self.so_far)

    def hear(self, call_id: str, name: str) -> None:
        """Learn the id and the name, as far as they are not known."""
        if self.writer is not None:
            return
        self.call_id = self.call_id or call_id
        if name and name != self.name:
            self.name += name

    def has_said(self, text: str) -> bool:
        """Tell whether a piece is all the arguments once more."""
        return len(text) == self._length and text.endswith("}") and text == self.so_far

    def write(self) -> None:
        """Show what is known of the arguments, but for what may be a placeholder."""
        if self.writer is None or self.is_wrapped:
            return
        if not self._length and not self.is_custom:
            said = "".join(self.early).strip()
            if any(nothing.startswith(said) for nothing in _PLACEHOLDERS):
                return
            if self.early[0].strip() in _PLACEHOLDERS and "".join(self.early[1:]).lstrip().startswith("{"):
                del self.early[0]
        self._show()

    def _show(self) -> None:
        assert self.writer is not None
        for text in self.early:
            self._length += len(text)
            self.writer.write(text)
        self.early.clear()

    def close(self, status: str) -> None:
        assert self.writer is not None
        self.is_closed = True
        if self.is_wrapped:
            self.early = [text] if (text := unwrapped("".join(self.early))) else []
            self.is_wrapped, self.is_custom = False, True
        if not self.is_custom and not self._length and "".join(self.early).strip() in ("", "null", '""'):
            self.early.clear()
        self._show()
        # The API's arguments are always JSON; a call without any may come with nothing at all.
        nothing = "" if self.is_custom or self._length else "{}"
        self.writer.close(said=nothing or None, status=status)


def close_call(writer: CallWriter, wrapped: str, status: str) -> None:
    """Close a call that was written as it came.

    Args:
        wrapped: the arguments of the function that stands for a custom tool; nothing of them was written.
    """
    if writer.is_custom:
        if text := unwrapped(wrapped):
            writer.write(text)
        writer.close(status=status)
    else:
        # The API's arguments are always JSON; a call without any may come with nothing at all.
        writer.close(said=None if writer.so_far else "{}", status=status)


def unwrapped(arguments: str) -> str:
    """Return a custom tool's input out of the arguments of the function that it went out as."""
    try:
        found = msgspec.json.decode(arguments)
    except msgspec.DecodeError:
        return arguments
    inner = found.get("input") if isinstance(found, dict) else None
    return inner if isinstance(inner, str) else arguments
