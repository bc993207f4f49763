"""Stores of every kind, each test with a place of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from store_servers import PostgresServer, RedisServer, running

from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.stores.postgres import PostgresStore
from antiphon.pipeline.stores.redis import RedisStore
from antiphon.pipeline.stores.sqlite import SqliteStore
from antiphon.pipeline.stores.store import Store

_numbers = itertools.count()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    yield from running(RedisServer())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    yield from running(PostgresServer())


@pytest.fixture
def namespace() -> str:
    return f"test_{next(_numbers)}"


MakeStore = Callable[..., Any]


@pytest.fixture(params=["memory", "sqlite", "redis", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def make_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Iterator[MakeStore]:
    """Return a function that opens a store on this test's place: each call another one, but in memory the same."""
    in_memory: list[MemoryStore] = []
    opened: list[Store] = []

    def make(**settings: Any) -> Store:
        match kind:
            case "memory":
                settings.pop("timeout_s", None)
                if not in_memory or settings:
                    in_memory.append(MemoryStore(**settings))
                return in_memory[-1]
            case "sqlite":
                opened.append(SqliteStore(tmp_path / "state.db", **settings))
            case "redis":
                server = request.getfixturevalue("redis_server")
                opened.append(RedisStore(server.url, namespace=namespace, **settings))
            case _:
                server = request.getfixturevalue("postgres_server")
                opened.append(PostgresStore(server.url, namespace=namespace, **settings))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    made: Store = make_store()
    return made
