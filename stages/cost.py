"""Know what a call costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..pipeline.api.response import Response
from ..pipeline.errors import APIError
from ..pipeline.reply import Outcome, Reply
from ..pipeline.request import Handler, Request
from ..pipeline.stage import Option, Scope, Stage
from ..pipeline.streams.event_stream import EventStream
from ..providers.prices import PriceList, price_list, reported_cost, row_cost


class Cost(Stage, frozen=True):
    """Set `meta.cost`, US dollars: as the host reports it, else by a price list.

    Inside Retry it sees every attempt, and adds up those that reported usage. Where one of them has no price the sum is
    unknown, None, rather than too small. Nothing is fetched.

    Args:
        prices: "genai-prices" (extra `cost`), a JSON file of LiteLLM's format, a mapping of such rows, or a function
            `(provider, model, response) -> dollars or None`. None: only what hosts report. What the function raises is
            counted as a hook's error is, and the cost stays unknown.

    Raises:
        MissingExtra, SetupError: prices that cannot be had; raised when the chain is built.
    """

    prices: str | Mapping[str, Mapping[str, Any]] | Callable[[str, str, Response], float | None] | None = None

    options = (
        Option("input_cost_per_token", (float,), "US dollars; with output_cost_per_token, instead of a price list"),
        Option("output_cost_per_token", (float,), "US dollars; with input_cost_per_token, instead of a price list"),
    )
    sets = ()

    def setup(self, scope: Scope) -> object:
        return _Prices(None if self.prices is None else price_list(self.prices), _name(self.prices))

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        try:
            reply = await call_next(request)
        except APIError as error:
            if error.response is not None:
                self._add(request, error.response)
            raise
        if isinstance(reply, EventStream):

            def ended(outcome: Outcome) -> None:
                if outcome.response is not None:
                    self._add(request, outcome.response)

            reply.on_end(ended)
        elif isinstance(reply, Response):
            self._add(request, reply)
        return reply

    def _add(self, request: Request, response: Response) -> None:
        """Add what the answer cost to the call's cost."""
        context = request.context
        before = context.cost
        usage = bytes(response.usage_json)
        if usage in _NOT_SAID:
            return
        if self.prices is None and b"cost" not in usage and _OWN[0] not in request.options:  # nearly always
            context.unpriced = True
            if before is None:
                return
        cost, source = reported_cost(response), "host"
        if cost is None:
            cost, source = self._priced(request, response)
        context.add_cost(cost, source)

    def _priced(self, request: Request, response: Response) -> tuple[float | None, str]:
        prices = request.context.state_of(self, _Prices)
        own = {name: value for name in _OWN if (value := request.options.get(name)) is not None}
        target = request.target or request.context.target
        if own and response.usage is not None:
            return row_cost(own, response.usage), "call"
        if prices.list is None or target is None:
            return None, ""
        try:
            return prices.list(target.provider, target.model, response), prices.name
        except Exception as error:  # the answer is here: a list that fails knows no price
            request.context.owner.hook_failed(error)
            return None, ""


class _Prices:
    """The price list of one position in a chain, and its name."""

    __slots__ = ("list", "name")

    def __init__(self, found: PriceList | None, name: str) -> None:
        self.list = found
        self.name = name


_NOT_SAID = (b"", b"null")
_OWN = ("input_cost_per_token", "output_cost_per_token")


def _name(prices: object) -> str:
    if isinstance(prices, str):
        return "genai-prices" if prices == "genai-prices" else prices.replace("\\", "/").rpartition("/")[2]
    return "rows" if isinstance(prices, Mapping) else getattr(prices, "__name__", type(prices).__name__)
