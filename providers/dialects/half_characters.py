"""Characters that a host cut in two: the first half ends a text of one frame, the second begins one of the next.

Programs that count a text in UTF-16 units can cut a character beyond the first 65,536 (an emoji) in the middle; JSON
can say each half by an escape, and neither is text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ...pipeline.streams.sse import Frame

# A string's last character or its first one. An escape counts only where its backslash is not escaped itself.
_FIRST_HALF = re.compile(rb'(?<!\\)((?:\\\\)*)(\\u[dD][89abAB][0-9a-fA-F]{2})"')
_SECOND_HALF = re.compile(rb'"(?=\\u[dD][c-fC-F][0-9a-fA-F]{2})')


class HalfCharacters:
    """Moves first halves to their second ones. A frame that ends with a first half waits for the next frame."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: Frame | None = None

    def join(self, frames: Iterable[Frame]) -> Iterable[Frame]:
        """Return the frames that can be read now."""
        if self._waiting is None and isinstance(frames, list) and not any(b"\\u" in frame[1] for frame in frames):
            return frames
        return self._whole(frames)

    def finish(self, frames: Iterable[Frame]) -> Iterable[Frame]:
        """Return the last frames, with the one that no other has come after."""
        yield from self._whole(frames)
        if self._waiting is not None:
            yield self._waiting

    def _whole(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if self._waiting is not None:
                waited, frame = _joined(self._waiting, frame)
                yield waited
            self._waiting = frame if _FIRST_HALF.search(frame[1]) else None
            if self._waiting is None:
                yield frame


def _joined(first: Frame, second: Frame) -> tuple[Frame, Frame]:
    """Return two frames with the halves joined in the second; as they are where the halves do not match."""
    halves = [cut[2] for cut in _FIRST_HALF.finditer(first[1])]
    if len(halves) != len(_SECOND_HALF.findall(second[1])):
        return first, second
    left = iter(halves)
    return (
        (first[0], _FIRST_HALF.sub(rb'\1"', first[1])),
        (second[0], _SECOND_HALF.sub(lambda _: b'"' + next(left), second[1])),
    )
