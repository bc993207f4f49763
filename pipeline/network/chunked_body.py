"""Chunked bodies, read past the HTTP library.

Hosts send one HTTP chunk for each event, and the library's state machine takes three times as many instructions for a
chunk as splitting and decoding the event in it. So it gets an answer's head and, once they come, the last chunk and the
trailers; the chunks between them are taken apart here. What is not well-formed is handed on to it, too: it is the
library's to refuse. Source: RFC 9112, 7.1 Chunked Transfer Coding, read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_HEAD, _BODY, _SIZE, _DATA, _DATA_END, _PASS = range(6)
_BLANK_LINE = re.compile(rb"\n\r?\n")  # what ends a head for h11
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_LONGEST_SIZE_LINE = 4096
_BODILESS = frozenset({204, 304})


class ChunkedBody:
    """Follows the bytes of one answer, chunked or not. No I/O.

    The library gets what `split` leaves of each read, and is the one to say what kind of answer it is: `begin`. From
    there on, while `is_open`, reads belong to `feed`.

    Attributes:
        is_open: whether the answer's chunks come next, and the last one has not come.
        ready: what came of the body together with the head.
    """

    __slots__ = ("_held", "_left", "_state", "_tail", "is_open", "ready")

    def __init__(self) -> None:
        self._state = _HEAD
        self._tail: bytes | None = None  # the end of what has come of the head
        self._held = b""  # what is here, and nobody has had
        self._left = 0  # bytes of the running chunk that have not come
        self.is_open = False
        self.ready = b""

    @property
    def has_rest(self) -> bool:
        """Whether there are bytes that nobody asked for."""
        return bool(self._held)

    def take_rest(self) -> bytes:
        """Return what was kept from the library, which reads on by itself; b"" when that is nothing."""
        if self._state == _BODY:
            self._state = _PASS
        rest, self._held = self._held, b""
        return rest

    def split(self, data: bytes) -> bytes:
        """Return what the library gets of its next read: all of it, but not the body of what may be chunked."""
        if self._state != _HEAD:
            return data
        tail = self._tail or b""
        blank = _BLANK_LINE.search(tail + data if tail else data)
        if blank is None:
            self._tail = (tail + data)[-2:]
            return data
        end = blank.end() - len(tail)
        # The usual head comes in one read, of a body with a length. With "C" or "c"; "CHUNKED" is left to the library.
        if self._tail is None and b"hunked" not in data[:end]:
            self._state = _PASS
            return data
        self._state, self._held = _BODY, data[end:]
        return data[:end]

    def begin(self, method: str, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Say that the library has read this head, and nothing of what follows."""
        # It refuses all codings but one.
        is_chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
        if self._state != _BODY or not is_chunked or status in _BODILESS or method == "HEAD":
            self._state = _PASS
            return
        self._state, self.is_open = _SIZE, True
        held, self._held = self._held, b""
        if held:
            self.ready = self.feed(held)

    def take_ready(self) -> bytes:
        """Return `ready`, once."""
        ready, self.ready = self.ready, b""
        return ready

    def feed(self, data: bytes) -> bytes:
        """Return the body's part of `data`, which may be empty. After the last chunk, `is_open` is False."""
        if self._state == _SIZE and not self._held and (line := _SIZE_LINE.match(data)) is not None:
            size = int(line[1], 16)
            if size and line.end() + size + 2 == len(data) and data.endswith(b"\r\n"):
                return data[line.end() : -2]  # one whole chunk: the usual read where events come one at a time
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if self._state == _DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _DATA_END
            elif self._state == _DATA_END:
                if not b"\r\n".startswith(data[at : at + 2]):
                    self._end()
                    break
                if end - at < 2:
                    break
                at += 2
                self._state = _SIZE
            else:
                line = _SIZE_LINE.match(data, at)
                if line is None:
                    if b"\n" in data[at:] or end - at > _LONGEST_SIZE_LINE:
                        self._end()
                    break
                self._left = int(line[1], 16)
                if self._left == 0:  # the last chunk; trailers may follow
                    self._end()
                    break
                at = line.end()
                self._state = _DATA
        self._held = data[at:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _end(self) -> None:
        """Leave the rest to the library: the end of the chunks, or nothing that is one."""
        self._state, self.is_open = _PASS, False
