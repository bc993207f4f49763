"""The bounds of the store in memory."""

from __future__ import annotations

import pytest

from antiphon import InvalidParameter, StoreFull
from antiphon.pipeline.stores.memory import MemoryStore


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def values(store: MemoryStore, *keys: str) -> list[bytes | None]:
    return [entry.value if entry else None for entry in store.read(keys)]


def test_the_key_that_was_not_used_for_the_longest_makes_room() -> None:
    store = MemoryStore(max_keys=3)
    for number in range(3):
        store.write(f"/v/{number}", b"x")
    store.read(["/v/0"])
    store.append("/v/1", [b"y"])

    store.write("/v/3", b"x")

    assert values(store, "/v/0", "/v/1", "/v/2", "/v/3") == [b"x", b"x", None, b"x"]
    assert store.evicted == 1


def test_the_sum_of_bytes_is_bounded_and_what_is_there_is_counted() -> None:
    store = MemoryStore(total_bytes=100_000)

    for number in range(1000):
        store.write(f"/v/{number % 300}", b"x" * (number % 7 * 300))
        store.append(f"/v/{number % 50}", [b"y" * 100, b""])
        if not number % 10:
            store.delete([f"/v/{number % 50}"])
        assert 0 <= store.used_bytes <= 100_000
    store.delete([f"/v/{number}" for number in range(300)])

    assert store.evicted
    assert store.used_bytes == 0


def test_what_would_fill_the_store_alone_is_refused_and_nothing_else_is_lost() -> None:
    store = MemoryStore(total_bytes=10_000)
    store.write("/v/1", b"one")
    store.append("/v/2", [b"a" * 5000])

    with pytest.raises(StoreFull, match="total_bytes"):
        store.write("/v/3", b"x" * 10_000)
    with pytest.raises(StoreFull):
        store.append("/v/2", [b"b" * 5000])

    assert values(store, "/v/1", "/v/3") == [b"one", None]
    assert store.log("/v/2") == [b"a" * 5000]


def test_what_has_expired_gives_its_room_back_in_time() -> None:
    clock = Clock()
    store = MemoryStore(now=clock)
    store.write("/v/1", b"x" * 1000, ttl_s=10)
    store.append("/v/2", [b"x" * 1000], ttl_s=10)
    clock.time = 100.0

    store.write("/v/3", b"y")
    left = store.used_bytes
    store.delete(["/v/3"])

    assert left < 1000
    assert store.used_bytes == 0


@pytest.mark.parametrize("bound", [{"total_bytes": 0}, {"max_keys": 0}])
def test_a_store_without_room_is_refused(bound: dict[str, int]) -> None:
    with pytest.raises(InvalidParameter):
        MemoryStore(**bound)  # type: ignore[arg-type]
