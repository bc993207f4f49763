"""The stores on servers: lost connections, servers that stop, stand still, refuse or are full."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from store_servers import PostgresServer, Proxy, RedisServer, ServerProcess, until

from antiphon import (
    Store,
    StoreConflict,
    StoreFull,
    StoreLocked,
    StoreSchemaNewer,
    StoreUnavailable,
    StoreUnreadable,
    open_store,
)
from antiphon.pipeline.stores.postgres import PostgresStore
from antiphon.pipeline.stores.redis import RedisStore

KINDS: dict[str, type[RedisStore] | type[PostgresStore]] = {"redis": RedisStore, "postgresql": PostgresStore}


@pytest.fixture(params=list(KINDS))
def server(request: pytest.FixtureRequest) -> ServerProcess:
    name = {"redis": "redis_server", "postgresql": "postgres_server"}[request.param]
    found: ServerProcess = request.getfixturevalue(name)
    return found


@pytest.fixture
def kind(server: ServerProcess) -> str:
    return "redis" if isinstance(server, RedisServer) else "postgresql"


@pytest.fixture(scope="module", params=[RedisServer, PostgresServer], ids=list(KINDS))
def mortal_server(request: pytest.FixtureRequest) -> Iterator[ServerProcess]:
    """A server for those tests that stop it."""
    server: ServerProcess = request.param(fsync=True)
    yield server
    server.remove()


@pytest.fixture
def proxy(server: ServerProcess) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def through(kind: str, server: ServerProcess, proxy: Proxy, namespace: str) -> Iterator[RedisStore | PostgresStore]:
    """A store that reaches its server through the proxy."""
    url = server.url.replace(str(server.port), str(proxy.port))
    store = KINDS[kind](url, namespace=namespace)
    yield store
    store.close()


def cut_all(server: ServerProcess) -> None:
    """Let the server end every connection, as after its own idle limit."""
    if isinstance(server, RedisServer):
        with server.admin() as admin:
            admin.client_kill_filter(_type="normal", skipme=True)
            until(lambda: len(admin.client_list()) == 1, "the others are still there")
    else:
        assert isinstance(server, PostgresServer)
        server.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


def test_a_connection_that_the_server_has_ended_meanwhile_is_not_noticed(
    make_store: Callable[..., Store], server: ServerProcess
) -> None:
    store = make_store()
    store.append("/v/1", [b"a"])

    cut_all(server)
    length = store.append("/v/1", [b"b"])
    cut_all(server)
    store.write("/v/1", b"one", expect=0)

    assert length == 2
    assert store.log("/v/1") == [b"a", b"b"]


def test_a_write_without_an_answer_is_not_repeated_and_says_that_it_may_be_done(through: Store, proxy: Proxy) -> None:
    through.append("/v/1", [b"a"])
    proxy.loses_answers = True

    with pytest.raises(StoreUnavailable) as caught:
        through.write("/v/1", b"one", expect=0)
    proxy.loses_answers = False

    assert caught.value.is_fate_unknown
    with pytest.raises(StoreConflict):  # here it was done
        through.write("/v/1", b"two", expect=0)


def test_a_read_without_an_answer_is_repeated_once(through: Store, proxy: Proxy) -> None:
    through.append("/v/1", [b"a"])
    before = proxy.connections
    proxy.loses_answers = True

    with pytest.raises(StoreUnavailable) as caught:
        through.log("/v/1")
    attempts = proxy.connections - before
    proxy.loses_answers = False

    assert not caught.value.is_fate_unknown
    assert caught.value.retryable
    assert attempts in (1, 2)  # a new connection's first words are repeated too, by the package redis
    assert through.log("/v/1") == [b"a"]


def test_a_read_survives_the_loss_of_its_connection(through: Store, proxy: Proxy) -> None:
    through.append("/v/1", [b"a"])
    proxy.loses_next_answer = True

    assert through.log("/v/1") == [b"a"]
    assert not proxy.loses_next_answer


def test_a_long_idle_connection_is_asked_before_it_is_used(
    kind: str, server: ServerProcess, proxy: Proxy, namespace: str, make_store: Callable[..., Store]
) -> None:
    make_store().write("/v/1", b"one")
    store = KINDS[kind](server.url.replace(str(server.port), str(proxy.port)), namespace=namespace, timeout_s=1)
    store.append("/v/1", [b"a"])
    proxy.forget()
    if isinstance(store, PostgresStore):  # as half a minute later
        store._pool._idle[:] = [(connection, used - 60) for connection, used in store._pool._idle]
    else:
        for connection in store._pool._connections:
            connection.next_health_check = 0

    length = store.append("/v/1", [b"b"])
    store.close()

    assert length == 2
    assert proxy.connections == 2


def test_a_server_that_stops_and_comes_back(mortal_server: ServerProcess) -> None:
    store = open_store(mortal_server.url)
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
        store.read(["/v/1"])
    mortal_server.start()
    store.write("/v/1", b"one")
    mortal_server.stop()
    with pytest.raises(StoreUnavailable) as read:
        store.read(["/v/1"])
    with pytest.raises(StoreUnavailable) as written:
        store.write("/v/1", b"two")
    mortal_server.start()

    [entry] = store.read(["/v/1"])
    store.write("/v/1", b"three")
    store.close()

    assert entry is not None
    assert entry.value == b"one"
    assert read.value.retryable
    assert not written.value.is_fate_unknown  # nothing was sent: the connection was seen to be gone


def test_what_was_acknowledged_outlives_the_killing_of_its_server(mortal_server: ServerProcess) -> None:
    mortal_server.start()
    store = open_store(mortal_server.url)
    acknowledged = 0
    killer = threading.Thread(target=mortal_server.kill)
    try:
        while True:
            acknowledged = store.append("/v/log", [b"%d" % acknowledged])
            if acknowledged == 50:
                killer.start()
    except StoreUnavailable:
        killer.join()
    mortal_server.start()

    found = store.log("/v/log", limit=acknowledged + 10)
    store.close()

    assert acknowledged >= 50
    assert len(found) in (acknowledged, acknowledged + 1)  # one more may be done without an answer
    assert found == [b"%d" % number for number in range(len(found))]


def test_a_server_that_stands_still_is_not_waited_for_without_end(
    kind: str, server: ServerProcess, namespace: str, make_store: Callable[..., Store]
) -> None:
    make_store().write("/v/1", b"one")
    store = KINDS[kind](server.url, namespace=namespace, timeout_s=0.5)
    store.write("/v/1", b"one")
    frozen = still_process(server, store)
    os.kill(frozen, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as caught:
            store.write("/v/1", b"two")
        waited = time.monotonic() - began
    finally:
        os.kill(frozen, signal.SIGCONT)

    assert caught.value.is_fate_unknown
    assert 0.4 < waited < 10
    assert store.read(["/v/1"]) != [None]
    store.close()


def still_process(server: ServerProcess, store: RedisStore | PostgresStore) -> int:
    """Return the process that serves the store's connection."""
    if isinstance(store, RedisStore):
        assert server.process
        return server.process.pid
    with store._pool.lend() as connection:
        return connection.info.backend_pid


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_leaves_the_parents_connections_alone(through: RedisStore | PostgresStore, proxy: Proxy) -> None:
    through.append("/v/log", [b"parent"])
    before = proxy.connections

    if not (child := os.fork()):
        status = 1
        try:
            through.append("/v/log", [b"child"])
            through.close()
            status = 0
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    through.append("/v/log", [b"parent"])

    assert ended == 0
    assert proxy.connections == before + 1  # the child's
    assert through.log("/v/log") == [b"parent", b"child", b"parent"]


