"""What has been used, and by whom: sums in a store, which any number of threads and processes add to.

    open    what is there is read and checked, and a part may be held back for what begins now
    add     what was used, said when it is known, from wherever that is: a callback, a collected stream, a thread
    settle  what was said and could not be written at once

A sum is changed by writing it over the version that was read, so nobody waits for anybody and nothing gets lost. What
is held back runs out by itself, since whoever held it may have died. A write of which nobody knows whether it was done
is done again, so at worst something counts twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Self

import msgspec

from .errors import StoreConflict, StoreError
from .stores.given import ask
from .stores.memory import MemoryStore
from .stores.store import Store, key_of

if TYPE_CHECKING:
    from .context import CallContext


class Amount(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of input and output together, and US dollars."""

    tokens: int = 0
    dollars: float = 0.0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.tokens + other.tokens, self.dollars + other.dollars)

    def __bool__(self) -> bool:
        return bool(self.tokens or self.dollars)


NOTHING = Amount()


class Hold(msgspec.Struct, frozen=True):
    """What is held back for a call that goes on, until this second of the wall clock."""

    amount: Amount
    until: float


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one key has used, and what is held back for its calls, by their ids."""

    used: Amount = NOTHING
    holds: dict[str, Hold] = {}

    def at(self, now: float) -> Self:
        """Return the account without what is held back no longer."""
        if all(hold.until > now for hold in self.holds.values()):
            return self
        return msgspec.structs.replace(self, holds={id: one for id, one in self.holds.items() if one.until > now})

    @property
    def held(self) -> Amount:
        """All that is held back."""
        return sum((hold.amount for hold in self.holds.values()), NOTHING)

    def holding(self, id: str, amount: Amount, until: float) -> Self:
        """Return the account with this held back too."""
        return msgspec.structs.replace(self, holds={**self.holds, id: Hold(amount, until)})

    def plus(self, amount: Amount, released: set[str]) -> Self:
        """Return the account with this used too, and these held back no longer."""
        holds = {id: one for id, one in self.holds.items() if id not in released}
        return msgspec.structs.replace(self, used=self.used + amount, holds=holds)


class _Said:
    """What is to be written to one account."""

    __slots__ = ("amount", "released", "ttl_s")

    def __init__(self) -> None:
        self.amount = NOTHING
        self.released: set[str] = set()
        self.ttl_s: float | None = None


_decode = msgspec.json.Decoder(Account).decode


class Accounts:
    """The accounts of one tenant in one store.

    Args:
        kind: what tells them apart from other things in the store.
    """

    def __init__(self, store: Store, tenant: str | None, kind: str) -> None:
        self._store = store
        self._tenant = tenant
        self._kind = kind
        self._lock = threading.Lock()
        self._said: dict[str, _Said] = {}

    async def open(
        self, context: CallContext, name: str, change: Callable[[Account], Account], ttl_s: float | None = None
    ) -> None:
        """Change an account by a function that may refuse; what was said of it is in it by then.

        Args:
            name: whose account.
            change: takes the account and returns it changed, or as it is; called again when somebody was quicker.
            ttl_s: seconds until the account is forgotten, counted from its last change.

        Raises:
            StoreError: the store failed; nothing was changed.
            Exception: whatever `change` raises; nothing was changed.
        """
        await self.settle(context)
        await ask(self._store, context, self._change, name, change, ttl_s)

    def add(self, name: str, amount: Amount, *, release: str | None = None, ttl_s: float | None = None) -> None:
        """Say what was used, or whose part is held back no longer; at once where the store is this process's memory."""
        with self._lock:
            said = self._said.setdefault(name, _Said())
            said.amount += amount
            said.ttl_s = ttl_s
            if release is not None:
                said.released.add(release)
        if isinstance(self._store, MemoryStore):
            self.write()

    @property
    def has_more(self) -> bool:
        """Whether something was said that is not written yet."""
        return bool(self._said)

    async def settle(self, context: CallContext) -> None:
        """Write what was said. Raises StoreError; what could not be written stays to be."""
        if self._said:
            await ask(self._store, context, self.write)

    def write(self) -> None:
        """Write what was said; blocking. Raises as `settle`."""
        while True:
            with self._lock:
                if not self._said:
                    return
                name, said = self._said.popitem()
            try:
                self._change(name, partial(_booked, said), said.ttl_s)
            except StoreError:
                self._put_back(name, said)
                raise

    def _put_back(self, name: str, said: _Said) -> None:
        with self._lock:
            newer = self._said.setdefault(name, said)
            if newer is not said:
                newer.amount += said.amount
                newer.released |= said.released

    def _change(self, name: str, change: Callable[[Account], Account], ttl_s: float | None) -> None:
        key = key_of(self._tenant, self._kind, name)
        while True:
            (entry,) = self._store.read([key])
            before = Account() if entry is None else _decode(entry.value)
            after = change(before.at(time.time()))
            if after == before:
                return
            try:
                value = msgspec.json.encode(after)
                self._store.write(key, value, ttl_s=ttl_s, expect=0 if entry is None else entry.version)
            except StoreConflict:
                continue  # somebody was quicker, so somebody gets on
            return


def _booked(said: _Said, account: Account) -> Account:
    return account.plus(said.amount, said.released)
