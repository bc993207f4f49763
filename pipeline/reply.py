"""What a chain gives back, and the facts of how it came about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from .api.response import CompactedResponse, DeletedResponse, InputTokens, ItemPage, Response
from .api.response_fields import Usage
from .http import Headers

if TYPE_CHECKING:
    from .streams.event_stream import EventStream

OutcomeKind = Literal["completed", "failed", "incomplete", "cancelled", "abandoned", "accepted"]


class Attempt(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """One exchange with a host. Times are seconds; `None` means: did not come to that.

    Args:
        number: 1 for the first try of the call.
        provider, model: who was asked; the model as the host knows it.
        outcome: "open" while a stream is being read, else an outcome kind.
        error: class name of the error that ended it.
        status: HTTP status.
        request_id: the host's id of the exchange.
        duration_s: from opening to the end of the answer.
        queued_s: waiting for a free connection.
        connect_s: connecting; 0.0 on a reused connection.
        first_event_s: from opening to a stream's first event.
    """

    number: int
    provider: str
    model: str
    outcome: OutcomeKind | Literal["open"] = "open"
    error: str | None = None
    status: int | None = None
    request_id: str | None = None
    duration_s: float | None = None
    queued_s: float | None = None
    connect_s: float | None = None
    first_event_s: float | None = None


class Dropped(msgspec.Struct, frozen=True):
    """Something of the call that did not reach the host.

    Args:
        name: the parameter, option, item or field, e.g. "text.verbosity".
        reason: why, in a sentence.
    """

    name: str
    reason: str


class StageTime(msgspec.Struct, frozen=True):
    """Time spent in one stage of a traced call.

    Args:
        name: the stage's name in the chain.
        own_s: seconds of the stage's own work, without the stages inside it and without waiting for others.
        calls: how often it was entered; more than once inside Retry.
        waited_s: seconds in which this stage waited: Dispatch for a key that a function gives, and for an answer's head
            or whole, Resolve for the start of a model on this machine, Retry for a stream's first
            content or the time of the next attempt, ConcurrencyLimit for a place, Tools for its tools and their
            servers, and whoever has a store outside of this process for that. What the reader of a stream waits for
            afterwards belongs to no stage.
        entered_s, left_s: when it was entered first and left last, seconds since the call's start.
    """

    name: str
    own_s: float
    calls: int
    waited_s: float = 0.0
    entered_s: float = 0.0
    left_s: float = 0.0

    def joined(self, later: StageTime) -> StageTime:
        """Return the time of both visits of this stage."""
        return StageTime(
            self.name,
            self.own_s + later.own_s,
            self.calls + later.calls,
            self.waited_s + later.waited_s,
            min(self.entered_s, later.entered_s),
            max(self.left_s, later.left_s),
        )


FROM_CACHE = "answered from the cache"
"""The note of `Meta.notes` by which a cache says that it answered."""


class Meta(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Facts of one call, on every reply and every error.

    Args:
        call_id: this library's id of the call, as logs and signals show it.
        provider, model, dialect: of the target that answered last.
        status: HTTP status of the last answer.
        request_id: the host's id of the last exchange.
        headers: the last answer's headers, names in lower case.
        attempts: every exchange with a host, in order.
        dropped: what of the call did not reach the host.
        notes: what else the caller should know, a sentence each, e.g. that the response could not be kept.
        upstream_id: the host's own id of the response, where the reply has another.
        duration_s: seconds so far; of the whole call once it has ended.
        first_event_s: seconds from the call's start to a stream's first event.
        cost: US dollars of all attempts so far; None where it is not known.
        cost_source: who says so: "host", or the name of the price list; "mixed" when attempts differ.
        stages: time per stage, outermost first; only with the call option `trace=True`.
    """

    call_id: str
    provider: str | None = None
    model: str | None = None
    dialect: str | None = None
    status: int | None = None
    request_id: str | None = None
    headers: Headers = Headers()
    attempts: tuple[Attempt, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    upstream_id: str | None = None
    duration_s: float = 0.0
    first_event_s: float | None = None
    cost: float | None = None
    cost_source: str | None = None
    stages: tuple[StageTime, ...] = ()

    @property
    def is_from_cache(self) -> bool:
        """Whether a cache gave the whole answer, so that its tokens were used, and counted, before."""
        return not self.attempts and FROM_CACHE in self.notes


class Outcome(msgspec.Struct, frozen=True):
    """How a call, a turn or an attempt ended. Delivered exactly once, inner stages before outer ones.

    Args:
        kind: "completed"; "failed" with an error; "incomplete" (cut by a token limit or a filter);
            "cancelled" from outside; "abandoned": the consumer let go of a stream before its end;
            "accepted": a background response that goes on at the host.
        response: the response, whole or partial, where there is one.
        error: the exception of "failed" and "cancelled".
    """

    kind: OutcomeKind
    response: Response | None = None
    error: BaseException | None = None

    def __repr__(self) -> str:
        # Neither what was said nor an exception's text: signals are printed and logged.
        response = f", response={self.response.id!r}" if self.response is not None else ""
        error = f", error={type(self.error).__name__}" if self.error is not None else ""
        return f"Outcome({self.kind!r}{response}{error})"

    @property
    def usage(self) -> Usage | None:
        """Tokens as the host reported them, of a partial response too; None when it did not."""
        return self.response.usage if self.response is not None else None

    @classmethod
    def of_error(cls, error: BaseException) -> Outcome:
        """Return the outcome that an exception means: cancelled for what is no `Exception`, else failed."""
        response = getattr(error, "response", None)
        kind: OutcomeKind = "failed" if isinstance(error, Exception) else "cancelled"
        return cls(kind, response if isinstance(response, Response) else None, error)

    @classmethod
    def of_response(cls, response: Response) -> Outcome:
        """Return the outcome that a response's status means."""
        kind = _KINDS.get(response.status or "completed", "completed")
        return cls(kind, response)


_KINDS: dict[str, OutcomeKind] = {
    "completed": "completed",
    "incomplete": "incomplete",
    "failed": "failed",
    "cancelled": "cancelled",
    "queued": "accepted",
    "in_progress": "accepted",
}

PlainReply: TypeAlias = Response | DeletedResponse | ItemPage | CompactedResponse | InputTokens
Reply: TypeAlias = "PlainReply | EventStream"
"""What a handler returns: the object that the API's call returns (a `Response` mostly), or an `EventStream`."""
