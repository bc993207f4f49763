"""Turns, and the blocks they are made of."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ...pipeline.api.wire import Raw
from ...pipeline.errors import InvalidParameter, UnsupportedParameter
from ...pipeline.request import Target
from ...pipeline.wording import quoted
from .values import json_text, read_json

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Block(msgspec.Struct, frozen=True):
    """A content part of a message, or an item that is no message.

    Args:
        value: the object, as the API has it; a call and its results have the id that the host gets.
        item: index of the item it came from; -1 when the whole input is text.
        part: index among the parts of that item; -1 where it is no part.
    """

    value: dict[str, Any]
    item: int = -1
    part: int = -1

    @property
    def where(self) -> str:
        """Its place in the call, for messages."""
        place = "input" if self.item < 0 else f"input[{self.item}]"
        return place if self.part < 0 else f"{place}.content[{self.part}]"


class ResultPart(Block, frozen=True):
    """A part of the output of an item, which is the result of a call."""

    @property
    def where(self) -> str:
        return f"input[{self.item}].output[{self.part}]"


class Turn(msgspec.Struct, frozen=True):
    """What one side said. Blocks of two messages in an assistant's turn differ in `item`."""

    role: Role
    blocks: list[Block]


def unsupported(target: Target, block: Block, what: str, hint: str) -> UnsupportedParameter:
    """Return the error of a block that a host does not take; `what` goes on behind the host's name."""
    return UnsupportedParameter(
        f"{block.where} is {quoted(block.value.get('type'))}: {target.provider} {what}",
        provider=target.provider,
        model=target.model,
        param="input",
        hint=hint,
    )


def string_of(block: Block, field: str) -> str:
    """Return a field that must be text."""
    found = block.value.get(field)
    if isinstance(found, str):
        return found
    what = "missing" if found is None else type(found).__name__
    raise InvalidParameter(f"{block.where}.{field} is {what}; text is expected", param="input")


def written(block: Block) -> str:
    """Return what a call was made with, as JSON text; a custom tool's text is the one argument of a function's."""
    if block.value["type"] == "custom_tool_call":
        return json_text({"input": string_of(block, "input")})
    given = block.value.get("arguments") or "{}"
    text = given if isinstance(given, str) else json_text(given)
    # Some hosts give no arguments as "" or null, and refuse it when it comes back.
    return "{}" if text.strip() in ("", "null", '""') else text


def arguments_of(block: Block) -> Any:
    """Return the arguments of a function call as an object, for hosts that take no text; its text is kept as it is.

    Raises:
        InvalidParameter: they are no object.
    """
    text = written(block)
    if not isinstance(found := read_json(text), dict):
        what = "no JSON" if found is None else f"{type(found).__name__} instead of an object"
        raise InvalidParameter(
            f"{block.where}.arguments is {what}, and the host takes only objects",
            param="input",
            hint="the model's answer was cut, or the text was changed: leave the call out, with its output",
        )
    try:
        return Raw(text.strip().encode())
    except UnicodeEncodeError:  # half a character; the body is then encoded in another way
        return found
