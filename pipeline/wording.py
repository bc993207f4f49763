"""How messages say a value, and what is wrong with it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args, get_origin

_LONGEST = 200  # characters of one value in a message

# What msgspec says, e.g. "Expected `float | null`, got `str` - at `$.temperature`", or "Expected `int` >= 1".
_PLACE = re.compile(r" - at (?P<key>`key` in )?`\$(?P<path>.*)`$")
_EXPECTED = re.compile(r"Expected (?P<expected>.+?)(?:, got `(?P<got>.+)`)?")
_WORDS = {"array": "a list", "object": "an object", "Callable": "a function"}
_OTHERS = (
    (re.compile(r"Invalid (?:enum )?value '?(.*?)'?"), '{where} is "{}", which is not known'),
    (re.compile(r"Object missing required field `(.+)`"), '{where} has no "{}"'),
    (re.compile(r"Object contains unknown field `(.+)`"), '{where} has "{}", which is not known'),
)


def quoted(value: object) -> str:
    """Return a value as messages show it: text in double quotes on one line, all else as its repr; cut when long."""
    if not isinstance(value, str):
        shown = repr(value)
        return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    import json

    cut = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return json.dumps(cut, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def misfit(error: Exception, name: str, value: object) -> str:
    """Return in our words what msgspec says of a value that does not fit its type.

    Args:
        error: msgspec's; its path begins at the value.
        name: what the value is called, e.g. "attempts".

    >>> import msgspec
    >>> try:
    ...     msgspec.convert("five", int)
    ... except msgspec.ValidationError as error:
    ...     print(misfit(error, "attempts", "five"))
    attempts is "five"; int is expected
    """
    said = str(error)
    place = _PLACE.search(said)
    path = place["path"] if place is not None else ""
    where = f"{name}{path}".lstrip(".") or "it"
    if place is not None:
        said = said[: place.start()]
        where = f"a key of {where}" if place["key"] else where
    if (found := _EXPECTED.fullmatch(said)) is None:
        meant = ((known.fullmatch(said), text) for known, text in _OTHERS)
        return next((text.format(match[1], where=where) for match, text in meant if match), f"{where}: {said}")
    words = found["expected"].replace(" | null", "")
    expected = re.sub(r"`?(\w+)`?", lambda name: _WORDS.get(name[1], name[1]), words)
    if place is None:
        return f"{where} is {quoted(value)}; {expected} is expected"
    return f"{where} is {found['got']}; {expected} is expected" if found["got"] else f"{where}: {expected} is expected"


def known_values(expected: object) -> str | None:
    """Return the values that a type such as `Literal["a", "b"]` lists, as a hint; None for all other types."""
    if get_origin(expected) is Literal:
        return f"known: {', '.join(map(quoted, get_args(expected)))}"
    inside = get_args(expected)[:1] if get_origin(expected) is Annotated else get_args(expected)
    return next((found for one in inside if (found := known_values(one)) is not None), None)
