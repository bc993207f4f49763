"""The engine runs chains: it owns runtimes, connection pools, built chains and stages' states, and closes them."""

from __future__ import annotations

import inspect
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from .api.params import Operation
from .build import Built
from .call_options import split_keywords
from .caller import NOBODY, Caller
from .context import CallContext
from .errors import AntiphonError, InvalidParameter, SetupError
from .hook_queue import FLUSH_S, Hook, HookQueue, is_async, wants_stage_times
from .reply import Dropped, Reply
from .request import Handler, Request
from .runtimes.async_runtime import AsyncRuntime
from .runtimes.driver import Portal, drive
from .runtimes.runtime import Runtime
from .runtimes.sync_runtime import SyncRuntime
from .runtimes.tasks import LoopTask, ThreadTask
from .secret import mask
from .signals import Sink
from .stage import Option, Stage
from .streams.event_stream import EventStream
from .timeouts import Timeouts
from .watch import watch
from .wording import quoted

if TYPE_CHECKING:
    from .chain import Chain, ChainKey
    from .http import Transport

T = TypeVar("T")

_CLOSE_WAIT_S = 5.0  # for threads of ours to end, whose connections have been shut


class Engine:
    """Runs chains for one owner. Safe to share between threads and event loops.

    Args:
        timeouts: the limits of calls that do not bring their own.
        transport: the user's own httpx (or compatible) client, for sync or for async calls, or a `Transport`, or what
            has one for each mode, `of_mode(is_async)`; never closed here.
        hooks: functions that get the signals of every call.
        hook_limit: signals that may wait for hooks which run beside their calls.
        tenant: whose data stores keep apart.
        blocking: how sync calls run async stages: "step" drives them in place, "portal" runs them on an event loop in
            a thread of its own, so that stages may await foreign async libraries.
        network: settings of the connection pools: max_connections, keepalive_s, verify, proxy.
        resources: what stages may use, by name; what of it is None was not given.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts = Timeouts(),  # noqa: B008  frozen
        transport: object = None,
        hooks: Iterable[Hook] = (),
        hook_limit: int = 1000,
        tenant: str | None = None,
        blocking: Literal["step", "portal"] = "step",
        network: dict[str, Any] | None = None,
        resources: Mapping[str, object] | None = None,
    ) -> None:
        if blocking not in ("step", "portal"):
            raise SetupError(f'blocking is {quoted(blocking)}; "step" or "portal" is expected')
        self.timeouts = Timeouts.of(timeouts)
        self.tenant = tenant
        self.resources: Mapping[str, object] = {
            name: thing for name, thing in (resources or {}).items() if thing is not None
        }
        self.hooks = _checked_hooks(hooks)
        self.settings: dict[str, Any] = {  # of which another process can make an engine like this one
            "timeouts": self.timeouts,
            "transport": transport,
            "hooks": self.hooks,
            "hook_limit": hook_limit,
            "tenant": tenant,
            "blocking": blocking,
            "network": network,
            "resources": self.resources,
        }
        self.blocking = blocking
        self.hook_errors = 0
        self._network = network or {}
        self._given = transport
        self._lock = threading.RLock()
        self._transports: dict[bool, Transport] = {}
        self._sync = SyncRuntime(lambda: self._transport(False))
        self._async = AsyncRuntime(lambda: self._transport(True))
        self._hook_queue: HookQueue | None = None
        self._hook_limit = hook_limit
        self._sinks = {runtime.is_async: self._sinks_of(self.hooks, runtime) for runtime in (self._sync, self._async)}
        self._wants_times = any(map(wants_stage_times, self.hooks))
        self._built: dict[int, tuple[weakref.ref[ChainKey], Built]] = {}
        self._shared: dict[str, Any] = {}
        self._closers: list[Callable[[], object]] = []
        self._portal: Portal | None = None
        # Fresh ones, each of a random part of this engine and a running number.
        self.call_ids: Iterator[str] = map(f"call_{os.urandom(6).hex()}%06x".__mod__, itertools.count(1))
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether it runs no more calls."""
        return self._closed

    # --- running ---------------------------------------------------------------------------------------------------

    def run(
        self,
        chain: Chain,
        operation: Operation,
        keywords: dict[str, Any],
        dropped: Iterable[Dropped] = (),
        caller: Caller = NOBODY,
    ) -> Reply:
        """Run a chain for one operation (sync)."""
        if self.blocking == "portal":
            portal = self._open_portal()
            handler, request, sinks = self._prepare(chain, operation, keywords, self._async, portal.run, caller)
            request.context.dropped += dropped
            return portal.run(_finish(handler, request, sinks, sync=True))
        handler, request, sinks = self._prepare(chain, operation, keywords, self._sync, drive, caller)
        request.context.dropped += dropped
        return drive(_finish(handler, request, sinks, sync=True))

    async def arun(
        self,
        chain: Chain,
        operation: Operation,
        keywords: dict[str, Any],
        dropped: Iterable[Dropped] = (),
        caller: Caller = NOBODY,
    ) -> Reply:
        """Run a chain for one operation (async)."""
        handler, request, sinks = self._prepare(chain, operation, keywords, self._async, _not_sync, caller)
        request.context.dropped += dropped
        return await _finish(handler, request, sinks, sync=False)

    def sleep(self, seconds: float) -> None:
        """Wait (sync)."""
        drive(self._sync.sleep(seconds))

    async def asleep(self, seconds: float) -> None:
        """Wait (async)."""
        await self._async.sleep(seconds)

    def runtime(self, *, is_async: bool) -> Runtime:
        """Return the runtime of one mode, for work that is no chain."""
        return self._async if is_async else self._sync

    def blocking_mode(self) -> tuple[Runtime, Callable[[Coroutine[Any, Any, T]], T]]:
        """Return the runtime of sync calls, and what runs a coroutine of it to its end."""
        return (self._async, self._open_portal().run) if self.blocking == "portal" else (self._sync, drive)

    def dry_run(self, chain: Chain, keywords: dict[str, Any]) -> Request:
        """Return a request whose context says that nothing may be sent, stored or logged."""
        _, request, _ = self._prepare(chain, "create", keywords, self._sync, drive, dry=True)
        return request

    def _prepare(
        self,
        chain: Chain,
        operation: Operation,
        keywords: dict[str, Any],
        runtime: Runtime,
        driver: Callable[[Coroutine[Any, Any, Any]], Any],
        caller: Caller = NOBODY,
        *,
        dry: bool = False,
    ) -> tuple[Handler, Request, tuple[Sink, ...]]:
        built = self._build(chain)
        params, options = split_keywords(operation, keywords, built.options, chain.name)
        timeout = options.get("timeout")
        context = CallContext(
            id=caller.call_id or next(self.call_ids),
            owner=self,
            runtime=runtime,
            drive=driver,
            operation=operation,
            timeouts=self.timeouts if timeout is None else Timeouts.of(timeout),
            states=built.states,
            tenant=self.tenant if caller.tenant is None else caller.tenant,
            trace=caller.trace,
            dry=dry,
        )
        request = Request(operation=operation, params=params, options=options, context=context)
        handler = built.handler
        sinks, wants_times = self._sinks[runtime.is_async], self._wants_times or built.wants_stage_times
        if "hooks" in options:
            hooks = options["hooks"]
            if self.hooks:  # one that hears of every call is not told of this one twice
                hooks = [hook for hook in hooks if hook not in self.hooks]
            for hook in hooks:
                if hook.__class__ is not FunctionType or is_async(hook):
                    sinks = (*sinks, *self._sinks_of(_checked_hooks(hooks), runtime))
                    wants_times = wants_times or any(map(wants_stage_times, hooks))
                    break
            else:  # the usual ones
                sinks = (*sinks, *hooks)
        if wants_times or options.get("trace"):
            context.trace_stages()
            handler = built.traced
        return handler, request, sinks

    def _sinks_of(self, hooks: tuple[Hook, ...], runtime: Runtime) -> tuple[Sink, ...]:
        return tuple([self.hook_queue.sink(hook, runtime) for hook in hooks])

    def _build(self, chain: Chain) -> Built:
        key = chain.key
        found = self._built.get(id(key))
        if found is not None and found[0]() is key:
            return found[1]
        with self._lock:
            if self._closed:
                raise SetupError("this client is closed", hint="make a new antiphon.Client()")
            found = self._built.get(id(key))
            if found is not None and found[0]() is key:
                return found[1]
            options = chain.options
            built = Built(chain, options, lambda position: _Scope(self, position, options))
            place = id(key)
            self._built[place] = (weakref.ref(key, lambda _: self._built.pop(place, None)), built)
            return built

    # --- what contexts and scopes ask for --------------------------------------------------------------------------

    def hook_failed(self, error: Exception) -> None:
        """Count an observer's error; the first one is reported by a warning of the logger "antiphon"."""
        self.hook_errors += 1
        if self.hook_errors == 1:
            import logging

            said = mask(repr(error))
            logging.getLogger("antiphon").warning("a hook failed: %s; further failures are only counted", said)

    @property
    def hook_queue(self) -> HookQueue:
        """What hooks that run beside their calls have still to do."""
        if self._hook_queue is None:
            with self._lock:
                if self._hook_queue is None:
                    self._hook_queue = HookQueue(self._hook_limit, self.hook_failed, self._open_portal)
        return self._hook_queue

    @property
    def hook_drops(self) -> int:
        """How many signals never reached the hook that they were queued for."""
        return 0 if self._hook_queue is None else self._hook_queue.dropped

    def flush(self, timeout_s: float = FLUSH_S) -> bool:
        """Block until hooks that run in threads have done what is queued now; return whether they have."""
        if self._hook_queue is None:
            return True
        if self.blocking == "portal" and self._portal is not None:
            self._portal.run(self._aflush_within(timeout_s))
        return self._hook_queue.flush(timeout_s)

    async def aflush(self) -> None:
        """Wait until all hooks, those on the running event loop too, have done what is queued now."""
        if self._hook_queue is not None:
            await self._hook_queue.aflush(self._async)

    async def _aflush_within(self, timeout_s: float) -> None:
        await self._async.race([self.aflush, lambda: self._async.sleep(timeout_s)])

    def shared(self, key: str, make: Callable[[], T]) -> T:
        """Return the engine's one object of this key.

        One that has a `close` method is closed with the engine. One that has `aclose(runtime)` too closes by it, in
        `aclose`, what it holds of the running event loop.
        """
        with self._lock:
            if key not in self._shared:
                made = self._shared[key] = make()
                close = getattr(made, "close", None)
                if callable(close):
                    self._closers.append(close)
            value: T = self._shared[key]
            return value

    def on_close(self, fn: Callable[[], object]) -> None:
        """Call blocking `fn` when the engine closes."""
        self._closers.append(fn)

    def _transport(self, is_async: bool) -> Transport:
        found = self._transports.get(is_async)
        if found is not None:
            return found
        with self._lock:
            if is_async not in self._transports:
                self._transports[is_async] = self._make_transport(is_async)
            return self._transports[is_async]

    def _make_transport(self, is_async: bool) -> Transport:
        if self._given is not None:
            if (of_mode := getattr(self._given, "of_mode", None)) is not None:
                return cast("Transport", of_mode(is_async))
            if hasattr(self._given, "open"):
                return cast("Transport", self._given)
            from .network.httpx_client import HttpxTransport

            return HttpxTransport(cast(Any, self._given), is_async=is_async)
        from .network.transport import SlotTransport

        return SlotTransport(is_async=is_async, **self._network)

    def _open_portal(self) -> Portal:
        with self._lock:
            if self._portal is None:
                self._portal = Portal()
            return self._portal

    # --- closing ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close everything that sync calls and stages opened. Idempotent; the engine cannot run calls afterwards."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._hook_queue is not None:
            self._hook_queue.close()
        with self._lock:
            closers, self._closers = self._closers[::-1], []
            transport, portal = self._transports.get(False), self._portal
            self._built.clear()
        left = [*self._sync.tasks.cancel(), *self._async.tasks.cancel()]
        for task in left:
            if isinstance(task, ThreadTask):
                task.join(_CLOSE_WAIT_S)
        for closer in closers:
            closer()
        if transport is not None and self._given is None:
            drive(transport.close())
        if portal is not None:
            pool = self._transports.get(True)
            if pool is not None and self._given is None:
                portal.run(pool.close())
            portal.close()

    async def aclose(self) -> None:
        """Close everything, the running event loop's connections included. Idempotent."""
        if self._hook_queue is not None:
            await self._aflush_within(FLUSH_S)
        for task in self._async.tasks.cancel():
            if isinstance(task, LoopTask) and task.is_here:
                await task.wait()
        for thing in list(self._shared.values()):
            leave: Any = getattr(thing, "aclose", None)
            if leave is not None:
                await leave(self._async)
        pool = self._transports.get(True)
        if pool is not None and self._given is None:
            await pool.close()
        await self._async.call(self.close)


