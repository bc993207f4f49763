"""HTTP to one server: who may be reached, and what goes with every request."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from ..pipeline.errors import AntiphonError
from ..pipeline.http import HttpRequest
from ..pipeline.network.address import parse_url
from ..pipeline.secret import Secret
from ..pipeline.timeouts import Pace, Timeouts
from .addresses import Reach
from .auth import AuthChallenge, Credentials, challenge_params
from .errors import McpAuthError, McpProtocolError
from .http_answer import Asked, HttpAnswer
from .session import Limit, timed_out

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from .server import McpServer

Headers = Sequence[tuple[str, str | Secret]]
NO_LIMIT = Limit(math.inf, math.inf)

_CONNECT_S = 10.0
_MOST_REDIRECTS = 3


class Endpoint:
    """One server's address, and how to send to it.

    Args:
        name: the server's, for errors.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime) -> None:
        assert server.url is not None
        self.name = name
        self.url = server.url
        self._runtime = runtime
        self._server = server
        self._credentials = Credentials(name, server, runtime, self._fetch)
        self._headers: Headers = tuple(server.headers.items())
        self._reach = Reach(private=server.allow_private is not False, loopback=server.allow_loopback)

    async def check(self) -> None:
        """Check that the address may be connected to.

        Raises:
            McpAddressRefused: it may not.
        """
        await self._reach.check(self.url, self._runtime)

    async def open(
        self, method: str, headers: Headers, body: bytes | None, limit: Limit, *, about: str, url: str | None = None
    ) -> HttpAnswer:
        """Send a request, and again where it was redirected on the same origin, or with newer credentials.

        Args:
            about: the protocol's method, or words for what has none; for errors.
            url: another address than the server's own; of the same origin.

        Raises:
            McpAuthError: refused, with the newest credentials too.
            McpConnectionError, McpProtocolError: no answer.
        """
        credentials = await self._credentials.headers()
        redirects, refusals = 0, set[int]()
        target = url or self.url
        while True:
            answer = await self._send(method, target, (*self._headers, *headers, *credentials), body, limit, about)
            if answer.status in (307, 308) and redirects < _MOST_REDIRECTS:
                redirects += 1
                target = await self._redirected(answer, target, about)
                if url is None:
                    self.url = target
            elif answer.status in (401, 403):
                params = challenge_params(answer.headers.get("www-authenticate", ""))
                wants_more = answer.status == 401 or params.get("error") == "insufficient_scope"
                if answer.status in refusals or not self._credentials.can_ask or not wants_more:
                    raise await self._unauthorized(answer, params, about)
                await answer.close()
                refusals.add(answer.status)  # once for each: no token that holds, and one without a scope
                challenge = AuthChallenge(url=target, status=answer.status, params=params)
                await self._credentials.ask(credentials, challenge)
                credentials = await self._credentials.headers()
            else:
                return answer

    async def _fetch(self, method: str, url: str, headers: Headers, body: bytes | None) -> tuple[int, bytes]:
        """Ask somebody else on the server's behalf, within the time of a request; return the status and the body."""
        await self._reach.check(url, self._runtime)
        seconds = self._server.timeout_s
        limit = Limit(self._runtime.now() + seconds, seconds)
        answer = await self._send(method, url, headers, body, limit, "OAuth")
        return answer.status, await answer.error_body()

    async def _send(
        self, method: str, url: str, headers: Headers, body: bytes | None, limit: Limit, about: str
    ) -> HttpAnswer:
        now = self._runtime.now()
        left = limit.ends_at - now
        if left <= 0:
            raise timed_out(self.name, about, limit)
        # A server may be silent for as long as its tool takes, so there is no limit but the whole one.
        timeouts = Timeouts(total=left, connect=_CONNECT_S, first_event=math.inf, idle=math.inf)
        pace = Pace(timeouts, ends_at=limit.ends_at, now=now, streamed=True)
        secrets = tuple([value for _, value in headers if isinstance(value, Secret)])
        asked = Asked(self.name, about, limit, self._server.max_message_bytes, secrets)
        request = HttpRequest(method, url, tuple(headers), body, streamed=True, to_tools=True)
        try:
            exchange = await self._runtime.open(request, pace)
        except AntiphonError as error:
            raise asked.fault(error) from error
        return HttpAnswer(exchange, pace, asked, self._runtime)

    async def _redirected(self, answer: HttpAnswer, url: str, about: str) -> str:
        location: str = answer.headers.get("location", "")
        target = urljoin(url, location)
        await answer.close()
        if parse_url(target).key != parse_url(url).key:
            raise McpProtocolError(
                f'server "{self.name}" redirects to {parse_url(target).where}, another origin',
                server=self.name,
                method=about,
                hint="use that address yourself, if you trust it",
            )
        return target

    async def _unauthorized(self, answer: HttpAnswer, params: dict[str, str], about: str) -> McpAuthError:
        text = answer.error_text(await answer.error_body())
        return McpAuthError(
            f'server "{self.name}" refuses {about}: {text}',
            server=self.name,
            method=about,
            status=answer.status,
            challenge=params,
            hint="pass auth= with a token, ClientCredentials, or a function that gets one from what the server says",
        )
