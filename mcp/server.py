"""How a server is reached, and what it may do: one frozen value per server."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import force_setattr

from ..pipeline.errors import SetupError, did_you_mean
from ..pipeline.secret import Secret
from ..pipeline.wording import quoted
from .client_credentials import ClientCredentials

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
VERSIONS = (MODERN, *LEGACY)
"""The revisions of the protocol that this client speaks, newest first."""

Answerer = Callable[[dict[str, Any]], Any]
"""A handler of a server's request: takes its `params`, returns its result, may be async."""

Auth = str | Secret | ClientCredentials | Callable[..., Any]


class McpServer(msgspec.Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """A server: exactly one of `url`, `command` and `server`, and its settings.

    Compared and hashed by identity. Values of `headers`, `env` and `auth` are kept as `Secret`.

    Args:
        url: of a server that speaks HTTP.
        command: a program that speaks over its standard input and output; started directly, never by a shell.
        args: its arguments.
        env: its environment besides HOME, LOGNAME, PATH, SHELL, TERM and USER; nothing else is handed down.
        cwd: the folder it runs in.
        server: an object of this process, see `ToolServer`.
        headers: sent with every HTTP request, to the origin of `url` only.
        auth: a bearer token; or `ClientCredentials`, or a mapping of their fields, for OAuth; or a callable that
            returns a token, or a mapping of headers, or None; it may be async. One that takes an argument gets an
            `AuthChallenge` when the server refused what was sent before, else None.
        allowed_tools: names of the tools that may be seen and called; None for all.
        timeout_s: for each request other than a tool's, seconds.
        tool_timeout_s: for one run of a tool, seconds.
        start_timeout_s: from the start of a server or connection until the protocol is agreed upon, seconds.
        protocol: "auto" finds out, else the one revision to speak, e.g. "2025-11-25".
        transport: "auto" tries Streamable HTTP, then the older HTTP+SSE; "http" and "sse" are just the one.
        allow_private: False refuses a `url` that leads to private and link-local addresses or is not encrypted; None
            and True allow it, for whoever writes a server down knows where it is. Servers that come with a call have
            False, unless their `McpServers` says otherwise.
        allow_loopback: whether `url` may lead to this machine.
        idempotent: tools that may be run again when a connection broke and nobody knows whether they ran: names, or
            True for all.
        listen: whether an HTTP server's own stream is kept open, over which it can ask and tell at any time; needs a
            background task or thread. None: when one of the handlers below is given.
        on_log: gets each log message of the server, e.g. {"level": "info", "data": …}. Must not wait.
        elicit: answers `elicitation/create`, e.g. {"action": "accept", "content": {…}}.
        sample: answers `sampling/createMessage`.
        roots: answers `roots/list`; a list of URIs will do.
        list_age_s: how long a list of tools is used at least, seconds; longer where the server says so, or tells when
            it changes. 0 asks every time where it does neither.
        max_message_bytes: the longest message taken from the server.

    Raises:
        SetupError: none or several of the three, or a setting out of its range.
    """

    url: str | None = None
    command: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str | Secret] = {}
    cwd: str | None = None
    server: Any = None
    headers: Mapping[str, str | Secret] = {}
    auth: Auth | Mapping[str, Any] | None = None
    allowed_tools: tuple[str, ...] | None = None
    timeout_s: float = 30.0
    tool_timeout_s: float = 60.0
    start_timeout_s: float = 60.0
    protocol: str = "auto"
    transport: Literal["auto", "http", "sse"] = "auto"
    allow_private: bool | None = None
    allow_loopback: bool = True
    idempotent: bool | tuple[str, ...] = ()
    listen: bool | None = None
    on_log: Callable[[dict[str, Any]], object] | None = None
    elicit: Answerer | None = None
    sample: Answerer | None = None
    roots: Answerer | tuple[str, ...] | None = None
    list_age_s: float = 60.0
    max_message_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        ways = [name for name in ("url", "command", "server") if getattr(self, name) is not None]
        if len(ways) != 1:
            raise SetupError(
                f"an MCP server has {' and '.join(ways) or 'no address'}",
                hint="give exactly one of url, command and server",
            )
        if self.url is not None and not _HTTP.match(self.url):
            raise SetupError(f"the url of an MCP server is {quoted(_shown_url(self.url))}; http(s)://… is expected")
        if self.server is not None and not is_tool_server(self.server):
            raise SetupError(
                f"a {type(self.server).__name__} is no MCP server", hint="it needs the methods list_tools and call_tool"
            )
        if self.protocol != "auto" and self.protocol not in VERSIONS:
            raise SetupError(
                f"protocol is {quoted(self.protocol)}; a revision of MCP is expected",
                hint=f'known: "auto", {", ".join(VERSIONS)}',
            )
        if self.transport not in ("auto", "http", "sse"):
            raise SetupError(f'transport is {quoted(self.transport)}; "auto", "http" or "sse" is expected')
        for name in ("timeout_s", "tool_timeout_s", "start_timeout_s", "max_message_bytes"):
            if not getattr(self, name) > 0:
                raise SetupError(f"{name} of an MCP server is {quoted(getattr(self, name))}; more than 0 is expected")
        for name in ("headers", "env"):
            values: Mapping[str, str | Secret] = getattr(self, name)
            kept = {key: value if isinstance(value, Secret) else Secret(str(value)) for key, value in values.items()}
            force_setattr(self, name, kept)
        if isinstance(self.auth, str):
            force_setattr(self, "auth", Secret(self.auth))
        elif isinstance(self.auth, Mapping):
            force_setattr(self, "auth", ClientCredentials.of(self.auth))
        for name in ("args", "allowed_tools", "idempotent", "roots"):
            if isinstance(value := getattr(self, name), list):
                force_setattr(self, name, tuple(value))

    @classmethod
    def of(cls, value: object, **settings: Any) -> McpServer:
        """Read a server: an `McpServer`, a URL, a `ToolServer`, or a mapping as in mcp.json files.

        Args:
            value: e.g. {"command": "npx", "args": [...], "env": {...}} or {"url": ..., "headers": ..., "type": "http"};
                a mapping may have this class's own fields too.
            settings: fields that are used where `value` has none of its own.

        Raises:
            SetupError: none of these. A command line as one string is refused, for it would need a shell.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            if _HTTP.match(value):
                return cls(url=value, **settings)
            raise SetupError(
                f"{quoted(value.split()[0] if value.split() else value)} is no address of an MCP server",
                hint='pass a URL, or a program as {"command": "npx", "args": [...]}',
            )
        if isinstance(value, Mapping):
            return cls(**{**settings, **_fields(value)})
        if is_tool_server(value):
            return cls(server=value, **settings)
        raise SetupError(
            f"a {type(value).__name__} is no MCP server", hint="pass a URL, a mapping, McpServer(...) or a ToolServer"
        )

    @property
    def where(self) -> str:
        """Where it is, for messages: the URL without query and credentials, the program, or the object's class."""
        if self.url is not None:
            return _shown_url(self.url)
        return self.command if self.command is not None else type(self.server).__name__

    def __repr__(self) -> str:
        shown = {
            name: value
            for name, value, default in zip(
                self.__struct_fields__, msgspec.structs.astuple(self), self.__struct_defaults__, strict=True
            )
            if value and value != default and name not in ("url", "server", "args")
        }
        if self.url is not None:
            shown = {"url": self.where, **shown}
        if self.server is not None:
            shown = {"server": self.where, **shown}
        if self.args:  # may hold tokens
            shown["args"] = f"<{len(self.args)}>"
        return f"McpServer({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def is_tool_server(value: object) -> bool:
    """Tell whether an object has what a `ToolServer` needs."""
    return callable(getattr(value, "list_tools", None)) and callable(getattr(value, "call_tool", None))


