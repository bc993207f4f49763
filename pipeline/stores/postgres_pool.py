"""Connections to PostgreSQL: a few a process, checked before use, and never waited for without end."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from ..errors import StoreUnavailable

if TYPE_CHECKING:
    import psycopg

_PROVED_FOR_S = 30.0
"""How long an idle connection is believed in without asking: a router may forget it, and nobody is told."""


class Pool:
    """Lends connections, the one that was used last first.

    Args:
        connect: opens one.
        size: how many are lent at once, at most.
        timeout_s: how long to wait for one when all are lent, seconds.
        name: of the store, for its error.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection], *, size: int, timeout_s: float, name: str) -> None:
        self._connect = connect
        self._size = size
        self._timeout_s = timeout_s
        self._name = name
        self._free = threading.BoundedSemaphore(size)
        self._idle: list[
            tuple[psycopg.Connection, float]
        ] = []  # with the time of their last use; append, pop are atomic

    @contextlib.contextmanager
    def lend(self) -> Generator[psycopg.Connection]:
        """Lend a connection; it is closed when it comes back in the middle of something."""
        if not self._free.acquire(timeout=self._timeout_s):
            raise StoreUnavailable(
                f"{self._name}: all {self._size} connections were busy for {self._timeout_s:g} s",
                hint="open the store with a larger max_connections, or repeat it later",
            )
        try:
            connection = self._usable() or self._connect()
            try:
                yield connection
            finally:
                if not connection.closed:
                    self._take_back(connection)
        finally:
            self._free.release()

    def _usable(self) -> psycopg.Connection | None:
        """Return an idle connection that still leads to the server, None when there is none."""
        import psycopg

        while self._idle:
            try:
                connection, used = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if not _has_input(connection.fileno()):  # else the server has said goodbye
                try:
                    if time.monotonic() - used > _PROVED_FOR_S:
                        connection.execute("SELECT 1")
                    return connection
                except (psycopg.Error, TimeoutError):
                    pass
            connection.close()
        return None

    def _take_back(self, connection: psycopg.Connection) -> None:
        from psycopg.pq import TransactionStatus

        if connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()

    def close(self) -> None:
        """Close the idle connections; those that are lent go on."""
        while self._idle:
            self._idle.pop()[0].close()

    def abandon(self) -> None:
        """Give up the parent's connections in a forked child, without a word to the server that would end them."""
        nowhere = os.open(os.devnull, os.O_RDWR)
        for connection, _ in self._idle:
            os.dup2(nowhere, connection.fileno())
        os.close(nowhere)
        self.close()


def _has_input(descriptor: int) -> bool:
    return bool(_poll(descriptor, _READ, 0))


_READ, _WRITE = 1, 2
"""As psycopg's generators name them, both when they say what they wait for and when they are told what is ready."""


def _poll(descriptor: int, wanted: int, timeout_s: float) -> int:
    """Return which of reading and writing is possible; 0 when neither is before the time is up."""
    if not hasattr(select, "poll"):
        one = [descriptor]
        found = select.select(one if wanted & _READ else [], one if wanted & _WRITE else [], one, timeout_s)
        return (_READ if found[0] else 0) | (_WRITE if found[1] else 0) or (wanted if found[2] else 0)
    poll = select.poll()
    poll.register(descriptor, (select.POLLIN if wanted & _READ else 0) | (select.POLLOUT if wanted & _WRITE else 0))
    events = poll.poll(timeout_s * 1000)
    if not events:
        return 0
    is_ready = events[0][1]
    ready = (_READ if is_ready & select.POLLIN else 0) | (_WRITE if is_ready & select.POLLOUT else 0)
    return ready or wanted  # an error, which reading or writing will tell


@functools.cache
def patient_connection() -> Any:
    """Return psycopg's class of connections with a bound on the server's silence, in its attribute `patience_s`.

    libpq has none: a server that stands still is waited for without end. psycopg keeps its waiting apart from what it
    waits for, a generator that yields what it needs and is sent what is ready (psycopg 3 documentation,
    `Connection.wait`, read 2026-11).
    """
    import psycopg

    class PatientConnection(psycopg.Connection):
        patience_s: float | None = None

        def wait(self, gen: Any, *args: Any, **settings: Any) -> Any:
            if self.patience_s is None or args or settings:
                return super().wait(gen, *args, **settings)
            ready: int | None = None
            while True:
                try:
                    wanted = gen.send(ready)
                except StopIteration as stop:
                    return stop.value
                ready = _poll(self.pgconn.socket, wanted, self.patience_s)
                if not ready:
                    self.close()
                    raise TimeoutError(f"the server has been silent for {self.patience_s:g} s")

    return PatientConnection
