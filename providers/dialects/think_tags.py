"""Reasoning inside the text, between `<think>` and `</think>`: some models are served without taking it out."""

from __future__ import annotations

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkTags:
    """Parts thought from text as it comes; a tag may be cut anywhere.

    Only a tag at the very beginning opens a thought, since later it may be what the text is about.
    """

    __slots__ = ("_held", "_state")

    def __init__(self) -> None:
        # "start", then "opened" (line ends behind the tag), "thought", "closed" (white space behind it), "text"
        self._state = "start"
        self._held = ""

    def feed(self, text: str) -> list[tuple[bool, str]]:
        """Return pieces as (is it thought, text), none of them empty."""
        found: list[tuple[bool, str]] = []
        text, self._held = self._held + text, ""
        if self._state == "start":
            bare = text.lstrip()
            if len(bare) < len(_OPEN) and _OPEN.startswith(bare):
                self._held = text
                return found
            if bare.startswith(_OPEN):
                self._state, text = "opened", bare[len(_OPEN) :]
            else:
                self._state = "text"
        if self._state == "opened" and (text := text.lstrip("\n")):
            self._state = "thought"
        if self._state == "thought":
            thought, tag, rest = text.partition(_CLOSE)
            if not tag:
                keep = _beginning(text)
                thought, self._held = text[: len(text) - keep], text[len(text) - keep :]
            if thought:
                found.append((True, thought))
            if not tag:
                return found
            self._state, text = "closed", rest
        if self._state == "closed" and (text := text.lstrip()):
            self._state = "text"
        if text:
            found.append((False, text))
        return found

    def finish(self) -> list[tuple[bool, str]]:
        """Return what was held back, at the end; what may come next begins anew."""
        held, self._held = self._held, ""
        is_thought, self._state = self._state == "thought", "start"
        return [(is_thought, held)] if held else []


def _beginning(text: str) -> int:
    """Return how much of the text's end may be the beginning of the closing tag."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)
