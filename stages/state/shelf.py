"""One tenant's part of a store: records of responses, their threads, conversations and logs of events."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from ...pipeline.api.wire import encode
from ...pipeline.context import CallContext
from ...pipeline.errors import NotFoundError, StoreConflict
from ...pipeline.stores.given import ask
from ...pipeline.stores.store import Store, key_of
from ...providers.response_ids import is_kept
from .records import Record, Turn, read

T = TypeVar("T")

_LONGEST = 1_000_000  # values of one log, read at once
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]{1,200}")  # as it stands in a key


@functools.lru_cache(maxsize=1024)
def _prefix(tenant: str | None, kind: str) -> str:
    return key_of(tenant, kind, "")


class Found(msgspec.Struct, frozen=True):
    """A record and the version to give when it is written again."""

    record: Record
    version: int


class Shelf:
    """Reads and writes one tenant's records, in the mode of the call.

    Responses are named by references: a host's own ids are not unique, so theirs say who made them too.

    Args:
        store: where they are.
        tenant: whose they are; another tenant's are as if they were not there.
        context: of the call, or of work that outlives it.
        ttl_s: how long what is written now is kept, seconds; None for ever.

    Raises:
        StoreError: from every method.
    """

    __slots__ = ("_call", "_context", "_tenant", "store", "ttl_s")

    def __init__(self, store: Store, tenant: str | None, context: CallContext, ttl_s: float | None) -> None:
        self.store = store
        self._tenant = tenant
        self._context = context
        self.ttl_s = ttl_s

    def of(self, context: CallContext) -> Shelf:
        """Return the same for other work."""
        return Shelf(self.store, self._tenant, context, self.ttl_s)

    async def find(self, ref: str) -> Found | None:
        """Return the record of a response."""
        (entry,) = await self.do(self.store.read, [self._key(ref)])
        return None if entry is None else Found(read(entry.value, Record, ref), entry.version)

    async def find_all(self, refs: Sequence[str]) -> list[Record | None]:
        """Return the records of several responses, by one round trip."""
        if not refs:
            return []
        entries = await self.do(self.store.read, [self._key(ref) for ref in refs])
        found = zip(refs, entries, strict=True)
        return [None if entry is None else read(entry.value, Record, ref) for ref, entry in found]

    async def keep(self, ref: str, record: Record, expect: int | None = None) -> int:
        """Write a record; return its version. Raises StoreConflict when another one is there than `expect` says."""
        return await self.do(partial(self.write, ref, record, expect))

    def write(self, ref: str, record: Record, expect: int | None = None) -> int:
        """Write a record, blocking: for the clean-up of work that may not wait any more."""
        return self.store.write(self._key(ref), encode(record), ttl_s=self.ttl_s, expect=expect)

    def find_now(self, ref: str) -> Found | None:
        """Return a record, blocking, as `write`."""
        (entry,) = self.store.read([self._key(ref)])
        return None if entry is None else Found(read(entry.value, Record, ref), entry.version)

    async def delete(self, ref: str) -> bool:
        """Remove a response, what its turn added, and its events; say whether it was there."""
        return await self.do(self.store.delete, [self._key(ref)]) > 0

    # --- threads ---------------------------------------------------------------------------------------------------

    async def before(self, ref: str, record: Record) -> list[Record]:
        """Return the responses that one goes on from, the oldest first, by at most two round trips.

        Raises:
            NotFoundError: one of them is not kept any more; it is named.
        """
        if not record.place:
            return []
        log = await self.do(self.store.log, self._key(record.thread, "thread"), 0, record.place)
        refs = [item.decode("utf-8", "surrogatepass") for item in log]
        if len(refs) < record.place:
            raise not_kept(record.thread, after=ref)
        found: list[Record] = []
        for each, earlier in zip(refs, await self.find_all(refs), strict=True):
            if earlier is None:
                raise not_kept(each, after=ref)
            found.append(earlier)
        return found

    async def place_after(self, ref: str, previous: str, record: Record | None) -> tuple[str, int]:
        """Note that a response goes on from another one; return its thread and its place there.

        Args:
            record: of the previous response; None when it is not kept here.
        """
        if record is None or not record.place:
            thread, place, refs = previous, 1, [previous, ref]
        else:
            thread, place, refs = record.thread, record.place + 1, [ref]
        try:
            await self._append(self._key(thread, "thread"), refs, place + 1 - len(refs))
        except StoreConflict:  # another response goes on from there already: this one is a branch
            log = await self.do(self.store.log, self._key(thread, "thread"), 0, place)
            thread, before = ref, [item.decode("utf-8", "surrogatepass") for item in log]
            await self._append(self._key(thread, "thread"), [*before, ref], 0)
        return thread, place

    # --- conversations ---------------------------------------------------------------------------------------------

    async def conversation(self, name: str, turns: int = _LONGEST) -> list[Turn]:
        """Return the first turns of a conversation; one that nobody has spoken in yet has none."""
        log = await self.do(self.store.log, self._key(name, "conversation"), 0, turns)
        return [read(value, Turn, f"conversation {name}") for value in log]

    async def add_turn(self, name: str, turn: Turn) -> None:
        """Add a turn to a conversation."""
        value = encode(turn)
        await self.do(partial(self.store.append, self._key(name, "conversation"), [value], ttl_s=self.ttl_s))

    # --- events ----------------------------------------------------------------------------------------------------

    async def add_events(self, ref: str, events: Sequence[bytes], start: int) -> int:
        """Add events to a response's log; return its length. Raises StoreConflict when it is not `start` long."""
        return await self.do(partial(self.write_events, ref, events, start))

    def write_events(self, ref: str, events: Sequence[bytes], start: int) -> int:
        """Add events, blocking, as `write`."""
        return self.store.append(self._key(ref), events, start=start, ttl_s=self.ttl_s)

    async def events(self, ref: str, start: int, limit: int = 1000) -> list[bytes]:
        """Return events of a response's log, from a position on."""
        return await self.do(self.store.log, self._key(ref), start, limit)

    async def _append(self, key: str, refs: Sequence[str], start: int) -> None:
        values = [ref.encode("utf-8", "surrogatepass") for ref in refs]
        await self.do(partial(self.store.append, key, values, start=start, ttl_s=self.ttl_s))

    def _key(self, ref: str, kind: str = "response") -> str:
        # Most names need no escaping, which is most of what making a key costs.
        return _prefix(self._tenant, kind) + ref if _PLAIN.fullmatch(ref) else key_of(self._tenant, kind, ref)

    async def do(self, fn: Callable[..., T], *args: object) -> T:
        """Run blocking code that uses the store, in the mode of the call."""
        return await ask(self.store, self._context, fn, *args)


def shown(ref: str) -> str:
    """Return a response's name for people."""
    if is_kept(ref):
        return ref
    provider, _, upstream = ref.split("~", 2)
    return f"{upstream} of {provider}"


def not_kept(ref: str, *, after: str | None = None, param: str = "response_id") -> NotFoundError:
    """Return the error for a response that is not, or no longer, in the store.

    Args:
        after: the response that goes on from it, where that is how it is missed.
    """
    whose = ""
    if after is not None:
        whose, param = f", which {shown(after)} goes on from,", "previous_response_id"
    return NotFoundError(
        f"response {shown(ref)}{whose} is not kept here: it was never stored, was deleted, or has expired",
        status=404,
        param=param,
        hint="use the state_store= and tenant= of the call that made it; without a store it ends with its process"
        if param == "response_id"
        else "send the conversation as input, or go on from a response that is kept",
    )
