"""Keys that are functions or credentials: asked for at every attempt, once more after a 401, in every mode."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any

import anyio.lowlevel
import pytest
from conftest import Mode
from replay_server import Answer, replaying

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import (
    APITimeoutError,
    AuthenticationError,
    InternalServerError,
    InvalidParameter,
    MissingKey,
    NotSerializable,
    SuspendedInSync,
    UnknownProvider,
)
from antiphon.pipeline.secret import FromEnv, Secret

KEY = "canary0123456789abcdef"
DONE = (
    b'{"id":"resp_1","object":"response","status":"completed","output":[{"type":"message","id":"m","role":"assistant",'
    b'"status":"completed","content":[{"type":"output_text","text":"Hi.","annotations":[]}]}]}'
)
STREAM = (
    b'data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response",'
    b'"status":"in_progress","output":[]}}\n\n'
    b'data: {"type":"response.completed","sequence_number":1,"response":' + DONE + b"}\n\n"
)
NO = Answer.json(b'{"error":{"message":"expired","code":"token_expired"}}', 401)
BUSY = Answer.json(b'{"error":{"message":"busy"}}', 503, {"retry-after-ms": "1"})


def ok(streamed: bool) -> Answer:
    return Answer.stream(STREAM) if streamed else Answer.json(DONE)


class Asked:
    """A function of the user's that counts its calls and returns another key each time."""

    def __init__(self, *keys: Any) -> None:
        self.count = 0
        self.threads: list[int] = []
        self._keys = keys

    def __call__(self) -> Any:
        self.threads.append(threading.get_ident())
        self.count += 1
        return self._keys[min(self.count, len(self._keys)) - 1]


class AskedAsync(Asked):
    """The same as an object whose call is async, and suspends where it can."""

    def __init__(self, *keys: Any, suspends: bool = False) -> None:
        super().__init__(*keys)
        self._suspends = suspends

    async def __call__(self) -> Any:
        if self._suspends:
            await anyio.lowlevel.checkpoint()
        return super().__call__()


async def ask(mode: Mode, url: str, key: Any, *, streamed: bool = False, chain: Any = None, **call: Any) -> Any:
    client = Client(chain) if chain is not None else Client()
    try:
        given = {"model": "openai/m", "api_base": f"{url}/v1", **({} if key is None else {"api_key": key}), **call}
        return await mode.response(client.chain, streamed=streamed, **given)
    finally:
        await mode.close(client)


def keys_of(server: Any) -> list[str]:
    return [received.headers["authorization"] for received in server.requests]


# --- forms -----------------------------------------------------------------------------------------------------------


async def plain_coroutine() -> str:
    return KEY


