"""A proof of who calls that is not a fixed key: asked for by every attempt, and put into the request as it is sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .http import HttpRequest
from .secret import Secret

if TYPE_CHECKING:
    from .runtimes.runtime import Runtime

PENDING: Final = Secret("")
"""Stands in the headers of a request for what is known only when it is sent; told by identity."""


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """Where a proof comes from, and how a request carries it.

    Args:
        source: returns what proves who calls, or an awaitable of it. Its argument says whether the host has just
            refused what it returned last. May block, unless `is_instant`.
        read: checks what `source` returned and makes a proof of it; proofs that are equal are the same proof.
        attach: returns the request with a proof, and the secret that no message may show. Its third argument is the
            time, in seconds since 1970.
        is_instant: whether `source` returns at once, as async functions do, so that no thread is needed.
    """

    source: Callable[[bool], object]
    read: Callable[[Any], Any]
    attach: Callable[[HttpRequest, Any, float], tuple[HttpRequest, Secret | None]]
    is_instant: bool = False

    async def ask(self, runtime: Runtime, *, renew: bool = False) -> Any:
        """Return a proof. Errors of a source that is the user's function pass as they are."""
        if self.is_instant or not runtime.is_async:
            found = self.source(renew)
        else:
            # In a tuple: trio refuses a coroutine that comes out of a thread.
            (found,) = await runtime.call(lambda: (self.source(renew),))
        return self.read(await found if inspect.isawaitable(found) else found)


def attach_key(auth: str, request: HttpRequest, key: Secret, now: float) -> tuple[HttpRequest, Secret]:
    """Put a key into the header that waits for it: as bearer token, or into the header that `auth` names.

    A key that begins with "Bearer " is a bearer token whatever `auth` says.
    """
    name, value = header_of(auth, key)
    headers = [(name, value) if held is PENDING else (given, held) for given, held in request.headers]
    return msgspec.structs.replace(request, headers=tuple(headers)), Secret(key.reveal().removeprefix("Bearer "))


def header_of(auth: str, key: Secret) -> tuple[str, Secret]:
    """Return the name and the value of the header that carries a key."""
    bearer = key.as_bearer()
    return ("authorization", bearer) if auth == "bearer" or bearer is key else (auth, key)
