"""The store that somebody has named: as an object, as a URL, or as what returns the URL."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import SetupError
from ..secret import Secret
from .memory import MemoryStore
from .store import Store, open_store

if TYPE_CHECKING:
    from ..context import CallContext
    from ..stage import Scope

T = TypeVar("T")


def store_of(given: Any, scope: Scope) -> Store:
    """Return the store that is meant; one that is opened here is closed with the client, and shared by its stages.

    Raises:
        SetupError: it is none.
    """
    if callable(given):  # such as FromEnv
        given = given()
    if isinstance(given, Secret):
        given = given.reveal()
    if isinstance(given, str):
        return scope.shared(f"state_store {given}", functools.partial(open_store, given))
    if not (hasattr(given, "read") and hasattr(given, "append")):
        raise SetupError(
            f"state_store is {type(given).__name__}; a store or its URL is expected",
            hint='e.g. state_store="sqlite:///responses.db"; store=False is the API\'s own and keeps nothing',
        )
    return given  # type: ignore[no-any-return]


def masked(given: Any) -> Any:
    """Return what names a store as a stage keeps it: a URL with a login as a Secret, which no repr shows."""
    return Secret(given) if isinstance(given, str) and "@" in given else given


async def ask(store: Store, context: CallContext, fn: Callable[..., T], *args: object) -> T:
    """Run blocking code that uses a store, in the mode of the call."""
    if isinstance(store, MemoryStore):  # it answers sooner than a thread could be asked
        return fn(*args)
    return await context.waiting(context.runtime.call(fn, *args))
