"""A connection of an asyncio loop, as one task reads and writes it, each time with a limit.

anyio's stream asks the selector anew for every read, and a limit there is a cancel scope with a timer of its own, which
together make more function calls than all else that an event causes. Here the loop goes on reading while an exchange
is on, and a limit is a moment that one timer looks at now and then.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpcore

from .address import is_number
from .link import has_input

_FULL_BYTES = 256 * 1024  # that have come and nobody has read: the loop stops reading then
_STAGGER_S = 0.25  # before the next address of a name is tried beside the first (RFC 8305, 5)


class AsyncioStream(asyncio.Protocol):
    """Bytes in order, of one connection at a time. What breaks it is raised as one of httpcore's exceptions.

    Made by `connect`; it reads only between `resume` and `pause`, so that a poll of the socket shows what a server does
    to an idle connection.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_over = False
        self._error: Exception | None = None
        self._is_paused = False  # reading
        self._is_full = False  # for writing
        self._waiter: asyncio.Future[bool] | None = None
        self._ends_at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(cls, host: str, port: int, local_address: str | None) -> AsyncioStream:
        """Connect to a host, by whichever of its addresses answers first. Raises OSError."""
        loop = asyncio.get_running_loop()

        async def to(address: str) -> AsyncioStream:
            local = (local_address, 0) if local_address else None
            _, stream = await loop.create_connection(cls, address, port, local_addr=local)
            return stream

        if is_number(host):
            return await to(host)
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return await _first(to, _alternating(found))

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str | None) -> None:
        """Go on in TLS. Raises OSError, of which TLS's own errors are."""
        self._transport = await self._loop.start_tls(self._transport, self, context, server_hostname=server_hostname)

    async def receive(self, wait_s: float | None) -> bytes:
        """Return what has come, at least a byte, or b"" at the end.

        Raises:
            httpcore.ReadTimeout, httpcore.ReadError: nothing came in time, or the connection broke.
        """
        if not self._pieces and not self._is_over and not await self._woken(wait_s):
            raise httpcore.ReadTimeout
        if self._pieces:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            if self._size > _FULL_BYTES:
                self.resume()
            self._size = 0
            return data
        if self._error is not None:
            raise httpcore.ReadError(self._error) from self._error
        return b""

    async def send(self, data: bytes | memoryview, wait_s: float | None) -> None:
        """Write all of `data`; the last bytes of it may still be on their way through the loop.

        Raises:
            httpcore.WriteTimeout, httpcore.WriteError: the host did not take it in time, or the connection broke.
        """
        if not self._is_over:
            self._transport.write(data)
        ends_at = None if wait_s is None else self._loop.time() + wait_s
        while self._is_full and not self._is_over:
            if not await self._woken(None if ends_at is None else ends_at - self._loop.time()):
                raise httpcore.WriteTimeout
        if self._is_over:
            raise httpcore.WriteError(self._error or "the host has closed it") from self._error

    def resume(self) -> None:
        """Read what comes."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def pause(self) -> None:
        """Leave what comes where it is."""
        if not self._is_paused and not self._is_over:
            self._is_paused = True
            self._transport.pause_reading()

    def close(self) -> None:
        """Close it, without waiting for anything; a wait in progress fails. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._is_over:
            self.connection_lost(ConnectionAbortedError())
        self._transport.abort()

    def extra(self, name: str) -> Any:
        """Return what asyncio knows of the connection by this name, e.g. "socket"; None for nothing."""
        return self._transport.get_extra_info(name)

    def has_input(self) -> bool:
        """Tell whether something has come that nobody has read, or the end. One poll of the socket."""
        return self._is_over or bool(self._pieces) or has_input(self.extra("socket"))

    # --- what asyncio calls ----------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _FULL_BYTES:
            self.pause()
        self._wake()

    def eof_received(self) -> None:
        self._is_over = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self._error = self._error or exc
        self._wake()

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._wake()

    # --- waiting ---------------------------------------------------------------------------------------------------

    async def _woken(self, wait_s: float | None) -> bool:
        """Wait until something has happened; False when that took too long."""
        if self._waiter is not None:
            raise RuntimeError("the connection is in use by another task")
        loop = self._loop
        self._waiter = waiter = loop.create_future()
        if wait_s is None:
            self._ends_at = math.inf
        else:
            self._ends_at = ends_at = loop.time() + wait_s
            timer = self._timer
            if timer is None or timer.when() > ends_at:
                if timer is not None:
                    timer.cancel()
                self._timer = loop.call_at(ends_at, self._look)
        try:
            in_time: bool = await waiter
        finally:
            self._waiter = None
        return in_time

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(True)

    def _look(self) -> None:
        """See whether somebody has waited too long; else look again when that is due."""
        self._timer = None
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        if self._loop.time() >= self._ends_at:
            waiter.set_result(False)
        else:
            self._timer = self._loop.call_at(self._ends_at, self._look)


async def _first(connect: Callable[[str], Awaitable[AsyncioStream]], addresses: list[str]) -> AsyncioStream:
    """Return the first connection that is made; an address gets a while before the next is tried beside it.

    asyncio can do that by itself, but uvloop cannot.
    """
    made: list[AsyncioStream] = []
    errors: list[OSError] = []

    async def attempt(address: str, failed: anyio.Event) -> None:
        try:
            made.append(await connect(address))
        except OSError as error:
            errors.append(error)
            failed.set()
        else:
            group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            for address in addresses:
                failed = anyio.Event()
                group.start_soon(attempt, address, failed)
                with anyio.move_on_after(_STAGGER_S):
                    await failed.wait()
    except BaseException:
        for stream in made:
            stream.close()
        raise
    for stream in made[1:]:
        stream.close()
    if made:
        return made[0]
    if len(errors) == 1:
        raise errors[0]
    raise OSError("none of its addresses can be connected to") from ExceptionGroup("connecting", errors)


def _alternating(found: list[Any]) -> list[str]:
    """Return the addresses of a name in the order that was found, the families by turns (RFC 8305, 4)."""
    families: dict[int, list[str]] = {}
    for family, _, _, _, address in found:
        families.setdefault(family, []).append(address[0])
    rounds = itertools.zip_longest(*families.values())
    return list(dict.fromkeys(address for row in rounds for address in row if address is not None))
