"""What can go wrong with a server.

    AntiphonError
    ├── SetupError, CallError
    │   ├── UnknownMcpServer              no server of that name; nothing was sent
    │   └── McpAddressRefused             the policy forbids the address; nothing was sent
    └── McpError                          the server was asked
        ├── McpConnectionError            it cannot be reached, died, or its answer never came
        │   └── McpTimeoutError           also a TimeoutError
        ├── McpAuthError                  401 or 403
        ├── McpProtocolError              what it says is not MCP, or no version is shared
        └── McpServerError                it answered with a JSON-RPC error

A tool that fails is none of these: that is a `ToolResult` with `is_error`.
"""

from __future__ import annotations

from typing import ClassVar

from ..pipeline.errors import AntiphonError, CallError


class UnknownMcpServer(CallError, ValueError):
    """A tool names a server that is not registered."""


class McpAddressRefused(CallError, ValueError):
    """An address that the policy forbids to connect to."""


class McpError(AntiphonError):
    """A server was asked, and no good answer came of it.

    Args:
        server: the server's name, as registered.
        method: the request's, e.g. "tools/call".
    """

    def __init__(self, message: str, *, server: str = "", method: str = "", **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.server = server
        self.method = method


class McpConnectionError(McpError):
    """The server cannot be reached, has died, or its answer never came.

    Args:
        sent: whether the server may have got the request; if not, nothing has happened there.
    """

    retries: ClassVar[bool] = True

    def __init__(self, message: str, *, sent: bool = True, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.sent = sent


class McpTimeoutError(McpConnectionError, TimeoutError):
    """A request's time ran out. The server was told, as far as its protocol has a way to.

    Args:
        limit_s: its length, seconds.
    """

    def __init__(self, message: str, *, limit_s: float = 0.0, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.limit_s = limit_s


class McpAuthError(McpError):
    """The server wants credentials, or other ones.

    Args:
        challenge: what its `WWW-Authenticate` says, e.g. {"resource_metadata": "https://…", "scope": "read"}.
    """

    def __init__(self, message: str, *, challenge: dict[str, str] | None = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.challenge = challenge or {}


class McpProtocolError(McpError):
    """What the server says is not MCP, is over a size limit, or it speaks no version that we speak."""


class McpServerError(McpError):
    """The server answered with a JSON-RPC error.

    Args:
        rpc_code: its code, e.g. -32602.
        data: what it added, as JSON.
    """

    def __init__(self, message: str, *, rpc_code: int = 0, data: object = None, **facts: object) -> None:
        super().__init__(message, **facts)  # type: ignore[arg-type]
        self.rpc_code = rpc_code
        self.data = data
