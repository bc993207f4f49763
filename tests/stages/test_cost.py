"""What a call costs, on its reply, its end and its log line."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import pytest
import recordings
from conftest import Mode
from hand_made import answer

from antiphon import presets
from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import APIError, MissingExtra
from antiphon.stages.cost import Cost
from antiphon.stages.log import configure_logging
from antiphon.testing import scripted

ROWS = {"openai/m": {"input_cost_per_token": 0.5, "output_cost_per_token": 2.0}}
PRICED = presets.responses.with_(cost={"prices": ROWS}, retry={"base_delay_s": 0})


def saying(cost: float | None = None, **fields: Any) -> dict[str, Any]:
    usage: dict[str, Any] = {"input_tokens": 10, "output_tokens": 1, "total_tokens": 11}
    return {"usage": usage if cost is None else {**usage, "cost": cost}, **fields}


async def cost_of(mode: Mode, *answers: Any, streamed: bool, chain: Any = PRICED, **keywords: Any) -> Any:
    """Return the cost that the reply, the end of the call and the hook agree on, and who said so."""
    ends: list[Any] = []
    client = scripted(*answers, chain=chain, hooks=[lambda signal: ends.append(signal)])
    response = await mode.response(client.chain, model="openai/m", streamed=streamed, **keywords)
    assert response.meta is not None
    assert ends[-1].meta.cost == response.meta.cost
    return response.meta.cost, response.meta.cost_source


def test_the_hosts_word_counts_before_any_list(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        assert await cost_of(mode, saying(0.25), streamed=streamed) == (0.25, "host")
        assert await cost_of(mode, saying(0.25), streamed=streamed, chain=presets.responses) == (0.25, "host")
        assert await cost_of(mode, saying(0.0), streamed=streamed) == (0.0, "host")  # free is not unknown

    mode.run(body)


def test_else_the_price_list_counts(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        assert await cost_of(mode, saying(), streamed=streamed) == (7.0, "rows")
        assert await cost_of(mode, saying(), streamed=streamed, chain=presets.responses) == (None, None)

        def flat(provider: str, model: str, response: Response) -> float:
            return 3.0

        chain = presets.responses.with_(cost={"prices": flat})
        assert await cost_of(mode, saying(), streamed=streamed, chain=chain) == (3.0, "flat")

    mode.run(body)


def test_prices_of_the_call_count_before_the_list(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        own = {"input_cost_per_token": 1, "output_cost_per_token": 0.0}
        assert await cost_of(mode, saying(), streamed=streamed, **own) == (10.0, "call")

    mode.run(body)


def test_attempts_add_up_and_one_without_price_makes_the_sum_unknown(mode: Mode) -> None:
    async def body() -> None:
        failed = saying(status="failed", error={"code": "server_error", "message": "no"})
        assert await cost_of(mode, failed, saying(), streamed=False) == (14.0, "rows")
        assert await cost_of(mode, {**failed, **saying(0.5)}, saying(), streamed=False) == (7.5, "mixed")
        unpriced = presets.responses.with_(retry={"base_delay_s": 0})
        assert await cost_of(mode, failed, saying(0.5), streamed=False, chain=unpriced) == (None, None)
        assert await cost_of(mode, {**failed, **saying(0.5)}, saying(), streamed=False, chain=unpriced) == (None, None)

    mode.run(body)


def test_a_failed_call_says_what_it_cost(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        failed = saying(0.5, status="failed", error={"code": "invalid_prompt", "message": "no"})
        with pytest.raises(APIError) as caught:
            await mode.response(scripted(failed).chain, model="openai/m", streamed=streamed)

        assert caught.value.meta is not None
        assert caught.value.meta.cost == 0.5

    mode.run(body)


def by_decimal(provider: str, model: str, response: Response) -> Any:
    return Decimal("0.25")


def not_a_number(provider: str, model: str, response: Response) -> float:
    return float("nan")


def negative(provider: str, model: str, response: Response) -> float:
    return -1.0


async def awaitable(provider: str, model: str, response: Response) -> float:
    return 0.25


def missing(provider: str, model: str, response: Response) -> float:
    raise KeyError(model)


@pytest.mark.parametrize("prices", [not_a_number, negative, awaitable, missing])
def test_a_price_list_that_fails_knows_no_price_and_takes_no_answer_away(
    mode: Mode, streamed: bool, prices: Any
) -> None:
    async def body() -> None:
        client = scripted(saying(), chain=presets.responses.with_(cost={"prices": prices}))
        response = await mode.response(client.chain, model="openai/m", streamed=streamed)
        assert (response.meta.cost, client.hook_errors) == (None, 1)

    mode.run(body)


def test_a_price_may_be_a_decimal_and_no_host_says_a_negative_one(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        chain = presets.responses.with_(cost={"prices": by_decimal})
        assert await cost_of(mode, saying(), streamed=streamed, chain=chain) == (0.25, "by_decimal")
        assert await cost_of(mode, saying(-5.0), streamed=streamed) == (7.0, "rows")

    mode.run(body)


def test_the_cost_is_on_the_log_line(mode: Mode, streamed: bool) -> None:
    async def body() -> None:
        out = io.StringIO()
        configure_logging(json=True, stream=out)
        try:
            await mode.response(scripted(saying(0.5)).chain, model="openai/m", streamed=streamed)
        finally:
            configure_logging("WARNING", stream=io.StringIO())

        assert json.loads(out.getvalue())["cost"] == 0.5

    mode.run(body)


@pytest.mark.parametrize("recording", recordings.load("*-openrouter", "json"), ids=lambda recording: recording.name)
def test_recorded_answers_of_openrouter_say_what_they_cost(recording: recordings.Recording) -> None:
    usage = json.loads(recording.body)["usage"]
    said = usage.get("cost")
    if usage.get("is_byok"):  # their own charge is 0 then, the upstream's bill goes to the user
        said += usage["cost_details"]["upstream_inference_cost"]
    client = scripted({"body": recording.body, "headers": {"content-type": "application/json"}})
    dialect = "chat" if recording.dialect.startswith("chat") else "responses"

    response = client.responses("Hi", "openrouter/m", dialect=dialect)

    assert response.meta is not None
    assert response.meta.cost == (None if said is None else pytest.approx(said))
    assert response.meta.cost_source == (None if said is None else "host")


def test_prices_that_are_not_there_are_refused_when_the_chain_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "genai_prices", None)
    client = scripted(answer(), chain=presets.responses.with_(cost={"prices": "genai-prices"}))

    with pytest.raises(MissingExtra, match="genai-prices, which is not installed"):
        client.responses("Hi", "openai/m")


def test_the_setting_is_shown_and_pickled() -> None:
    import pickle

    stage = Cost(prices=ROWS)

    assert pickle.loads(pickle.dumps(stage)) == stage
    assert repr(Cost("genai-prices")) == "Cost(prices='genai-prices')"
