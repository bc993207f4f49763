"""Stores of every kind, for the stage that keeps responses in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_servers import PostgresServer, RedisServer

from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.stores.postgres import PostgresStore
from antiphon.pipeline.stores.redis import RedisStore
from antiphon.pipeline.stores.sqlite import SqliteStore
from antiphon.pipeline.stores.store import Store

_numbers = itertools.count()


@pytest.fixture(scope="session")
def redis_of_stages() -> Iterator[RedisServer]:
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres_of_stages() -> Iterator[PostgresServer]:
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


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
            store = RedisStore(request.getfixturevalue("redis_of_stages").url, namespace=namespace)
        case _:
            store = PostgresStore(request.getfixturevalue("postgres_of_stages").url, namespace=namespace)
    yield store
    store.close()
