"""The five time limits of a call, and which of them bounds the next wait."""

from __future__ import annotations

import math
from typing import Any, Literal

import msgspec

from .errors import InvalidParameter
from .wording import quoted

Limit = Literal["total", "connect", "first_event", "idle"]


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long things may take, in seconds; `math.inf` switches a limit off.

    Args:
        total: the whole call, all attempts and waits between them included.
        connect: name look-up, TCP and TLS of one new connection, each step.
        first_event: from sending a streamed request to its first event.
        idle: between two reads of an answer that has begun.
        tool: one execution of one tool.
    """

    total: float = 600.0
    connect: float = 5.0
    first_event: float = 120.0
    idle: float = 60.0
    tool: float = 60.0

    @classmethod
    def of(cls, value: object) -> Timeouts:
        """Read a `timeout=` argument: a `Timeouts`, a number that limits the whole call, or httpx's `Timeout`.

        Raises:
            InvalidParameter: neither of the two, or a limit that is not above zero.
        """
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = cls(total=float(value))
        elif not isinstance(value, cls) and hasattr(value, "connect") and hasattr(value, "read"):
            # httpx's read limit holds for each read, the first one included; None switches its limits off.
            given: Any = value
            read, connect = (math.inf if limit is None else limit for limit in (given.read, given.connect))
            value = cls(connect=connect, first_event=read, idle=read)
        if not isinstance(value, cls):
            raise InvalidParameter(
                f"timeout is {type(value).__name__}; a number of seconds or antiphon.Timeouts is expected",
                param="timeout",
            )
        for name in cls.__struct_fields__:
            seconds = getattr(value, name)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
                raise InvalidParameter(
                    f"timeout {name} is {quoted(seconds)}; seconds above zero are expected", param="timeout"
                )
        return value


class Pace:
    """The waits of one HTTP exchange: which limit bounds the next one, and for how long.

    A plain answer may be silent until the total limit, since a model may think for minutes before the first byte.
    A streamed one must show its first event in time, and then something every `idle` seconds.

    Args:
        timeouts: the call's limits.
        ends_at: when the whole call must be over, on the runtime's clock (`time.monotonic` seconds).
        now: the same clock at the start of this exchange.
        streamed: whether the answer is an event stream.
    """

    __slots__ = ("_first_by", "_started", "ends_at", "timeouts")

    def __init__(self, timeouts: Timeouts, *, ends_at: float, now: float, streamed: bool) -> None:
        self.timeouts = timeouts
        self.ends_at = ends_at
        self._first_by = now + timeouts.first_event if streamed else math.inf
        self._started = False

    def started(self) -> None:
        """Say that the answer has begun (the first event, or a plain answer's head): `idle` holds from here."""
        self._started = True

    def next_read(self, now: float) -> tuple[float, Limit]:
        """Return the seconds that the next read may take (never below 0), and the limit that sets them."""
        left = self.ends_at - now
        wait, limit = (self.timeouts.idle, "idle") if self._started else (self._first_by - now, "first_event")
        if left <= wait:
            return (left if left > 0 else 0.0), "total"
        return (wait if wait > 0 else 0.0), limit  # type: ignore[return-value]

    def next_connect(self, now: float) -> tuple[float, Limit]:
        """Return the seconds that the next step of connecting may take, and the limit that sets them."""
        left = self.ends_at - now
        if left <= self.timeouts.connect:
            return (left if left > 0 else 0.0), "total"
        return self.timeouts.connect, "connect"
