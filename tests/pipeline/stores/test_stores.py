"""What every store promises, held against all four."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import Mode

from antiphon import Entry, InvalidParameter, Store, StoreConflict, StoreValueTooLarge, key_of
from antiphon.pipeline.runtimes.async_runtime import AsyncRuntime
from antiphon.pipeline.runtimes.sync_runtime import SyncRuntime

EVERY_BYTE = bytes(range(256))
MakeStore = Callable[..., Store]


def test_what_was_written_is_read_in_the_keys_order(store: Store) -> None:
    first, second = store.write("/v/1", b"one"), store.write("/v/2", EVERY_BYTE)

    assert store.read(["/v/2", "/v/3", "/v/1", "/v/2"]) == [
        Entry(EVERY_BYTE, second),
        None,
        Entry(b"one", first),
        Entry(EVERY_BYTE, second),
    ]


def test_reading_no_keys_finds_nothing(store: Store) -> None:
    assert store.read([]) == []
    assert store.delete([]) == 0


def test_an_empty_value_is_a_value(store: Store) -> None:
    version = store.write("/v/1", b"")

    assert store.read(["/v/1"]) == [Entry(b"", version)]


def test_a_thousand_keys_are_read_at_once(store: Store) -> None:
    for number in range(0, 1000, 100):
        store.write(f"/v/{number}", b"%d" % number)

    found = store.read([f"/v/{number}" for number in range(1000)])

    assert [entry.value for entry in found if entry] == [b"%d" % number for number in range(0, 1000, 100)]
    assert [index for index, entry in enumerate(found) if entry] == list(range(0, 1000, 100))


def test_a_value_of_some_megabytes_comes_back_whole(store: Store) -> None:
    value = os.urandom(4 * 1024 * 1024)

    store.write("/v/1", value)
    store.append("/v/1", [value, value[::-1]])

    assert store.read(["/v/1"])[0].value == value  # type: ignore[union-attr]
    assert store.log("/v/1") == [value, value[::-1]]


def test_a_write_without_expectation_takes_the_place_of_what_is_there(store: Store) -> None:
    first = store.write("/v/1", b"one")
    second = store.write("/v/1", b"two")

    assert 0 < first < second
    assert store.read(["/v/1"]) == [Entry(b"two", second)]


def test_a_write_that_expects_nothing_is_refused_where_something_is(store: Store) -> None:
    version = store.write("/v/1", b"one", expect=0)

    with pytest.raises(StoreConflict) as caught:
        store.write("/v/1", b"two", expect=0)

    assert (caught.value.expected, caught.value.found) == (0, version)
    assert store.read(["/v/1"]) == [Entry(b"one", version)]


def test_a_write_that_expects_a_version_is_refused_where_another_is(store: Store) -> None:
    old = store.write("/v/1", b"one")
    new = store.write("/v/1", b"two", expect=old)

    with pytest.raises(StoreConflict) as caught:
        store.write("/v/1", b"three", expect=old)

    assert (caught.value.expected, caught.value.found) == (old, new)
    assert store.read(["/v/1"]) == [Entry(b"two", new)]


def test_a_write_that_expects_a_version_is_refused_where_nothing_is(store: Store) -> None:
    with pytest.raises(StoreConflict) as caught:
        store.write("/v/1", b"one", expect=7)

    assert (caught.value.expected, caught.value.found) == (7, 0)
    assert store.read(["/v/1"]) == [None]


def test_a_version_from_before_a_delete_is_no_version_of_what_was_written_since(store: Store) -> None:
    old = store.write("/v/1", b"one")
    store.delete(["/v/1"])
    store.write("/v/1", b"two", expect=0)

    with pytest.raises(StoreConflict):
        store.write("/v/1", b"three", expect=old)

    assert store.read(["/v/1"])[0].value == b"two"  # type: ignore[union-attr]


def test_a_value_expires(store: Store) -> None:
    version = store.write("/v/1", b"one", ttl_s=0.05)
    store.write("/v/2", b"two", ttl_s=60)
    time.sleep(0.1)

    assert store.read(["/v/1"]) == [None]
    assert store.read(["/v/2"]) != [None]
    assert store.delete(["/v/1"]) == 0
    with pytest.raises(StoreConflict):
        store.write("/v/1", b"again", expect=version)
    assert store.write("/v/1", b"again", expect=0) > version


def test_a_later_write_sets_the_time_to_live_anew(store: Store) -> None:
    store.write("/v/1", b"one", ttl_s=0.05)
    store.write("/v/1", b"two")
    time.sleep(0.1)

    assert store.read(["/v/1"])[0].value == b"two"  # type: ignore[union-attr]


def test_a_log_grows_at_its_end(store: Store) -> None:
    assert store.append("/v/1", [b"a", b"b"]) == 2
    assert store.append("/v/1", [EVERY_BYTE, b""], start=2) == 4

    assert store.log("/v/1") == [b"a", b"b", EVERY_BYTE, b""]
    assert store.log("/v/1", 1, 2) == [b"b", EVERY_BYTE]
    assert store.log("/v/1", 3) == [b""]
    assert store.log("/v/1", 4) == []
    assert store.log("/v/1", 0, 0) == []
    assert store.log("/v/2") == []


def test_an_append_at_another_length_is_refused_whole(store: Store) -> None:
    store.append("/v/1", [b"a"], start=0)

    with pytest.raises(StoreConflict) as caught:
        store.append("/v/1", [b"b", b"c"], start=0)

    assert (caught.value.expected, caught.value.found) == (0, 1)
    assert store.log("/v/1") == [b"a"]
    with pytest.raises(StoreConflict):
        store.append("/v/2", [b"b"], start=1)
    assert store.log("/v/2") == []


def test_appending_nothing_tells_the_length_and_makes_nothing(store: Store) -> None:
    assert store.append("/v/1", []) == 0
    assert store.delete(["/v/1"]) == 0
    store.append("/v/1", [b"a"])

    assert store.append("/v/1", [], start=1) == 1
    with pytest.raises(StoreConflict):
        store.append("/v/1", [], start=0)


def test_a_log_expires_as_a_whole(store: Store) -> None:
    store.append("/v/1", [b"a"])
    store.append("/v/1", [b"b"], ttl_s=0.4)
    store.append("/v/1", [b"c"])  # before it expires, on a busy machine too
    time.sleep(0.5)

    assert store.log("/v/1") == []
    assert store.append("/v/1", [b"d"], start=0) == 1
    assert store.log("/v/1") == [b"d"]


def test_the_value_and_the_log_of_a_key_expire_apart(store: Store) -> None:
    store.write("/v/1", b"one", ttl_s=0.05)
    store.append("/v/1", [b"a"])
    store.write("/v/2", b"two")
    store.append("/v/2", [b"b"], ttl_s=0.05)
    time.sleep(0.1)

    assert (store.read(["/v/1"]), store.log("/v/1")) == ([None], [b"a"])
    assert (store.read(["/v/2"]) != [None], store.log("/v/2")) == (True, [])


def test_a_delete_removes_values_and_logs_and_counts_keys(store: Store) -> None:
    store.write("/v/1", b"one")
    store.append("/v/1", [b"a"])
    store.write("/v/2", b"two")
    store.append("/v/3", [b"b"])
    store.write("/v/4", b"four")

    assert store.delete(["/v/1", "/v/2", "/v/3", "/v/1", "/v/none"]) == 3

    assert store.read(["/v/1", "/v/2", "/v/3"]) == [None] * 3
    assert [store.log(key) for key in ("/v/1", "/v/3")] == [[], []]
    assert store.read(["/v/4"]) != [None]
    assert store.append("/v/1", [b"new"], start=0) == 1


def test_a_value_over_the_bound_is_refused(make_store: MakeStore) -> None:
    store = make_store(max_bytes=10)
    store.write("/v/1", b"x" * 10)

    with pytest.raises(StoreValueTooLarge, match="11 bytes"):
        store.write("/v/1", b"y" * 11)
    with pytest.raises(StoreValueTooLarge):
        store.append("/v/1", [b"fits", b"y" * 11])

    assert store.read(["/v/1"])[0].value == b"x" * 10  # type: ignore[union-attr]
    assert store.log("/v/1") == []


@pytest.mark.parametrize("key", ["", "x" * 1001, "nul\0", "line\n", "ü", "\ud800"])
def test_a_key_that_some_store_cannot_take_is_refused_by_all(store: Store, key: str) -> None:
    with pytest.raises(InvalidParameter):
        store.write(key, b"one")
    with pytest.raises(InvalidParameter):
        store.append(key, [b"one"])
    with pytest.raises(InvalidParameter):
        store.read(["/v/1", key])
    with pytest.raises(InvalidParameter):
        store.delete(["/v/1", key])
    with pytest.raises(InvalidParameter):
        store.log(key)


def test_keys_of_any_ids_are_taken_and_kept_apart(store: Store) -> None:
    ids = ["plain", "a/b", "a%2Fb", "ü", "\ud800", "nul\0", "x" * 5000, "x" * 5001, "*", "'; --", "{a}", ""]
    for id in ids:
        store.write(key_of("acme", "response", id), id.encode("utf-8", "surrogatepass"), expect=0)

    found = store.read([key_of("acme", "response", id) for id in ids])

    assert [entry.value if entry else None for entry in found] == [id.encode("utf-8", "surrogatepass") for id in ids]


@pytest.mark.parametrize("ttl_s", [0, -1, float("nan"), float("inf"), 1e300])
def test_a_time_to_live_that_is_none_is_refused(store: Store, ttl_s: float) -> None:
    with pytest.raises(InvalidParameter, match="ttl_s"):
        store.write("/v/1", b"one", ttl_s=ttl_s)
    with pytest.raises(InvalidParameter, match="ttl_s"):
        store.append("/v/1", [b"one"], ttl_s=ttl_s)


def test_a_time_to_live_of_a_century_is_one(store: Store) -> None:
    store.write("/v/1", b"one", ttl_s=100 * 365 * 86400)
    store.append("/v/1", [b"one"], ttl_s=100 * 365 * 86400)

    assert store.read(["/v/1"]) != [None]
    assert store.log("/v/1") == [b"one"]


@pytest.mark.parametrize(("start", "limit"), [(-1, 1), (0, -1), (2**70, 1), (0, 2**70)])
def test_positions_that_no_log_has_are_refused(store: Store, start: int, limit: int) -> None:
    with pytest.raises(InvalidParameter, match="log"):
        store.log("/v/1", start, limit)


def test_text_is_no_value(store: Store) -> None:
    with pytest.raises(InvalidParameter, match="str; bytes is expected"):
        store.write("/v/1", "one")  # type: ignore[arg-type]


def test_a_closed_store_opens_again_when_it_is_used(store: Store) -> None:
    version = store.write("/v/1", b"one")

    store.close()
    store.close()

    assert store.read(["/v/1"]) == [Entry(b"one", version)]


def test_of_many_threads_that_settle_a_key_one_wins(make_store: MakeStore) -> None:
    stores = [make_store(), make_store()]
    begin = threading.Barrier(8)

    def settle(number: int) -> bool:
        begin.wait()
        try:
            stores[number % 2].write("/v/1", b"%d" % number, expect=0)
        except StoreConflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(settle, range(8)))

    assert won.count(True) == 1
    assert store_value(stores[0], "/v/1") == b"%d" % won.index(True)


def store_value(store: Store, key: str) -> bytes | None:
    [entry] = store.read([key])
    return entry.value if entry else None


def test_64_threads_lose_nothing(make_store: MakeStore) -> None:
    store = make_store(timeout_s=30)

    def work(number: int) -> list[int]:
        lengths = []
        for turn in range(4):
            lengths.append(store.append("/v/log", [b"%d" % number]))
            store.write(f"/v/{number}", b"%d" % turn)
            assert store_value(store, f"/v/{number}") == b"%d" % turn
        return lengths

    with ThreadPoolExecutor(64) as pool:
        lengths = [length for found in pool.map(work, range(64)) for length in found]

    assert sorted(lengths) == list(range(1, 257))
    assert sorted(store.log("/v/log")) == sorted(b"%d" % number for number in range(64) for _ in range(4))


def test_adding_up_with_expect_loses_no_turn(make_store: MakeStore) -> None:
    stores = [make_store(timeout_s=30) for _ in range(2)]
    stores[0].write("/v/sum", b"0")

    def add(number: int) -> None:
        store = stores[number % 2]
        for _ in range(10):
            while True:
                [entry] = store.read(["/v/sum"])
                assert entry is not None
                try:
                    store.write("/v/sum", b"%d" % (int(entry.value) + 1), expect=entry.version)
                    break
                except StoreConflict:
                    pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))

    assert store_value(stores[0], "/v/sum") == b"40"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_both_sides_of_a_fork_go_on(make_store: MakeStore, kind: str) -> None:
    store = make_store(timeout_s=30)
    store.write("/v/1", b"before")
    stop = threading.Event()

    def busy() -> None:  # so that locks are held at some of the forks
        while not stop.is_set():
            store.write("/v/busy", b"x")

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        children = []
        for number in range(5):
            if not (child := os.fork()):
                status = 1
                try:
                    seen = store_value(store, "/v/1")
                    store.append("/v/log", [b"%d" % number])
                    status = 0 if seen == b"before" else 2
                finally:
                    os._exit(status)
            children.append(child)
            store.write("/v/parent", b"x")
        ended = [os.waitpid(child, 0)[1] for child in children]
    finally:
        stop.set()
        thread.join()

    assert ended == [0] * 5
    assert store_value(store, "/v/1") == b"before"
    assert sorted(store.log("/v/log")) == ([] if kind == "memory" else [b"0", b"1", b"2", b"3", b"4"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_processes_that_open_a_new_place_at_once_all_succeed(make_store: MakeStore, kind: str) -> None:
    make_store()  # starts the server; nothing is opened yet
    gate, opens = os.pipe()
    children = []
    for _ in range(5):
        if not (child := os.fork()):
            status = 1
            try:
                os.close(opens)
                os.read(gate, 1)  # ends when the parent closes the other side
                make_store(timeout_s=30).append("/v/log", [b"x"])
                status = 0
            finally:
                os._exit(status)
        children.append(child)

    os.close(opens)
    ended = [os.waitpid(child, 0)[1] for child in children]
    os.close(gate)

    assert ended == [0] * 5
    assert make_store().log("/v/log") == ([] if kind == "memory" else [b"x"] * 5)


def test_one_body_uses_a_store_in_every_mode(
    store: Store, mode: Mode, run: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]
) -> None:
    runtime = (AsyncRuntime if mode.is_async else SyncRuntime)(lambda: pytest.fail("nothing is sent"))

    async def body() -> list[Entry | None]:
        await runtime.call(store.write, "/v/1", b"one")
        await runtime.gather([lambda: runtime.call(store.append, "/v/1", [b"x"])] * 8)
        return await runtime.call(store.read, ["/v/1"])

    [entry] = run(body)

    assert entry.value == b"one"
    assert len(store.log("/v/1")) == 8
