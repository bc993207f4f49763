"""An HTTP answer of a server: JSON or an event stream with an upper bound, or a refusal."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from ..pipeline.errors import AntiphonError, APIConnectionError, APIResponseError, APITimeoutError
from ..pipeline.http import Exchange
from ..pipeline.secret import Secret, mask
from ..pipeline.streams.sse import SSEDecoder, full_events
from ..pipeline.timeouts import Pace
from . import jsonrpc
from .errors import McpConnectionError, McpError, McpProtocolError
from .session import Limit, timed_out

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime

Take = Callable[[str, bytes], Awaitable[bool]]
"""Gets an event's name and data; returns True when no more of the stream is wanted."""

_ERROR_BYTES = 64 * 1024
# A stream that has brought its answer usually ends at once; so long its end is waited for, to keep the connection.
_LINGER_S = 0.05


class Cursor:
    """How far a stream was read, to be resumed there.

    Attributes:
        last_id: of the last event that had an id; None before.
        retry_s: how long to wait before asking again, as the server said last.
        events: how many events have come.
    """

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry_s = 1.0
        self.events = 0


class Asked(msgspec.Struct, frozen=True):
    """What was asked, for errors and bounds.

    Args:
        server: its name.
        about: the protocol's method, or words for what has none.
        limit: when it must be over.
        most_bytes: the longest message.
        secrets: what must not be shown.
    """

    server: str
    about: str
    limit: Limit
    most_bytes: int
    secrets: tuple[Secret, ...] = ()

    def fault(self, error: AntiphonError) -> AntiphonError:
        """Return what an error of the transport means here."""
        if isinstance(error, APITimeoutError) and error.limit == "total":
            return timed_out(self.server, self.about, self.limit)
        if isinstance(error, APIConnectionError):
            return McpConnectionError(
                f'server "{self.server}": {error.message}',
                sent=error.request_sent,
                server=self.server,
                method=self.about,
                hint=error.hint if error.request_sent else "check that the server runs and its url is right",
            )
        if isinstance(error, APIResponseError):
            return McpProtocolError(f'server "{self.server}": {error.message}', server=self.server, method=self.about)
        return error


class HttpAnswer:
    """An answer whose head has come. Read it to its end or close it.

    Raises, in all that reads:
        McpConnectionError: it broke, or its time ran out. It is closed.
        McpProtocolError: it is over the size limit. It is closed.
    """

    def __init__(self, exchange: Exchange, pace: Pace, asked: Asked, runtime: Runtime) -> None:
        self._exchange = exchange
        self._pace = pace
        self._asked = asked
        self._runtime = runtime
        self.status = exchange.status
        self.headers = exchange.headers
        self.abort = exchange.abort
        self.close = exchange.close

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_event_stream(self) -> bool:
        content_type: str = self.headers.get("content-type", "")
        return content_type.lstrip().lower().startswith("text/event-stream")

    async def read(self) -> bytes:
        """Return the whole body."""
        pieces: list[bytes] = []
        total = 0
        try:
            while piece := await self._exchange.chunk():
                total += len(piece)
                if total > self._asked.most_bytes:
                    raise self._too_long()
                pieces.append(piece)
        except (APIConnectionError, APIResponseError) as error:
            raise self._asked.fault(error) from error
        finally:
            await self.close()
        return b"".join(pieces)

    async def read_events(self, cursor: Cursor, take: Take) -> None:
        """Read the event stream until it ends, or `take` wants no more."""
        decoder = SSEDecoder(self._asked.most_bytes)
        try:
            while True:
                data = await self._exchange.chunk()
                for event in full_events(decoder.whole(data) if data else decoder.rest()):
                    cursor.events += 1
                    if event.id is not None:
                        cursor.last_id = event.id or None
                    if event.retry_ms is not None:
                        cursor.retry_s = event.retry_ms / 1000
                    if event.data and await take(event.name, event.data):
                        await self._linger()
                        return
                if not data:
                    return
        except (APIConnectionError, APIResponseError) as error:
            raise self._asked.fault(error) from error
        finally:
            await self.close()

    async def error_body(self) -> bytes:
        """Return the beginning of a refusal's body, whatever becomes of the rest. Raises nothing."""
        pieces: list[bytes] = []
        with contextlib.suppress(AntiphonError):
            while (piece := await self._exchange.chunk()) and sum(map(len, pieces)) < _ERROR_BYTES:
                pieces.append(piece)
        await self.close()
        return b"".join(pieces)[:_ERROR_BYTES]

    def error_text(self, body: bytes) -> str:
        """Return a refusal as text: its status, and how its body begins."""
        text = " ".join(mask(body.decode("utf-8", "replace"), _tokens(self._asked.secrets)).split())[:200]
        return f"HTTP {self.status}" + (f", {text}" if text else "")

    def refused(self, body: bytes) -> McpError:
        """Return the error for a status that is no success."""
        asked = self._asked
        text = f'server "{asked.server}" refuses {asked.about}: {self.error_text(body)}'
        if self.status != 429 and self.status < 500:
            return McpProtocolError(
                text,
                server=asked.server,
                method=asked.about,
                status=self.status,
                hint="check that the url is that of an MCP server",
            )
        wait = self.headers.get("retry-after", "")
        return McpConnectionError(
            text,
            server=asked.server,
            method=asked.about,
            status=self.status,
            retry_after_s=float(wait) if wait.isdecimal() else None,
        )

    def is_about_the_session(self, body: bytes) -> bool:
        """Tell whether a 400 means what 404 should: that the session is not known.

        Both official SDKs answered so for long, and servers that were made after their examples do: -32000 without an
        id, "Bad Request: No valid session ID provided", "Bad Request: Server not initialized" (issue 1004 of the Python
        SDK, 2025-06, and many reports about servers in TypeScript). After a restart, no call would ever succeed.
        """
        if self.status != 400:
            return False
        with contextlib.suppress(msgspec.MsgspecError):  # it may be plain text
            if any(message.id is not None for message in jsonrpc.decode(body)):
                return False  # it has read the request, and speaks of that
        text = body.lower()
        return b"session" in text or b"not initialized" in text

    async def _linger(self) -> None:
        self._pace.ends_at = min(self._pace.ends_at, self._runtime.now() + _LINGER_S)
        with contextlib.suppress(AntiphonError):
            while await self._exchange.chunk():
                pass

    def _too_long(self) -> McpProtocolError:
        asked = self._asked
        return McpProtocolError(
            f'server "{asked.server}" answered {asked.about} with more than {asked.most_bytes} bytes',
            server=asked.server,
            method=asked.about,
            hint="raise max_message_bytes of the server",
        )


def _tokens(secrets: Iterable[Secret]) -> list[str]:
    """Return secrets as they may come back: as sent, and a bearer's token by itself."""
    return [text for secret in secrets for text in (secret.reveal(), secret.reveal().rpartition(" ")[2]) if text]
