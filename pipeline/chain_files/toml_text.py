"""Plain data as TOML text. (The standard library reads TOML and does not write it.)

Source: TOML 1.0.0, Strings, Keys, Table, Array of Tables.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(table: Mapping[str, Any]) -> str:
    """Return a table as TOML: its tables as sections, what they hold inline; a list with tables, an item a line.

    Raises:
        TypeError: a value that TOML has no form for, such as None, or text with half a surrogate pair.
    """
    sections = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [_pair(key, value) for key, value in table.items() if key not in sections]
    for key, section in sections.items():
        lines += ["", f"[{_key(key)}]", *(_pair(name, value) for name, value in section.items())]
    return "\n".join(lines).lstrip() + "\n"


def _pair(key: str, value: Any, indent: str = "") -> str:
    return f"{_key(key)} = {_value(value, indent)}"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any, indent: str) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _text(value)
        case int():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case list() | tuple():
            inner = f"{indent}    "
            items = [_value(item, inner) for item in value]
            if any(isinstance(item, Mapping) for item in value):
                return "[\n" + "".join(f"{inner}{item},\n" for item in items) + f"{indent}]"
            return f"[{', '.join(items)}]"
        case Mapping():
            pairs = [_pair(key, item, indent) for key, item in value.items()]
            return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
        case _:
            raise TypeError(f"TOML has no form for {'null' if value is None else type(value).__name__}")


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TypeError("TOML has no form for half a surrogate pair") from None
    # JSON's escapes are TOML's as well; the one control character that JSON lets pass is DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
