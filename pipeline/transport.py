"""The transport: calls over a small pool of our own.

Stock async pools lose connections when calls are cancelled, and their cost grows with the requests in flight. Here
each slot is one connection that is used by one exchange at a time and is looked at by nobody else meanwhile. One rule
keeps the pool right under any cancellation: *bookkeeping is synchronous and comes before the first wait; a connection
whose exchange did not end cleanly is never looked at again, only closed*, and closing does not wait either.

The state (a `_Home`) is per event loop in async mode and per process in sync mode, where threads share it. The logic is
written once; `network.BlockingSide` and `network.LoopSide` are how the two modes wait. Which of the three ends an
exchange finds (read to its end, closed early, dropped), its permit always comes back.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any

from .address import Address, ProxyAddress, choose_proxy, environment_proxies, parse_proxy, parse_url
from .content_coding import Inflater, inflater_for
from .errors import AntiphonError, APIConnectionError, APIResponseError, SetupError
from .http import Headers, HttpRequest
from .pool import Pool
from .request_head import encode_head
from .timeouts import Pace

if TYPE_CHECKING:
    import ssl

    from .connection_faults import Situation
    from .network import BlockingSide, Link, LoopSide, Verify, Waiter
    from .request_head import Pairs

_scope: ContextVar[AbortScope | None] = ContextVar("antiphon_abort_scope", default=None)


def _close_in_process(home: _Home, pid: int) -> None:
    if pid == os.getpid():
        home.close()


class AbortScope:
    """Knows the exchanges that were opened inside of it, in this context and in copies of it, and can abort them.

    For threads that must stop other threads, whose blocked reads cannot be cancelled otherwise. Scopes nest.
    """

    def __init__(self) -> None:
        self.aborted = False
        self._outer: AbortScope | None = None
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[SlotExchange] = weakref.WeakSet()

    def __enter__(self) -> AbortScope:
        self._outer = _scope.get()
        self._token = _scope.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _scope.reset(self._token)

    def abort(self) -> None:
        """Abort the exchanges open in this scope, and those that will be opened in it. From any thread."""
        with self._lock:
            self.aborted = True
            exchanges = list(self._open)
        for exchange in exchanges:
            exchange.abort()

    def add(self, exchange: SlotExchange) -> None:
        """Take in an exchange that is about to open; aborts it when the scope is aborted already."""
        with self._lock:
            self._open.add(exchange)
            aborted = self.aborted
        if aborted:
            exchange.abort()
        if self._outer is not None:
            self._outer.add(exchange)


class SlotTransport:
    """Opens exchanges over pooled connections, HTTP/1.1 only.

    Args:
        is_async: False for sync callers, whose `drive` needs coroutines that never suspend; any number of threads
            may share the object. True for async callers; any number of event loops may.
        max_connections: open connections at most, per event loop or per process; further calls wait.
        keepalive_s: how long an unused connection is kept, seconds.
        verify: which servers to trust in TLS: True for the usual CAs, a CA file or folder, a context, or False.
        proxy: a proxy's URL for all calls, "env" for what HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY say at the
            first connection (never for this machine itself), or None for none.
        max_body_bytes: largest body that `read()` returns, and largest inflated body.

    Raises:
        SetupError: a setting is out of its range.
    """

    def __init__(
        self,
        *,
        is_async: bool,
        max_connections: int = 1000,
        keepalive_s: float = 30.0,
        verify: bool | str | ssl.SSLContext = True,
        proxy: str | None = "env",
        max_body_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        if max_connections < 1:
            raise SetupError(f"max_connections is {max_connections}; at least 1 is needed")
        if isinstance(verify, str) and not os.path.exists(verify):
            raise SetupError(f"verify={verify!r}: there is no such CA file or folder")
        self.is_async = is_async
        self.max_connections = max_connections
        self.keepalive_s = keepalive_s
        self.max_body_bytes = max_body_bytes
        self._verify = verify
        self._fixed_proxy = None if proxy is None or proxy == "env" else parse_proxy(proxy)
        self._env_proxies: Mapping[str, str] | None = None if proxy == "env" else {}
        self._lock = threading.Lock()
        self._pid = 0
        self._process_home: _Home | None = None
        # asyncio's transports hold their loop, so weak keys alone never go: the loop's own end removes its entry.
        self._homes: weakref.WeakKeyDictionary[Any, _Home] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        mode = "async" if self.is_async else "sync"
        return f"<SlotTransport {mode}, at most {self.max_connections} connections>"

    async def open(self, request: HttpRequest, pace: Pace) -> SlotExchange:
        """Send `request` and return when the head of the answer is there.

        Raises:
            APIConnectionError: no answer came; `reused_connection` and `response_started` tell more. Nothing is
                repeated here, since the host may have got the request.
            APITimeoutError: a limit of the pace ran out; limit "pool": while waiting for a free connection.
            APIResponseError: the answer's content-encoding is not known.
            InvalidParameter: a header or URL that must not be sent.
        """
        address = parse_url(request.url)
        head = encode_head(request, address)
        exchange = SlotExchange(self, self._home(), address, pace)
        scope = _scope.get()
        if scope is not None:
            scope.add(exchange)
        await exchange.begin(request, head)
        return exchange

    async def close(self) -> None:
        """Close what is open: of this process in sync mode, of the running loop else.

        Exchanges that are still being read fail. The transport may be used again.
        """
        if not self.is_async:
            with self._lock:
                home, self._process_home = self._process_home, None
        else:
            from .network import running_loop

            with self._lock:
                home = self._homes.pop(running_loop(), None)
        if home is not None:
            home.close()
            home.side.forget()

    def proxy_for(self, address: Address) -> ProxyAddress | None:
        """Return the proxy that a new connection to `address` goes through.

        Raises:
            SetupError: the environment's proxy cannot be read.
        """
        if self._fixed_proxy is not None:
            return self._fixed_proxy
        if self._env_proxies is None:
            self._env_proxies = environment_proxies()
        return choose_proxy(address, self._env_proxies) if self._env_proxies else None

    def _home(self) -> _Home:
        if not self.is_async:
            home = self._process_home
            return home if home is not None and self._pid == os.getpid() else self._new_process_home()
        from .network import running_loop

        loop = running_loop()
        found = self._homes.get(loop)
        return found if found is not None else self._new_loop_home(loop)

    def _new_process_home(self) -> _Home:
        from .network import BlockingSide

        with self._lock:
            home = self._process_home
            if home is not None:
                if self._pid == os.getpid():
                    return home
                home.forget_after_fork()
            self._pid = os.getpid()
            self._process_home = home = _Home(self, BlockingSide())
            # For programs that never close: when the transport is dropped, and at exit.
            weakref.finalize(self, _close_in_process, home, self._pid)
            return home

    def _new_loop_home(self, loop: Any) -> _Home:
        from .network import LoopSide

        side = LoopSide(loop)
        home = _Home(self, side)
        with self._lock:
            for other in [other for other in self._homes if getattr(other, "is_closed", bool)()]:
                del self._homes[other]
            self._homes[loop] = home
        dropped = weakref.finalize(self, side.post, side.forget)
        dropped.atexit = False
        homes, of_loop = weakref.ref(self._homes), weakref.ref(loop)

        def end() -> None:
            dropped.detach()
            home.close()
            known, ended = homes(), of_loop()
            if known is not None and ended is not None and known.get(ended) is home:
                del known[ended]

        side.at_end(end)
        return home


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

    def __init__(self, owner: SlotTransport, home: _Home, address: Address, pace: Pace) -> None:
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
            self._leased = False
            self._home.abandon(self._link)

    async def _take_permit(self) -> None:
        home = self._home
        with home:
            if self._aborted:
                raise self._closed_early()
            if home.pool.take():
                self._leased = True
                return
            waiter = self._waiter = home.side.waiter()
            home.pool.enqueue(waiter)
        began = monotonic()
        seconds, _ = self._pace.next_read(began)
        try:
            await waiter.wait(seconds)
        finally:
            with home:
                # Whoever took the waiter out of the queue decides: we (too late), an abort, or the giver of a permit.
                self._leased = not home.pool.withdraw(waiter) and not self._dequeued
                self._waiter = None
            self.queued_s = monotonic() - began
        if not self._leased and not self._aborted:
            from .connection_faults import timed_out

            raise timed_out(self._situation("pool", seconds), home.pool.limit)

    def _take_link(self) -> Link:
        home, key = self._home, self._address.key
        with home:
            stale = home.pool.sweep(monotonic())
            link = self._link = home.pool.pick(key)
        while link is not None and link.has_expired():
            stale.append(link)
            with home:
                home.pool.discard(link)
                link = self._link = home.pool.pick(key)
        for old in stale:
            old.close()
        if link is None:
            link = home.new_link(self._address, self._owner.proxy_for(self._address))
            with home:
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
        with home:
            self._ended = True
            if not self._leased:
                return
            self._leased = False
            link, self._link = self._link, None
            if link is not None and clean and not self._aborted:
                link.uses += 1
                link.pace = None
                home.pool.put_back(link, monotonic())
                link = None
            elif link is not None:
                home.pool.discard(link)
            home.pool.give()
        if link is not None:
            link.close()

    def _failed(self, error: BaseException) -> BaseException:
        """End the exchange; return what to raise for `error`: itself, or its meaning in our errors."""
        situation = self._situation()
        self._end(clean=False)
        if not isinstance(error, Exception):
            return error
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


class _Home:
    """The pool of one event loop or one process. `with home:` holds its lock.

    Dropped exchanges are posted to `abandoned`: a finaliser may run anywhere, even in the middle of a change of the
    pool, so it must not wait for the lock. Whoever releases the lock looks there.
    """

    __slots__ = ("_verify", "abandoned", "lock", "pool", "side")

    def __init__(self, owner: SlotTransport, side: BlockingSide | LoopSide) -> None:
        self._verify: Verify = owner._verify
        self.side = side
        self.pool: Pool[Link] = Pool(owner.max_connections, owner.keepalive_s)
        self.lock = threading.Lock()
        self.abandoned: deque[Link | None] = deque()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *exc: object) -> None:
        self.lock.release()
        if self.abandoned:
            self.reap()

    def new_link(self, address: Address, proxy: ProxyAddress | None) -> Link:
        """Make a connection; it connects when it is first sent through.

        Raises:
            SetupError: the CA certificates cannot be read, or a package for the proxy is missing.
        """
        from .network import ssl_context

        secure = address.scheme == "https" or (proxy is not None and proxy.url.startswith("https:"))
        return self.side.link(address, ssl_context(self._verify) if secure else None, proxy)

    def abandon(self, link: Link | None) -> None:
        """Take back the permit and connection of an exchange that was dropped; from any thread, at any moment."""
        self.abandoned.append(link)
        self.side.post(self.reap)

    def reap(self) -> None:
        """Do what `abandon` posted."""
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
        with self:
            idle = self.pool.clear()
            live = list(self.pool.live)
        for link in idle:
            link.close()
        for link in live:
            link.close_from_elsewhere()

    def forget_after_fork(self) -> None:
        """Close this process's copies of the descriptors; the parent's connections are not touched."""
        self.lock = threading.Lock()  # the parent's other threads may hold the old one, for ever
        for link in [*self.pool.clear(), *self.pool.live]:
            link.close()
