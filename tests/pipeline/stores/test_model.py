"""Any row of operations has the outcome that the contract says, held against a model of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon import Entry, Store, StoreConflict

KEYS = ["/v/1", "/v/2", "=t/v/1"]

keys = st.sampled_from(KEYS)
values = st.binary(max_size=5)
# What a caller may believe to be there: nothing matters, nothing is, what is there, what was there first.
beliefs = st.sampled_from([None, 0, "now", "first"])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("write"), keys, values, beliefs),
        st.tuples(st.just("append"), keys, st.lists(values, max_size=3), beliefs),
        st.tuples(st.just("delete"), st.lists(keys, max_size=3)),
        st.tuples(st.just("log"), keys, st.integers(0, 4), st.integers(0, 4)),
        st.tuples(st.just("close")),
    ),
    max_size=15,
)


class Model:
    """The contract, for one caller."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.logs: dict[str, list[bytes]] = {}
        self.first: dict[str, int] = {}
        self.versions: set[int] = set()


def believed(belief: int | str | None, now: int, first: int) -> int | None:
    if isinstance(belief, str):
        return now if belief == "now" else first
    return belief


def play(store: Store, model: Model, name: str, *args: Any) -> None:
    match name, args:
        case "write", (key, value, belief):
            now = model.entries[key].version if key in model.entries else 0
            expect = believed(belief, now, model.first.get(key, 0))
            if expect not in (None, now):
                with pytest.raises(StoreConflict) as refused:
                    store.write(key, value, expect=expect)
                assert (refused.value.expected, refused.value.found) == (expect, now)
                return
            version = store.write(key, value, expect=expect)
            assert version > now
            assert version not in model.versions
            model.versions.add(version)
            model.first.setdefault(key, version)
            model.entries[key] = Entry(value, version)
        case "append", (key, added, belief):
            log = model.logs.get(key, [])
            start = believed(belief, len(log), 1)
            if start not in (None, len(log)):
                with pytest.raises(StoreConflict) as refused:
                    store.append(key, added, start=start)
                assert (refused.value.expected, refused.value.found) == (start, len(log))
                return
            assert store.append(key, added, start=start) == len(log) + len(added)
            if added:
                model.logs[key] = log + added
        case "delete", (gone,):
            there = {key for key in gone if key in model.entries or key in model.logs}
            assert store.delete(gone) == len(there)
            for key in there:
                model.entries.pop(key, None)
                model.logs.pop(key, None)
        case "log", (key, start, limit):
            assert store.log(key, start, limit) == model.logs.get(key, [])[start : start + limit]
        case _:
            store.close()


@pytest.fixture
def other(make_store: Callable[..., Store]) -> Store:
    return make_store()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations)
def test_any_row_of_operations_does_what_the_model_does(store: Store, other: Store, row: list[tuple[Any, ...]]) -> None:
    store.delete(KEYS)
    model = Model()

    for turn, operation in enumerate(row):
        play((store, other)[turn % 2], model, *operation)  # two clients of one place

    assert store.read(KEYS) == [model.entries.get(key) for key in KEYS]
    assert [other.log(key) for key in KEYS] == [model.logs.get(key, []) for key in KEYS]
