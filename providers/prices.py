"""What an answer costs: as its host says, else by a price list that the user brings. Nothing is fetched.

A price list is a function `(provider, model, response) -> US dollars, or None where it does not know the model`.
`price_list` makes one of: a function; rows in LiteLLM's format, as a mapping or a JSON file; or the package
genai-prices (extra `cost`), whose list is renewed by installing a newer version of it.

Rows, by "provider/model" or by the model alone, with dollars per token:

    {"openai/gpt-5": {"input_cost_per_token": 1.25e-6, "output_cost_per_token": 1e-5,
                      "cache_read_input_token_cost": 1.25e-7}}

Source: the fields of LiteLLM's model_prices_and_context_window.json, 1.109.1, read 2026-11.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias, cast

from ..pipeline.api.response import Response
from ..pipeline.api.response_fields import Usage
from ..pipeline.api.wire import loads
from ..pipeline.errors import MissingExtra, SetupError
from ..pipeline.wording import quoted

PriceList: TypeAlias = Callable[[str, str, Response], float | None]
Row: TypeAlias = Mapping[str, Any]

# xAI: 1 USD is 10^10 ticks. Source: xAI documentation, Cost Tracking, read 2026-11.
_TICKS = 10**10
# genai-prices' names of providers, where they are not ours. Source: its own list, 0.2.3.
_GENAI_PROVIDERS = {
    "azure_ai": "azure",
    "bedrock": "aws",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "github_copilot": "github-copilot",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "vertex_ai": "google",
    "xai": "x-ai",
}
_ABOVE = re.compile(r"^(?P<name>\w+)_above_(?P<thousands>\d+)k_tokens$")


def reported_cost(response: Response) -> float | None:
    """Return the US dollars that the host itself says the answer cost; None when it does not say.

    Sources: OpenRouter's `usage.cost`, with the upstream's own bill beside it for a key of the user's (recorded
    2026-11); Perplexity's `usage.cost.total_cost` and xAI's `usage.cost_in_usd_ticks` (their API references, 2026-11).
    """
    usage = bytes(response.usage_json)
    if b"cost" not in usage:  # nearly always
        return None
    said = loads(usage)
    if not isinstance(said, dict):
        return None
    if (ticks := _number(said.get("cost_in_usd_ticks"))) is not None:
        return ticks / _TICKS
    cost = said.get("cost")
    if isinstance(cost, dict):
        return _number(cost.get("total_cost"))
    dollars = _number(cost)
    if dollars is not None and said.get("is_byok") is True:
        details = said.get("cost_details")
        dollars += _number(details.get("upstream_inference_cost") if isinstance(details, dict) else None) or 0.0
    return dollars


def price_list(source: object) -> PriceList:
    """Return the price list that a setting means.

    Args:
        source: "genai-prices"; the path of a JSON file of rows; a mapping of rows; or a price list.

    Raises:
        MissingExtra: genai-prices is not installed.
        SetupError: the file cannot be read, or is no JSON object of rows.
    """
    if source == "genai-prices":
        return _genai_prices()
    if isinstance(source, (str, Path)):
        return by_rows(_read(Path(source)))
    if isinstance(source, Mapping):
        return by_rows(source)
    if callable(source):
        return _checked(source)
    raise SetupError(f"prices is {type(source).__name__}; a file, a mapping of rows or a function is expected")


def _checked(price: Callable[[str, str, Response], Any]) -> PriceList:
    """Return a user's price list, held to what one gives back."""

    def checked(provider: str, model: str, response: Response) -> float | None:
        said = price(provider, model, response)
        if said is None:
            return None
        if inspect.iscoroutine(said):
            said.close()
        if isinstance(said, (int, float, Decimal)) and math.isfinite(said) and said >= 0:
            return float(said)
        name = getattr(price, "__name__", type(price).__name__)
        shown = said if isinstance(said, (int, float, Decimal)) else type(said).__name__
        raise SetupError(f"price list {name} returned {shown}; US dollars from 0 up, or None, are expected")

    return checked


def by_rows(rows: Mapping[str, Row]) -> PriceList:
    """Return a price list of rows; the most particular name that is there counts."""

    def price(provider: str, model: str, response: Response) -> float | None:
        usage = response.usage
        if usage is None:
            return None
        for name in (f"{provider}/{model}", model, f"{provider}/{response.model}", response.model):
            row = rows.get(name) if name else None
            if row is not None:
                return row_cost(row, usage, response.service_tier)
        return None

    return price


def row_cost(row: Row, usage: Usage, tier: str | None = None) -> float | None:
    """Return the US dollars of these tokens by one row; None where the row has no price for input and output.

    Args:
        row: as the module's text says.
        usage: of a whole answer.
        tier: the service tier that the answer names; its own prices count where the row has them.
    """
    rates = _rates(row, usage.input_tokens, tier)
    given, made = rates.get("input_cost_per_token"), rates.get("output_cost_per_token")
    if given is None or made is None:
        return None
    cached, written = usage.input_tokens_details.cached_tokens, usage.input_tokens_details.cache_write_tokens
    thought = usage.output_tokens_details.reasoning_tokens
    return (
        max(0, usage.input_tokens - cached - written) * given
        + cached * rates.get("cache_read_input_token_cost", given)
        + written * rates.get("cache_creation_input_token_cost", given)
        + max(0, usage.output_tokens - thought) * made
        + thought * rates.get("output_cost_per_reasoning_token", made)
    )


def _rates(row: Row, input_tokens: int, tier: str | None) -> dict[str, float]:
    """Return the prices that hold for this many input tokens, of this tier."""
    plain = {name: rate for name, value in row.items() if (rate := _number(value)) is not None}
    steps = sorted(
        (int(found["thousands"]) * 1000, found["name"], rate)
        for name, rate in plain.items()
        if (found := _ABOVE.match(name)) is not None
    )
    rates = {**plain, **{name: rate for above, name, rate in steps if input_tokens > above}}
    if tier:
        rates |= {name.removesuffix(f"_{tier}"): rate for name, rate in plain.items() if name.endswith(f"_{tier}")}
    return rates


def _read(path: Path) -> Mapping[str, Row]:
    try:
        rows = loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"the price list {quoted(str(path))} cannot be read: {error}") from error
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise SetupError(f"the price list {quoted(str(path))} is no JSON object of rows")
    return rows


def _genai_prices() -> PriceList:
    try:
        import genai_prices
    except ImportError as error:
        hint = "pip install 'antiphon[cost]', or give a file or a mapping of prices"
        raise MissingExtra("prices come from the package genai-prices, which is not installed", hint=hint) from error

    def price(provider: str, model: str, response: Response) -> float | None:
        usage = response.usage
        if usage is None:
            return None
        tokens = genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.input_tokens_details.cached_tokens,
            cache_write_tokens=usage.input_tokens_details.cache_write_tokens,
        )
        try:
            found = genai_prices.calc_price(tokens, model, provider_id=_GENAI_PROVIDERS.get(provider, provider))
        except LookupError:
            return None
        return float(found.total_price)

    return price


def _number(value: object) -> float | None:
    is_one = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    return float(cast(float, value)) if is_one else None
