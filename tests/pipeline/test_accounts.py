"""Sums of what was used, in a store."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon.pipeline.accounts import Account, Accounts, Amount
from antiphon.pipeline.context import CallContext
from antiphon.pipeline.engine import Engine
from antiphon.pipeline.runtimes.async_runtime import AsyncRuntime
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.runtimes.sync_runtime import SyncRuntime
from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.timeouts import Timeouts


def context_of(mode: Mode) -> Any:
    def no_transport() -> Any:
        raise AssertionError("nothing is sent here")

    runtime: Any = AsyncRuntime(no_transport) if mode.is_async else SyncRuntime(no_transport)
    return CallContext(
        id="call_1",
        owner=Engine(),
        runtime=runtime,
        drive=drive,
        operation="create",
        timeouts=Timeouts(),
        states={},
    )


async def account(accounts: Accounts, context: Any, name: str) -> Account:
    seen: list[Account] = []

    def look(found: Account) -> Account:
        seen.append(found)
        return found

    await accounts.open(context, name, look)
    return seen[-1]


def test_what_was_said_is_in_the_account_of_its_name(mode: Mode) -> None:
    context, accounts = context_of(mode), Accounts(MemoryStore())

    async def body() -> list[Amount]:
        accounts.add("ann", Amount(3, 0.5))
        accounts.add("ann", Amount(4, 0.25))
        accounts.add("ben", Amount(1))
        return [(await account(accounts, context, name)).used for name in ("ann", "ben", "carl")]

    assert mode.run(body) == [Amount(7, 0.75), Amount(1), Amount()]


def test_what_is_held_back_is_given_back_or_runs_out(mode: Mode) -> None:
    context, accounts = context_of(mode), Accounts(MemoryStore())

    async def body() -> list[Amount]:
        await accounts.open(context, "ann", lambda found: found.holding("one", Amount(5), 4e9))
        await accounts.open(context, "ann", lambda found: found.holding("dead", Amount(7), 1.0))
        found = [(await account(accounts, context, "ann")).held]
        accounts.add("ann", Amount(2), release="one")
        return [*found, (await account(accounts, context, "ann")).held, (await account(accounts, context, "ann")).used]

    assert mode.run(body) == [Amount(5), Amount(), Amount(2)]


def test_who_refuses_changes_nothing(mode: Mode) -> None:
    store = MemoryStore()
    context, accounts = context_of(mode), Accounts(store)

    def refuse(found: Account) -> Account:
        raise ValueError("no")

    async def body() -> None:
        with pytest.raises(ValueError, match="no"):
            await accounts.open(context, "ann", refuse)

    mode.run(body)

    assert repr(store).startswith("MemoryStore(0 keys")


def test_who_was_slower_looks_again(mode: Mode) -> None:
    store = MemoryStore()
    context, mine, others = context_of(mode), Accounts(store), Accounts(store)
    seen: list[int] = []

    def change(found: Account) -> Account:
        seen.append(found.used.tokens)
        if len(seen) == 1:
            others.add("ann", Amount(10))
        return found.plus(Amount(1), set())

    async def body() -> int:
        await mine.open(context, "ann", change)
        return (await account(mine, context, "ann")).used.tokens

    assert mode.run(body) == 11
    assert seen == [0, 10]
