"""Half a character: one of UTF-16's two surrogates, as hosts leave where they cut a text inside an emoji.

JSON can say it, as an escape, and UTF-8 cannot. It passes through the library as it is; here it is replaced for those
who cannot take it, or joined with its other half.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from .wire import encode, loads

T = TypeVar("T")


def joined_halves(text: str) -> str:
    """Return text in which halves of a character that stand side by side, as hosts cut them, are one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def whole_text(value: Any) -> Any:
    """Return JSON values with half characters replaced: text that no JSON could carry on.

    Raises:
        msgspec.DecodeError: nested too deeply.
    """
    try:
        return _whole(value)
    except RecursionError:
        raise msgspec.DecodeError("JSON that is nested too deeply") from None


def encode_whole(value: object) -> bytes:
    """Encode to JSON for those who watch, who want text that anything can read: half characters are replaced."""
    try:
        return _encode_shown(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(whole_text(msgspec.to_builtins(value, enc_hook=repr)))


_encode_shown = msgspec.json.Encoder(enc_hook=repr).encode


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list | tuple):
        return [_whole(member) for member in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(member) for name, member in value.items()}
    return value


def read_typed(decode: Callable[[str], T], text: str) -> T:
    """Decode JSON text to a type; half characters, which decoders of types refuse, are replaced."""
    try:
        return decode(text)
    except ValueError:
        if not _HALF.search(text):
            raise
        return decode(encode(whole_text(loads(text))).decode())


_HALF: Final = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")  # of a character, as itself or escaped
