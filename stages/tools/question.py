"""What the model is asked in each round: the call's parameters, with the tools in terms of functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...pipeline.api.params import CreateParams
from ...pipeline.request import Request
from ...providers.profiles import profile_of
from .offer import Offer

_SEALED: Final = "reasoning.encrypted_content"


def question(request: Request, offer: Offer, *, is_first: bool, is_last: bool) -> dict[str, Any]:
    """Return what changes in a call's parameters for one round, but its input.

    Args:
        is_first: whether no round has run any calls yet.
        is_last: whether the model has to answer without tools that run here.
    """
    params = request.params
    assert isinstance(params, CreateParams)
    choice = offer.choice if offer.tools and (is_first or _is_still_wanted(offer)) else None
    changes: dict[str, Any] = {"tools": offer.tools or None, "tool_choice": choice}
    if is_last:
        # The caller's own tools stay: an answer may have to come through one of them.
        changes["tools"] = offer.others or offer.tools
        changes["tool_choice"] = offer.choice if offer.others else "none"
    if offer.knows_all:
        changes["max_tool_calls"] = None  # counted here
    if _needs_sealed_reasoning(request, params):
        changes["include"] = [*(params.include or ()), _SEALED]
    return changes


def _is_still_wanted(offer: Offer) -> bool:
    """Tell whether a forced tool is still forced after a round: only where it is somebody else's to answer.

    Source: Agents SDK of OpenAI, `reset_tool_choice`, read 2026-11: a model that must call never ends.
    """
    choice = offer.choice
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        return choice.get("name") not in offer.by_name
    is_forced = choice == "required" or (isinstance(choice, Mapping) and choice.get("mode") == "required")
    return bool(offer.others) or not is_forced


def _needs_sealed_reasoning(request: Request, params: CreateParams) -> bool:
    """Tell whether the model's reasoning has to travel with us, since its host does not keep it.

    Source: OpenAI guide, Reasoning models › Encrypted reasoning items, read 2026-11.
    """
    target = request.target
    if params.store is not False or target is None or target.dialect.name != "responses":
        return False
    if _SEALED in (params.include or ()) or "include" in target.unsupported:
        return False
    return bool(params.reasoning) or profile_of(target.model, target.provider).reasons
