"""Dry runs."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from antiphon import presets
from antiphon.pipeline.chain import Chain
from antiphon.pipeline.errors import ChainError, InvalidParameter, MissingKey, UnknownKeyword
from antiphon.pipeline.function_stages import before, stage
from antiphon.pipeline.reply import Reply
from antiphon.pipeline.request import Handler, Request
from antiphon.pipeline.stage import Option, Scope, Stage
from antiphon.stages.observe import Observe
from antiphon.testing import scripted

CANARY = "canary-in-a-coal-mine"


def test_a_chain_is_described_without_a_call() -> None:
    explanation = presets.responses.explain()

    assert explanation.chain == [repr(item) for item in presets.responses]
    assert {"api_key", "num_retries", "extra_body"} <= set(explanation.options)
    assert explanation.provider is None
    assert explanation.request is None
    assert str(explanation).startswith("chain responses\n├─  0  Log()\n")


def test_a_fragment_is_described_too() -> None:
    assert Chain([presets.responses.stages[0]]).explain().chain == ["Log()"]


def test_a_fragment_has_no_call_to_explain() -> None:
    with pytest.raises(ChainError, match="has no terminal stage"):
        Chain(presets.responses.stages[:-1]).explain("Hi", model="openai/m")


def test_a_call_is_shown_and_not_sent() -> None:
    seen: list[Any] = []
    chain = presets.responses.before("retry", Observe(on_signal=seen.append))
    client = scripted("Hello.", chain=chain, hooks=[seen.append])

    explanation = client.chain.explain("Hi", model="openai/m", temperature=0.5, hooks=[seen.append])

    assert (explanation.provider, explanation.model, explanation.dialect) == ("openai", "m", "responses")
    assert explanation.request is not None
    assert explanation.request.method == "POST"
    assert explanation.request.url == "https://api.openai.com/v1/responses"
    assert explanation.request.body == {"model": "m", "input": "Hi", "temperature": 0.5}
    assert client.requests == []
    assert seen == []


def test_the_text_for_people_has_all_of_it() -> None:
    text = str(scripted("Hello.").chain.explain("Hi", model="openai/m"))

    assert "target   openai · m · dialect responses" in text
    assert "sends    POST https://api.openai.com/v1/responses" in text
    assert "         authorization: ***" in text
    assert '"input": "Hi"' in text


def test_secrets_are_masked() -> None:
    explanation = presets.responses.explain("Hi", model="openai/m", api_key=CANARY)

    assert explanation.request is not None
    assert explanation.request.headers["authorization"] == "***"
    assert CANARY not in repr(explanation) + str(explanation)


def test_what_calls_itself_a_secret_is_masked() -> None:
    explanation = presets.responses.explain(
        "Hi",
        model="openai/m",
        api_key="k",
        extra_headers={"X-Team-Token": CANARY, "X-Team": "blue"},
        extra_query={"key": CANARY, "v": "2"},
    )

    assert explanation.request is not None
    assert CANARY not in repr(explanation) + str(explanation)
    assert explanation.request.url.endswith("/responses?key=***&v=2")
    assert explanation.request.headers["X-Team"] == "blue"


@pytest.mark.parametrize(
    ("model", "secret"),
    [
        ("openai/gpt-5", {"authorization": CANARY, "headers": {"X-Key": CANARY}}),
        ("anthropic/claude-opus-4-8", {"authorization": CANARY}),
    ],
)
def test_what_an_mcp_server_is_called_with_is_masked(model: str, secret: dict[str, Any]) -> None:
    tool = {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example", "require_approval": "never"}

    explanation = presets.responses.explain("Hi", model=model, api_key="k", tools=[{**tool, **secret}])

    assert CANARY not in repr(explanation) + str(explanation)
    assert '"https://mcp.example"' in str(explanation)


@before
def picky(request: Request) -> Request:
    """Make the target one that does not take `user`."""
    assert request.target is not None
    return request.replace(target=msgspec.structs.replace(request.target, unsupported={"user": ""}))


def test_what_would_be_dropped_is_listed() -> None:
    client = scripted("Hello.", chain=presets.responses.before("transform", picky))

    explanation = client.chain.explain("Hi", model="openai/m", user="me")

    assert [item.name for item in explanation.dropped] == ["user"]
    assert "drops    user: openai does not take it" in str(explanation)


def test_bound_parameters_count() -> None:
    explanation = presets.responses.bind(model="openai/bound", api_key="k").explain("Hi")

    assert explanation.model == "bound"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"temprature": 1}, UnknownKeyword),
        ({"temperature": "hot"}, InvalidParameter),
        ({}, MissingKey),
    ],
)
def test_a_wrong_call_is_refused_as_when_it_is_made(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        presets.responses.explain("Hi", model="openai/m", **given)


def test_options_of_a_terminal_of_ones_own_are_known() -> None:
    @stage(terminal=True, options=(Option("mood", (str,)),))
    async def own(request: Request, call_next: Handler) -> Reply:
        raise AssertionError("never called")

    explanation = Chain([own]).explain("Hi", mood="merry")

    assert list(explanation.options) == ["mood"]


def test_a_dry_run_sets_nothing_up_twice_and_says_that_it_is_one() -> None:
    made: list[str] = []
    dry: list[bool] = []

    class Counted(Stage):
        def setup(self, scope: Scope) -> object:
            made.append(scope.position)
            return made

        async def __call__(self, request: Request, call_next: Handler) -> Reply:
            dry.append(request.context.dry)
            request.context.state_of(self, list)
            return await call_next(request)

    client = scripted("Hello.", chain=presets.responses.before("retry", Counted()))
    client.responses("Hi", "openai/m")
    client.chain.explain("Hi", model="openai/m")
    client.chain.explain("Hi", model="openai/m")

    assert len(made) == 1
    assert dry == [False, True, True]
