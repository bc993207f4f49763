"""A connection of any event loop that anyio knows, as one task reads and writes it; see `asyncio_stream.py`."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import anyio
import httpcore
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from ..runtimes.event_loop import step
from .link import has_input

_ATTRIBUTES: dict[str, Any] = {"socket": SocketAttribute.raw_socket, "ssl_object": TLSAttribute.ssl_object}
_CLOSED = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class AnyioStream:
    """Bytes in order, of one connection at a time. What breaks it is raised as one of httpcore's exceptions."""

    def __init__(self, stream: ByteStream) -> None:
        self._raw = self._stream = stream

    @classmethod
    async def connect(cls, host: str, port: int, local_address: str | None) -> AnyioStream:
        """Connect to a host. Raises OSError."""
        return cls(await anyio.connect_tcp(host, port, local_host=local_address))

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        """Go on in TLS. Raises OSError, of which TLS's own errors are."""
        try:
            self._stream = await TLSStream.wrap(
                self._stream,
                ssl_context=context,
                hostname=server_hostname,
                standard_compatible=False,
                server_side=False,
            )
        except (*_CLOSED, anyio.EndOfStream) as error:
            raise ConnectionAbortedError(*error.args) from error

    async def receive(self, wait_s: float | None) -> bytes:
        """Return what has come, at least a byte, or b"" at the end.

        Raises:
            httpcore.ReadTimeout, httpcore.ReadError: nothing came in time, or the connection broke.
        """
        try:
            with within(wait_s):
                return await self._stream.receive()
        except anyio.EndOfStream:
            return b""
        except _CLOSED as error:
            raise httpcore.ReadError(error) from error
        raise httpcore.ReadTimeout

    async def send(self, data: bytes | memoryview, wait_s: float | None) -> None:
        """Write all of `data`.

        Raises:
            httpcore.WriteTimeout, httpcore.WriteError: the host did not take it in time, or the connection broke.
        """
        try:
            with within(wait_s) as scope:
                await self._stream.send(data)  # type: ignore[arg-type]
        except _CLOSED as error:
            raise httpcore.WriteError(error) from error
        if scope.cancelled_caught:
            raise httpcore.WriteTimeout

    def resume(self) -> None:
        """Nothing to do: each read asks for itself."""

    def pause(self) -> None:
        """As `resume`."""

    def close(self) -> None:
        """Close it, without waiting for anything. Idempotent."""
        # anyio's streams close their socket before they first suspend (and suspend only to let others run), so one
        # step is enough; and a close that does not wait cannot be cancelled.
        with contextlib.suppress(OSError):
            step(self._raw.aclose())

    def extra(self, name: str) -> Any:
        """Return "socket" or "ssl_object"; None where there is none."""
        attribute = _ATTRIBUTES.get(name)
        return None if attribute is None else self._stream.extra(attribute, None)

    def has_input(self) -> bool:
        """Tell whether something has come that nobody has read, or the end. One poll of the socket."""
        return has_input(self.extra("socket"))


def within(wait_s: float | None) -> anyio.CancelScope:
    """Return a scope that is cancelled when so much time has passed."""
    return anyio.CancelScope() if wait_s is None else anyio.CancelScope(deadline=anyio.current_time() + wait_s)
