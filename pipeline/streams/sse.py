"""Server-sent events, decoded from bytes.

Lines end at LF, CRLF or CR and nowhere else: U+2028, U+0085 and the like are legal inside JSON strings. Text is never
decoded here, so UTF-8 that is split between two reads is safe. Comments and events without data are skipped; a byte
order mark is skipped; several `data:` lines are joined with LF; a last event without its blank line still counts.
An error that is no event counts as one: a bare JSON object, as gateways put behind what they have streamed, and a line
`error: {...}` (llama.cpp until 2025). Source: WHATWG HTML standard, Server-sent events › Parsing an event stream, read
2026-11; the rules about the last event and about errors go beyond it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import APIResponseError

Frame = tuple[str, bytes]
"""Event name ("" where there is none) and data."""

_BOM = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 16 * 1024 * 1024


class SSEDecoder:
    """Feed it bytes as they come; it returns the frames that they complete.

    Args:
        max_event_bytes: upper bound of one event, its field names included, its blank line not.
    """

    __slots__ = ("_after_cr", "_at_start", "_max", "_pending", "_searched")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._pending = bytearray()  # the beginning of an event whose end has not come
        self._searched = 0  # so many bytes of it are known to hold no blank line
        self._at_start = True
        self._after_cr = False

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that end in `data`.

        Raises:
            APIResponseError: an event grew over the size limit.
        """
        whole = self.whole(data)
        return _frames(whole) if whole else []

    def whole(self, data: bytes) -> bytes:
        """Return the bytes of the events that end in `data`, their lines ended by LF. Raises as `feed`."""
        if self._at_start:
            data = self._skip_mark(data)
        if b"\r" in data or self._after_cr:
            data = self._unify(data)
        pending = self._pending
        if not pending and data.endswith(b"\n\n") and len(data) <= self._max:
            return data  # as most hosts write: whole events at once
        if pending:
            pending += data
            end = pending.rfind(b"\n\n", max(0, self._searched - 1))
            if end < 0:
                self._searched = len(pending)
                self._check(self._searched - 1)  # its last byte may be a line end, the first half of the blank line
                return b""
            data = bytes(pending[: end + 2])
            del pending[: end + 2]
        else:
            end = data.rfind(b"\n\n")
            if end + 2 < len(data) or end < 0:
                pending += data[end + 2 :] if end >= 0 else data
                data = data[: end + 2] if end >= 0 else b""
        self._searched = len(pending)
        if pending:
            self._check(self._searched - 1)
        if len(data) > self._max:
            self._check(max(map(len, data.split(b"\n\n"))))
        return data

    def finish(self) -> list[Frame]:
        """Return the frame that only the end of the stream completes, if there is one."""
        return _frames(self.rest())

    def rest(self) -> bytes:
        """Return the bytes of the event that only the end of the stream completes, as `whole` does."""
        rest = bytes(self._pending)
        self._pending.clear()
        return rest + b"\n\n" if rest else b""

    def _skip_mark(self, data: bytes) -> bytes:
        # A mark can arrive in pieces; wait until three bytes tell.
        if len(self._pending) + len(data) < 3 and _BOM.startswith(bytes(self._pending) + data):
            return data
        self._at_start = False
        data = bytes(self._pending) + data
        self._pending.clear()
        return data.removeprefix(_BOM)

    def _unify(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a CRLF that was split between two reads
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _check(self, size: int) -> None:
        if size > self._max:
            raise APIResponseError(f"one event of the stream is longer than {self._max} bytes")


def _frames(data: bytes) -> list[Frame]:
    """Return the frames of whole events; `data` ends with a blank line."""
    frames: list[Frame] = []
    for name, payload, other in _BLOCKS.findall(data):
        if payload:
            frames.append((str(name, "latin-1"), payload))
        elif other and (frame := _parse(other)):
            frames.append(frame)
    return frames


class FullEvent(NamedTuple):
    """An event with all its fields, one without data included.

    Args:
        name: "" where there is none.
        id: None where there is no such line; "" resets it.
        retry_ms: None where there is none that is a number.
    """

    name: str
    data: bytes
    id: str | None
    retry_ms: int | None


def full_events(data: bytes) -> list[FullEvent]:
    """Return the events in what `SSEDecoder.whole` returned, for who resumes streams; comments are skipped."""
    return [_full_event(block) for block in data.split(b"\n\n") if block.strip(b"\n")]


def _full_event(block: bytes) -> FullEvent:
    name, data, identity, retry = "", [], None, None
    for line in block.split(b"\n"):
        field, _, text = line.partition(b":")
        text = text.removeprefix(b" ")
        if field == b"data":
            data.append(text)
        elif field == b"event":
            name = str(text, "latin-1")
        elif field == b"id" and b"\0" not in text:
            identity = str(text, "utf-8", "replace")
        elif field == b"retry" and text.isdigit():
            retry = int(text[:9])
    name, joined = _said(name, data, block)
    return FullEvent(name, joined, identity, retry)


# One event: the two forms that nearly every host sends, in one C loop; or any other block of lines; or a stray LF.
_BLOCKS = re.compile(rb"(?:event: ([^\n]*)\n)?data: ([^\n]*)\n\n|((?:[^\n]+\n)+)\n|\n")


def _parse(block: bytes) -> Frame | None:
    name, data = "", []
    for line in block.split(b"\n"):
        field, _, text = line.partition(b":")
        text = text.removeprefix(b" ")
        if field == b"data":
            data.append(text)
        elif field == b"event":
            name = str(text, "latin-1")
    frame = _said(name, data, block)
    return frame if frame[1] else None


def _said(name: str, data: list[bytes], block: bytes) -> Frame:
    """Return name and data of an event, and those of an error that is none."""
    if not data:
        bare = block.strip()
        if bare.startswith(b"{"):  # no field's name begins so
            return name, bare
        if bare.startswith(b"error:"):
            return "error", bare[6:].strip()
    return name, b"\n".join(data)
