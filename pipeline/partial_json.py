"""JSON that is still being written: the value so far, at a cost that is linear in the text.

What of the text is certain is in the value: objects and lists from their opening bracket on, strings as far as they
have come, numbers and literals once they are whole, a key with its value. So the value only ever grows.

    {"name": "Ad            {"name": "Ad"}
    {"name": "Ada", "age": 3    {"name": "Ada"}
    {"name": "Ada", "age": 36}  {"name": "Ada", "age": 36}
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\]*')
_NUMBER = re.compile(r"[-+.0-9eE]*")
_WORD = re.compile(r"[a-z]*")
_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9a-fA-F]{4}))')
_LOW_HALF = re.compile(r"\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_CUT_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")
_VALID_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_MEANS = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WORDS = {"true": True, "false": False, "null": None}


class PartialJSON:
    """Takes the text of one JSON value in pieces. Never raises: after something that is no JSON the value stays.

    Attributes:
        value: what has come so far; the same growing object every time, so copy it to keep it. None before the start.
        has_value: whether there is one.
        is_whole: whether the root value is complete; further text is ignored.
        is_broken: whether the text is no JSON.
    """

    __slots__ = (
        "_changes",
        "_key",
        "_next",
        "_rest",
        "_stack",
        "_token",
        "has_value",
        "is_broken",
        "is_whole",
        "value",
    )

    def __init__(self) -> None:
        self.value: Any = None
        self.has_value = self.is_whole = self.is_broken = False
        self._stack: list[Any] = []  # the open objects and lists
        self._key = ""
        self._token: list[str] = []  # an unfinished key, number or literal, in pieces
        self._rest = ""  # an unfinished escape sequence
        self._changes = 0
        self._next: Callable[[str, int], int] = self._read_value

    def feed(self, text: str) -> bool:
        """Take more of the text; tell whether the value has changed."""
        before = self._changes
        if self._rest:
            text, self._rest = self._rest + text, ""
        at, end = 0, len(text)
        while at < end:
            at = self._next(text, at)
        return self._changes != before

    def finish(self) -> bool:
        """Take the end of the text, which completes a number or literal; tell whether the value has changed."""
        before = self._changes
        if not self.is_broken and self._next in (self._read_number, self._read_word):
            self._next("\n", 0)
        return self._changes != before

    # --- one method a state: takes the text from `at`, returns where it stopped --------------------------------------

    def _read_value(self, text: str, at: int) -> int:
        at = _skip(text, at)
        if at == len(text):
            return at
        char = text[at]
        if char == '"':
            self._place("")
            self._next = self._read_text
        elif char == "{":
            self._open({}, self._read_first_key)
        elif char == "[":
            self._open([], self._read_first_member)
        elif char in "-0123456789":
            self._next = self._read_number
            return at
        elif char in "tfn":
            self._next = self._read_word
            return at
        else:
            return self._break(text)
        return at + 1

    def _read_text(self, text: str, at: int) -> int:
        end = _end_of(_PLAIN, text, at)
        if end > at:
            self._grow(text[at:end])
        if end == len(text):
            return end
        if text[end] == '"':
            self._after_value()
            return end + 1
        return self._read_escape(text, end, self._grow)

    def _read_key(self, text: str, at: int) -> int:
        end = _end_of(_PLAIN, text, at)
        self._token.append(text[at:end])
        if end == len(text):
            return end
        if text[end] == '"':
            self._key = self._take_token()
            self._next = self._read_colon
            return end + 1
        return self._read_escape(text, end, self._token.append)

    def _read_escape(self, text: str, at: int, write: Callable[[str], object]) -> int:
        found = _ESCAPE.match(text, at)
        if found is None:
            return self._wait(text, at) if _CUT_ESCAPE.fullmatch(text, at) else self._break(text)
        simple, code = found.groups()
        end = found.end()
        if simple is not None:
            write(_MEANS[simple])
            return end
        point = int(code, 16)
        if 0xD800 <= point < 0xDC00:
            low = _LOW_HALF.match(text, end)
            if low is not None:
                write(chr(0x10000 + ((point - 0xD800) << 10) + int(low[1], 16) - 0xDC00))
                return low.end()
            if end == len(text) or _CUT_ESCAPE.fullmatch(text, end):
                return self._wait(text, at)  # its other half may come
        write(chr(point))
        return end

    def _read_number(self, text: str, at: int) -> int:
        end = _end_of(_NUMBER, text, at)
        self._token.append(text[at:end])
        if end == len(text):
            return end
        token = self._take_token()
        found = _VALID_NUMBER.fullmatch(token)
        if found is None:
            return self._break(text)
        self._place(_number(token, is_whole=found[1] is None and found[2] is None))
        self._after_value()
        return end

    def _read_word(self, text: str, at: int) -> int:
        end = _end_of(_WORD, text, at)
        self._token.append(text[at:end])
        if end == len(text):
            return end
        token = self._take_token()
        if token not in _WORDS:
            return self._break(text)
        self._place(_WORDS[token])
        self._after_value()
        return end

    def _read_first_key(self, text: str, at: int) -> int:
        return self._close_or(self._read_key_start, "}", text, at)

    def _read_key_start(self, text: str, at: int) -> int:
        return self._expect('"', self._read_key, text, at)

    def _read_colon(self, text: str, at: int) -> int:
        return self._expect(":", self._read_value, text, at)

    def _read_first_member(self, text: str, at: int) -> int:
        return self._close_or(self._read_value, "]", text, at)

    def _read_comma(self, text: str, at: int) -> int:
        at = _skip(text, at)
        is_object = isinstance(self._stack[-1], dict)
        if at < len(text) and text[at] == ",":
            self._next = self._read_key_start if is_object else self._read_value
            return at + 1
        return self._close_or(None, "}" if is_object else "]", text, at)

    def _ignore(self, text: str, at: int) -> int:
        return len(text)

    # --- steps -------------------------------------------------------------------------------------------------------

    def _expect(self, char: str, then: Callable[[str, int], int], text: str, at: int) -> int:
        at = _skip(text, at)
        if at == len(text):
            return at
        if text[at] != char:
            return self._break(text)
        self._next = then
        return at + 1

    def _close_or(self, other: Callable[[str, int], int] | None, bracket: str, text: str, at: int) -> int:
        at = _skip(text, at)
        if at == len(text):
            return at
        if text[at] == bracket:
            self._stack.pop()
            self._changes += 1
            self._after_value()
            return at + 1
        if other is None:
            return self._break(text)
        self._next = other
        return at

    def _open(self, container: Any, then: Callable[[str, int], int]) -> None:
        self._place(container)
        self._stack.append(container)
        self._next = then

    def _place(self, value: Any) -> None:
        self._changes += 1
        if not self._stack:
            self.value, self.has_value = value, True
        elif isinstance(self._stack[-1], dict):
            self._stack[-1][self._key] = value
        else:
            self._stack[-1].append(value)

    def _grow(self, text: str) -> None:
        """Add to the open string. Taken out of its place first: the only reference to a string grows without a copy."""
        self._changes += 1
        place, key = (self._stack[-1], self._key) if self._stack else (None, "")
        if place is None:
            grown, self.value = self.value, ""
            grown += text
            self.value = grown
        elif isinstance(place, dict):
            grown, place[key] = place[key], ""
            grown += text
            place[key] = grown
        else:
            grown, place[-1] = place[-1], ""
            grown += text
            place[-1] = grown

    def _after_value(self) -> None:
        if self._stack:
            self._next = self._read_comma
        else:
            self.is_whole = True
            self._next = self._ignore

    def _take_token(self) -> str:
        token = "".join(self._token)
        self._token.clear()
        return token

    def _wait(self, text: str, at: int) -> int:
        self._rest = text[at:]
        return len(text)

    def _break(self, text: str) -> int:
        self.is_broken = True
        self._next = self._ignore
        return len(text)


def _skip(text: str, at: int) -> int:
    return _end_of(_SPACE, text, at)


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    assert found is not None  # these patterns match the empty text too
    return found.end()


def _number(token: str, *, is_whole: bool) -> int | float:
    if is_whole:
        try:
            return int(token)
        except ValueError:  # more digits than Python converts
            pass
    return float(token)
