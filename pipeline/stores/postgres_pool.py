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
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([descriptor], [], [], 0)[0])


@functools.cache
def patient_connection() -> Any:
    """Return psycopg's class of connections with a bound on the server's silence, in its attribute `patience_s`.

    libpq has none: a server that stands still is waited for without end.
    """
    import psycopg

    class PatientConnection(psycopg.Connection):
        patience_s: float | None = None

        def wait(self, gen: Any, *args: Any, **settings: Any) -> Any:
            if self.patience_s is None:
                return super().wait(gen, *args, **settings)
            try:
                return super().wait(_within(self.patience_s, gen), *args, **settings)
            except TimeoutError:
                self.close()
                raise

    return PatientConnection


def _within(limit_s: float, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Pass a generator of psycopg's on until it waits for longer than `limit_s`.

    It yields what it waits for and is sent what is ready; nothing is (0), several times a second, while all is quiet.
    """
    ready: Any = None
    quiet_since = time.monotonic()
    while True:
        try:
            wanted = steps.send(ready)
        except StopIteration as stop:
            return stop.value
        ready = yield wanted
        if ready:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > limit_s:
            raise TimeoutError(f"the server has been silent for {limit_s:g} s")
