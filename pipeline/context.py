"""The one mutable thing of a call: its context."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from .api.params import Operation
from .api.returned import Facts
from .errors import StageError
from .http import Headers
from .reply import Attempt, Dropped, Meta, StageTime
from .signals import ParameterDropped, Signal, Sink
from .timeouts import Timeouts

if TYPE_CHECKING:
    from weakref import ReferenceType

    from .hook_queue import HookQueue
    from .request import Target
    from .runtimes.runtime import Runtime
    from .streams.event_stream import EventStream

T = TypeVar("T")

_NO_HEADERS = Headers()
_NOTHING: Mapping[str, str] = {}

# Id of the watched call inside which code runs, so that a call made there knows its parent.
surrounding: ContextVar[str | None] = ContextVar("antiphon_call", default=None)


class Owner(Protocol):
    """What a context needs of the client that runs the call."""

    def hook_failed(self, error: Exception) -> None:
        """Count and report an observer's error; never raises."""
        ...

    @property
    def hook_queue(self) -> HookQueue:
        """What hooks that run beside the call have still to do."""
        ...


class CallContext(msgspec.Struct, kw_only=True, eq=False):
    """Everything that belongs to one call and may change: ids, limits, facts, observers, stages' scratch.

    Attributes:
        id: this library's id of the call.
        runtime: the only way to wait: sockets, sleep, threads.
        drive: runs a coroutine to its end in a sync call; unused in async ones.
        timeouts: the call's time limits.
        states: what `setup` of the chain's stages made, see `state_of`.
        dry: True in `explain`: nothing is sent, stored or logged.
        started_at, ends_at: when the call began and when it must be over, on `runtime.now()`'s clock.
        parent_id: id of the watched call inside which this one was made.
        facts: what replies of this call have their `meta` from.
        tenant: whose data stores keep apart.
        trace: headers that carry the trace of whoever asked; empty for calls of this process.
        streams: those that were made for this call, each as long as somebody has it, in order.
        scratch: stages' own notes, by any key of theirs; take `lock` around read-then-write.
        cost, cost_source: what the attempts have cost so far, see `add_cost`.
        propagator: what knows the headers that carry a trace on, see `trace_headers`.
        attach: makes the span of the call, or of this tool, the current one; returns what undoes that; see `inside`.
    """

    id: str
    owner: Owner
    runtime: Runtime
    drive: Callable[[Coroutine[Any, Any, Any]], Any]
    operation: Operation
    timeouts: Timeouts
    states: dict[int, object]
    tenant: str | None = None
    trace: Mapping[str, str] = {}
    dry: bool = False
    started_at: float = 0.0
    ends_at: float = 0.0
    parent_id: str | None = None
    facts: Facts = msgspec.field(default_factory=Facts)
    lock: threading.Lock = msgspec.field(default_factory=threading.Lock)
    sinks: tuple[Sink, ...] = ()
    streams: list[ReferenceType[EventStream]] = []
    scratch: dict[Any, Any] = {}
    attempts: list[Attempt] = []
    dropped: list[Dropped] = []
    notes: list[str] = []
    target: Target | None = None
    status: int | None = None
    headers: Headers | None = None
    request_id: str | None = None
    upstream_id: str | None = None
    first_event_s: float | None = None
    cost: float | None = None
    cost_source: str | None = None
    unpriced: bool = False
    stage_times: dict[int, StageTime] | None = None
    traced_at: float = 0.0
    waited_s: float = 0.0
    propagator: Callable[[str | None], Mapping[str, str]] | None = None
    attach: Callable[[str | None], Callable[[], None]] | None = None
    _repeated_sinks: list[Sink] = []

    def __post_init__(self) -> None:
        self.started_at = self.runtime.now()
        self.ends_at = self.started_at + self.timeouts.total
        self.parent_id = surrounding.get()
        self.facts.call = self

    def __repr__(self) -> str:  # what it holds is long, and secret in part
        return f"CallContext({self.operation}, {self.id!r})"

    def time_left(self) -> float:
        """Return the seconds until the call's total limit; never below 0."""
        return max(0.0, self.ends_at - self.runtime.now())

    def state_of(self, stage: object, kind: type[T]) -> T:
        """Return what `stage.setup(scope)` made for this client and this position of the chain."""
        state: Any = self.states.get(id(stage))
        if state.__class__ is not kind and not isinstance(state, kind):
            raise StageError(
                f"stage {type(stage).__name__} asks for a state of type {kind.__name__}; "
                f"its setup returned {'None' if state is None else type(state).__name__}",
                hint="return it from setup(self, scope)",
            )
        found: T = state
        return found

    def waiting(self, host: Awaitable[T]) -> Awaitable[T]:
        """Await the host's part of a call through this, so that a traced call counts it as no stage's own time."""
        return host if self.stage_times is None else self._timed(host)

    async def _timed(self, host: Awaitable[T]) -> T:
        began = time.perf_counter()
        try:
            return await host
        finally:
            with self.lock:
                self.waited_s += time.perf_counter() - began

    def trace_stages(self) -> None:
        """Have the time of each stage noted from here on."""
        self.stage_times = {}
        self.traced_at = time.perf_counter() - (self.runtime.now() - self.started_at)

    def note_stage(self, index: int, visit: StageTime) -> None:
        """Add one visit of the stage at this index of a traced call's chain."""
        if (times := self.stage_times) is None:
            return
        with self.lock:
            before = times.get(index)
            times[index] = visit if before is None else before.joined(visit)

    def drop(self, name: str, reason: str) -> None:
        """Report that something of the call does not reach the host; the same once, however many attempts there are."""
        dropped = Dropped(name, reason)
        if dropped in self.dropped:
            return
        self.dropped.append(dropped)
        if self.sinks:
            self.emit(
                ParameterDropped(call_id=self.id, operation=self.operation, at_s=self.runtime.now(), dropped=dropped)
            )

    def add_cost(self, dollars: float | None, source: str | None) -> None:
        """Add what an attempt has cost; once it is None, unknown, the cost of the call stays unknown.

        Args:
            dollars: US dollars; None where the attempt was not free and nobody knows its price.
            source: who says so.
        """
        with self.lock:
            if dollars is None or self.unpriced:
                self.unpriced, self.cost, self.cost_source = True, None, None
                return
            self.cost = dollars if self.cost is None else self.cost + dollars
            self.cost_source = source if self.cost_source in (None, source) else "mixed"

    def trace_headers(self, tool_call_id: str | None = None) -> Mapping[str, str]:
        """Return what carries the trace of this call on to others, e.g. {"traceparent": ...}; empty when nobody traces.

        For HTTP headers, and unchanged for `params._meta` of an MCP request. Source: SEP-414 of the Model Context
        Protocol, which takes the names of W3C Trace Context.

        Args:
            tool_call_id: of the running tool that asks, so that what it causes is found below it.
        """
        return _NOTHING if self.propagator is None else self.propagator(tool_call_id)

    @contextmanager
    def inside(self, tool_call_id: str | None = None) -> Generator[None]:
        """Make this call the parent of what code of this block does: calls it makes, spans it opens.

        For code that runs after `call_next` has returned, e.g. a tool between two events of a stream. The block must
        not yield to anybody.

        Args:
            tool_call_id: of the running tool, to be the parent of spans in the call's place.
        """
        before = surrounding.get()
        surrounding.set(self.id)
        detach = None if self.attach is None else self.attach(tool_call_id)
        try:
            yield
        finally:
            if detach is not None:
                detach()
            surrounding.set(before)

    def subscribe(self, sinks: tuple[Sink, ...]) -> None:
        """Send all further signals of this call to these, once each however often one is subscribed."""
        if not self.sinks:  # the usual case
            self.sinks = sinks
            return
        with self.lock:
            new = tuple(sink for sink in sinks if sink not in self.sinks)
            self._repeated_sinks += (sink for sink in sinks if sink not in new)
            self.sinks += new

    def unsubscribe(self, sinks: tuple[Sink, ...]) -> None:
        """Take one subscription of each back."""
        if self.sinks is sinks:
            self.sinks = ()
            return
        with self.lock:
            for sink in sinks:
                if sink in self._repeated_sinks:
                    self._repeated_sinks.remove(sink)
                else:
                    self.sinks = tuple(one for one in self.sinks if one != sink)

    def note(self, text: str) -> None:
        """Tell the caller something that is no error, in a sentence; the same once."""
        if text not in self.notes:
            self.notes.append(text)

    def detached(self, total_s: float) -> CallContext:
        """Return a context for work that outlives this call: the same id, sinks and states, limits and facts anew.

        Args:
            total_s: how long the work may take, seconds from now.
        """
        return CallContext(
            id=self.id,
            owner=self.owner,
            runtime=self.runtime,
            drive=self.drive,
            operation=self.operation,
            timeouts=replace(self.timeouts, total=total_s),
            states=self.states,
            tenant=self.tenant,
            sinks=self.sinks,
            target=self.target,
            propagator=self.propagator,
            attach=self.attach,
        )

    def emit(self, signal: Signal) -> None:
        """Hand a signal to every sink. A sink's error is counted and reported, never raised here."""
        for sink in self.sinks:
            try:
                sink(signal)
            except Exception as error:
                self.owner.hook_failed(error)

    def settle(self) -> Meta:
        """Return the facts of the call at its end, which stand from then on."""
        facts = self.facts
        if facts.final is None:
            facts.final = self.meta()
            facts.call = None  # last, for another thread may ask; and so a call that has ended is let go of
        return facts.final

    def meta(self) -> Meta:
        """Return the facts of the call so far."""
        target = self.target
        meta = Meta(  # a call with more than 15 keywords costs CPython three times as much
            call_id=self.id,
            provider=target.provider if target else None,
            model=target.model if target else None,
            dialect=target.dialect.name if target else None,
            status=self.status,
            request_id=self.request_id,
            headers=_NO_HEADERS if self.headers is None else self.headers,
            attempts=tuple(self.attempts),
            dropped=tuple(self.dropped),
            notes=tuple(self.notes),
            upstream_id=self.upstream_id,
            duration_s=self.runtime.now() - self.started_at,
            first_event_s=self.first_event_s,
            cost=self.cost,
            cost_source=self.cost_source,
        )
        if (times := self.stage_times) is None:
            return meta
        return replace(meta, stages=tuple([times[index] for index in sorted(times)]))
