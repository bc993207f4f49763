"""Which revision to speak: what to send until that is agreed upon.

Revision 2026-07-28 has no handshake: `server/discover` asks what a server speaks. Older servers answer it with some
error, with nonsense, or not at all; then `initialize` follows. No single error code tells them apart (seen 2026-11:
-32601, -32602, -32000 with HTTP 400), so whatever is not a modern answer leads to `initialize`. Troubles of the network
and refused credentials say nothing about the revision.
Source: MCP specification 2026-07-28, Versioning › Backward compatibility; 2025-11-25, Lifecycle; both read 2026-08.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from . import jsonrpc
from .errors import McpAuthError, McpConnectionError, McpError, McpProtocolError, McpServerError, McpTimeoutError
from .server import LEGACY, MODERN


class Agreement(msgspec.Struct, frozen=True):
    """What was agreed upon.

    Args:
        version: the revision.
        capabilities: the server's, e.g. {"tools": {"listChanged": true}}.
        server_name: as it calls itself; "" when it did not.
        instructions: how to use it, in its own words.
    """

    version: str
    capabilities: dict[str, Any] = {}
    server_name: str = ""
    instructions: str | None = None

    @property
    def is_modern(self) -> bool:
        return self.version == MODERN


class Negotiation:
    """A dialogue with one server. Send `step` and tell how it went, until `agreement` is there.

    Args:
        server: its name, for errors.
        protocol: "auto", or the one revision that is allowed.
        known: the revision that it spoke last time.

    Attributes:
        step: what to send next.
        version: the revision to send it in.
    """

    def __init__(self, server: str, protocol: str, known: str | None = None) -> None:
        self._server = server
        self._protocol = protocol
        self._probes = 0
        self.agreement: Agreement | None = None
        legacy = protocol in LEGACY or (protocol == "auto" and known in LEGACY)
        self.step: Literal["discover", "initialize"] = "initialize" if legacy else "discover"
        self._legacy = protocol if protocol in LEGACY else LEGACY[0]

    @property
    def version(self) -> str:
        return MODERN if self.step == "discover" else self._legacy

    def answered(self, result: dict[str, Any]) -> None:
        """Take the result of the step.

        Raises:
            McpProtocolError: there is no revision that both speak.
        """
        if self.step == "discover":
            self._discovered(result)
        else:
            self._initialized(result)

    def failed(self, error: McpError) -> None:
        """Take the error of the step; choose the next one, or raise it when there is none."""
        if isinstance(error, McpServerError) and error.rpc_code == jsonrpc.UNSUPPORTED_VERSION:
            data = error.data if isinstance(error.data, dict) else {}
            self._unsupported(data.get("supported"), error)
        elif self.step == "discover" and _tells_of_the_revision(error):
            self._fall_back(error)
        else:
            raise error

    def _discovered(self, result: dict[str, Any]) -> None:
        supported = result.get("supportedVersions")
        if not isinstance(supported, list):
            self._fall_back(self._error("answered server/discover with something else"))
        elif MODERN in supported:
            self.agreement = Agreement(
                MODERN, _object(result.get("capabilities")), _name_in(result), _text(result.get("instructions"))
            )
        elif _has_legacy(supported):
            self._fall_back(self._no_common(supported))
        else:
            raise self._no_common(supported)

    def _initialized(self, result: dict[str, Any]) -> None:
        version = result.get("protocolVersion")
        if version not in LEGACY or (self._protocol != "auto" and version != self._protocol):
            raise self._no_common([version])
        info = _object(result.get("serverInfo"))
        self.agreement = Agreement(
            version,
            _object(result.get("capabilities")),
            _text(info.get("name")) or "",
            _text(result.get("instructions")),
        )

    def _unsupported(self, supported: object, error: McpError) -> None:
        known = supported if isinstance(supported, list) else []
        if self.step == "initialize":
            # A server that woke up late has answered the probe after its time, and is a modern one after all.
            if self._protocol != "auto" or self._probes:
                raise error
            self._probe_again()
        elif MODERN in known:
            if self._probes:
                raise error
            self._probe_again()
        elif not known or _has_legacy(known):
            self._fall_back(error)
        else:
            raise self._no_common(known) from error

    def _probe_again(self) -> None:
        self._probes += 1
        self.step = "discover"

    def _fall_back(self, error: McpError) -> None:
        if self._protocol == MODERN:
            raise error
        self.step = "initialize"

    def _no_common(self, theirs: list[Any]) -> McpProtocolError:
        ours = "any known revision" if self._protocol == "auto" else self._protocol
        spoken = ", ".join(str(version) for version in theirs)
        return self._error(f"speaks {spoken}, and not {ours}")

    def _error(self, text: str) -> McpProtocolError:
        return McpProtocolError(
            f'server "{self._server}" {text}',
            server=self._server,
            method="server/discover" if self.step == "discover" else "initialize",
            hint='protocol="auto" takes any revision from 2024-11-05 to 2026-07-28',
        )


def _has_legacy(versions: list[Any]) -> bool:
    return any(version in LEGACY for version in versions)


def _tells_of_the_revision(error: McpError) -> bool:
    if isinstance(error, McpConnectionError):
        # Older servers may keep silent, or fail with any status.
        return isinstance(error, McpTimeoutError) or error.status is not None
    return not isinstance(error, McpAuthError)


def _name_in(result: dict[str, Any]) -> str:
    """Return the server's name; in revision 2026-07-28 it is in a result's `_meta`."""
    info = _object(_object(result.get("_meta")).get("io.modelcontextprotocol/serverInfo"))
    return _text(info.get("name")) or _text(_object(result.get("serverInfo")).get("name")) or ""


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
