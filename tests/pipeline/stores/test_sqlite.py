"""The store in a file: the file itself, and what can go wrong with it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from antiphon import (
    Entry,
    InvalidParameter,
    StoreFull,
    StoreLocked,
    StoreSchemaNewer,
    StoreUnavailable,
    StoreUnreadable,
)
from antiphon.pipeline.stores.sqlite import SqliteStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(file: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(file, timeout_s=0.2)
    yield store
    store.close()


@pytest.fixture
def other(file: Path) -> Iterator[sqlite3.Connection]:
    """Another process' connection, as far as SQLite can tell."""
    connection = sqlite3.connect(file, isolation_level=None)
    yield connection
    connection.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_the_file_and_its_companions_are_for_their_owner_only(store: SqliteStore, file: Path) -> None:
    before = os.umask(0)
    try:
        store.write("/v/1", b"one")
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_every_write_waits_for_the_disk(store: SqliteStore) -> None:
    store.write("/v/1", b"one")

    with store._writing.use() as connection:
        settings = [connection.execute(f"PRAGMA {name}").fetchall() for name in ("journal_mode", "synchronous")]
    assert settings == [[("wal",)], [(2,)]]


def test_nothing_is_opened_before_the_first_use(store: SqliteStore, file: Path) -> None:
    assert not file.exists()
    assert store.read(["/v/1"]) == [None]
    assert file.exists()


def test_a_missing_folder_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="there is no folder"):
        SqliteStore(tmp_path / "none" / "state.db")


def test_a_relative_path_is_that_of_the_folder_in_which_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("state.db")
    monkeypatch.chdir("/")

    store.write("/v/1", b"one")
    store.close()

    assert (tmp_path / "state.db").exists()


def test_deleted_values_are_nowhere_in_the_files(store: SqliteStore, file: Path) -> None:
    secret = b"a secret that must go" * 500
    store.write("/v/1", secret)
    store.write("/v/2", b"stays")
    store.append("/v/1", [secret, secret])
    held = b"".join(path.read_bytes() for path in file.parent.iterdir())

    store.delete(["/v/1"])

    left = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"a secret" in held
    assert b"a secret" not in left
    assert b"stays" in left


def test_what_has_expired_leaves_the_file_in_time(file: Path) -> None:
    clock = [1000.0]
    store = SqliteStore(file, now=lambda: clock[0])
    store.write("/v/0", b"x")
    with store._writing.transaction() as connection:
        connection.executemany(
            "INSERT INTO entries (key, value, version, expires) VALUES (?, x'00', 1, 1010.0)",
            [(f"/v/{number}",) for number in range(1, 700)],
        )
    store.append("/v/log", [b"a", b"b"], ttl_s=10)
    clock[0] = 2000.0

    for number in range(3):  # they go by 500 at a time
        store.write("/v/0", b"%d" % number)
    with store._writing.use() as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchall()
            for table in ("entries", "logs", "log_values")
        ]
    store.close()

    assert counts == [[(1,)], [(0,)], [(0,)]]


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the open files of a process are read from /proc")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_no_open_file_is_carried_across_a_fork(store: SqliteStore, file: Path) -> None:
    store.write("/v/1", b"one")
    store.read(["/v/1"])
    before = open_files(file)

    if not (child := os.fork()):
        os._exit(len(open_files(file)))
    _, carried = os.waitpid(child, 0)

    assert before
    assert carried == 0
    assert store.read(["/v/1"]) != [None]


def open_files(file: Path) -> list[str]:
    """Return which of a database's files this process has open."""
    found: list[str] = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the listing's own
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return [path for path in found if path.startswith(str(file))]


def test_a_lock_that_another_process_keeps_is_told(store: SqliteStore, other: sqlite3.Connection) -> None:
    store.write("/v/1", b"one")
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreLocked, match=r"over 0\.2 s") as caught:
        store.write("/v/1", b"two")
    read_meanwhile = store.read(["/v/1"])
    other.execute("ROLLBACK")

    assert caught.value.retryable
    assert [entry.value for entry in read_meanwhile if entry] == [b"one"]
    assert store.write("/v/1", b"two")


