"""Encryption at rest: what the store keeps says nothing, and cannot be moved or altered unseen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from antiphon import Entry, InvalidParameter, Store, StoreConflict, StoreUnreadable, StoreValueTooLarge, open_store
from antiphon.pipeline.stores.memory import MemoryStore
from antiphon.pipeline.stores.seal import SealedStore, Sealer


class WithFernet:
    def __init__(self) -> None:
        self._fernet = Fernet(Fernet.generate_key())

    def seal(self, data: bytes) -> bytes:
        return self._fernet.encrypt(data)

    def unseal(self, data: bytes) -> bytes:
        return self._fernet.decrypt(data)


@pytest.fixture
def sealer() -> Sealer:
    return WithFernet()


def test_a_sealed_store_keeps_the_contract_and_shows_nothing(make_store: Callable[..., Store], sealer: Sealer) -> None:
    plain = make_store()
    sealed = SealedStore(plain, sealer, max_bytes=1000)

    version = sealed.write("/v/1", b"the secret", expect=0)
    sealed.append("/v/1", [b"another secret"], start=0)

    assert sealed.read(["/v/1", "/v/2"]) == [Entry(b"the secret", version), None]
    assert sealed.log("/v/1") == [b"another secret"]
    [entry] = plain.read(["/v/1"])
    assert entry is not None
    assert b"secret" not in entry.value + plain.log("/v/1")[0]
    with pytest.raises(StoreConflict):
        sealed.write("/v/1", b"x", expect=0)
    with pytest.raises(StoreConflict):
        sealed.append("/v/1", [b"x"], start=0)
    assert sealed.delete(["/v/1"]) == 1
    assert plain.read(["/v/1"]) == [None]


def test_another_key_does_not_unseal(sealer: Sealer) -> None:
    store = MemoryStore()
    SealedStore(store, sealer, max_bytes=1000).write("/v/1", b"the secret")
    other = SealedStore(store, WithFernet(), max_bytes=1000)

    with pytest.raises(StoreUnreadable, match="InvalidToken"):
        other.read(["/v/1"])


def test_a_value_that_was_moved_to_another_key_is_told(sealer: Sealer) -> None:
    store = MemoryStore()
    sealed = SealedStore(store, sealer, max_bytes=1000)
    sealed.write("=acme/response/1", b"the secret")
    sealed.append("=acme/response/1", [b"the secret"])
    [entry] = store.read(["=acme/response/1"])
    assert entry is not None
    store.write("=other/response/1", entry.value)
    store.append("=other/response/1", store.log("=acme/response/1"))

    with pytest.raises(StoreUnreadable, match="another key"):
        sealed.read(["=other/response/1"])
    with pytest.raises(StoreUnreadable):
        sealed.log("=other/response/1")


def test_open_store_seals_with_an_object_or_two_functions(tmp_path: Path, sealer: Sealer) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    written, read = open_store(url, seal=sealer), open_store(url, seal=(sealer.seal, sealer.unseal))

    version = written.write("/v/1", b"the secret")
    found = read.read(["/v/1"])
    written.close()
    read.close()

    assert found == [Entry(b"the secret", version)]
    assert b"the secret" not in (tmp_path / "state.db").read_bytes()
    assert "SealedStore(SqliteStore(" in repr(written)


def test_the_bound_is_on_what_is_sealed(sealer: Sealer) -> None:
    store = open_store("memory://", seal=sealer, max_bytes=100_000)
    store.write("/v/1", b"x" * 100_000)

    with pytest.raises(StoreValueTooLarge, match="100,001 bytes"):
        store.write("/v/1", b"x" * 100_001)


@pytest.mark.parametrize("seal", [("not", "functions"), (bytes,), object(), Fernet])
def test_a_seal_that_is_none_is_refused(seal: Any) -> None:
    with pytest.raises(InvalidParameter, match="seal"):
        open_store("memory://", seal=seal)
