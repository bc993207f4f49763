"""Joining HTTP chunks: what one read of the socket brought becomes one chunk.

Hosts send one HTTP chunk for each event, and the HTTP library handles every chunk by itself, which costs more than
decoding the event in it. So the bytes are framed anew before the library sees them: neighbouring chunks of a
`transfer-encoding: chunked` answer become one. Heads, trailers and everything else pass as they are; so does whatever
is not well-formed, which is the library's to refuse. Source: RFC 9112, 7.1 Chunked Transfer Coding, read 2026-11.
"""

from __future__ import annotations

import re

_HEAD, _SIZE, _DATA, _DATA_END, _PASS = range(5)
_IS_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked[ \t]*\r\n", re.IGNORECASE)
_IS_INTERIM = re.compile(rb"HTTP/1\.[01] 1\d\d")
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_LONGEST_SIZE_LINE = 4096
_LONGEST_HEAD = 256 * 1024


class ChunkJoiner:
    """Follows the bytes of one answer. No I/O."""

    __slots__ = ("_held", "_left", "_state")

    def __init__(self) -> None:
        self._state = _HEAD
        self._held = b""  # the end of the head's bytes so far, or the beginning of a size line
        self._left = 0  # bytes of the running chunk that have not come

    def feed(self, data: bytes) -> bytes:
        """Return what to hand on for `data`; b"" when more must be read first."""
        if self._state == _PASS:
            return data
        if self._state == _HEAD:
            return self._head(data)
        if self._state == _SIZE and not self._held and _is_one_chunk(data):
            return data
        return self._chunks(data)

    def _head(self, data: bytes) -> bytes:
        # The head itself is handed on as it comes; a copy is kept until its end shows what kind of answer it is.
        self._held += data
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            if len(self._held) > _LONGEST_HEAD:
                self._pass()
            return data
        head, body = self._held[: end + 4], self._held[end + 4 :]
        self._held = b""
        if _IS_INTERIM.match(head):
            return data[: len(data) - len(body)] + (self._head(body) if body else b"")
        if not _IS_CHUNKED.search(head):
            self._pass()
            return data
        self._state = _SIZE
        return data[: len(data) - len(body)] + (self._chunks(body) if body else b"")

    def _chunks(self, data: bytes) -> bytes:
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
                    return self._refused(pieces, data[at:])
                if end - at < 2:
                    break
                at += 2
                self._state = _SIZE
            else:
                line = _SIZE_LINE.match(data, at)
                if line is None:
                    if b"\n" in data[at:] or end - at > _LONGEST_SIZE_LINE:
                        return self._refused(pieces, data[at:])
                    break
                self._left = int(line[1], 16)
                if self._left == 0:  # the last chunk; trailers may follow
                    return self._refused(pieces, data[at:])
                at = line.end()
                self._state = _DATA
        self._held = data[at:]
        return _framed(pieces)

    def _refused(self, pieces: list[bytes], rest: bytes) -> bytes:
        """Hand on the rest, and all that follows, as it is: the end of the chunks, or nothing that is one."""
        self._pass()
        return _framed(pieces) + rest

    def _pass(self) -> None:
        self._state, self._held = _PASS, b""


def _is_one_chunk(data: bytes) -> bool:
    """Tell whether this is one whole chunk: the usual read where events come one at a time."""
    line = _SIZE_LINE.match(data)
    if line is None:
        return False
    size = int(line[1], 16)
    return size > 0 and line.end() + size + 2 == len(data) and data.endswith(b"\r\n")


def _framed(pieces: list[bytes]) -> bytes:
    if not pieces:
        return b""
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return b"%x\r\n%b\r\n" % (len(data), data)