def test_a_lock_that_another_thread_keeps_is_told(store: SqliteStore) -> None:
    with ThreadPoolExecutor(1) as pool, store._writing.use():
        with pytest.raises(StoreLocked, match="other threads"):
            pool.submit(store.write, "/v/1", b"one").result()

        assert pool.submit(store.read, ["/v/1"]).result() == [None]  # a read does not wait for a write


def test_a_reader_elsewhere_does_not_hold_a_delete_up(store: SqliteStore, other: sqlite3.Connection) -> None:
    store.write("/v/1", b"one")
    other.execute("BEGIN")
    other.execute("SELECT * FROM entries").fetchall()

    assert store.delete(["/v/1"]) == 1
    assert store.read(["/v/1"]) == [None]


def test_a_full_disk_is_told_and_leaves_what_was_there(store: SqliteStore) -> None:
    store.write("/v/1", b"one")
    with store._writing.use() as connection:
        [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
        connection.execute(f"PRAGMA max_page_count = {pages + 3}")

    with pytest.raises(StoreFull):
        store.write("/v/2", b"x" * 100_000)
    with pytest.raises(StoreFull):
        store.append("/v/3", [b"small", b"x" * 100_000])

    assert store.log("/v/3") == []
    assert store.write("/v/1", b"two")
    store.close()  # the bound goes with the connection: now there is room
    assert store.write("/v/2", b"x" * 100_000)


def test_a_newer_schema_is_told_and_left_alone(store: SqliteStore, file: Path, other: sqlite3.Connection) -> None:
    store.write("/v/1", b"one")
    store.close()
    other.execute("PRAGMA user_version = 99")
    before = file.read_bytes()

    with pytest.raises(StoreSchemaNewer, match="schema version 99"):
        store.read(["/v/1"])
    with pytest.raises(StoreSchemaNewer):
        store.write("/v/1", b"two")

    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 5", "PRAGMA user_version = 5"]
)
def test_a_database_of_another_application_is_left_alone(
    store: SqliteStore, file: Path, other: sqlite3.Connection, statement: str
) -> None:
    other.execute(statement)
    before = file.read_bytes()

    with pytest.raises(StoreUnreadable, match="another application"):
        store.write("/v/1", b"one")

    assert file.read_bytes() == before


def test_a_file_that_is_no_database_is_told(store: SqliteStore, file: Path) -> None:
    file.write_bytes(b"Dear diary, " * 100)

    with pytest.raises(StoreUnreadable, match="no SQLite database"):
        store.read(["/v/1"])

    file.unlink()
    assert store.write("/v/1", b"one")


def test_a_path_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    store = SqliteStore(tmp_path / "state.db")

    with pytest.raises(StoreUnavailable):
        store.write("/v/1", b"one")


def test_a_file_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be made: File name too long"):
        SqliteStore(tmp_path / ("x" * 300)).read(["/v/1"])


def test_an_empty_file_is_filled(store: SqliteStore, file: Path) -> None:
    file.touch()

    assert store.write("/v/1", b"one")


def test_migrations_bring_an_older_file_up_to_date(store: SqliteStore, file: Path, other: sqlite3.Connection) -> None:
    class Later(SqliteStore):
        migrations = (*SqliteStore.migrations, "CREATE TABLE later (x); CREATE INDEX later_x ON later (x)")

    version = store.write("/v/1", b"one")

    later = Later(file)
    [entry] = later.read(["/v/1"])
    later.close()
    store.close()

    assert entry == Entry(b"one", version)
    assert other.execute("PRAGMA user_version").fetchall() == [(len(Later.migrations),)]
    assert other.execute("SELECT count(*) FROM later").fetchall() == [(0,)]
    with pytest.raises(StoreSchemaNewer):
        store.read(["/v/1"])


def test_a_migration_that_fails_leaves_the_file_as_it_was(
    store: SqliteStore, file: Path, other: sqlite3.Connection
) -> None:
    class Broken(SqliteStore):
        migrations = (*SqliteStore.migrations, "CREATE TABLE later (x); SELECT no_such_column")

    store.write("/v/1", b"one")

    with pytest.raises(StoreUnavailable):
        Broken(file).read(["/v/1"])

    assert store.read(["/v/1"]) != [None]
    assert other.execute("SELECT count(*) FROM sqlite_master WHERE name = 'later'").fetchall() == [(0,)]
