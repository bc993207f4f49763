"""HTTP to one server: who may be reached, what goes with every request, and what a refusal means."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ..pipeline.address import parse_url
from ..pipeline.errors import AntiphonError, APIConnectionError, APIResponseError, APITimeoutError
from ..pipeline.http import Exchange, HttpRequest
from ..pipeline.secret import Secret, mask
from ..pipeline.sse import SSEDecoder, full_events
from ..pipeline.timeouts import Pace, Timeouts
from .addresses import Reach
from .auth import AuthChallenge, Credentials, challenge_params
from .errors import McpAuthError, McpConnectionError, McpError, McpProtocolError
from .session import Limit, timed_out

if TYPE_CHECKING:
    from ..pipeline.runtime import Runtime
    from .server import McpServer

Headers = Sequence[tuple[str, str | Secret]]
NO_LIMIT = Limit(math.inf, math.inf)

_CONNECT_S = 10.0
_MOST_REDIRECTS = 3
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


class Endpoint:
    """One server's address, and how to send to it.

    Args:
        name: the server's, for errors.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime) -> None:
        assert server.url is not None
        self.name = name
        self.url = server.url
        self.runtime = runtime
        self._server = server
        self._credentials = Credentials(server, runtime)
        self._secrets = [value for value in server.headers.values() if isinstance(value, Secret)]
        self._reach = Reach(private=server.allow_private is not False, loopback=server.allow_loopback)

    async def check(self) -> None:
        """Check that the address may be connected to.

        Raises:
            McpAddressRefused: it may not.
        """
        await self._reach.check(self.url, self.runtime)

    async def open(
        self, method: str, headers: Headers, body: bytes | None, limit: Limit, *, about: str, url: str | None = None
    ) -> Exchange:
        """Send a request, and again where it was redirected on the same origin, or with newer credentials.

        Args:
            about: the method of the protocol, for errors.
            url: another address than the server's own; of the same origin.

        Raises:
            McpAuthError: refused, with the newest credentials too.
            McpConnectionError, McpProtocolError: no answer.
        """
        credentials = await self._credentials.headers()
        redirects, asked = 0, False
        target = url or self.url
        while True:
            exchange = await self._send(method, target, (*headers, *credentials), body, limit, about)
            if exchange.status in (307, 308) and redirects < _MOST_REDIRECTS:
                redirects += 1
                target = await self._redirected(exchange, target, about)
                if url is None:
                    self.url = target
            elif exchange.status in (401, 403):
                challenge = AuthChallenge(
                    url=target,
                    status=exchange.status,
                    params=challenge_params(exchange.headers.get("www-authenticate", "")),
                )
                wants_more = exchange.status == 401 or challenge.params.get("error") == "insufficient_scope"
                if asked or not self._credentials.can_ask or not wants_more:
                    raise await self._unauthorized(exchange, challenge, about)
                await exchange.close()
                asked = True
                await self._credentials.ask(credentials, challenge)
                credentials = await self._credentials.headers()
            else:
                return exchange

    async def _send(
        self, method: str, url: str, headers: Headers, body: bytes | None, limit: Limit, about: str
    ) -> Exchange:
        now = self.runtime.now()
        left = limit.ends_at - now
        if left <= 0:
            raise timed_out(self.name, about, limit)
        timeouts = Timeouts(total=left, connect=_CONNECT_S, first_event=math.inf, idle=math.inf)
        pace = Pace(timeouts, ends_at=limit.ends_at, now=now, streamed=True)
        own = tuple([(name, value) for name, value in self._server.headers.items()])
        request = HttpRequest(method, url, (*own, *headers), body, streamed=True)
        try:
            return _Paced(await self.runtime.open(request, pace), pace)
        except AntiphonError as error:
            raise self.fault(error, about, limit) from error

    async def _redirected(self, exchange: Exchange, url: str, about: str) -> str:
        target = urljoin(url, exchange.headers.get("location", ""))
        await exchange.close()
        if parse_url(target).key != parse_url(url).key:
            raise McpProtocolError(
                f'server "{self.name}" redirects to {parse_url(target).where}, another origin',
                server=self.name,
                method=about,
                hint="use that address yourself, if you trust it",
            )
        return target

    async def _unauthorized(self, exchange: Exchange, challenge: AuthChallenge, about: str) -> McpAuthError:
        text = await self.error_text(exchange)
        return McpAuthError(
            f'server "{self.name}" refuses {about}: {text}',
            server=self.name,
            method=about,
            status=exchange.status,
            challenge=challenge.params,
            hint="pass auth= with a token, or a function that gets one from what the server's challenge says",
        )

    async def read(self, exchange: Exchange, about: str, limit: Limit, most: int | None = None) -> bytes:
        """Return the whole body.

        Raises:
            McpProtocolError: it is longer than the server's `max_message_bytes`, or `most`; the exchange is closed.
        """
        most = most or self._server.max_message_bytes
        pieces: list[bytes] = []
        total = 0
        try:
            while piece := await exchange.chunk():
                total += len(piece)
                if total > most:
                    raise self.too_long(about)
                pieces.append(piece)
        except APIConnectionError as error:
            raise self.fault(error, about, limit) from error
        finally:
            await exchange.close()
        return b"".join(pieces)

    async def error_body(self, exchange: Exchange) -> bytes:
        """Return the beginning of a refusal's body, whatever becomes of the rest."""
        pieces: list[bytes] = []
        with contextlib.suppress(AntiphonError):
            while (piece := await exchange.chunk()) and sum(map(len, pieces)) < _ERROR_BYTES:
                pieces.append(piece)
        await exchange.close()
        return b"".join(pieces)[:_ERROR_BYTES]

    async def error_text(self, exchange: Exchange, body: bytes | None = None) -> str:
        """Return a refusal as text: its status, and how its body begins."""
        body = await self.error_body(exchange) if body is None else body
        text = " ".join(mask(body.decode("utf-8", "replace"), self._secrets).split())[:200]
        return f"HTTP {exchange.status}" + (f", {text}" if text else "")

    async def read_events(
        self,
        exchange: Exchange,
        cursor: Cursor,
        take: Callable[[str, bytes], Awaitable[bool]],
        about: str,
        limit: Limit,
    ) -> None:
        """Read an event stream until it ends or `take`, which gets each event's name and data, returns True.

        Raises:
            McpConnectionError: it broke. The exchange is closed, as always.
            McpProtocolError: an event was too long.
        """
        decoder = SSEDecoder(self._server.max_message_bytes)
        try:
            while True:
                data = await exchange.chunk()
                for event in full_events(decoder.whole(data) if data else decoder.rest()):
                    cursor.events += 1
                    if event.id is not None:
                        cursor.last_id = event.id or None
                    if event.retry_ms is not None:
                        cursor.retry_s = event.retry_ms / 1000
                    if event.data and await take(event.name, event.data):
                        await self._linger(exchange)
                        return
                if not data:
                    return
        except (APIConnectionError, APIResponseError) as error:
            raise self.fault(error, about, limit) from error
        finally:
            await exchange.close()

    async def _linger(self, exchange: Exchange) -> None:
        assert isinstance(exchange, _Paced)
        exchange.pace.ends_at = min(exchange.pace.ends_at, self.runtime.now() + _LINGER_S)
        with contextlib.suppress(AntiphonError):
            while await exchange.chunk():
                pass

    def fault(self, error: AntiphonError, about: str, limit: Limit) -> AntiphonError:
        """Return what an error of the transport means here."""
        if isinstance(error, APITimeoutError) and error.limit == "total":
            return timed_out(self.name, about, limit)
        if isinstance(error, APIConnectionError):
            return McpConnectionError(
                f'server "{self.name}": {error.message}',
                sent=error.request_sent,
                server=self.name,
                method=about,
                hint=error.hint if error.request_sent else "check that the server runs and its url is right",
            )
        if isinstance(error, APIResponseError):
            return McpProtocolError(f'server "{self.name}": {error.message}', server=self.name, method=about)
        return error

    def too_long(self, about: str) -> McpProtocolError:
        """Return the error for a message over the limit."""
        return McpProtocolError(
            f'server "{self.name}" answered {about} with more than {self._server.max_message_bytes} bytes',
            server=self.name,
            method=about,
            hint="raise max_message_bytes of the server",
        )

    async def refused(self, exchange: Exchange, about: str, body: bytes | None = None) -> McpError:
        """Return the error for a status that is no success."""
        text = f'server "{self.name}" refuses {about}: {await self.error_text(exchange, body)}'
        status = exchange.status
        if status == 429 or status >= 500:
            wait = exchange.headers.get("retry-after", "")
            return McpConnectionError(
                text,
                server=self.name,
                method=about,
                status=status,
                retry_after_s=float(wait) if wait.isdecimal() else None,
            )
        return McpProtocolError(text, server=self.name, method=about, status=status)


class _Paced:
    """An exchange with its pace, whose end may be drawn nearer."""

    __slots__ = ("_exchange", "abort", "chunk", "close", "connect_s", "headers", "pace", "queued_s", "read", "status")

    def __init__(self, exchange: Exchange, pace: Pace) -> None:
        self._exchange = exchange
        self.pace = pace
        self.status, self.headers = exchange.status, exchange.headers
        self.queued_s, self.connect_s = exchange.queued_s, exchange.connect_s
        self.chunk, self.read, self.close, self.abort = exchange.chunk, exchange.read, exchange.close, exchange.abort