def test_a_newer_schema_is_told(
    kind: str, server: ServerProcess, namespace: str, make_store: Callable[..., Store]
) -> None:
    make_store().write("/v/1", b"one")
    if isinstance(server, RedisServer):
        with server.admin() as redis:
            redis.set(f"{namespace}:schema", 99)
    else:
        assert isinstance(server, PostgresServer)
        server.run(f"UPDATE {namespace}.schema_version SET version = 99")

    with pytest.raises(StoreSchemaNewer, match="schema version 99"):
        make_store().write("/v/1", b"two")


def test_a_full_server_is_told_and_nothing_is_written(
    kind: str, server: ServerProcess, namespace: str, make_store: Callable[..., Store]
) -> None:
    store = make_store()
    store.append("/v/1", [b"a"])
    if isinstance(server, RedisServer):
        with server.admin() as redis:
            redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(StoreFull, match="maxmemory"):
                store.write("/v/1", b"one")
            with pytest.raises(StoreFull):
                store.append("/v/1", [b"b", b"c"])
        finally:
            with server.admin() as redis:
                redis.config_set("maxmemory", 0)
    else:
        assert isinstance(server, PostgresServer)
        server.run(
            f"CREATE FUNCTION {namespace}.fill() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE 'no space left' USING ERRCODE = 'disk_full'; END$$"
        )
        for table in ("entries", "log_values"):
            server.run(f"CREATE TRIGGER fill BEFORE INSERT ON {namespace}.{table} EXECUTE FUNCTION {namespace}.fill()")
        with pytest.raises(StoreFull, match="no space left"):
            store.write("/v/1", b"one")
        with pytest.raises(StoreFull):
            store.append("/v/1", [b"b", b"c"])
        for table in ("entries", "log_values"):
            server.run(f"DROP TRIGGER fill ON {namespace}.{table}")

    assert store.read(["/v/1"]) == [None]
    assert store.log("/v/1") == [b"a"]
    assert store.write("/v/1", b"one")


