"""Undoing gzip and deflate in small steps, so that a small answer cannot fill the memory."""

from __future__ import annotations

import zlib

from ..errors import APIResponseError
from ..wording import quoted

STEP_BYTES = 256 * 1024


class Inflater:
    """Takes encoded bytes, gives decoded ones, at most `STEP_BYTES` at a time.

    Args:
        coding: the content coding; one that is not known fails when something is taken.
        limit: how many decoded bytes there may be in all.
    """

    __slots__ = ("_coding", "_limit", "_more", "_pending", "_total", "_zlib")

    def __init__(self, coding: str, limit: int) -> None:
        self._coding = coding
        self._limit = limit
        self._zlib: zlib._Decompress | None = None
        self._pending = b""
        self._more = False
        self._total = 0

    def feed(self, data: bytes) -> None:
        """Add encoded bytes."""
        self._pending += data

    def take(self) -> bytes:
        """Return the next decoded bytes; b"" when more must be fed.

        Raises:
            APIResponseError: not decodable, or over the limit.
        """
        while self._pending or self._more:
            if self._zlib is None or (self._zlib.eof and self._coding == "gzip"):
                if self._coding not in _KNOWN.values():
                    raise APIResponseError(
                        f"the answer has the content-encoding {quoted(self._coding[:40])}, which was not asked for"
                    )
                # At the end of one gzip member another may follow.
                self._zlib = zlib.decompressobj(self._window_bits())
            elif self._zlib.eof:
                raise APIResponseError("the answer goes on after the end of its deflate data")
            try:
                piece = self._zlib.decompress(self._pending, STEP_BYTES)
            except zlib.error as error:
                raise APIResponseError(f"the answer is not valid {self._coding}: {error}") from error
            self._pending = self._zlib.unconsumed_tail or self._zlib.unused_data
            # zlib may have taken all input and still hold output back.
            self._more = len(piece) == STEP_BYTES and not self._zlib.eof
            self._total += len(piece)
            if self._total > self._limit:
                raise APIResponseError(f"the answer inflates to more than {self._limit} bytes (max_body_bytes)")
            if piece:
                return piece
        return b""

    def end(self) -> None:
        """Say that no more comes.

        Raises:
            APIResponseError: the encoded data is cut.
        """
        if self._zlib is not None and not self._zlib.eof:
            raise APIResponseError(f"the answer's {self._coding} data is cut")

    def _window_bits(self) -> int:
        if self._coding == "gzip":
            return 16 + zlib.MAX_WBITS
        # Some servers leave the zlib wrapper out (RFC 9110, 8.4.1.2, note); its first byte tells (RFC 1950, 2.2).
        return zlib.MAX_WBITS if self._pending[0] & 0x0F == 8 else -zlib.MAX_WBITS


_KNOWN = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}


def inflater_for(coding: str, limit: int) -> Inflater | None:
    """Return what undoes a `content-encoding`, or None for none."""
    coding = coding.strip().lower()
    return None if coding in ("", "identity") else Inflater(_KNOWN.get(coding, coding), limit)
