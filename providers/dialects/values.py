"""Values of a call as plain ones: dicts, lists and JSON text."""

from __future__ import annotations

from typing import Any

import msgspec

from ...pipeline.api.wire import encode, loads
from ...pipeline.errors import InvalidParameter


def plain(value: object, where: str) -> dict[str, Any]:
    """Return an API object as a dict; wire objects and pydantic models are encoded and read again.

    Raises:
        InvalidParameter: no object.
    """
    if type(value) is dict:
        return value
    try:
        found = loads(encode(value))
    except TypeError as error:
        raise InvalidParameter(f"{where} cannot be encoded: {error}", param=where) from None
    if not isinstance(found, dict):
        raise InvalidParameter(f"{where} is {type(value).__name__}; an object is expected", param=where)
    return found


def item_of(given: object, at: int) -> dict[str, Any]:
    """Return the item at this place of an input as a dict.

    Raises:
        InvalidParameter: no object, or one whose type is no text.
    """
    item = given if type(given) is dict else plain(given, f"input[{at}]")
    kind = item.get("type")
    if kind is not None and not isinstance(kind, str):
        raise InvalidParameter(f"input[{at}].type is {type(kind).__name__}; text is expected", param="input")
    return item


def listed(given: object, where: str) -> list[Any]:
    """Return a list of a call, an empty one where it is not given.

    Raises:
        InvalidParameter: no list.
    """
    if given is None:
        return []
    if isinstance(given, list | tuple):
        return list(given)
    param = where.partition("[")[0].partition(".")[0]
    raise InvalidParameter(f"{where} is {type(given).__name__}; a list is expected", param=param)


def json_text(value: object) -> str:
    """Return a value as JSON text; half a character, as hosts cut them, stays one."""
    return encode(value).decode()


def read_json(text: str) -> Any:
    """Return the value of JSON text; None for what is no JSON."""
    try:
        return loads(text)
    except msgspec.DecodeError:
        return None
