"""Whom a call goes to, and with which key."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.errors import (
    AntiphonError,
    AuthenticationError,
    InvalidModel,
    InvalidParameter,
    MissingKey,
    UnknownProvider,
)
from antiphon.pipeline.secret import Secret
from antiphon.testing import ScriptedHost, scripted


def sent_by(model: str = "openai/m", **options: Any) -> Any:
    """Return the request that a call with these options sends, without `scripted`'s own key."""
    host = ScriptedHost(["Hello."])
    Client(transport=host).chain.invoke("Hi", model=model, **options)
    return host.requests[0]


def key_of(request: Any) -> str | None:
    found = dict(request.headers).get("authorization")
    return found.reveal().removeprefix("Bearer ") if isinstance(found, Secret) else None


def test_provider_and_model_are_read_from_the_model(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        client = scripted("Hello.")
        response = await mode.response(client.chain, model="openai/org/deep-1", streamed=streamed)

        assert response.meta is not None
        assert (response.meta.provider, response.meta.model) == ("openai", "org/deep-1")
        assert client.requests[0]["model"] == "org/deep-1"

    mode.run(body)


@pytest.mark.parametrize("key", ["k1", Secret("k1"), lambda: "k1", lambda: Secret("k1")])
def test_a_key_may_come_in_several_forms(key: Any) -> None:
    assert key_of(sent_by(api_key=key)) == "k1"


def test_the_key_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")

    assert key_of(sent_by()) == "from the environment"
    assert key_of(sent_by(api_key="given")) == "given"


def test_a_key_of_the_environment_goes_to_no_other_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")

    request = sent_by(api_base="https://elsewhere.example/v1")

    assert request.url == "https://elsewhere.example/v1/responses"
    assert key_of(request) is None


def test_why_no_key_was_sent_is_the_hint_of_the_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    host = ScriptedHost([{"status": 401, "body": {"error": {"message": "who are you"}}}])

    with pytest.raises(AuthenticationError) as caught:
        Client(transport=host).chain.invoke("Hi", model="openai/m", api_base="https://elsewhere.example/v1")

    assert "OPENAI_API_KEY was not sent" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"model": "openai/m"}, MissingKey, "set OPENAI_API_KEY, or pass api_key="),
        ({"model": "opnai/m", "api_key": "k"}, UnknownProvider, 'did you mean "openai"?'),
        ({"model": "mystery", "api_key": "k"}, InvalidModel, 'write "provider/mystery"'),
        ({"api_key": "k"}, InvalidModel, 'write "provider/model"'),
        ({"model": "openai/", "api_key": "k"}, InvalidModel, "ends after the provider"),
        ({"model": "openai/m", "api_key": ""}, MissingKey, "api_key is empty"),
        ({"model": "openai/m", "api_key": "k", "dialect": "respones"}, InvalidParameter, 'did you mean "responses"?'),
        ({"model": "openai/m", "api_key": "k", "api_base": "host/v1"}, InvalidParameter, "no http(s) address"),
    ],
)
def test_what_leads_nowhere_is_a_typed_error_with_the_fix(
    mode: Mode, given: dict[str, Any], error: type[AntiphonError], said: str
) -> None:
    async def body() -> None:
        host = ScriptedHost(["Hello."])
        with pytest.raises(error) as caught:
            await mode.call(Client(transport=host).chain, **given)

        assert said in str(caught.value)
        assert host.requests == []

    mode.run(body)


def test_the_scripted_provider_needs_no_client_and_no_key(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        response = await mode.response(presets.responses, "Say it.", model="scripted/echo", streamed=streamed)

        assert response.output_text == "Say it."
        assert response.meta is not None
        assert response.meta.provider == "scripted"

    mode.run(body)


def test_an_unknown_scripted_model_is_refused(mode: Mode) -> None:
    async def body() -> None:
        with pytest.raises(InvalidModel, match='there is no scripted model "ecko"'):
            await mode.call(presets.responses, model="scripted/ecko")

    mode.run(body)
