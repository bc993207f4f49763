"""One call on a pooled connection, and the pool it borrows from.

One rule keeps the pool right under any cancellation, interrupt or drop: *bookkeeping is synchronous and comes before
the first wait; a connection whose exchange did not end cleanly is never looked at again, only closed*, and closing
does not wait either.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from ..errors import AntiphonError, APIConnectionError, APIResponseError
from ..http import Headers, HttpRequest
from ..timeouts import Pace
from .address import Address, ProxyAddress
from .content_coding import Inflater, inflater_for
from .pool import Pool
from .request_head import Pairs

if TYPE_CHECKING:
    from .blocking_link import BlockingSide
    from .connection_faults import Situation
    from .link import Link, Waiter
    from .loop_link import LoopSide
    from .tls import Verify
    from .transport import SlotTransport


class Home:
    """The pool of one event loop or one process. `with home.lock:` holds its lock.

    Dropped exchanges are posted to `abandoned`: a finaliser may run anywhere, even in the middle of a change of the
    pool, so it must not wait for the lock. Whoever releases the lock looks there.
    """

    __slots__ = ("_verify", "abandoned", "lock", "pool", "side")

    def __init__(self, owner: SlotTransport, side: BlockingSide | LoopSide) -> None:
        self._verify: Verify = owner.verify
        self.side = side
        self.pool: Pool[Link] = Pool(owner.max_connections, owner.keepalive_s)
        self.lock = threading.Lock()
        self.abandoned: deque[Link | None] = deque()

    def new_link(self, address: Address, proxy: ProxyAddress | None) -> Link:
        """Make a connection; it connects when it is first sent through.

        Raises:
            SetupError: the CA certificates cannot be read, or a package for the proxy is missing.
        """
        from .tls import ssl_context

        secure = address.scheme == "https" or (proxy is not None and proxy.url.startswith("https:"))
        return self.side.link(address, ssl_context(self._verify) if secure else None, proxy)

    def abandon(self, link: Link | None) -> None:
        """Take back the permit and connection of an exchange that was dropped; from any thread, at any moment."""
        self.abandoned.append(link)
        self.side.post(self.reap)

    def reap(self) -> None:
        """Take back what was abandoned. Never waits; costs nothing when there is nothing."""
        while self.abandoned and self.lock.acquire(blocking=False):
            try:
                if not self.abandoned:
                    return
                link = self.abandoned.popleft()
                if link is not None:
                    self.pool.discard(link)
                self.pool.give()
            finally:
                self.lock.release()
            if link is not None:
                link.close()

    def close(self) -> None:
        """Close all connections. Exchanges in progress fail, and give their permits back themselves."""
        with self.lock:
            idle = self.pool.clear()
            live = list(self.pool.live)
        self.reap()
        for link in idle:
            link.close()
        for link in live:
            link.close_from_elsewhere()

    def forget_after_fork(self) -> None:
        """Close this process's copies of the descriptors; the parent's connections are not touched."""
        self.lock = threading.Lock()  # the parent's other threads may hold the old one, for ever
        for link in [*self.pool.clear(), *self.pool.live]:
            link.close()


class SlotExchange:
    """An answer on a pooled connection, and the lease of that connection. See `http.Exchange`.

    It holds a permit of the pool, and a connection soon after, from `begin` until it ends: read to its end, closed,
    failed, aborted or dropped.
    """

    __slots__ = (
        "__weakref__",
        "_aborted",
        "_address",
        "_dequeued",
        "_ended",
        "_home",
        "_inflater",
        "_leased",
        "_link",
        "_owner",
        "_pace",
        "_waiter",
        "_whole",
        "connect_s",
        "headers",
        "queued_s",
        "status",
    )

    def __init__(self, owner: SlotTransport, home: Home, address: Address, pace: Pace) -> None:
        self.status = 0
        self.headers = Headers()
        self.queued_s = 0.0
        self.connect_s = 0.0
        self._owner = owner  # so that the connections are not closed while somebody reads
        self._home = home
        self._address = address
        self._pace = pace
        self._link: Link | None = None
        self._waiter: Waiter | None = None
        self._inflater: Inflater | None = None
        self._leased = False
        self._dequeued = False
        self._aborted = False
        self._ended = False
        self._whole = False

    def __repr__(self) -> str:
        return f"<SlotExchange with {self._address.where}, status {self.status}>"

    async def begin(self, request: HttpRequest, head: Pairs) -> None:
        """Take a connection, send the request and read the head of the answer. Raises as `SlotTransport.open`."""
        try:
            await self._take_permit()
            link = self._take_link()
            link.start(self._pace, with_body=bool(request.body))
            self.status, pairs = await link.send(request.method, self._address, head, request.body)
            self.headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs])
            if not link.uses:
                self.connect_s = link.connect_s
            if not request.streamed:
                self._pace.started()
            coding = self.headers.get("content-encoding")
            if coding is not None:
                self._inflater = inflater_for(coding, self._owner.max_body_bytes)
        except BaseException as error:
            failure = self._failed(error)
            if failure is error:
                raise
            raise failure from error

    async def chunk(self) -> bytes:
        """Return the next bytes of the body, decoded; b"" at its end, every time.

        Raises:
            APIConnectionError: reset, cut, malformed, or closed by us before its end. The connection is closed.
            APITimeoutError: a limit of the pace ran out. The connection is closed.
            APIResponseError: the body inflates to too much or cannot be decoded. The connection is closed.
        """
        inflater = self._inflater
        try:
            while True:
                if inflater is not None and (piece := inflater.take()):
                    return piece
                link = self._link
                if link is None:
                    if self._whole:
                        return b""
                    raise self._closed_early()
                data = await link.chunk()
                if data is None:
                    clean = await link.settle()
                    self._whole = True
                    self._end(clean=clean)
                    if inflater is not None:
                        inflater.end()
                    return b""
                if inflater is not None:
                    inflater.feed(data)
                elif data:
                    return data
        except BaseException as error:
            failure = self._failed(error)
            if failure is error:
                raise
            raise failure from error

    async def read(self) -> bytes:
        """Return the whole rest of the body, then give the connection back.

        Raises:
            APIResponseError: it is over `max_body_bytes`. The connection is closed.
            APIError: as `chunk`.
        """
        limit = self._owner.max_body_bytes
        announced = self.headers.get("content-length", "")
        if announced.isdecimal() and len(announced) < 20 and int(announced) > limit:
            raise self._failed(self._too_long(limit))
        pieces: list[bytes] = []
        total = 0
        while piece := await self.chunk():
            total += len(piece)
            if total > limit:
                raise self._failed(self._too_long(limit))
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def close(self) -> None:
        """Give the connection back if the rest of the body is here already, else close it. Idempotent."""
        link = self._link
        if link is None:
            return
        clean = False
        try:
            # Without waiting: the last bytes of a stream often came together with its last event.
            clean = await link.drain()
        finally:
            self._end(clean=clean)

    def abort(self) -> None:
        """Shut the socket, or stop waiting for one; from any thread. Idempotent."""
        home = self._home
        with home.lock:  # so that the connection is not another exchange's by the time it is shut
            if self._ended or self._aborted:
                return
            self._aborted = True
            if self._link is not None:
                home.side.abort(self._link)
            waiter = self._waiter
            if waiter is not None and home.pool.withdraw(waiter):
                self._dequeued = True
                home.side.post(waiter.wake)
        if home.abandoned:
            home.side.post(home.reap)

    def __del__(self) -> None:
        if self._leased:
            self._home.abandon(self._link)

    async def _take_permit(self) -> None:
        home = self._home
        with home.lock:
            if self._aborted:
                raise self._closed_early()
            if home.pool.take():
                self._leased = True
                return
            waiter = self._waiter = home.side.waiter()
            home.pool.enqueue(waiter)
        home.reap()
        began = monotonic()
        seconds, _ = self._pace.next_read(began)
        try:
            await waiter.wait(seconds)
        finally:
            with home.lock:
                # Whoever took the waiter out of the queue decides: we (too late), an abort, or the giver of a permit.
                self._leased = not home.pool.withdraw(waiter) and not self._dequeued
                self._waiter = None
            self.queued_s = monotonic() - began
        if not self._leased and not self._aborted:
            from .connection_faults import timed_out

            raise timed_out(self._situation("pool", seconds), home.pool.limit)

    def _take_link(self) -> Link:
        home, key = self._home, self._address.key
        with home.lock:
            stale = home.pool.sweep(monotonic())
            link = self._link = home.pool.pick(key)
        while link is not None and link.has_expired():
            stale.append(link)
            with home.lock:
                home.pool.discard(link)
                link = self._link = home.pool.pick(key)
        home.reap()
        for old in stale:
            old.close()
        if link is None:
            link = home.new_link(self._address, self._owner.proxy_for(self._address))
            with home.lock:
                evicted = home.pool.admit(link)
                self._link = link
            if evicted is not None:
                evicted.close()
        if self._aborted:
            raise self._closed_early()
        return link

    def _end(self, *, clean: bool) -> None:
        """Give back permit and connection; once, and without waiting."""
        home = self._home
        with home.lock:
            self._ended = True
            leased, self._leased = self._leased, False
            link, self._link = self._link, None
            if link is not None and clean and not self._aborted:
                link.uses += 1
                link.pace = None
                home.pool.put_back(link, monotonic())
                link = None
            elif link is not None:
                home.pool.discard(link)
            if leased:
                home.pool.give()
        home.reap()
        if link is not None:
            link.close()

    def _failed(self, error: BaseException) -> BaseException:
        """End the exchange; return what to raise for `error`: itself, or its meaning in our errors."""
        situation, ended_before = self._situation(), self._ended
        self._end(clean=False)
        if not isinstance(error, Exception):
            return error
        if ended_before and not isinstance(error, AntiphonError):  # somebody has closed it while it was read
            return self._closed_early()
        from .connection_faults import aborted, fault_of, kind_of  # late: the good path never needs it

        if self._aborted:
            return aborted(situation)
        if isinstance(error, AntiphonError) or (kind_of(error) is None and not isinstance(error, OSError)):
            return error
        return fault_of(error, situation)

    def _situation(self, limit: str = "", seconds: float = 0.0) -> Situation:
        from .connection_faults import Situation, limit_length

        link = self._link
        if link is None:
            return Situation(self._address.where, limit=limit or "total", limit_s=seconds)
        return Situation(
            self._address.where,
            via=link.via,
            limit=link.limit,
            limit_s=limit_length(self._pace.timeouts, link.limit),
            handshaking=link.handshaking,
            reused=link.uses > 0,
            started=link.received,
        )

    def _closed_early(self) -> APIConnectionError:
        return APIConnectionError(
            f"the answer of {self._address.where} was closed before its end", response_started=True, retryable=False
        )

    def _too_long(self, limit: int) -> APIResponseError:
        return APIResponseError(f"the answer of {self._address.where} is longer than {limit} bytes (max_body_bytes)")