async def _finish(handler: Handler, request: Request, sinks: tuple[Sink, ...], *, sync: bool) -> Reply:
    """Run the chain; give every reply and every error the facts of the call, and a stream its way of being read."""
    context = request.context
    try:
        reply = await (watch(request, handler, sinks, is_whole=True) if sinks else handler(request))
    except BaseException as error:
        meta = context.settle()
        if isinstance(error, AntiphonError) and error.meta is None:
            error.meta = meta
        raise
    if isinstance(reply, EventStream):
        reply.leave(sync=sync)
        return reply
    context.settle()
    return reply if reply.facts is not None else reply.with_facts(context.facts)


def _not_sync(coroutine: Coroutine[Any, Any, Any]) -> Any:
    coroutine.close()
    raise SetupError(
        "this stream came from an async call", hint="use `async for`, `await stream.auntil_done()`, `aclose`"
    )


def _checked_hooks(hooks: Iterable[Hook]) -> tuple[Hook, ...]:
    found: tuple[Any, ...] = tuple(hooks)
    for hook in found:
        if not callable(hook) or inspect.isclass(hook) or isinstance(hook, Stage):
            what = f"the class {hook.__name__}" if inspect.isclass(hook) else type(hook).__name__
            raise InvalidParameter(
                f"hooks holds {what}; functions of one signal are expected",
                param="hooks",
                hint="a stage goes into the chain: presets.responses.before(0, ...)"
                if isinstance(hook, Stage)
                else None,
            )
    return found


class _Scope:
    """One position of one chain on one engine."""

    __slots__ = ("on_close", "options", "position", "resources", "shared", "tenant")

    def __init__(self, engine: Engine, position: str, options: Mapping[str, Option]) -> None:
        self.position = position
        self.options = options
        self.tenant = engine.tenant
        self.resources: Mapping[str, object] = engine.resources
        self.shared = engine.shared
        self.on_close = engine.on_close
