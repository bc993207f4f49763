"""Credentials: which key goes where, above all where none may go; and addresses as people write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Mode
from replay_server import Answer, replaying

import antiphon
from antiphon.pipeline.errors import CallError, InvalidParameter, MissingKey
from antiphon.pipeline.runtimes.driver import drive
from antiphon.pipeline.runtimes.sync_runtime import SyncRuntime
from antiphon.pipeline.secret import Secret
from antiphon.providers import catalog
from antiphon.providers.addresses import clean_base
from antiphon.providers.credentials import Access, find_access
from antiphon.providers.rows import Provider

KEY = "canary0123456789abcdef"
OPENAI = catalog.find("openai")
COMPATIBLE = catalog.find("openai_compatible")
ANSWER = Answer.json(b'{"id":"r","object":"response","status":"completed","output":[]}')


def access(row: Provider = OPENAI, environ: dict[str, str] | None = None, **options: Any) -> Access:
    return find_access(row, options, environ or {})


def key_of(found: Access) -> str | None:
    """Return the key, fixed or asked for."""
    if found.credential is not None:
        return str(drive(found.credential.ask(SyncRuntime(no_transport))).reveal())
    return None if found.api_key is None else found.api_key.reveal()


def no_transport() -> Any:
    raise AssertionError("nothing is sent")


# --- which key goes where --------------------------------------------------------------------------------------------


def test_the_key_of_the_environment_goes_to_the_providers_own_host() -> None:
    found = access(environ={"OPENAI_API_KEY": KEY})

    assert (found.base_url, key_of(found)) == ("https://api.openai.com/v1", KEY)


def test_the_key_of_the_call_wins() -> None:
    found = access(environ={"OPENAI_API_KEY": "other"}, api_key=KEY)

    assert key_of(found) == KEY


@pytest.mark.parametrize(
    "base",
    [
        "https://evil.example/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com/v1",
        "https://evil-api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "http://api.openai.com/v1",
        "http://localhost:8000/v1",
        "https://xn--api-openai.com/v1",
    ],
)
@pytest.mark.parametrize("name", ["api_base", "base_url"])
def test_the_key_of_the_environment_never_goes_to_another_host(base: str, name: str) -> None:
    found = find_access(OPENAI, {name: base}, {"OPENAI_API_KEY": KEY})

    assert found.api_key is None
    assert "OPENAI_API_KEY was not sent" in (found.note or "")
    assert "api_key=" in (found.note or "")
    assert KEY not in repr(found)


@pytest.mark.parametrize(
    "base",
    [
        "https://api.openai.com/v1",
        "https://api.openai.com/v1/",
        "https://api.openai.com",
        "https://API.OpenAI.com/v1",
        "https://api.openai.com:443/v1",
        "https://api.openai.com./v1",
        "https://api.openai.com/v2/responses",
    ],
)
def test_the_key_of_the_environment_goes_to_the_same_host_however_it_is_written(base: str) -> None:
    assert key_of(access(environ={"OPENAI_API_KEY": KEY}, api_base=base)) == KEY


@pytest.mark.parametrize("name", ["OPENAI_BASE_URL", "OPENAI_API_BASE"])
def test_the_key_goes_to_the_address_that_the_matching_variable_names(name: str) -> None:
    found = access(environ={"OPENAI_API_KEY": KEY, name: "https://gateway.example/openai/v1/"})

    assert (found.base_url, key_of(found)) == ("https://gateway.example/openai/v1", KEY)


def test_an_address_of_the_call_on_the_host_of_the_variable_gets_the_key_too() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gateway.example/v1"}

    assert key_of(access(environ=environ, api_base="https://gateway.example/v2")) == KEY
    assert key_of(access(environ=environ, api_base="https://api.openai.com/v1")) == KEY
    assert key_of(access(environ=environ, api_base="https://third.example/v1")) is None


def test_the_variable_of_one_provider_says_nothing_about_another() -> None:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://gateway.example/v1"}

    assert access(COMPATIBLE, environ, api_base="https://gateway.example/v1").api_key is None


def test_a_row_without_a_host_of_its_own_sends_its_key_to_its_variables_host_only() -> None:
    environ = {"OPENAI_COMPATIBLE_API_KEY": KEY, "OPENAI_COMPATIBLE_API_BASE": "https://mine.example/v1"}

    assert key_of(access(COMPATIBLE, environ)) == KEY
    assert key_of(access(COMPATIBLE, environ, api_base="https://mine.example/v2")) == KEY
    assert key_of(access(COMPATIBLE, environ, api_base="https://other.example/v1")) is None


def test_the_key_of_the_call_goes_wherever_the_call_says() -> None:
    assert key_of(access(api_base="https://any.example/v1", api_key=KEY)) == KEY


def test_a_key_of_the_call_with_an_address_of_the_environment_goes_there() -> None:
    found = access(environ={"OPENAI_BASE_URL": "https://gateway.example/v1"}, api_key=KEY)

    assert (found.base_url, key_of(found)) == ("https://gateway.example/v1", KEY)


# --- missing, empty and odd keys -------------------------------------------------------------------------------------


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": " \n"}])
def test_a_missing_key_says_what_to_do(environ: dict[str, str]) -> None:
    with pytest.raises(MissingKey) as caught:
        access(environ=environ)

    assert str(caught.value) == (
        "no API key for openai [provider=openai]\n"
        "  hint: set OPENAI_API_KEY, or pass api_key=; "
        'model="scripted/echo" answers offline, "local/smollm2" on this machine\n'
        "  see: docs/errors.md#missingkey"
    )


@pytest.mark.parametrize("base", ["https://api.openai.com/v1", "https://api.openai.com"])
def test_a_missing_key_for_the_own_host_is_refused_even_when_the_address_is_given(base: str) -> None:
    with pytest.raises(MissingKey):
        access(api_base=base)


def test_a_foreign_address_needs_no_key() -> None:
    found = access(api_base="http://localhost:8000/v1")

    assert found == Access("http://localhost:8000/v1", None)


def test_a_row_that_needs_no_key_gets_none() -> None:
    assert access(COMPATIBLE, api_base="http://localhost:8000/v1").api_key is None


@pytest.mark.parametrize("make", [lambda: KEY, lambda: Secret(KEY), lambda: f" {KEY}\n"])
def test_a_key_may_be_a_function(make: Callable[[], Any]) -> None:
    assert key_of(access(api_key=make)) == KEY


def test_a_secret_is_taken_as_it_is() -> None:
    assert key_of(access(api_key=Secret(KEY))) == KEY


@pytest.mark.parametrize("key", ["", " ", "\n", Secret(""), lambda: "", lambda: None, lambda: 5, lambda: Secret(" ")])
def test_an_empty_key_is_refused_and_not_replaced_by_another(key: Any) -> None:
    with pytest.raises(MissingKey, match="api_key is empty") as caught:
        key_of(access(environ={"OPENAI_API_KEY": KEY}, api_key=key))

    assert caught.value.provider == "openai"
    assert KEY not in str(caught.value)


def test_a_pasted_line_end_is_cut_off() -> None:
    assert key_of(access(api_key=f"{KEY}\r\n")) == KEY
    assert key_of(access(environ={"OPENAI_API_KEY": f"{KEY}\n"})) == KEY


def ask(mode: Mode, **call: Any) -> Any:
    async def body() -> Any:
        try:
            return await mode.either(lambda: antiphon.responses(**call), lambda: antiphon.aresponses(**call))
        finally:
            await mode.either(antiphon.close, antiphon.aclose)

    return mode.run(body)


@pytest.mark.parametrize("key", [f"{KEY}\r\nx-evil: 1", f"{KEY}\n1", f"{KEY}\0", f"{KEY}\ud800"])
def test_a_key_that_no_header_can_carry_is_refused_unshown(key: str, mode: Mode) -> None:
    with replaying(ANSWER) as server, pytest.raises(CallError) as caught:
        ask(mode, input="Hi", model="openai/gpt-5", api_key=key, api_base=server.url)

    assert isinstance(caught.value, InvalidParameter)
    assert KEY[:8] not in str(caught.value) + repr(caught.value)
    assert server.requests == []


def test_the_key_is_asked_for_at_each_call(mode: Mode) -> None:
    keys = iter(["first", "second"])

    with replaying(ANSWER) as server:
        for _ in range(2):
            ask(mode, input="Hi", model="openai/gpt-5", api_key=lambda: next(keys), api_base=server.url)

    assert [received.headers["authorization"] for received in server.requests] == ["Bearer first", "Bearer second"]


def test_the_environment_decides_where_nothing_is_given(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    with replaying(ANSWER) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1/")
        monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
        ask(mode, input="Hi", model="gpt-5")

    (received,) = server.requests
    assert received.line == "POST /v1/responses HTTP/1.1"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["openai-organization"] == "org-1"


def test_no_key_and_no_organisation_goes_to_a_foreign_host(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-canary")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-canary")

    with replaying(ANSWER) as server:
        ask(mode, input="Hi", model="openai/gpt-5", api_base=server.url)

    (received,) = server.requests
    assert KEY not in repr(received)
    assert "canary" not in repr(received)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("https://host.example/v1", "https://host.example/v1"),
        ("https://host.example/v1/", "https://host.example/v1"),
        ("https://host.example/v1//", "https://host.example/v1"),
        ("https://host.example", "https://host.example"),
        ("https://host.example/", "https://host.example"),
        ("https://host.example/v1/responses", "https://host.example/v1"),
        ("https://host.example/v1/responses/", "https://host.example/v1"),
        ("https://host.example/v1/chat/completions", "https://host.example/v1"),
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1"),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1"),
        ("HTTPS://host.example/V1", "https://host.example/V1"),
        (" https://host.example/v1\n", "https://host.example/v1"),
        ("https://host.example/a/responses/v1", "https://host.example/a/responses/v1"),
    ],
)
def test_an_address_is_cleaned(written: str, clean: str) -> None:
    assert clean_base(written, "p") == clean


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("host.example/v1", "no http"),
        ("localhost:8000/v1", "no http"),
        ("ftp://host.example", "no http"),
        ("file:///etc/passwd", "no http"),
        ("http://", "no http"),
        ("https:///v1", "no http"),
        ("https://user:canary@host.example/v1", "credentials"),
        ("https://canary@host.example/v1", "credentials"),
        ("https://:canary@host.example/v1", "credentials"),
        ("https://host.example/v1?api-version=1", "query"),
        ("https://host.example/v1?key=canary", "query"),
        ("https://host.example/v1#x", "query"),
        ("https://host.example:99999/v1", "no http"),
        ("https://host.example:port/v1", "no http"),
        ("https://[::1/v1", "no http"),
        ("https://ho st.example/v1", "no http"),
        ("https://host.example/v 1", "no http"),
        ("https://host.example/v1\r\nx: y", "no http"),
        ("https://host\u2100.example/v1", "no http"),
    ],
)
def test_a_wrong_address_is_refused_unshown(written: str, says: str) -> None:
    for options in ({"api_base": written}, {"api_base": written, "api_key": KEY}):
        with pytest.raises(InvalidParameter, match=says) as caught:
            find_access(OPENAI, options, {"OPENAI_API_KEY": KEY})

        assert caught.value.param == "api_base"
        assert caught.value.hint
        assert "canary" not in str(caught.value)


def test_a_wrong_address_of_the_environment_is_refused() -> None:
    with pytest.raises(InvalidParameter):
        access(environ={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "gateway.example/v1"})


def test_a_provider_without_an_address_says_where_to_name_it() -> None:
    with pytest.raises(InvalidParameter, match="no address of its own") as caught:
        access(COMPATIBLE)

    assert caught.value.hint == 'pass api_base="https://host/v1", or set OPENAI_COMPATIBLE_API_BASE'


def test_api_base_wins_over_base_url() -> None:
    found = access(api_base="https://one.example", base_url="https://two.example", api_key=KEY)

    assert found.base_url == "https://one.example"