FORMS: dict[str, Callable[[], Any]] = {
    "function": lambda: lambda: KEY,
    "secret": lambda: lambda: Secret(KEY),
    "line end": lambda: lambda: f" {KEY}\n",
    "bearer": lambda: lambda: f"Bearer {KEY}",
    "async": lambda: plain_coroutine,
    "async object": lambda: AskedAsync(KEY),
    "returns a coroutine": lambda: lambda: plain_coroutine(),
    "partial": lambda: functools.partial(plain_coroutine),
    "object with a token": lambda: lambda: type("Token", (), {"token": KEY, "expires_on": 1})(),
    "method": lambda: Asked(KEY).__call__,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_key_may_be_a_function_of_many_forms(form: str, mode: Mode, streamed: bool) -> None:
    with replaying(ok(streamed)) as server:
        response = mode.run(lambda: ask(mode, server.url, FORMS[form](), streamed=streamed))

    assert keys_of(server) == [f"Bearer {KEY}"]
    assert response.output_text == "Hi."
    assert KEY not in repr(response.meta)


def test_an_async_function_may_wait_in_async_calls(mode: Mode, streamed: bool) -> None:
    with replaying(ok(streamed)) as server:
        if mode.is_async:
            mode.run(lambda: ask(mode, server.url, AskedAsync(KEY, suspends=True), streamed=streamed))
            assert keys_of(server) == [f"Bearer {KEY}"]
            return
        with pytest.raises(SuspendedInSync, match="stage dispatch") as caught:
            mode.run(lambda: ask(mode, server.url, AskedAsync(KEY, suspends=True), streamed=streamed))
        assert "async twin" in (caught.value.hint or "")
    assert server.requests == []


def test_an_async_function_may_wait_in_a_sync_call_through_the_portal() -> None:
    with (
        replaying(ok(False)) as server,
        Client(presets.responses.bind(api_key=AskedAsync(KEY, suspends=True)), blocking="portal") as client,
    ):
        assert client.responses("Hi", "openai/m", api_base=f"{server.url}/v1").output_text == "Hi."


def test_a_function_that_blocks_does_not_hold_the_event_loop(mode: Mode) -> None:
    key, here = Asked(KEY), []

    async def body() -> None:
        here.append(threading.get_ident())
        await ask(mode, server.url, key)

    with replaying(ok(False)) as server:
        mode.run(body)

    assert (key.threads == here) is not mode.is_async


@pytest.mark.parametrize("key", [5, 1.5, b"key", [KEY], {"key": KEY}, True, object()])
def test_what_gives_no_key_is_refused(key: Any, mode: Mode) -> None:
    with replaying(ok(False)) as server, pytest.raises(InvalidParameter, match='option "api_key" is') as caught:
        mode.run(lambda: ask(mode, server.url, key))

    assert caught.value.param == "api_key"
    assert KEY not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("given", ["", " ", None, 5, Secret(" "), "Bearer "])
def test_an_empty_key_of_a_function_is_not_sent(given: Any, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with replaying(ok(False)) as server, pytest.raises(MissingKey, match="api_key is empty"):
        mode.run(lambda: ask(mode, server.url, lambda: given))

    assert server.requests == []


def test_a_function_that_wants_arguments_is_refused(mode: Mode, streamed: bool) -> None:
    def key_of(tenant: str) -> str:
        return KEY + tenant

    said = "the function key_of, which cannot be called without arguments"
    with replaying(ok(streamed)) as server, pytest.raises(InvalidParameter, match=said):
        mode.run(lambda: ask(mode, server.url, key_of, streamed=streamed))

    assert server.requests == []


def test_an_error_of_the_function_is_its_own(mode: Mode, streamed: bool) -> None:
    def fail() -> str:
        raise LookupError("no vault")

    with replaying(ok(streamed)) as server, pytest.raises(LookupError, match="no vault"):
        mode.run(lambda: ask(mode, server.url, fail, streamed=streamed))

    assert server.requests == []


@pytest.mark.parametrize("mode", ["asyncio", "trio"], indirect=True)  # a sync call cannot leave what blocks it
@pytest.mark.parametrize("blocks", [False, True])
def test_a_function_that_does_not_return_ends_with_the_calls_time(mode: Mode, blocks: bool) -> None:
    over = threading.Event()

    async def waits() -> str:
        await anyio.sleep_forever()
        return KEY

    async def body() -> None:
        chain = presets.responses.bind(model="openai/m", api_key=over.wait if blocks else waits, timeout=0.05)
        with pytest.raises(APITimeoutError, match=r"gives the key did not return within the call's 0.05 s") as caught:
            await mode.call(chain)
        assert caught.value.limit == "total"

    try:
        mode.run(body)
    finally:
        over.set()


def test_a_functions_own_time_limit_passes_as_it_is(mode: Mode) -> None:
    def slow() -> str:
        raise TimeoutError("the vault is slow")

    async def body() -> None:
        with pytest.raises(TimeoutError, match="the vault is slow"):
            await mode.call(presets.responses.bind(model="openai/m", api_key=slow))

    mode.run(body)


def test_a_dry_run_asks_for_no_key() -> None:
    key = Asked(KEY)
    explanation = presets.responses.explain("Hi", model="openai/m", api_key=key)

    assert explanation.request is not None
    assert explanation.request.headers["authorization"] == "***"
    assert key.count == 0


def test_a_header_of_the_call_wins_over_the_function(mode: Mode) -> None:
    with replaying(ok(False)) as server:
        mode.run(lambda: ask(mode, server.url, lambda: KEY, extra_headers={"Authorization": "Bearer mine"}))

    assert keys_of(server) == ["Bearer mine"]


# --- asked anew ------------------------------------------------------------------------------------------------------


def test_each_attempt_has_a_key_of_its_own(mode: Mode, streamed: bool) -> None:
    key = Asked("one", "two", "three")
    with replaying(BUSY, BUSY, ok(streamed)) as server:
        mode.run(lambda: ask(mode, server.url, key, streamed=streamed))

    assert keys_of(server) == ["Bearer one", "Bearer two", "Bearer three"]


def test_a_refused_key_is_asked_for_once_more(mode: Mode, streamed: bool) -> None:
    key = Asked("old", "new")
    with replaying(NO, ok(streamed)) as server:
        response = mode.run(lambda: ask(mode, server.url, key, streamed=streamed, num_retries=0))

    assert keys_of(server) == ["Bearer old", "Bearer new"]
    assert [(each.status, each.error) for each in response.meta.attempts] == [(401, "AuthenticationError"), (200, None)]


def test_a_repeat_for_a_key_is_none_of_the_retries(mode: Mode, streamed: bool) -> None:
    keys = Asked("old", "new", "newer", "newest")
    with replaying(NO, BUSY, NO, ok(streamed)) as server:
        mode.run(lambda: ask(mode, server.url, keys, streamed=streamed, num_retries=1))

    assert keys_of(server) == ["Bearer old", "Bearer new", "Bearer newer", "Bearer newest"]


def test_a_host_that_takes_no_key_is_asked_twice_and_no_more(mode: Mode, streamed: bool) -> None:
    keys = Asked(*map(str, range(10)))
    with replaying(NO) as server, pytest.raises(AuthenticationError) as caught:
        mode.run(lambda: ask(mode, server.url, keys, streamed=streamed))

    assert keys_of(server) == ["Bearer 0", "Bearer 1"]
    assert caught.value.attempts == 2


def test_the_same_key_is_not_sent_again(mode: Mode, streamed: bool) -> None:
    key = Asked(KEY)
    with replaying(NO) as server, pytest.raises(AuthenticationError):
        mode.run(lambda: ask(mode, server.url, key, streamed=streamed))

    assert (len(server.requests), key.count) == (1, 2)


def test_a_fixed_key_is_sent_once(mode: Mode, streamed: bool) -> None:
    with replaying(NO) as server, pytest.raises(AuthenticationError):
        mode.run(lambda: ask(mode, server.url, KEY, streamed=streamed))

    assert len(server.requests) == 1


def test_other_errors_ask_for_no_other_key(mode: Mode) -> None:
    key = Asked("one", "two")
    with replaying(BUSY) as server, pytest.raises(InternalServerError):
        mode.run(lambda: ask(mode, server.url, key, num_retries=0))

    assert keys_of(server) == ["Bearer one"]


def test_many_calls_at_once_do_not_wait_for_each_other(mode: Mode) -> None:
    numbers = itertools.count()
    chain = presets.responses.bind(model="openai/m", api_key=lambda: f"key{next(numbers)}")

    async def body() -> Any:
        client = Client(chain.bind(api_base=f"{server.url}/v1"))
        inputs = ["Hi"] * 8
        try:
            return await mode.either(lambda: client.chain.batch(inputs), lambda: client.chain.abatch(inputs))
        finally:
            await mode.close(client)

    with replaying(ok(False)) as server:
        assert len(mode.run(body)) == 8

    assert sorted(keys_of(server)) == [f"Bearer key{number}" for number in range(8)]


# --- shown nowhere ---------------------------------------------------------------------------------------------------


def test_a_key_of_a_function_is_masked_like_any(mode: Mode, streamed: bool) -> None:
    said = Answer.json(f'{{"error":{{"message":"wrong key {KEY}"}}}}'.encode(), 401)
    with replaying(said) as server, pytest.raises(AuthenticationError) as caught:
        mode.run(lambda: ask(mode, server.url, lambda: KEY, streamed=streamed))

    assert caught.value.message == "wrong key ***"
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.body} {caught.value.meta}"


# --- bound once ------------------------------------------------------------------------------------------------------


@pytest.fixture
def own_address(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda url: monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")


def test_a_key_is_bound_once_for_all_calls_of_a_chain(mode: Mode) -> None:
    with replaying(ok(False)) as server:
        chain = presets.responses.bind(api_key=Asked("one", "two"), api_base=f"{server.url}/v1")
        mode.run(lambda: ask(mode, server.url, None, chain=chain))
        mode.run(lambda: ask(mode, server.url, "mine", chain=chain))

    assert keys_of(server) == ["Bearer one", "Bearer mine"]


@pytest.mark.parametrize("key", [KEY, lambda: KEY, Secret(KEY)], ids=["text", "function", "secret"])
def test_a_chain_has_keys_by_provider(key: Any, mode: Mode, own_address: Callable[[str], None]) -> None:
    chain = presets.responses.with_(resolve={"keys": {"openai": key, "groq": "another"}})

    with replaying(ok(False)) as server:
        own_address(server.url)
        client = Client(chain)

        async def body() -> Any:
            try:
                await mode.call(client.chain, model="openai/m")
                await mode.call(client.chain, model="openai/m", api_key="mine")
            finally:
                await mode.close(client)

        mode.run(body)

    assert keys_of(server) == [f"Bearer {KEY}", "Bearer mine"]
    assert KEY not in repr(chain)


def test_a_key_of_the_chain_goes_to_no_other_address(mode: Mode) -> None:
    chain = presets.responses.with_(resolve={"keys": {"openai": KEY}})

    with replaying(NO) as server, pytest.raises(AuthenticationError) as caught:
        mode.run(lambda: ask(mode, server.url, None, chain=chain))

    assert "authorization" not in server.requests[0].headers
    assert "the chain's key for openai was not sent" in (caught.value.hint or "")


def test_keys_of_a_chain_are_named_by_their_variables_in_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", KEY)
    chain = presets.responses.with_(resolve={"keys": {"groq": FromEnv("SHOP_KEY")}})
    again = Chain.from_toml(chain.to_toml())

    assert again == chain
    assert 'keys = { groq = { env = "SHOP_KEY" } }' in chain.to_toml()
    explained = again.explain("Hi", model="groq/m")
    assert explained.request is not None
    assert explained.request.headers["authorization"] == "***"
    monkeypatch.delenv("SHOP_KEY")
    with pytest.raises(MissingKey, match="SHOP_KEY is not set"):
        again.explain("Hi", model="groq/m")


@pytest.mark.parametrize("key", [KEY, Secret(KEY), lambda: KEY])
def test_a_chain_with_keys_in_it_has_no_form_in_a_file(key: Any) -> None:
    chain = presets.responses.with_(resolve={"keys": {"groq": key}})

    with pytest.raises(NotSerializable) as caught:
        chain.to_toml()
    assert KEY not in str(caught.value)


def test_a_key_for_nobody_is_an_error_of_the_set_up() -> None:
    chain = presets.responses.with_(resolve={"keys": {"opnai": KEY}})

    with pytest.raises(UnknownProvider, match='did you mean "openai"'):
        Client(chain).responses("Hi", "scripted/echo")
