"""The transport: calls over a small pool of our own.

Stock async pools lose connections when calls are cancelled, and their cost grows with the requests in flight. Here
each slot is one connection that is used by one exchange at a time and is looked at by nobody else meanwhile.

The state (a `Home`) is per event loop in async mode, and per process in sync mode, where threads share it. The logic
is written once; `BlockingSide` and `LoopSide` are how the two modes wait.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from ..errors import SetupError
from ..http import HttpRequest
from ..timeouts import Pace
from ..wording import quoted
from . import offline
from .address import Address, ProxyAddress, choose_proxy, environment_proxies, parse_proxy, parse_url
from .request_head import encode_head
from .slot_exchange import Home, SlotExchange

if TYPE_CHECKING:
    import ssl


_scope: ContextVar[AbortScope | None] = ContextVar("antiphon_abort_scope", default=None)


def _close_in_process(home: Home, pid: int) -> None:
    if pid == os.getpid():
        home.close()


class AbortScope:
    """Knows the exchanges that were opened inside of it, in this context and in copies of it, and can abort them.

    For threads that must stop other threads, whose blocked reads cannot be cancelled otherwise. Scopes nest, but for a
    detached one, which outlives the scopes around it.
    """

    def __init__(self, *, detached: bool = False) -> None:
        self.aborted = False
        self._detached = detached
        self._outer: AbortScope | None = None
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[SlotExchange] = weakref.WeakSet()

    def __enter__(self) -> AbortScope:
        self._outer = None if self._detached else _scope.get()
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
            raise SetupError(f"max_connections is {max_connections}; at least 1 is expected")
        if isinstance(verify, str) and not os.path.exists(verify):
            raise SetupError(f"verify={quoted(verify)}: there is no such CA file or folder")
        self.is_async = is_async
        self.max_connections = max_connections
        self.keepalive_s = keepalive_s
        self.max_body_bytes = max_body_bytes
        self.verify = verify
        self._fixed_proxy = None if proxy is None or proxy == "env" else parse_proxy(proxy)
        self._env_proxies: Mapping[str, str] | None = None if proxy == "env" else {}
        self._lock = threading.Lock()
        self._pid = 0
        self._process_home: Home | None = None
        # asyncio's transports hold their loop, so weak keys alone never go: the loop's own end removes its entry.
        self._homes: weakref.WeakKeyDictionary[Any, Home] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        mode = "async" if self.is_async else "sync"
        return f"<SlotTransport {mode}, at most {self.max_connections} connections>"

    async def open(self, request: HttpRequest, pace: Pace) -> SlotExchange:
        """Send `request` and return when the head of the answer is there.

        Raises:
            APIConnectionError: no answer came; `reused_connection` and `response_started` tell more. Nothing is
                repeated here, since the host may have got the request.
            APITimeoutError: a limit of the pace ran out; limit "pool": while waiting for a free connection.
            InvalidParameter: a header or URL that must not be sent.
            NetworkForbidden: a test forbids it.
        """
        address = parse_url(request.url)
        if offline.blocks:
            offline.refuse_network(address)
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
            from ..runtimes.event_loop import running_loop

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

    def _home(self) -> Home:
        if not self.is_async:
            home = self._process_home
            return home if home is not None and self._pid == os.getpid() else self._new_process_home()
        from ..runtimes.event_loop import running_loop

        loop = running_loop()
        found = self._homes.get(loop)
        return found if found is not None else self._new_loop_home(loop)

    def _new_process_home(self) -> Home:
        from .blocking_link import BlockingSide

        with self._lock:
            home = self._process_home
            if home is not None:
                if self._pid == os.getpid():
                    return home
                home.forget_after_fork()
            self._pid = os.getpid()
            self._process_home = home = Home(self, BlockingSide())
            # For programs that never close: when the transport is dropped, and at exit.
            weakref.finalize(self, _close_in_process, home, self._pid)
            return home

    def _new_loop_home(self, loop: Any) -> Home:
        from .loop_link import LoopSide

        side = LoopSide(loop)
        home = Home(self, side)
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
