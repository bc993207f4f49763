"""Tokens of Microsoft Entra, by azure-identity's own classes, and Azure's addresses with an API version."""

from __future__ import annotations

from typing import Any

import azure.identity
import azure.identity.aio
import pytest
from azure.core.credentials import AccessToken
from cloud_accounts import ask
from conftest import Mode
from replay_server import Answer, path_of, replaying

import antiphon
from antiphon import presets
from antiphon.pipeline.errors import AuthenticationError, InvalidParameter, SuspendedInSync
from antiphon.pipeline.secret import Secret

SCOPE = "https://cognitiveservices.azure.com/.default"
TOKEN = "canary-entra-token"
OK = Answer.json(b'{"id":"r","object":"response","status":"completed","output":[]}')
NO = Answer.json(b'{"error":{"code":"401","message":"expired"}}', 401)


class Entra:
    """A login as azure-identity has many; each time it is asked it gives the next token."""

    def __init__(self, *names: str) -> None:
        self.scopes: list[tuple[str, ...]] = []
        self._names = names

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.append(scopes)
        return AccessToken(self._names[min(len(self.scopes), len(self._names)) - 1], 9_999_999_999)


class AsyncEntra(Entra):
    async def get_token(self, *scopes: str, **more: Any) -> AccessToken:  # type: ignore[override]
        return super().get_token(*scopes, **more)

    async def close(self) -> None: ...


def from_chain(*names: str) -> Any:
    return azure.identity.ChainedTokenCredential(Entra(*names))


def from_async_chain(*names: str) -> Any:
    return azure.identity.aio.ChainedTokenCredential(AsyncEntra(*names))  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [Entra, AsyncEntra, from_chain, from_async_chain])
@pytest.mark.parametrize("model", ["azure/deployed", "azure_ai/deployed"])
def test_a_login_of_azure_identity_is_a_key(make: Any, model: str, mode: Mode) -> None:
    with replaying(OK) as server:
        mode.run(lambda: ask(mode, server.url, model, api_key=make(TOKEN)))

    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "api-key" not in server.requests[0].headers
    assert path_of(server.requests[0]) == "/openai/v1/responses"


def test_it_is_asked_for_azures_scope() -> None:
    login = Entra(TOKEN)
    with replaying(OK) as server:
        presets.responses.invoke("Hi", model="azure/m", api_key=login, api_base=server.url)

    assert login.scopes == [(SCOPE,)]


def test_a_refused_token_is_asked_for_once_more(mode: Mode) -> None:
    with replaying(NO, OK) as server:
        mode.run(lambda: ask(mode, server.url, "azure/m", api_key=Entra("old", "new"), num_retries=0))

    assert [each.headers["authorization"] for each in server.requests] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize(
    "given",
    [
        {"azure_ad_token": TOKEN},
        {"azure_ad_token": Secret(TOKEN)},
        {"azure_ad_token_provider": lambda: TOKEN},
        {"azure_ad_token_provider": lambda: f"Bearer {TOKEN}"},
        {"azure_ad_token_provider": lambda: AccessToken(TOKEN, 1)},
        {"azure_ad_token_provider": azure.identity.get_bearer_token_provider(Entra(TOKEN), SCOPE)},
        {"api_key": f"Bearer {TOKEN}"},
    ],
)
def test_the_keywords_of_other_libraries_are_tokens(given: dict[str, Any], mode: Mode) -> None:
    with replaying(OK) as server:
        mode.run(lambda: ask(mode, server.url, "azure/m", **given))

    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert "api-key" not in server.requests[0].headers


def test_an_async_provider_of_azure_identity_is_awaited(mode: Mode) -> None:
    provider = azure.identity.aio.get_bearer_token_provider(AsyncEntra(TOKEN), SCOPE)  # type: ignore[arg-type]
    with replaying(OK) as server:
        if not mode.is_async:  # it waits for a lock of the event loop's
            with pytest.raises(SuspendedInSync, match="stage dispatch"):
                mode.run(lambda: ask(mode, server.url, "azure/m", azure_ad_token_provider=provider))
            return
        mode.run(lambda: ask(mode, server.url, "azure/m", azure_ad_token_provider=provider))

    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize("key", ["canary-key", lambda: "canary-key"])
def test_a_key_has_a_header_of_its_own(key: Any, mode: Mode) -> None:
    with replaying(OK) as server:
        mode.run(lambda: ask(mode, server.url, "azure/m", api_key=key))

    assert server.requests[0].headers["api-key"] == "canary-key"
    assert "authorization" not in server.requests[0].headers


