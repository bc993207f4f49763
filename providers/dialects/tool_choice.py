"""A call's choice of a tool: what it names among those that are offered."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from ...pipeline.errors import InvalidParameter
from ...pipeline.wording import quoted
from .values import listed, plain


class Offered(Protocol):
    """What is offered to a model, as a choice names it."""

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...


AnOffer = TypeVar("AnOffer", bound=Offered)


def allowed_tools(choice: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tools of a choice among allowed ones.

    Raises:
        InvalidParameter: they are no list of objects.
    """
    given = listed(choice.get("tools"), "tool_choice.tools")
    return [plain(each, f"tool_choice.tools[{at}]") for at, each in enumerate(given)]


def mode_of(choice: dict[str, Any]) -> str:
    """Return the mode of a choice among allowed tools.

    Raises:
        InvalidParameter: it is no text.
    """
    mode = choice.get("mode") or "auto"
    if not isinstance(mode, str):
        raise InvalidParameter(f"tool_choice.mode is {type(mode).__name__}; text is expected", param="tool_choice")
    return mode


def offered(choice: dict[str, Any], offers: list[AnOffer]) -> AnOffer:
    """Return what is offered of the kind and name that a tool choice has.

    Raises:
        InvalidParameter: nothing is.
    """
    for offer in offers:
        if offer.name == choice.get("name") and offer.kind == choice["type"]:
            return offer
    raise InvalidParameter(
        f"tool_choice names the {choice['type']} {quoted(choice.get('name'))}, which is not among the tools",
        param="tool_choice",
        hint=f"offered: {', '.join(offer.name for offer in offers) or 'none'}",
    )
