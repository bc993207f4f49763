"""What is sent to prove who we are: a token, or what the user's own function gives."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from ..pipeline.errors import SetupError
from ..pipeline.secret import Secret
from .callbacks import called

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
    """The headers of one connection that prove who we are. A function is asked once, and again after a refusal."""

    def __init__(self, server: McpServer, runtime: Runtime) -> None:
        self._auth = server.auth
        self._runtime = runtime
        self._lock = runtime.lock()
        self._known: Pairs | None = None
        self.can_ask = callable(server.auth)
        if isinstance(server.auth, Secret):
            self._known = (_bearer(server.auth.reveal()),)
        elif server.auth is None:
            self._known = ()

    async def headers(self) -> Pairs:
        """Return what to send."""
        if self._known is None:
            await self.ask(None, None)
            assert self._known is not None
        return self._known

    async def ask(self, refused: Pairs | None, challenge: AuthChallenge | None) -> None:
        """Ask the user's function for other headers than the refused ones, unless somebody else just did."""
        async with self._lock:
            if self._known == refused:
                assert callable(self._auth)
                arguments = (challenge,) if _takes_argument(self._auth) else ()
                self._known = _pairs(await called(self._runtime, self._auth, *arguments))


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
