"""Stores of every kind, for the stage that keeps responses in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(params=["memory", "sqlite", "redis", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of every kind, empty."""
    namespace = f"stages_{next(_numbers)}"
    store: Store
    match request.param:
        case "memory":
            store = MemoryStore()
        case "sqlite":
            store = SqliteStore(tmp_path / "state.db")
        case "redis":
            store = RedisStore(request.getfixturevalue("redis_server").url, namespace=namespace)
        case _:
            store = PostgresStore(request.getfixturevalue("postgres_server").url, namespace=namespace)
    yield store
    store.close()
