"""Parameters that calls have unless they give their own."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Mode

from antiphon import Defaults, Fallback, presets
from antiphon.pipeline.errors import StageError
from antiphon.testing import scripted


def test_a_call_has_them_unless_it_gives_its_own(mode: Mode, streamed: bool) -> None:
    client = scripted("Hello.", chain=presets.responses.before("validate", Defaults({"store": False, "top_p": 0.5})))

    async def body() -> None:
        await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m")
        await mode.response(client.chain, "Hi", streamed=streamed, model="openai/m", top_p=0.9, store=True)

    mode.run(body)

    assert [(sent["store"], sent["top_p"]) for sent in client.requests] == [(False, 0.5), (True, 0.9)]


def test_they_may_be_limited_to_some_models(mode: Mode) -> None:
    fallback = Fallback(({"model": "openai/other"},), on=("RateLimitError",))
    rules = Defaults({"top_p": 0.5}, models=("openai/o*", "azure/*"))
    chain = presets.responses.with_(retry={"attempts": 1}).before("resolve", fallback, rules)
    client = scripted({"status": 429, "body": {}}, "Hello.", chain=chain.bind(model="openai/m"))

    async def body() -> Any:
        return await mode.call(client.chain, "Hi", fallbacks=[{"model": "openai/other", "api_key": lambda: "k"}])

    mode.run(body)

    assert [sent.get("top_p") for sent in client.requests] == [None, 0.5]


def test_other_calls_get_only_what_they_have(mode: Mode) -> None:
    client = scripted({"object": "response"}, chain=presets.responses.before("validate", Defaults({"top_p": 0.5})))

    async def body() -> None:
        await mode.either(
            lambda: client.get_responses("resp_1", custom_llm_provider="openai"),
            lambda: client.aget_responses("resp_1", custom_llm_provider="openai"),
        )

    mode.run(body)

    assert client.host.requests[0].url.endswith("/responses/resp_1")


def test_an_unknown_parameter_is_refused() -> None:
    client = scripted("Hello.", chain=presets.responses.before("validate", Defaults({"temprature": 1})))

    with pytest.raises(StageError, match='no parameter "temprature"; did you mean "temperature"'):
        client.responses("Hi", "openai/m")
