"""What an answer costs: as hosts report it, and by price lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hand_made import answer

from antiphon.pipeline.api.response import Response
from antiphon.pipeline.errors import SetupError
from antiphon.providers.prices import price_list, reported_cost

ROW = {
    "input_cost_per_token": 2e-6,
    "output_cost_per_token": 8e-6,
    "cache_read_input_token_cost": 5e-7,
    "cache_creation_input_token_cost": 3e-6,
    "input_cost_per_token_above_200k_tokens": 4e-6,
    "output_cost_per_token_above_200k_tokens": 1.6e-5,
    "input_cost_per_token_flex": 1e-6,
    "litellm_provider": "openai",
    "max_tokens": 100,
}


def used(input: int, output: int, cached: int = 0, written: int = 0, **fields: Any) -> Response:
    usage = {
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": output,
        "total_tokens": input + output,
    }
    return answer(usage=usage, **fields)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        ({"cost": 0.0125}, 0.0125),
        ({"cost": 0}, 0.0),
        ({"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}, 0.021),
        ({"cost": 0.001, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.02}}, 0.001),
        ({"cost": {"input_tokens_cost": 0.1, "total_cost": 0.3}}, 0.3),
        ({"cost_in_usd_ticks": 37756000}, 0.0037756),
        ({"cost": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_hosts_own_word_counts(usage: dict[str, Any] | None, dollars: float | None) -> None:
    found = reported_cost(answer(usage=usage if usage is None else {"input_tokens": 1, "output_tokens": 1, **usage}))

    assert found == (None if dollars is None else pytest.approx(dollars))


@pytest.mark.parametrize(
    ("response", "dollars"),
    [
        (used(1000, 100), 1000 * 2e-6 + 100 * 8e-6),
        (used(1000, 100, cached=400, written=100), 500 * 2e-6 + 400 * 5e-7 + 100 * 3e-6 + 100 * 8e-6),
        (used(200_000, 0), 200_000 * 2e-6),
        (used(200_001, 10), 200_001 * 4e-6 + 10 * 1.6e-5),
        (used(1000, 100, service_tier="flex"), 1000 * 1e-6 + 100 * 8e-6),
        (used(0, 0), 0.0),
        (answer(usage=None), None),
    ],
)
def test_rows_price_tokens(response: Response, dollars: float | None) -> None:
    found = price_list({"openai/m": ROW})("openai", "m", response)

    assert found == (None if dollars is None else pytest.approx(dollars))


def test_the_most_particular_row_counts() -> None:
    cheap = {"input_cost_per_token": 1.0, "output_cost_per_token": 0.0}
    dear = {"input_cost_per_token": 9.0, "output_cost_per_token": 0.0}
    half = {"input_cost_per_token": 9.0}
    price = price_list({"openai/m": cheap, "m": dear, "dated-m": dear, "half": half})

    assert price("openai", "m", used(1, 0)) == 1.0
    assert price("azure", "m", used(1, 0)) == 9.0
    assert price("azure", "alias", used(1, 0, model="dated-m")) == 9.0
    assert price("azure", "half", used(1, 0, model="none")) is None
    assert price("azure", "none", used(1, 0, model="none")) is None


def test_a_file_of_rows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"openai/m": ROW}))

    assert price_list(str(path))("openai", "m", used(1000, 0)) == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("[]", "no JSON object"), ("{", "cannot be read")]
)
def test_a_file_that_is_no_price_list_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(SetupError, match=said):
        price_list(str(path))


def test_genai_prices_knows_the_large_providers_models() -> None:
    price = price_list("genai-prices")

    assert price("openai", "gpt-4o", used(1000, 100, cached=200)) == pytest.approx(0.00325)
    for provider, model in [("gemini", "gemini-2.5-pro"), ("anthropic", "claude-sonnet-4-5"), ("xai", "grok-4")]:
        assert (price(provider, model, used(1000, 100)) or 0) > 0
    assert price("openai", "no-such-model", used(1, 1)) is None
    assert price("no-such-provider", "gpt-4o", used(1, 1)) is None
