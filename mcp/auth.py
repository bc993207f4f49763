"""What is sent to prove who we are: a token, or what the user's own function gives."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ..pipeline.errors import SetupError
from ..pipeline.secret import Secret
from .callbacks import called
from .client_credentials import ClientCredentials, Fetch, TokenDesk

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime
    from .server import McpServer

Pairs = tuple[tuple[str, Secret], ...]


class AuthChallenge(msgspec.Struct, frozen=True):
    """How a server refused what was sent. What an OAuth flow begins with.

    Args:
        url: the server's.
        status: 401, or 403 for a scope that is missing.
        params: of its `WWW-Authenticate`, e.g. {"resource_metadata": "https://…", "scope": "read", "error": "…"}.
    """

    url: str
    status: int
    params: dict[str, str] = {}


class Credentials:
    """The headers of one connection that prove who we are. Whoever gives them is asked once, and after a refusal.

    Args:
        name: the server's, for errors.
        fetch: how to ask an authorization server.
    """

    def __init__(self, name: str, server: McpServer, runtime: Runtime, fetch: Fetch) -> None:
        self._lock = runtime.lock()
        self._known: Pairs | None = None
        self._source: Callable[[AuthChallenge | None], Awaitable[Pairs]] | None = None
        auth = server.auth
        if isinstance(auth, Secret):
            self._known = (_bearer(auth.reveal()),)
        elif isinstance(auth, ClientCredentials):
            assert server.url is not None
            desk = TokenDesk(name, server.url, auth, fetch, partial(called, runtime))
            self._source = partial(_granted, desk)
            self._known = () if desk.needs_challenge else None
        elif callable(auth):
            self._source = partial(_given, runtime, auth)
        else:
            self._known = ()
        self.can_ask = self._source is not None

    async def headers(self) -> Pairs:
        """Return what to send."""
        if self._known is None:
            await self.ask(None, None)
            assert self._known is not None
        return self._known

    async def ask(self, refused: Pairs | None, challenge: AuthChallenge | None) -> None:
        """Ask for other headers than the refused ones, unless somebody else just did."""
        async with self._lock:
            if self._known == refused:
                assert self._source is not None
                self._known = await self._source(challenge)


async def _granted(desk: TokenDesk, challenge: AuthChallenge | None) -> Pairs:
    return (_bearer(await desk.token({} if challenge is None else challenge.params)),)


async def _given(runtime: Runtime, fn: Callable[..., Any], challenge: AuthChallenge | None) -> Pairs:
    """Ask the user's function."""
    arguments = (challenge,) if _takes_argument(fn) else ()
    return _pairs(await called(runtime, fn, *arguments))


def _takes_argument(fn: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(fn).parameters.values()
    except ValueError:  # some built-ins tell nothing of theirs
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(
        each.kind in positional or each.kind is inspect.Parameter.VAR_POSITIONAL
        for each in parameters
        if each.default is inspect.Parameter.empty
    )


def _pairs(given: Any) -> Pairs:
    if given is None:
        return ()
    if isinstance(given, str | Secret):
        return (_bearer(given.reveal() if isinstance(given, Secret) else given),)
    if isinstance(given, Mapping):
        return tuple(
            [(name, value if isinstance(value, Secret) else Secret(str(value))) for name, value in given.items()]
        )
    raise SetupError(f"auth of an MCP server is {type(given).__name__}; a token or a mapping of headers is expected")


def _bearer(token: str) -> tuple[str, Secret]:
    token = token.strip()
    return "authorization", Secret(token if token[:7].lower() == "bearer " else f"Bearer {token}")


_PARAM = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


def challenge_params(header: str) -> dict[str, str]:
    """Read the parameters of a `WWW-Authenticate` header. Source: RFC 9110, section 11.6.1."""
    return {
        name.lower(): re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        for name, quoted, plain in _PARAM.findall(header)
    }
