"""The request that travels through a chain."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias

import msgspec

from .api.params import NAMES, Operation, Params
from .context import CallContext  # not for checkers only: `help` and signatures look it up
from .credential import Credential
from .errors import StageError, did_you_mean
from .http import Headers, HttpRequest, Transport
from .secret import Secret, mask_url

if TYPE_CHECKING:
    from .api.events import Event
    from .errors import APIError
    from .reply import PlainReply, Reply

_CREDENTIAL = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)

Handler: TypeAlias = "Callable[[Request], Awaitable[Reply]]"
"""The rest of a chain, as a stage gets it: `await call_next(request)` runs it and returns its reply."""
Drop: TypeAlias = Callable[[str, str], None]
"""Called with the name and the reason of what a dialect leaves out of a request. Raises UnsupportedParameter where the
caller wants an error instead, or where the call would mean something else without it."""


class StreamDecoder(Protocol):
    """Turns the bytes of one streamed answer into events. No I/O, no clock.

    Attributes:
        error: why no more events can be read; to be raised after those that came before.
    """

    error: APIError | None

    @property
    def is_done(self) -> bool:
        """Whether the terminal event has come."""
        ...

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes, return the events that they complete.

        Bytes that no event can be read from set `error`.

        Raises:
            APIResponseError: an event over the size limit.
        """
        ...

    def finish(self) -> list[Event]:
        """Take the end of the bytes, return the events that only the end completes."""
        ...


class Dialect(Protocol):
    """A host's API format, both directions, without I/O."""

    @property
    def name(self) -> str:
        """What the call option `dialect` calls it."""
        ...

    def encode(self, request: Request, target: Target, drop: Drop) -> HttpRequest:
        """Return the HTTP request for this operation on this target; tell `drop` what of the call it leaves out.

        Raises:
            UnsupportedParameter: the target cannot carry what the call needs.
            InvalidParameter: something that has no meaning on the wire, e.g. an output without its call.
        """
        ...

    def decode(self, body: bytes, request: Request) -> PlainReply:
        """Decode a plain answer with a 2xx status.

        Raises:
            APIResponseError: not what the API promises.
            APIStatusError: an error that came with a 2xx status.
        """
        ...

    def stream_decoder(self, request: Request) -> StreamDecoder:
        """Return a fresh decoder for one streamed answer."""
        ...

    def error(self, status: int, headers: Headers, body: bytes, request: Request) -> APIError:
        """Return the typed error for an answer with an error status, whatever its body looks like."""
        ...

    def event_error(self, event: Event, request: Request) -> APIError | None:
        """Return the typed error that this event of a stream reports, None for ordinary events."""
        ...


class Target(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """Whom the call goes to, in which format. Set by the Resolve stage.

    Args:
        provider: name of the catalogue row.
        model: the model as the host knows it.
        base_url: address without trailing slash, to which the dialect adds its paths.
        dialect: the codec.
        api_key: the key or None for hosts without one; revealed only by the transport.
        credential: what proves who calls in place of a fixed key; Dispatch asks it at every attempt.
        auth: how the key is sent: "bearer", or the name of a header that takes it as it is.
        headers: further headers of this host.
        operations: the calls of the API that the host serves.
        unsupported: parameters that this host or model refuses, with the reason ("" for the host's); Transform
            reports them as dropped.
        why: why this dialect was chosen, where the host speaks several; "" where it is the usual one.
        key_note: why no key is sent, for the hint of a 401.
        transport: what answers in place of the network, for providers that run in this process.
    """

    provider: str
    model: str
    base_url: str
    dialect: Dialect
    api_key: Secret | None = None
    credential: Credential | None = None
    auth: str = "bearer"
    headers: tuple[tuple[str, str | Secret], ...] = ()
    operations: frozenset[Operation] = frozenset(NAMES)
    unsupported: Mapping[str, str] = {}
    why: str = ""
    key_note: str | None = None
    transport: Transport | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call on its way through the chain. Frozen: stages hand on changed copies.

    Args:
        operation: which call of the API.
        params: what the API knows.
        options: what is ours, by name, e.g. {"api_key": ..., "timeout": 30}; stages declare those that they read.
        target: whom it goes to; None until the Resolve stage.
        wire: the HTTP request; None until the Transform stage.
        context: the call's own state, the same object in every copy.
    """

    operation: Operation
    params: Params
    options: Mapping[str, Any]
    context: CallContext
    target: Target | None = None
    wire: HttpRequest | None = None

    @property
    def streamed(self) -> bool:
        """Whether the caller asked for an event stream."""
        return getattr(self.params, "stream", None) is True

    @property
    def model(self) -> str | None:
        """The model as the caller wrote it; None for operations on a stored response."""
        return getattr(self.params, "model", None)

    def secrets(self) -> list[Secret | str]:
        """Return what of the call must not be shown: keys and credential headers, given or found."""
        found: list[Secret | str] = [value for value in self.options.values() if isinstance(value, Secret)]
        target = self.target or self.context.target
        if target is not None:
            found += [] if target.api_key is None else [target.api_key]
            found += [value for _, value in target.headers if isinstance(value, Secret)]
        headers = self.options.get("extra_headers")
        if isinstance(headers, Mapping):
            for name, value in headers.items():
                if isinstance(value, Secret):
                    found.append(value)
                elif value is not None and _CREDENTIAL.search(str(name)):
                    found.append(str(value))
        return found

    def __repr__(self) -> str:
        # Neither content nor the values of options, among which credentials may be.
        target = f"{self.target.provider}/{self.target.model}" if self.target else None
        return (
            f"Request({self.operation}, model={self.model!r}, streamed={self.streamed}, "
            f"options={sorted(self.options)}, target={target!r}, wire={self.wire and mask_url(self.wire.url)!r})"
        )

    def param(self, name: str) -> Any:
        """Return an API parameter; None when it is not given, or the operation has none of that name."""
        return getattr(self.params, name, None)

    def replace(self, **fields: Any) -> Self:
        """Return a copy with these fields set."""
        return msgspec.structs.replace(self, **fields)

    def with_params(self, **params: Any) -> Self:
        """Return a copy with these API parameters set; None takes one away.

        Raises:
            StageError: the operation has no such parameter.
        """
        for name in params:
            if name not in NAMES[self.operation]:
                guess = did_you_mean(name, NAMES[self.operation])
                raise StageError(
                    f'operation "{self.operation}" has no parameter "{name}"{guess}',
                    hint='look at request.operation first; parameters that are newer go into option "extra_body"',
                )
        return msgspec.structs.replace(self, params=msgspec.structs.replace(self.params, **params))

    def with_options(self, **options: Any) -> Self:
        """Return a copy with these call options set."""
        return msgspec.structs.replace(self, options={**self.options, **options})
