"""The one mutable thing of a call: its context."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from msgspec.structs import replace

from .errors import StageError
from .http import Headers
from .params import Operation
from .reply import Attempt, Dropped, Meta, StageTime
from .signals import Signal, Sink
from .timeouts import Timeouts

if TYPE_CHECKING:
    from .request import Target
    from .runtime import Runtime

T = TypeVar("T")

_NO_HEADERS = Headers()


class Owner(Protocol):
    """What a context needs of the client that runs the call."""

    def hook_failed(self, error: Exception) -> None:
        """Count and report an observer's error; never raises."""
        ...

    def next_call_id(self) -> str:
        """Return a fresh call id."""
        ...


class CallContext:
    """Everything that belongs to one call and may change: ids, limits, facts, observers, stages' scratch.

    Attributes:
        runtime: the only way to wait: sockets, sleep, threads.
        timeouts: the call's time limits.
        ends_at: when the call must be over, on `runtime.now()`'s clock.
        dry: True in `explain`: nothing is sent, stored or logged.
        scratch: stages' own notes, by any key of theirs; take `lock` around read-then-write.
        drive: runs a coroutine to its end in a sync call; unused in async ones.
    """

    __slots__ = (
        "_id",
        "attempts",
        "drive",
        "dropped",
        "dry",
        "ends_at",
        "first_event_s",
        "headers",
        "lock",
        "notes",
        "operation",
        "owner",
        "request_id",
        "runtime",
        "scratch",
        "sinks",
        "stage_times",
        "started_at",
        "states",
        "status",
        "target",
        "timeouts",
        "upstream_id",
        "waited_s",
    )

    def __init__(
        self,
        *,
        owner: Owner,
        runtime: Runtime,
        drive: Callable[[Coroutine[Any, Any, Any]], Any],
        operation: Operation,
        timeouts: Timeouts,
        states: dict[int, object],
        dry: bool = False,
    ) -> None:
        self.owner = owner
        self.runtime = runtime
        self.drive = drive
        self.operation: Operation = operation
        self.timeouts = timeouts
        self.states = states
        self.dry = dry
        self.started_at = runtime.now()
        self.ends_at = self.started_at + timeouts.total
        self.lock = threading.Lock()
        self.sinks: tuple[Sink, ...] = ()
        self.scratch: dict[Any, Any] = {}
        self.attempts: list[Attempt] = []
        self.dropped: list[Dropped] = []
        self.notes: list[str] = []
        self.upstream_id: str | None = None
        self.stage_times: dict[int, list[Any]] | None = None
        self.waited_s = 0.0
        self.target: Target | None = None
        self.status: int | None = None
        self.headers: Headers | None = None
        self.request_id: str | None = None
        self.first_event_s: float | None = None
        self._id: str | None = None

    @property
    def id(self) -> str:
        """This library's id of the call; made when first asked for."""
        if self._id is None:
            self._id = self.owner.next_call_id()
        return self._id

    def time_left(self) -> float:
        """Return the seconds until the call's total limit; never below 0."""
        return max(0.0, self.ends_at - self.runtime.now())

    def state_of(self, stage: object, kind: type[T]) -> T:
        """Return what `stage.setup(scope)` made for this client and this position of the chain."""
        state = self.states.get(id(stage))
        if not isinstance(state, kind):
            raise StageError(
                f"stage {type(stage).__name__} asks for a state of type {kind.__name__}; "
                f"its setup returned {'none' if state is None else type(state).__name__}",
                hint="return it from setup(self, scope)",
            )
        return state

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

    def drop(self, name: str, reason: str) -> None:
        """Report that something of the call does not reach the host; the same once, however many attempts there are."""
        dropped = Dropped(name, reason)
        if dropped not in self.dropped:
            self.dropped.append(dropped)

    def note(self, text: str) -> None:
        """Tell the caller something that is no error, in a sentence; the same once."""
        if text not in self.notes:
            self.notes.append(text)

    def detached(self, total_s: float) -> CallContext:
        """Return a context for work that outlives this call: the same id, sinks and states, limits and facts anew.

        Args:
            total_s: how long the work may take, seconds from now.
        """
        context = CallContext(
            owner=self.owner,
            runtime=self.runtime,
            drive=self.drive,
            operation=self.operation,
            timeouts=replace(self.timeouts, total=total_s),
            states=self.states,
        )
        context._id = self.id
        context.sinks = self.sinks
        context.target = self.target
        return context

    def subscribe(self, sink: Sink) -> None:
        """Send all further signals of this call to `sink`."""
        self.sinks = (*self.sinks, sink)

    def emit(self, signal: Signal) -> None:
        """Hand a signal to every sink. A sink's error is counted and reported, never raised here."""
        for sink in self.sinks:
            try:
                sink(signal)
            except Exception as error:
                self.owner.hook_failed(error)

    def meta(self) -> Meta:
        """Return the facts of the call so far."""
        target = self.target
        return Meta(
            call_id=self.id,
            provider=target.provider if target else None,
            model=target.model if target else None,
            dialect=target.dialect.name if target else None,
            status=self.status,
            request_id=self.request_id,
            headers=_NO_HEADERS if self.headers is None else self.headers,
            attempts=tuple([replace(attempt) for attempt in self.attempts]),
            dropped=tuple(self.dropped),
            notes=tuple(self.notes),
            upstream_id=self.upstream_id,
            duration_s=self.runtime.now() - self.started_at,
            first_event_s=self.first_event_s,
            stages=() if self.stage_times is None else _stage_times(self.stage_times),
        )


def _stage_times(times: dict[int, list[Any]]) -> tuple[StageTime, ...]:
    return tuple(StageTime(*times[index]) for index in sorted(times))
