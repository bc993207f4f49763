"""Refuse calls when what may be used has been used."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from ..pipeline.accounts import Account, Accounts, Amount
from ..pipeline.api.params import NAMES
from ..pipeline.api.response import CompactedResponse, Response
from ..pipeline.errors import BudgetExceeded, InvalidParameter, SetupError, StageError, StoreError, did_you_mean
from ..pipeline.reply import Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Scope, Stage
from ..pipeline.stores.given import masked, store_of
from ..pipeline.stores.memory import MemoryStore
from ..pipeline.stores.store import key_of
from ..pipeline.streams.event_stream import EventStream
from ..providers.prices import price_list
from ..providers.usage_meter import Prices, UsageMeter, input_tokens, response_with

_MEMORY_BYTES: Final = 64 * 1024 * 1024
_CALL_TTL_S: Final = 3600.0  # of the account of a single call, beyond the time that it has


class Budget(Stage, frozen=True):
    """Refuse calls when the tokens or dollars they may use have been used; nothing is sent then.

    What was used is counted from the attempts inside this stage, wherever it stands: those that were repeated, tool
    rounds, streams that broke, were cancelled or left early. Where a host has not said what a partial answer used, it
    is estimated (`pipeline/token_estimate.py`). Inside Tools every turn of the model is asked for, outside the
    conversation is; inside Retry every attempt. Calls that go on side by side may together use more than is left, as
    much as they are; with `reserve` they may not.

    Args:
        tokens: how many tokens may be used, input and output together.
        dollars: how many US dollars.
        per: whose budget it is: "client" one for all calls of a tenant, "call" one for each call with its rounds and
            attempts, the place of a parameter, e.g. "metadata.user_id" or "user", one for each of its values, or a
            function that takes the request and returns a name. A call without a name is not counted.
        window_s: how long a budget lasts, seconds: it is whole again when the clock has gone on by a multiple of it.
            None: it is used once.
        prices: as in Cost; without one, what hosts themselves say.
        unpriced: what is done where nobody knows the price, of a budget in dollars: "refuse" calls to that model, or
            let them be "free". Without `prices` it shows by the first answer, which is then the last one.
        reserve: hold back what a call may use until it has ended: its input, estimated, and `max_output_tokens`.
        state_store: where sums are kept: a store, its URL, or a function that returns the URL, for many processes; by
            default this process's memory.
        label: budgets with the same label in one store are one.

    Raises:
        BudgetExceeded: it is used up, or with `reserve` the rest is too small for the call.
        SetupError: nobody knows the model's price.
        InvalidParameter: `reserve`, and the call has no `max_output_tokens`.
        StoreError: the sums cannot be read. A budget that nobody can read lets nothing pass.
    """

    tokens: Annotated[int, Meta(ge=1)] | None = None
    dollars: Annotated[float, Meta(gt=0)] | None = None
    per: str | Callable[[Request], str | None] = "client"
    window_s: Annotated[float, Meta(gt=0, le=3e9)] | None = None
    prices: str | Mapping[str, Mapping[str, Any]] | Callable[[str, str, Response], float | None] | None = None
    unpriced: Literal["refuse", "free"] = "refuse"
    reserve: bool = False
    state_store: Any = None
    label: str = "budget"

    sets = ()

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "state_store", masked(self.state_store))

    def setup(self, scope: Scope) -> object:
        if self.tokens is None and self.dollars is None:
            raise StageError("stage Budget has no limit", hint="write Budget(tokens=...) or Budget(dollars=...)")
        if isinstance(self.per, str) and self.per not in ("client", "call"):
            name = self.per.partition(".")[0]
            if name not in NAMES["create"]:
                known = ["client", "call", *NAMES["create"]]
                raise StageError(
                    f'stage Budget: per is "{self.per}", which names no parameter{did_you_mean(name, known)}',
                    hint='give "client", "call", a parameter such as "user" or "metadata.team", or a function',
                )
        is_shared = self.state_store and self.per != "call"
        store = store_of(self.state_store, scope) if is_shared else MemoryStore(total_bytes=_MEMORY_BYTES)
        accounts = Accounts(store)
        scope.on_close(partial(_write_the_rest, accounts))
        return _Books(accounts, Prices(None if self.prices is None else price_list(self.prices)))

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        context = request.context
        name = None if request.operation not in ("create", "compact") or context.dry else self._name(request)
        if name is None:
            return await call_next(request)
        books = context.state_of(self, _Books)
        self._check_price(request, books)
        need = self._need(request, books) if self.reserve and request.operation == "create" else Amount()
        entry = _Entry(self, books, request, name, holds=bool(need))
        await books.accounts.open(context, entry.account, partial(self._admit, entry, need), entry.ttl_s)
        meter = _meter_of(self, entry, books.prices)
        try:
            reply = await call_next(request)
        except Exception:
            await entry.end()
            raise
        except BaseException:  # a cancellation, after which nothing can be awaited
            entry.end_soon()
            raise
        if isinstance(reply, EventStream):
            reply.on_end(lambda outcome: entry.end_soon())
            return reply
        if isinstance(reply, CompactedResponse) and not entry.has_counted:
            meter.count_compaction(reply)  # the host's own, whose attempt carries no response
        await entry.end()
        return reply

    def _name(self, request: Request) -> str | None:
        """Return whose budget a call uses; None for nobody's."""
        if self.per == "client":
            return "all"
        if self.per == "call":
            return request.context.id
        if not isinstance(self.per, str):
            return _checked_name(self.per, self.per(request))
        name, *path = self.per.split(".")
        found = request.param(name)
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        return None if found is None else str(found)

    def _check_price(self, request: Request, books: _Books) -> None:
        target = request.target
        if self.dollars is None or self.unpriced == "free":
            return
        if target is None:
            raise SetupError(
                f'budget "{self.label}" counts dollars where no target is known yet, so it can look up no price',
                hint='place Budget inside Resolve, or give it unpriced="free"',
            )
        if not books.prices.knows(target.provider, target.model):
            raise SetupError(
                f'budget "{self.label}" counts dollars, and nobody knows the price of {target.provider}/{target.model}',
                provider=target.provider,
                model=target.model,
                hint='give Budget prices that have it, or unpriced="free"',
            )

    def _need(self, request: Request, books: _Books) -> Amount:
        most = request.param("max_output_tokens")
        if most is None:
            raise InvalidParameter(
                f'budget "{self.label}" reserves what a call may use, and this one has no max_output_tokens',
                param="max_output_tokens",
                hint='give it, or place Defaults({"max_output_tokens": ...}) before Budget',
            )
        given, target = input_tokens(request), request.target
        if target is None or self.dollars is None:
            return Amount(given + most)
        return Amount(given + most, books.prices.listed(target.provider, target.model, response_with(given, most)))

    def _admit(self, entry: _Entry, need: Amount, account: Account) -> Account:
        """Return the account with the call in it, or refuse the call."""
        held = account.held
        for unit, limit in (("tokens", self.tokens), ("dollars", self.dollars)):
            used, back, more = (getattr(amount, unit) for amount in (account.used, held, need))
            if limit is not None and (used + back >= limit or used + back + more > limit):
                raise self._exceeded(entry, unit, limit, used, back, more)
        return account.holding(entry.id, need, time.time() + entry.left_s) if need else account

    def _exceeded(
        self, entry: _Entry, unit: str, limit: float, used: float, held: float, more: float
    ) -> BudgetExceeded:
        ends_at = entry.ends_at
        left_s = None if ends_at is None else max(0.0, ends_at - time.time())
        whose = self.per if isinstance(self.per, str) else getattr(self.per, "__name__", "function")
        facts = [f"{_said(used)} are used", *([f"{_said(held)} are held back for calls that go on"] if held else [])]
        asked = f"; the call may need {_said(more)}" if more else ""
        return BudgetExceeded(
            f'budget "{self.label}" of {_said(limit)} {unit} per {whose}: {", ".join(facts)}{asked}; nothing was sent',
            unit=unit,
            limit=limit,
            used=used,
            held=held,
            resets_at=ends_at,
            retry_after_s=left_s,
            hint=f"raise {unit}, or give it a window_s" if left_s is None else f"it is whole again in {left_s:.0f} s",
        )


