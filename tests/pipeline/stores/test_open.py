"""From a URL to a store, and keys."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from antiphon import InvalidParameter, MissingExtra, StoreUnavailable, key_of, open_store
from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.stores.postgres import PostgresStore
from antiphon.pipeline.stores.redis import RedisStore
from antiphon.pipeline.stores.sqlite import SqliteStore
from antiphon.pipeline.stores.store import check_namespace, masked_url


@pytest.mark.parametrize(
    ("url", "kind", "shown"),
    [
        ("memory://", MemoryStore, "MemoryStore(0 keys, 0 bytes)"),
        ("redis://localhost", RedisStore, "redis://localhost"),
        ("redis://me:hunter2secret@localhost:6380/1", RedisStore, "redis://me:***@localhost:6380/1"),
        ("rediss://:hunter2secret@localhost/0", RedisStore, "rediss://:***@localhost/0"),
        ("unix:///run/redis.sock?db=1&password=hunter2secret", RedisStore, "unix:///run/redis.sock?db=1&password=***"),
        ("postgresql://me:hunter2secret@localhost/db", PostgresStore, "postgresql://me:***@localhost/db"),
        ("postgres:///db?host=/run&password=hunter2secret", PostgresStore, "postgres:///db?host=/run&password=***"),
        ("postgresql://me:hunter2@secret@localhost/db", PostgresStore, "postgresql://me:***@localhost/db"),
    ],
)
def test_a_url_names_a_store_that_shows_no_password(url: str, kind: type, shown: str) -> None:
    store = open_store(url)

    assert type(store) is kind
    assert shown in repr(store)
    assert "secret" not in repr(store)
    store.close()


def test_a_password_is_masked_wherever_it_stands() -> None:
    urls = [
        "redis://u:hunter2secret@h/0",
        "redis://u:p@hunter2secret@h/0",
        "redis://u:p?hunter2secret@h/0",
        "redis://h/0?password=hunter2secret&x=1",
        "redis://h/0?x=a@b&password=hunter2secret",
        "redis://h/0?password=p@hunter2secret",
        "postgresql://h/db?sslpassword=hunter2secret",
    ]

    assert [masked_url(url) for url in urls if "secret" in masked_url(url)] == []


def test_three_slashes_are_a_relative_file_and_four_an_absolute_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()

    relative, absolute = open_store("sqlite:///in/a b.db"), open_store(f"sqlite:///{tmp_path}/c.db")

    assert isinstance(relative, SqliteStore)
    assert isinstance(absolute, SqliteStore)
    assert (relative.path, absolute.path) == (tmp_path / "in" / "a b.db", tmp_path / "c.db")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rdis://localhost", 'did you mean "redis"'),
        ("state.db", "the store's URL has no ://"),
        ("host=h password=hunter2secret", "the store's URL has no ://"),
        ("", "the store's URL has no ://"),
        ("sqlite://state.db", "names no file"),
        ("sqlite:///:memory:", "memory://"),
        ("redis://localhost:hunter2secret/0", "cannot be read"),
        ("redis://localhost/0?socket_timeout=hunter2secret", "cannot be read"),
        ("redis://localhost/0?hunter2secret=1", "cannot be read"),
        ("postgresql://localhost/db?hunter2secret=1", "cannot be read"),
        ("postgresql://me:hunter2secret@[::1/db", "cannot be read"),
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str, says: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        open_store(url)

    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("url", "package"), [("redis://h", "redis"), ("postgresql://h/db", "psycopg")])
def test_a_missing_package_is_told_with_the_line_that_installs_it(
    url: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(
        MissingExtra, match=rf"pip install 'antiphon\[{'postgres' if package == 'psycopg' else 'redis'}\]'"
    ):
        open_store(url)


def test_a_settings_bound_reaches_the_store() -> None:
    store = open_store("postgresql://127.0.0.1:1/db", max_bytes=10, timeout_s=3)

    assert isinstance(store, PostgresStore)
    assert (store.max_bytes, store.timeout_s) == (10, 3)
    with pytest.raises(StoreUnavailable):
        store.read(["/v/1"])


@pytest.mark.parametrize("name", ["", "Antiphon", "a-b", "1a", "a" * 64, 'a"b', "a b"])
def test_a_namespace_that_some_server_does_not_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameter):
        check_namespace(name)


def test_keys_never_collide() -> None:
    parts = ["", "a", "/", "a/", "/a", "=", "=a", "%", "%2F", "#", "~", "é", "\ud800", "\0", "a" * 300, "a" * 301]
    makings = list(itertools.product([None, *parts], parts, parts))

    keys = {key_of(*making) for making in makings}

    assert len(keys) == len(makings)
    assert max(map(len, keys)) <= 603
    assert all(key.isascii() and key.isprintable() for key in keys)
