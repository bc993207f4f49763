"""The events of an HTTP answer: the source of a native stream."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ..api.events import Event
from ..errors import APIConnectionError, APIError
from ..http import Exchange
from ..request import StreamDecoder
from ..timeouts import Pace

# How long a finished stream may still be read, so that its connection can be used again, seconds.
_LINGER_S = 0.25


class HttpEvents:
    """Reads an exchange and decodes it. Owns the exchange: closing one closes the other.

    Args:
        exchange: an answer whose head has come.
        pace: the exchange's time limits; told when the first event is there.
        decoder: a fresh one.
        now: the clock of the pace.
        head: bytes of it that were read already.
    """

    __slots__ = ("_decoder", "_ended", "_exchange", "_head", "_now", "_pace", "_started")

    def __init__(
        self, exchange: Exchange, pace: Pace, decoder: StreamDecoder, now: Callable[[], float], head: bytes = b""
    ) -> None:
        self._exchange = exchange
        self._pace = pace
        self._decoder = decoder
        self._now = now
        self._head = head
        self._started = False
        self._ended = False

    async def pull(self) -> list[Event]:
        if self._decoder.error is not None:
            raise self._decoder.error
        while not self._ended:
            try:
                data, self._head = self._head or await self._exchange.chunk(), b""
            except APIConnectionError as error:
                events = self._decoder.finish()
                # A host that has said why the answer ends has said all of it, whatever becomes of the connection.
                self._ended = self._decoder.is_done
                if not self._ended:
                    self._decoder.error = error
                if events:
                    return events
                raise
            if data:
                events = self._decoder.feed(data)
            else:
                self._ended = True
                events = self._decoder.finish()
            if self._decoder.error is not None and not events:
                raise self._decoder.error
            if events:
                if not self._started:
                    self._started = True
                    self._pace.started()
                return events
        return []

    async def close(self) -> None:
        try:
            if self._decoder.is_done and not self._ended:
                await self._drain()
        finally:  # also when that is interrupted
            await self._exchange.close()

    async def _drain(self) -> None:
        """Read what is left after the terminal event, usually nothing."""
        self._ended = True
        self._pace.ends_at = min(self._pace.ends_at, self._now() + _LINGER_S)
        with contextlib.suppress(APIError):  # the response is whole; only the connection would be lost
            while await self._exchange.chunk():
                pass

    def abort(self) -> None:
        self._exchange.abort()
