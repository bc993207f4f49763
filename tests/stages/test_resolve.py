"""Whom a call goes to, and with which key."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest
from conftest import Mode
from msgspec.structs import replace

from antiphon import presets
from antiphon.client import Client
from antiphon.pipeline.api.wire import loads
from antiphon.pipeline.errors import (
    AntiphonError,
    APIResponseError,
    AuthenticationError,
    InvalidModel,
    InvalidParameter,
    MissingKey,
    UnknownProvider,
)
from antiphon.pipeline.secret import Secret
from antiphon.providers import catalog
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


@pytest.mark.parametrize("is_own", [False, True], ids=["the process's environment", "a mapping in its place"])
def test_each_call_of_a_client_sees_the_world_as_it_is_then(
    mode: Mode, is_own: bool, monkeypatch: pytest.MonkeyPatch, own_catalogue: None
) -> None:
    async def body() -> None:
        if is_own:
            monkeypatch.setattr(os, "environ", dict(os.environ))
        host = ScriptedHost(["Hello."])
        client = Client(transport=host)

        async def sent(model: str = "openai/m", **keywords: Any) -> tuple[str, str | None]:
            await mode.call(client.chain, model=model, **keywords)
            return host.requests[-1].url, key_of(host.requests[-1])

        usual, local = "https://api.openai.com/v1/responses", "http://127.0.0.1:9/v1/responses"
        monkeypatch.setenv("OPENAI_API_KEY", "first")
        assert await sent() == await sent() == (usual, "first")
        assert await sent(api_key="given") == (usual, "given")
        with pytest.raises(APIResponseError, match="no choices"):  # the host speaks one format
            await sent(dialect="chat")
        assert host.requests[-1].url == "https://api.openai.com/v1/chat/completions"
        assert await sent() == (usual, "first")
        assert await sent(api_base="http://127.0.0.1:9/v1") == (local, None)
        monkeypatch.setenv("OPENAI_API_KEY", "second")
        assert await sent() == (usual, "second")
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
        assert await sent() == (local, "second")
        monkeypatch.delenv("OPENAI_BASE_URL")
        assert await sent() == (usual, "second")
        with monkeypatch.context() as for_now:
            for_now.setattr(os, "environ", {**os.environ, "OPENAI_API_KEY": "of another environment"})
            assert await sent() == (usual, "of another environment")
        assert await sent() == (usual, "second")
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(MissingKey):
            await sent()
        assert (await mode.call(client.chain, model="openai/m", mock_response="Mocked.")).output_text == "Mocked."
        row = catalog.find("openai")
        catalog.register(replace(row, base_url="http://127.0.0.1:9/v1", key_required=False), replace=True)
        assert await sent() == (local, None)

    mode.run(body)


@pytest.mark.parametrize(
    ("model", "own"),
    [("openai/m", "authorization"), ("anthropic/claude-m", "x-api-key"), ("cerebras/m", "authorization")],
)
def test_each_call_has_the_key_that_it_brings(
    mode: Mode, model: str, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "CEREBRAS_API_KEY"):
        monkeypatch.setenv(name, "of-the-environment")

    async def body() -> None:
        host = ScriptedHost(["Hello."])
        client = Client(transport=host)

        async def sent(key: Any = None) -> dict[str, str]:
            with suppress(APIResponseError):  # the host speaks one format
                await mode.call(client.chain, model=model, api_key=key)
            headers = dict(host.requests[-1].headers)
            return {name: value.reveal() for name, value in headers.items() if isinstance(value, Secret)}

        def plain(key: str) -> dict[str, str]:
            return {own: f"Bearer {key}" if own == "authorization" else key}

        assert await sent("one") == plain("one")
        assert await sent("two") == plain("two")
        assert await sent(" three\n") == plain("three")
        assert await sent("Bearer four") == {"authorization": "Bearer four"}
        assert await sent(Secret("five")) == plain("five")
        assert await sent() == plain("of-the-environment")
        assert await sent(lambda: "six") == plain("six")
        assert await sent("seven") == plain("seven")
        with pytest.raises(MissingKey):
            await sent(" ")

    mode.run(body)


def test_a_kept_target_holds_no_call_to_what_another_asked_for(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    async def body() -> None:
        client = scripted("Hello.")

        async def dropped(**keywords: Any) -> list[str]:
            response = await mode.call(client.chain, model="openai/gpt-5.1", temperature=0.1, **keywords)
            return [one.name for one in response.meta.dropped]

        assert await dropped(reasoning={"effort": "high"}) == ["temperature"]
        assert await dropped(reasoning={"effort": "none"}) == []
        assert await dropped(reasoning={"effort": "high"}) == ["temperature"]

    mode.run(body)


def test_more_models_than_are_kept_are_found_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    host = ScriptedHost(["Hello."])
    client = Client(transport=host)

    for number in (*range(300), 0, 299):
        client.chain.invoke("Hi", model=f"openai/m{number}")

    asked = [loads(request.body or b"")["model"] for request in host.requests]
    assert asked == [f"m{number}" for number in (*range(300), 0, 299)]


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