def test_a_token_is_shown_nowhere(mode: Mode) -> None:
    said = Answer.json(f'{{"error":{{"message":"bad {TOKEN}"}}}}'.encode(), 401)
    with replaying(said) as server, pytest.raises(AuthenticationError) as caught:
        mode.run(lambda: ask(mode, server.url, "azure/m", azure_ad_token=TOKEN))

    assert "canary" not in f"{caught.value} {caught.value.body}"


def test_a_login_of_azure_is_nothing_for_other_hosts(mode: Mode) -> None:
    with replaying(OK) as server, pytest.raises(InvalidParameter, match="openai has none"):
        mode.run(lambda: ask(mode, server.url, "openai/m", api_key=Entra(TOKEN)))

    assert server.requests == []


# --- versions --------------------------------------------------------------------------------------------------------

FORMS = [
    ("", "responses", "/openai/v1/responses"),
    ("v1", "responses", "/openai/v1/responses"),
    ("preview", "responses", "/openai/v1/responses?api-version=preview"),
    ("latest", "chat", "/openai/v1/chat/completions?api-version=latest"),
    ("2025-04-01-preview", "responses", "/openai/responses?api-version=2025-04-01-preview"),
    ("2024-10-21", "chat", "/openai/deployments/my%20one/chat/completions?api-version=2024-10-21"),
]


@pytest.mark.parametrize(("version", "dialect", "url"), FORMS)
@pytest.mark.parametrize("base", ["", "/openai", "/openai/v1", "/openai/deployments/other", "/openai/v1/responses"])
@pytest.mark.parametrize("by", ["api_version", "AZURE_API_VERSION", "OPENAI_API_VERSION"])
def test_a_version_says_the_form_of_the_address(
    version: str, dialect: str, url: str, base: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call: dict[str, Any] = {"model": "azure/my one", "api_key": "k", "dialect": dialect}
    if by == "api_version":
        call[by] = version or None
    else:
        monkeypatch.setenv(by, version)

    explained = presets.responses.explain("Hi", api_base=f"https://mine.example{base}", **call)

    assert explained.request is not None
    if "/openai/v1" not in url or base in ("", "/openai/v1", "/openai/v1/responses"):
        assert explained.request.url == f"https://mine.example{url}"


def test_calls_on_stored_responses_have_the_version_too(mode: Mode) -> None:
    given = {"custom_llm_provider": "azure", "api_key": "k", "api_version": "2025-04-01-preview"}

    async def body() -> None:
        where: dict[str, Any] = {"response_id": "resp_1", "api_base": server.url, **given}
        await mode.either(lambda: antiphon.get_responses(**where), lambda: antiphon.aget_responses(**where))
        await mode.either(lambda: antiphon.list_input_items(**where), lambda: antiphon.alist_input_items(**where))

    with replaying(OK, Answer.json(b'{"object":"list","data":[],"has_more":false}')) as server:
        mode.run_calls(body)

    assert [path_of(each) for each in server.requests] == [
        "/openai/responses/resp_1?api-version=2025-04-01-preview",
        "/openai/responses/resp_1/input_items?api-version=2025-04-01-preview",
    ]


def test_a_query_of_the_call_stands_beside_the_version() -> None:
    call = {"model": "azure/m", "api_key": "k", "api_base": "https://mine.example", "api_version": "2025-04-01-preview"}
    explained = presets.responses.explain("Hi", extra_query={"a": "b"}, **call)
    other = presets.responses.explain("Hi", extra_query={"api-version": "mine"}, **call)

    assert explained.request is not None
    assert other.request is not None
    assert explained.request.url == "https://mine.example/openai/responses?api-version=2025-04-01-preview&a=b"
    assert other.request.url == "https://mine.example/openai/responses?api-version=mine"


# --- Claude at Foundry -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["", "/anthropic", "/anthropic/v1/messages", "/openai/v1"])
def test_claude_at_foundry_is_asked_in_its_own_format(base: str, mode: Mode) -> None:
    said = b'{"type":"message","content":[{"type":"text","text":"Hi."}],"stop_reason":"end_turn","usage":{}}'
    with replaying(Answer.json(said)) as server:
        call: dict[str, Any] = {"api_key": "k", "max_output_tokens": 9}
        response = mode.run(lambda: ask(mode, server.url + base, "azure_ai/claude-sonnet-5", **call))

    (received,) = server.requests
    assert path_of(received) == "/anthropic/v1/messages"
    assert (received.headers["api-key"], received.headers["anthropic-version"]) == ("k", "2023-06-01")
    assert response.output_text == "Hi."
