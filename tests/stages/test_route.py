"""One of several targets for a call."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from conftest import Mode

from antiphon import Chain, Client, Fallback, Route, presets
from antiphon.pipeline.errors import ChainError, InternalServerError, InvalidParameter, StageError
from antiphon.pipeline.request import Request
from antiphon.providers.scripted import ScriptedHost

BROKEN = {"status": 500, "body": {"error": {"message": "broken"}}}
PAIR = ("openai/a", "openai/b")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-openai")


def chain_with(*targets: Any, **settings: Any) -> Chain:
    stages = presets.responses.with_(retry={"attempts": 1})
    return stages.before("resolve", Route({"smart": targets}, **settings)).bind(model="smart")


def answering(answers: dict[str, Any]) -> ScriptedHost:
    """Return a host that answers as each model does."""
    return ScriptedHost([lambda body: answers.get(body["model"], f"I am {body['model']}.")])


async def models(mode: Mode, chain: Chain, count: int, streamed: bool = False) -> list[str]:
    found: list[str] = []
    for _ in range(count):
        try:
            response = await mode.response(chain, "Hi", streamed=streamed)
            found.append(response.model or "")
        except InternalServerError as error:
            found.append(f"{error.model} failed")
    return found


def test_targets_come_in_turn(mode: Mode, streamed: bool) -> None:
    chain = Client(chain_with(*PAIR, by="turn"), transport=answering({})).chain

    assert mode.run(lambda: models(mode, chain, 4, streamed)) == ["a", "b", "a", "b"]


def test_targets_come_as_often_as_their_weights_say(mode: Mode) -> None:
    heavy = {"model": "openai/a", "weight": 9, "max_output_tokens": 5}
    host = answering({})
    chain = Client(chain_with(heavy, "openai/b"), transport=host).chain

    found = Counter(mode.run(lambda: models(mode, chain, 400)))

    assert 330 <= found["a"] <= 390  # 360 expected, sigma 6
    assert found["b"] == 400 - found["a"]
    assert all((b"max_output_tokens" in (sent.body or b"")) == (b'"a"' in (sent.body or b"")) for sent in host.requests)


def test_a_target_that_failed_rests(mode: Mode, streamed: bool) -> None:
    chain = Client(chain_with(*PAIR, by="turn", rest_s=60), transport=answering({"a": BROKEN})).chain

    assert mode.run(lambda: models(mode, chain, 4, streamed)) == ["a failed", "b", "b", "b"]


def test_when_all_rest_they_are_asked_all_the_same(mode: Mode) -> None:
    chain = Client(chain_with(*PAIR, by="turn"), transport=answering({"a": BROKEN, "b": BROKEN})).chain

    assert mode.run(lambda: models(mode, chain, 4)) == ["a failed", "b failed", "a failed", "b failed"]


def test_the_quickest_target_is_asked_most(mode: Mode) -> None:
    def slow(body: dict[str, Any]) -> str:
        time.sleep(0.02)
        return "I am b."

    host = ScriptedHost([lambda body: slow(body) if body["model"] == "b" else "I am a."])
    chain = Client(chain_with(*PAIR, by="latency"), transport=host).chain

    found = Counter(mode.run(lambda: models(mode, chain, 60)))

    assert found["a"] > 45  # all but the first look at b, and 5 % at random of which half fall on b
    assert found["b"] >= 1


def test_a_function_may_choose(mode: Mode) -> None:
    def by_length(request: Request, names: list[str]) -> str:
        return names[len(str(request.param("input"))) > 5]

    host = answering({})
    chain = Client(chain_with(*PAIR, choose=by_length), transport=host).chain

    async def body() -> list[str | None]:
        return [(await mode.call(chain, text)).model for text in ("Hi", "Hello there")]

    assert mode.run(body) == ["a", "b"]


def test_a_function_chooses_among_the_targets() -> None:
    chain = Client(chain_with(*PAIR, choose=lambda request, names: "openai/c"), transport=answering({})).chain

    with pytest.raises(StageError, match='choose returned "openai/c", which is none of the targets'):
        chain.invoke("Hi")


def test_other_models_pass(mode: Mode) -> None:
    chain = Client(chain_with(*PAIR), transport=answering({})).chain

    async def body() -> Any:
        return await mode.call(chain, "Hi", model="openai/own", api_key="k")

    response = mode.run(body)

    assert response.model == "own"
    assert response.meta.dropped == ()


def test_a_fallback_outside_asks_again_elsewhere(mode: Mode, streamed: bool) -> None:
    chain = chain_with(*PAIR, by="turn").before("route", Fallback(("smart",)))
    client = Client(chain, transport=answering({"a": BROKEN}))

    assert mode.run(lambda: models(mode, client.chain, 2, streamed)) == ["b", "b"]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({"model": "openai/a", "weight": 0}, "the weight of a target is 0"),
        ({"model": "openai/a", "weight": float("inf")}, "the weight of a target is inf"),
        ({"model": "openai/a", "wieght": 2}, '"wieght" of a target'),
        ({"model": "openai/a", "api_key": "canary"}, "stands there in plain text"),
    ],
)
def test_a_wrong_target_is_refused(target: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        Client(chain_with(target), transport=answering({})).chain.invoke("Hi")

    assert said in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_name_without_targets_is_refused() -> None:
    with pytest.raises(StageError, match='"smart" has no targets'):
        Client(chain_with(), transport=answering({})).chain.invoke("Hi")


def test_inside_resolve_it_is_refused() -> None:
    with pytest.raises(ChainError, match="route stands inside resolve"):
        presets.responses.after("resolve", Route({"smart": PAIR})).check()