_HTTP = re.compile(r"https?://", re.IGNORECASE)
_WORDS = re.compile(r"(/[A-Za-z_-]{0,20}){0,3}")

# What mcp.json files of other programs call our fields. Sources: documentation of Claude Code, VS Code, Cursor,
# Windsurf (serverUrl) and Gemini CLI (httpUrl), from memory, 2026-11.
_ALIASES = {"serverUrl": "url", "httpUrl": "url", "type": "transport"}
_TRANSPORTS = {
    "http": "http",
    "streamable-http": "http",
    "streamable_http": "http",
    "streamableHttp": "http",
    "sse": "sse",
    "stdio": "auto",
    "auto": "auto",
}
# Concern the program whose file it is, and not how a server is reached.
_FOREIGN = frozenset({"disabled", "autoApprove", "alwaysAllow", "description", "icon", "gallery", "version", "dev"})


def _fields(value: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, given in value.items():
        field = _ALIASES.get(name, name)
        if name in _FOREIGN or given is None:
            continue
        if field not in McpServer.__struct_fields__:
            raise SetupError(
                f'"{name}" is no setting of an MCP server{did_you_mean(str(name), McpServer.__struct_fields__)}',
                hint="its settings are in docs/mcp.md",
            )
        if field == "transport":
            if given not in _TRANSPORTS:
                raise SetupError(
                    f"the {name} of an MCP server is {quoted(given)}, which is not known",
                    hint=f"known: {', '.join(_TRANSPORTS)}",
                )
            given = _TRANSPORTS[given]
        found[field] = given
    return found


def _shown_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a URL that cannot be read"
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    path = parts.path if _WORDS.fullmatch(parts.path) else "/…"  # some servers take a key in their path
    return f"{parts.scheme}://{host}{port}{path}" + ("?…" if parts.query else "")
