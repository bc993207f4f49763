"""What the attempts of a call used, in tokens and dollars, heard from their signals as they end.

Every attempt counts, whoever made it and however it ended: repeats, tool rounds, streams that broke or were left early.
Where a host has not said what a partial answer used, it is estimated from what was asked and what had come.
"""

from __future__ import annotations

from collections.abc import Callable

from ..pipeline.accounts import Amount
from ..pipeline.api.response import CompactedResponse, Response
from ..pipeline.api.response_fields import Usage
from ..pipeline.request import Request
from ..pipeline.signals import AttemptEnded, Signal
from ..pipeline.token_estimate import about_tokens
from .prices import PriceList, reported_cost


class Prices:
    """What answers cost by a price list, or as hosts say; and the models that have shown that nobody knows.

    Args:
        listed: None: only what hosts say.
    """

    __slots__ = ("_listed", "_unknown")

    def __init__(self, listed: PriceList | None) -> None:
        self._listed = listed
        self._unknown: set[tuple[str, str]] = set()

    def dollars(self, provider: str, model: str, response: Response) -> float:
        """Return what an answer cost; 0.0 where nobody knows, which is remembered.

        Raises what the list raises, for one that fails knows no price.
        """
        dollars = reported_cost(response)
        try:
            if dollars is None and self._listed is not None:
                dollars = self._listed(provider, model, response)
        finally:
            if dollars is None:
                self._unknown.add((provider, model))
        return dollars or 0.0

    def listed(self, provider: str, model: str, response: Response) -> float:
        """Return what an answer would cost by the list; 0.0 where it does not say."""
        return 0.0 if self._listed is None else self._listed(provider, model, response) or 0.0

    def knows(self, provider: str, model: str) -> bool:
        """Tell whether a model has a price, and has not yet shown that it has none."""
        if self._listed is None or (provider, model) in self._unknown:
            return (provider, model) not in self._unknown
        return self._listed(provider, model, response_with(1, 1)) is not None


class UsageMeter:
    """Hears of the attempts of one call.

    Args:
        prices: None where dollars don't matter.

    Attributes:
        put_down: takes what an attempt used; set by whoever is asking now.
        request: the call as it is asked now, from which its input is estimated.
    """

    __slots__ = ("_prices", "put_down", "request")

    def __init__(self, prices: Prices | None, request: Request, put_down: Callable[[Amount], None]) -> None:
        self._prices = prices
        self.request = request
        self.put_down = put_down

    def hear(self, signal: Signal) -> None:
        """Take a signal of the call."""
        if not isinstance(signal, AttemptEnded) or signal.outcome.kind == "accepted":
            return
        response = signal.outcome.response
        if response is None:
            return
        usage = response.usage
        if usage is None or not (usage.input_tokens or usage.output_tokens):
            usage = _usage(input_tokens(self.request), about_tokens([*response.output]))
            response = response.replace(usage=usage)
        self._tell(signal.attempt.provider, signal.attempt.model, usage, response)

    def count_compaction(self, reply: CompactedResponse) -> None:
        """Take what a host used to compact a conversation: its attempt carries no response."""
        target = self.request.context.target
        if reply.usage is not None and target is not None:
            self._tell(target.provider, target.model, reply.usage, Response.new(usage=reply.usage))

    def _tell(self, provider: str, model: str, usage: Usage, response: Response) -> None:
        dollars = 0.0
        try:
            if self._prices is not None:
                dollars = self._prices.dollars(provider, model, response)
        finally:
            self.put_down(Amount(usage.input_tokens + usage.output_tokens, dollars))


def input_tokens(request: Request) -> int:
    """Return about how many tokens a call sends."""
    return about_tokens([request.param(name) for name in ("instructions", "input", "tools")])


def response_with(given: int, made: int) -> Response:
    """Return a response with nothing but this usage, to be priced."""
    return Response.new(usage=_usage(given, made))


def _usage(given: int, made: int) -> Usage:
    return Usage.new(input_tokens=given, output_tokens=made, total_tokens=given + made)
