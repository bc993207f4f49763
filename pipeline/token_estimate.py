"""About how many tokens something has, for decisions before a host has counted it.

Nobody but the host knows. The rule is that of thumb: four bytes of UTF-8 make a token, which is near for English and
for code, and a little high for most other scripts; an image counts as what hosts charge for a middling one, and a file
or sound, which travel as base64, by its length. It reads each text once and needs no tables.

Source: OpenAI documentation, What are tokens and how to count them ("1 token ~= 4 characters in English"), read
2026-11; images and files are guesses.
"""

from __future__ import annotations

from typing import Any, Final

from .api.wire import Wire, encode, loads

BYTES_OF_A_TOKEN: Final = 4
IMAGE_TOKENS: Final = 1_000
_BASE64_OF_A_TOKEN: Final = 64
_OF_AN_OBJECT: Final = 8  # bytes: its braces and what stands between its members
_ENCODED: Final = frozenset({"file_data", "data"})
_IMAGES: Final = frozenset({"input_image", "computer_screenshot"})


def about_tokens(value: object) -> int:
    """Return about how many tokens a text, an API object or a list of them has; at least 1 for what is not empty."""
    return -(-_bytes(value) // BYTES_OF_A_TOKEN)


def _bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list | tuple):
        return sum([_bytes(member) for member in value])
    if isinstance(value, dict):
        if value.get("type") in _IMAGES:
            return IMAGE_TOKENS * BYTES_OF_A_TOKEN
        return _OF_AN_OBJECT + sum([_member(name, member) for name, member in value.items()])
    if value is None:
        return 0
    if isinstance(value, Wire) or hasattr(value, "model_dump"):
        return _bytes(loads(encode(value)))
    return BYTES_OF_A_TOKEN  # a number, true or false


def _member(name: object, value: Any) -> int:
    if name in _ENCODED and isinstance(value, str):
        return len(value) * BYTES_OF_A_TOKEN // _BASE64_OF_A_TOKEN
    return len(str(name)) + _bytes(value)