def test_all_connections_busy_for_too_long_is_told(postgres_server: PostgresServer, namespace: str) -> None:
    with contextlib.closing(PostgresStore(postgres_server.url, namespace=namespace)) as patient:
        patient.write("/v/1", b"one")
    store = PostgresStore(postgres_server.url, namespace=namespace, timeout_s=0.5, max_connections=1)

    with store._pool.lend(), pytest.raises(StoreUnavailable, match="all 1 connections were busy"):
        store.read(["/v/1"])

    assert store.read(["/v/1"]) != [None]
    store.close()


def test_a_row_that_another_transaction_holds_is_told(postgres_server: PostgresServer, namespace: str) -> None:
    with contextlib.closing(PostgresStore(postgres_server.url, namespace=namespace)) as patient:
        patient.write("/v/1", b"one")
    store = PostgresStore(postgres_server.url, namespace=namespace, timeout_s=1)

    with postgres_server.admin() as other, other.transaction():
        other.execute(f"SELECT * FROM {namespace}.entries FOR UPDATE".encode())
        with pytest.raises(StoreLocked) as caught:
            store.write("/v/1", b"two")

    assert caught.value.retryable
    assert [entry.value for entry in store.read(["/v/1"]) if entry] == [b"one"]
    store.close()


def test_a_user_needs_the_right_to_make_a_schema_or_one_of_its_own(
    postgres_server: PostgresServer, namespace: str
) -> None:
    postgres_server.run("CREATE ROLE guest LOGIN PASSWORD 'hunter2secret'")
    url = postgres_server.url.replace("antiphon@", "guest:hunter2secret@")
    wrong = PostgresStore(url.replace("hunter2secret", "hunter3secret"), namespace=namespace)
    right = PostgresStore(url, namespace=namespace)

    with pytest.raises(StoreUnavailable, match="password") as refused:
        wrong.read(["/v/1"])
    with pytest.raises(StoreUnavailable, match="permission denied") as denied:
        right.read(["/v/1"])

    postgres_server.run(f"CREATE SCHEMA {namespace} AUTHORIZATION guest")
    right.write("/v/1", b"one")
    right.close()

    assert not denied.value.retryable
    for error in (refused.value, denied.value):
        assert "secret" not in f"{error}{error.__cause__}{wrong!r}{right!r}"


def test_a_wrong_password_is_told_without_showing_it(redis_server: RedisServer, namespace: str) -> None:
    with redis_server.admin() as admin:
        admin.acl_setuser("guest", enabled=True, passwords=["+hunter2secret"], categories=["+@read"], keys=["*"])
    wrong = RedisStore(f"redis://guest:hunter3secret@127.0.0.1:{redis_server.port}/0", namespace=namespace)
    right = RedisStore(f"redis://guest:hunter2secret@127.0.0.1:{redis_server.port}/0", namespace=namespace)

    with pytest.raises(StoreUnavailable) as refused:
        wrong.read(["/v/1"])
    with pytest.raises(StoreUnavailable) as denied:
        right.write("/v/1", b"one")

    for error in (refused.value, denied.value):
        assert not error.retryable
        assert "secret" not in f"{error}{error.__cause__}{wrong!r}{right!r}"


