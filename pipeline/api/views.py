"""What the wire classes share: readers for their lazy views, and the base of objects told apart by `type`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

import msgspec

from .wire import Raw, Wire, decode, encode, many, one, value

T = TypeVar("T")
W = TypeVar("W", bound=Wire)

NoKnownType = Literal["<unknown>"]
NO_KNOWN_TYPE: NoKnownType = "<unknown>"
"""What type checkers take for the `type` of the Unknown… classes, so that `item.type == "message"` narrows a union to
Message alone: with `str`, the Unknown… class would stay in every branch. At run time it is the text on the wire."""


class Typed(Wire, frozen=True, kw_only=True):
    """Base of objects told apart by their `type`."""

    if TYPE_CHECKING:
        type: ClassVar[str]


def optional(cls: type[W]) -> Callable[[Raw], W | None]:
    """Reader of a nested object of one class; missing, null or not an object reads as None."""
    return one(lambda raw: decode(raw, cls))


def always(cls: type[W]) -> Callable[[Raw], W]:
    """Reader of a nested object that is never None: missing, null or not an object reads as an empty one."""
    read = optional(cls)

    def read_always(raw: Raw) -> W:
        found = read(raw)
        return decode(b"{}", cls) if found is None else found

    return read_always


def several(cls: type[W]) -> Callable[[Raw], tuple[W, ...]]:
    """Reader of a list of objects of one class; missing, null or not a list reads as ()."""
    return many(lambda raw: decode(raw, cls))


def object_or_text(cls: type[W], field: str) -> Callable[[Raw], W | None]:
    """Reader of a nested object that some hosts send as a plain string, which is then its `field`."""
    return one(lambda raw: decode(b'{"%b":%b}' % (field.encode(), bytes(raw)) if is_text(raw) else raw, cls))


def text_or(read: Callable[[Raw], T]) -> Callable[[Raw], str | T]:
    """Reader of a field that is a string or something else, which `read` reads."""

    def read_text_or(raw: Raw) -> str | T:
        return (text_or_number(raw) or "") if is_text(raw) else read(raw)

    return read_text_or


def is_text(raw: bytes | Raw) -> bool:
    """Tell whether a raw field holds a JSON string."""
    return bytes(memoryview(raw)[:1]) == b'"'


def anything(raw: Raw) -> object:
    """Reader of a field of any JSON type; missing reads as None."""
    try:
        found: object = value(raw)
    except msgspec.DecodeError:  # what the decoder of the whole had only skimmed
        return None
    return found


def text_or_number(raw: Raw) -> str | None:
    """Reader of a code: text as it is, a number as text, anything else as None."""
    found = anything(raw)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def number(raw: Raw) -> float | None:
    """Reader of a number among fields that hold other things on some hosts."""
    found = anything(raw)
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def json_object(raw: Raw) -> dict[str, object] | None:
    """Reader of a free JSON object, such as a schema; anything else reads as None."""
    found = anything(raw)
    return found if isinstance(found, dict) else None


def json_objects(raw: Raw) -> tuple[dict[str, object], ...]:
    """Reader of a list of free JSON objects; what is no object is left out."""
    found = anything(raw)
    return tuple([each for each in found if isinstance(each, dict)]) if isinstance(found, list) else ()


def texts(raw: Raw) -> dict[str, str]:
    """Reader of a map of strings, such as metadata; {} when missing, a value of another type as its JSON text."""
    found = json_object(raw) or {}
    return {name: each if isinstance(each, str) else encode(each).decode() for name, each in found.items()}