def _checked_name(per: Callable[[Request], str | None], said: object) -> str | None:
    if said is None or isinstance(said, str):
        return said
    if isinstance(said, int) and not isinstance(said, bool):
        return str(said)
    if inspect.iscoroutine(said):
        said.close()
    name = getattr(per, "__name__", type(per).__name__)
    raise StageError(f"budget function {name} returned {type(said).__name__}; a name or None is expected")


class _Books:
    """What lives across calls: the accounts and the prices."""

    __slots__ = ("accounts", "prices")

    def __init__(self, accounts: Accounts, prices: Prices) -> None:
        self.accounts = accounts
        self.prices = prices


_numbers = itertools.count()


class _Entry:
    """One pass through the stage: whose account it uses, and what is held back for it there."""

    __slots__ = (
        "_books",
        "_context",
        "_holds",
        "account",
        "ends_at",
        "has_counted",
        "id",
        "left_s",
        "request",
        "ttl_s",
    )

    def __init__(self, budget: Budget, books: _Books, request: Request, name: str, *, holds: bool) -> None:
        context = request.context
        now, window = time.time(), budget.window_s
        number = None if window is None else int(now // window)
        self._books, self._context, self.request = books, context, request
        self._holds, self.has_counted = holds, False
        self.id = f"{context.id} {next(_numbers)}"
        self.left_s = context.time_left()
        self.ends_at = None if window is None or number is None else (number + 1) * window
        account = "\0".join([budget.label, "" if number is None else str(number), name])
        self.account = key_of(context.tenant, "budget", account)
        self.ttl_s = None
        if budget.per == "call":
            self.ttl_s = self.left_s + _CALL_TTL_S
        elif self.ends_at is not None:
            self.ttl_s = self.ends_at - now + self.left_s + 1.0

    def add(self, amount: Amount) -> None:
        self.has_counted = True
        self._books.accounts.add(self.account, amount, ttl_s=self.ttl_s)

    async def end(self) -> None:
        """Give back what is held, and write what the attempts have told."""
        self._give_back()
        try:
            await self._books.accounts.settle(self._context)
        except StoreError as error:
            self._context.note(f"what was used could not be written yet: {type(error).__name__}")

    def end_soon(self) -> None:
        """The same where nothing can be awaited: a store is told by a task of its own, whose failure is logged."""
        self._give_back()
        if self._books.accounts.has_more:
            # Without a loop in this thread the next call writes it, or the client's end.
            with contextlib.suppress(RuntimeError, SetupError):
                self._context.runtime.spawn(partial(self._books.accounts.settle, self._context), "budget")

    def _give_back(self) -> None:
        if self._holds:
            self._holds = False
            self._books.accounts.add(self.account, Amount(), release=self.id, ttl_s=self.ttl_s)


def _meter_of(budget: Budget, entry: _Entry, prices: Prices) -> UsageMeter:
    """Return the call's one meter of this stage: rounds and attempts pass it again and again, and count once."""
    context, key, is_new = entry.request.context, ("budget", id(budget)), False
    with context.lock:
        found = context.scratch.get(key)
        if found is None:
            meter = UsageMeter(None if budget.dollars is None else prices, entry.request, entry.add)
            found, is_new = context.scratch.setdefault(key, meter), True
    assert isinstance(found, UsageMeter)
    if is_new:
        context.subscribe((found.hear,))
    else:
        found.request, found.put_down = entry.request, entry.add
    return found


def _write_the_rest(accounts: Accounts) -> None:
    with contextlib.suppress(StoreError):
        accounts.write()


def _said(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:,.6g}"
