"""HTTP as values, and what a transport must do. No HTTP library is named here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import msgspec

from .secret import Secret
from .timeouts import Pace


class HttpRequest(msgspec.Struct, frozen=True):
    """One request, ready to be sent.

    Args:
        method: "POST", "GET", "DELETE".
        url: absolute; never carries a credential.
        headers: name and value pairs in order; a `Secret` value is revealed only by the transport.
        body: the exact bytes to send, or None.
        streamed: whether the answer is asked for as an event stream.
        to_tools: whether it goes to a server of tools and not to a model's host, for which a script may stand.
    """

    method: str
    url: str
    headers: tuple[tuple[str, str | Secret], ...] = ()
    body: bytes | None = None
    streamed: bool = False
    to_tools: bool = False


class Headers(Mapping[str, str]):
    """Response headers: names in lower case; the values of a repeated name joined by ", "."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        values: dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            values[name] = f"{values[name]}, {value}" if name in values else value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def get(self, name: str, default: Any = None) -> Any:
        return self._values.get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Cookies are credentials too.
        shown = {name: "***" if name == "set-cookie" else value for name, value in self._values.items()}
        return f"Headers({shown})"


class Exchange(Protocol):
    """An answer whose head has come. Whoever opened it must read it to the end or close it.

    In a sync call the coroutines of these methods block and never suspend.
    """

    status: int
    headers: Headers
    queued_s: float
    """Seconds spent waiting for a free connection."""
    connect_s: float
    """Seconds spent connecting; 0.0 on a reused connection."""

    async def chunk(self) -> bytes:
        """Return the next bytes of the body, content decoding undone; b"" at the end, every time.

        Raises:
            APIConnectionError: reset, cut or malformed. The connection is closed.
            APITimeoutError: a limit of the pace ran out. The connection is closed.
            APIResponseError: the body is over the size limit or cannot be decoded. The connection is closed.
        """
        ...

    async def read(self) -> bytes:
        """Return the whole rest of the body, then give the connection back. Raises as `chunk`."""
        ...

    async def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it. Idempotent."""
        ...

    def abort(self) -> None:
        """Shut the socket down from any thread; a read in progress fails. Idempotent."""
        ...


class Transport(Protocol):
    """Opens exchanges. One object serves one mode (sync, or async over any number of event loops)."""

    async def open(self, request: HttpRequest, pace: Pace) -> Exchange:
        """Send `request` and return when the head of the answer is there.

        Raises:
            APIConnectionError: nothing (whole) came back; `reused_connection` and `response_started` tell more.
            APITimeoutError: a limit of the pace ran out.
            InvalidParameter: a header or URL that must not be sent (control characters); its value is not shown.
        """
        ...

    async def close(self) -> None:
        """Close what is open. In async mode: of the running loop."""
        ...