def test_a_key_of_somebody_else_is_told(redis_server: RedisServer, namespace: str) -> None:
    store = RedisStore(redis_server.url, namespace=namespace)
    with redis_server.admin() as admin:
        admin.set(f"{namespace}:value:/v/1", "theirs")

    with pytest.raises(StoreUnreadable, match="namespace"):
        store.write("/v/1", b"one")
    with pytest.raises(StoreUnreadable):
        store.read(["/v/0", "/v/1", "/v/2"])

    assert store.read(["/v/0"]) == [None]  # no answer of before is left on the connection
    store.close()


def test_a_version_rises_though_the_server_has_evicted_the_counter(redis_server: RedisServer, namespace: str) -> None:
    store = RedisStore(redis_server.url, namespace=namespace)
    first = [store.write("/v/1", b"%d" % number) for number in range(5)][-1]
    with redis_server.admin() as admin:
        admin.delete(f"{namespace}:versions")

    assert store.write("/v/1", b"one") == first + 1
    store.close()


def test_migrations_bring_an_older_schema_up_to_date(postgres_server: PostgresServer, namespace: str) -> None:
    class Later(PostgresStore):
        migrations = (*PostgresStore.migrations, "CREATE TABLE {s}.later (x integer)")

    class Broken(PostgresStore):
        migrations = (*PostgresStore.migrations, "CREATE TABLE {s}.broken (x integer); SELECT no_such_column")

    store = PostgresStore(postgres_server.url, namespace=namespace)
    version = store.write("/v/1", b"one")
    with pytest.raises(StoreUnavailable):
        Broken(postgres_server.url, namespace=namespace).read(["/v/1"])
    store.close()
    assert store.read(["/v/1"]) != [None]
    later = Later(postgres_server.url, namespace=namespace)

    [entry] = later.read(["/v/1"])

    assert entry is not None
    assert entry.version == version
    made = postgres_server.run(f"SELECT to_regclass('{namespace}.later') IS NULL, to_regclass('{namespace}.broken')")
    assert made == [(False, None)]
    store.close()
    with pytest.raises(StoreSchemaNewer):
        store.read(["/v/1"])
    later.close()


def test_a_newer_process_that_was_faster_is_not_undone(postgres_server: PostgresServer, namespace: str) -> None:
    store = PostgresStore(postgres_server.url, namespace=namespace)
    with ThreadPoolExecutor(1) as pool:
        with postgres_server.admin() as newer, newer.transaction():
            newer.execute("SELECT pg_advisory_xact_lock(%s, %s)", store._migration_lock)
            older = pool.submit(store.read, ["/v/1"])
            waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            until(lambda: bool(newer.execute(waiting).fetchall()), "the older one does not wait")
            newer.execute(f"CREATE SCHEMA {namespace}".encode())
            newer.execute(f"CREATE TABLE {namespace}.schema_version AS SELECT 99 AS version".encode())

        with pytest.raises(StoreSchemaNewer):
            older.result()

    assert postgres_server.run(f"SELECT version FROM {namespace}.schema_version") == [(99,)]


def test_what_has_expired_leaves_the_tables_in_time(postgres_server: PostgresServer, namespace: str) -> None:
    store = PostgresStore(postgres_server.url, namespace=namespace)
    store.write("/v/1", b"x", ttl_s=0.01)
    store.append("/v/2", [b"x", b"y"], ttl_s=0.01)
    time.sleep(0.05)
    store._sweep_at = 0.0  # as a minute later

    store.write("/v/3", b"x")

    counts = [
        postgres_server.run(f"SELECT count(*) FROM {namespace}.{table}") for table in ("entries", "logs", "log_values")
    ]
    assert counts == [[(1,)], [(0,)], [(0,)]]
    store.close()
