"""Who may call, and that no caller sees what is another one's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from asgi import Answered, ask
from talking_hosts import TalkingHost

import antiphon
from antiphon import Client, FromEnv, MissingKey, Secret, SetupError, presets
from antiphon.serve import Application, app

Run = Callable[..., Any]
CALL: dict[str, Any] = {"model": "scripted/echo", "input": "Hi"}


def bearer(key: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {key}")]


async def statuses(served_app: Application, *headers: list[tuple[str, str]], **scope: Any) -> list[int]:
    return [(await ask(served_app, "POST", "/v1/responses", CALL, headers=each, **scope)).status for each in headers]


def test_a_key_opens_the_server(served: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER_KEY", "from-the-environment")
    far = {"client": ("203.0.113.7", 1)}

    async def body() -> None:
        for key in ("from-the-environment", Secret("from-the-environment"), FromEnv("SERVER_KEY")):
            found = await statuses(
                app(keys=key),
                bearer("from-the-environment"),
                [("Authorization", "bearer from-the-environment ")],
                bearer("from-the-environmen"),
                bearer(""),
                bearer("ü"),
                [("authorization", "Basic from-the-environment")],
                [],
                **far,
            )
            assert found == [200, 200, 401, 401, 401, 401, 401]
        refused = await ask(app(keys="k"), "GET", "/v1/models", **far)
        assert (refused.headers["www-authenticate"], refused.error["code"]) == ("Bearer", "invalid_api_key")

    served(body)
    assert "from-the-environment" not in repr(app(keys="from-the-environment"))


def test_without_keys_this_machine_is_served_and_no_page_of_a_browser(served: Run) -> None:
    local, foreign = [("host", "localhost:8000")], [("host", "evil.example")]

    async def body() -> None:
        found = await statuses(app(), [], local, [("host", "127.0.0.1")], [("host", "[::1]:80")], foreign)
        assert found == [200, 200, 200, 200, 403]
        assert await statuses(app(), [("host", "127.evil.example")]) == [403]
        assert await statuses(app(), local, client=("203.0.113.7", 1)) == [403]
        assert await statuses(app(), local, client=("::ffff:127.0.0.1", 1)) == [200]
        assert await statuses(app(), local, client=None) == [200]
        assert await statuses(app(open_to_network=True), foreign, client=("203.0.113.7", 1)) == [200]

    served(body)


@pytest.mark.parametrize("is_async", [False, True], ids=["plain", "async"])
def test_a_function_says_who_calls(served: Run, is_async: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_ID_KEY", "i")

    def known(headers: Mapping[str, str]) -> str | None:
        return {"a": "acme", "b": ""}.get(headers.get("x-user", ""))

    async def later(headers: Mapping[str, str]) -> str | None:
        return known(headers)

    async def body() -> list[int]:
        served_app = app(authorize=later if is_async else known)
        return await statuses(served_app, [("X-User", "a")], [("x-user", "c")], [], [("x-user", "b")])

    assert served(body) == [200, 401, 401, 500]


def test_many_tenants_need_ids_that_say_whose_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    several = {"acme": ["old", "new"], "zeta": "z"}
    with pytest.raises(SetupError, match="ANTIPHON_ID_KEY is not set"):
        app(keys=several)
    with pytest.raises(SetupError, match="ANTIPHON_ID_KEY is not set"):
        app(authorize=lambda headers: "a")
    assert app(keys={"acme": ["old", "new"]})  # nobody to be kept apart from
    monkeypatch.setenv("ANTIPHON_ID_KEY", "i")
    assert app(keys=several)
    with pytest.raises(SetupError, match='by "extra_body" one could name'):
        app(keys=several, options=("timeout", "extra_body"))
    with pytest.raises(SetupError, match="no ResponseIds"):
        app(presets.responses.without("response_ids"), keys=several)
    with pytest.raises(MissingKey, match="NO_SUCH_KEY"):
        app(keys=FromEnv("NO_SUCH_KEY"))


KINDS = {"kept by the host": "openai/m", "kept here": "groq/m", "of another format": "anthropic/claude-sonnet-4-5"}


@pytest.mark.parametrize("model", KINDS.values(), ids=KINDS)
def test_no_tenant_sees_what_is_anothers(served: Run, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_ID_KEY", "i")
    host = TalkingHost()
    client = Client(presets.responses.bind(api_key="k"), transport=host)
    served_app = app(client, keys={"acme": ["a", "a2"], "zeta": "z"}, unknown="extra_body")
    call: dict[str, Any] = {"model": model, "input": "say A"}

    async def asked(key: str, method: str, target: str, body: Any = None) -> Answered:
        return await ask(served_app, method, target, body, headers=bearer(key))

    async def body() -> None:
        made = (await asked("a", "POST", "/v1/responses", call)).json["id"]
        background = {**call, "background": True, "store": True}
        later = (await asked("a", "POST", "/v1/responses", background)).json["id"] if "openai" not in model else made
        await asked("a", "POST", "/v1/responses", {**call, "conversation": "chat-1"})
        for own in ("a", "a2"):
            assert (await asked(own, "GET", f"/v1/responses/{made}")).status == 200
            goes_on = await asked(own, "POST", "/v1/responses", {**call, "previous_response_id": made})
            assert (goes_on.status, goes_on.json["previous_response_id"]) == (200, made)
        before = len(host.requests)
        upstream = next(iter(host.kept), "resp_host")
        for id in (made, later, upstream):
            for method, path in (("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")):
                assert (await asked("z", method, f"/v1/responses/{id}{path}")).status in (400, 404)
            refused = await asked("z", "POST", "/v1/responses", {**call, "previous_response_id": id})
            assert refused.status in (400, 404)
        for other in (
            {"conversation": "conv_1"},
            {"input": [{"type": "item_reference", "id": "msg_1"}]},
            {"input": [{"id": "msg_1"}]},
        ):
            assert (await asked("z", "POST", "/v1/responses", {**call, **other})).status in (400, 404)
        beside = await asked("z", "POST", "/v1/responses/compact", {**call, "conversation": "conv_1"})
        assert (beside.status, beside.error["code"]) == (400, "unknown_parameter")
        assert len(host.requests) == before  # no host was asked
        own_chat = await asked("z", "POST", "/v1/responses", {**call, "conversation": "chat-1", "input": "say B"})
        assert own_chat.status == 200
        assert host.seen[-1] == [("user", "say B")]
        assert (await asked("a", "DELETE", f"/v1/responses/{made}")).status == 200

    served(body)


def test_a_cache_and_a_budget_are_each_tenants_own(served: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTIPHON_ID_KEY", "i")
    chain = presets.responses.before("retry", antiphon.Budget(tokens=1), antiphon.Cache())
    client = antiphon.testing.scripted("Hello.", chain=chain)
    served_app = app(client, keys={"acme": "a", "zeta": "z"})
    call: dict[str, Any] = {"model": "openai/m", "input": "Hi"}

    async def body() -> list[int]:
        return [
            (await ask(served_app, "POST", "/v1/responses", call, headers=bearer(key))).status
            for key in ("a", "a", "z", "z")
        ]

    assert served(body) == [200, 429, 200, 429]
    assert len(client.requests) == 2
