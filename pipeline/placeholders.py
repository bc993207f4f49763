"""Placeholders: what stands for a value in a text, and the value again.

A placeholder is `[KIND_XXXXXXXX]`, its letters a digest of the value under a key. So one value has one placeholder in
all calls under that key, conversations that a host keeps stay right, prompts stay the same for a prompt cache, and
nobody without the key can tell a value from its placeholder, nor make one of somebody else's. Back again goes only
what this call has hidden.
"""

from __future__ import annotations

import base64
import bisect
import hmac
import json
import re
import threading
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from .api.wire import encode, loads
from .personal_data import Finder, spans_of

_LETTERS: Final = 8  # five bits each
_SHAPE: Final = re.compile(r"\[[A-Z][A-Z0-9_]*_[A-Z2-7]+\]")

# Of items and parts: what names, refers or encodes, and is no text.
_NO_TEXT: Final = frozenset(
    {
        *("type", "id", "call_id", "item_id", "role", "status", "name", "namespace", "phase", "detail", "format"),
        *("encrypted_content", "signature", "image_url", "file_id", "file_data", "file_url", "data", "server_label"),
        *("approval_request_id", "caller", "annotations", "logprobs", "prompt_cache_breakpoint", "cache_control"),
    }
)
_CALLS: Final = frozenset(
    {
        *("function_call", "custom_tool_call"),
        *("response.function_call_arguments.done", "response.custom_tool_call_input.done"),
    }
)


class Moves:
    """Where a text became longer or shorter, so that positions in it can follow.

    Attributes:
        length: of the text so far, as it was.
    """

    __slots__ = ("_ends", "_shifts", "_starts", "length")

    def __init__(self) -> None:
        self.length = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._shifts = [0]

    def add(self, start: int, end: int, length: int) -> None:
        """Note that a span of the next piece of text has another length now."""
        self._starts.append(self.length + start)
        self._ends.append(self.length + end)
        self._shifts.append(self._shifts[-1] + length - (end - start))

    def moved(self, annotation: Any) -> Any:
        """Return an annotation with its positions where they are now; one inside a span is at its beginning or end."""
        if not self._ends or not isinstance(annotation, dict):
            return annotation
        places = {
            name: found for name in ("start_index", "end_index") if isinstance(found := annotation.get(name), int)
        }
        return {**annotation, **{name: self._place(at, is_end=name == "end_index") for name, at in places.items()}}

    def _place(self, at: int, *, is_end: bool) -> int:
        passed = bisect.bisect_right(self._ends, at)
        if passed < len(self._starts) and self._starts[passed] < at:
            return (
                self._ends[passed] + self._shifts[passed + 1] if is_end else self._starts[passed] + self._shifts[passed]
            )
        return at + self._shifts[passed]


class Placeholders:
    """Those of one call. Safe to share between threads.

    Args:
        key: of the digests.
        finders: `(kind, finder)` in the order of their rank.

    Attributes:
        counts: how many values were hidden, by kind; each value once.
    """

    def __init__(self, key: bytes, finders: Iterable[tuple[str, Finder]]) -> None:
        self._key = key
        self._finders = list(finders)
        self._values: dict[str, str] = {}
        self._seen: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self.counts: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._values)

    # --- hiding ---------------------------------------------------------------------------------------------------

    def hidden(self, text: str) -> str:
        """Return a text with placeholders for what the finders find."""
        spans = spans_of(text, self._finders)
        if not spans:
            return text
        pieces, at = [], 0
        for start, end, kind in spans:
            pieces += [text[at:start], self._placeholder(kind, text[start:end])]
            at = end
        return "".join([*pieces, text[at:]])

    def hidden_in(self, value: Any, name: str = "") -> Any:
        """Return plain JSON values with placeholders in all their texts; the same object where there is nothing."""
        if isinstance(value, str):
            if name in _NO_TEXT:
                return value
            return self._hidden_json(value) if name == "arguments" else self.hidden(value)
        if isinstance(value, dict):
            members = {key: self.hidden_in(member, key) for key, member in value.items()}
            return members if any(members[key] is not value[key] for key in members) else value
        if isinstance(value, list | tuple):
            found = [self.hidden_in(member, name) for member in value]
            return found if any(new is not old for new, old in zip(found, value, strict=True)) else value
        if value is None or isinstance(value, bool | int | float):
            return value
        plain = loads(encode(value))  # a wire object, or somebody's model
        changed = self.hidden_in(plain, name)
        return value if changed is plain else changed

    def _hidden_json(self, text: str) -> str:
        """Hide in the texts of JSON, whose quotes and brackets stay; numbers that are found become text."""
        try:
            value = loads(text)
        except msgspec.DecodeError:
            return self.hidden(text)
        changed = self._hidden_value(value)
        return text if changed == value else encode(changed).decode()

    def _hidden_value(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.hidden(name): self._hidden_value(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self._hidden_value(member) for member in value]
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, int) and not isinstance(value, bool):
            said = self.hidden(str(value))
            return value if said == str(value) else said
        return value

    def _placeholder(self, kind: str, value: str) -> str:
        digest = base64.b32encode(hmac.digest(self._key, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), "sha256"))
        label = re.sub(r"[^A-Z0-9]", "_", kind.upper())
        with self._lock:
            made, length = "", _LETTERS
            while (
                not made or self._values.setdefault(made, value) != value
            ):  # another value has it, once in a blue moon
                made = f"[{label}_{digest[:length].decode()}]"
                length += 1
            if (kind, value) not in self._seen:
                self._seen.add((kind, value))
                self.counts[kind] = self.counts.get(kind, 0) + 1
        return made

    # --- and back -------------------------------------------------------------------------------------------------

    def shown(self, text: str, *, in_json: bool = False, moves: Moves | None = None) -> str:
        """Return a text with the values in place of their placeholders.

        Args:
            in_json: as they stand inside JSON text.
            moves: learns where the text is longer or shorter now.
        """
        if "[" not in text:
            if moves is not None:
                moves.length += len(text)
            return text

        def value_of(found: re.Match[str]) -> str:
            value = self._values.get(found.group())
            if value is None:
                return found.group()
            if moves is not None:
                moves.add(*found.span(), len(value))
            return json.dumps(value, ensure_ascii=False)[1:-1] if in_json else value

        shown = _SHAPE.sub(value_of, text)
        if moves is not None:
            moves.length += len(text)
        return shown

    def shown_in(self, value: Any, *, arguments: bool, name: str = "", kind: str = "") -> Any:
        """Return plain JSON values with the values in all their texts.

        Args:
            arguments: whether in what is handed to tools as well.
        """
        if isinstance(value, str):
            if name in ("arguments", "input") and kind in _CALLS and not arguments:
                return value
            return self.shown(value, in_json=name == "arguments")
        if isinstance(value, dict):
            kind = value.get("type") or ""
            shown = {
                key: self.shown_in(member, arguments=arguments, name=key, kind=kind) for key, member in value.items()
            }
            if value.get("annotations") and isinstance(text := value.get("text"), str):
                moves = Moves()
                self.shown(text, moves=moves)
                shown["annotations"] = [moves.moved(annotation) for annotation in shown["annotations"]]
            return shown
        if isinstance(value, list):
            return [self.shown_in(member, arguments=arguments) for member in value]
        return value

    def is_in(self, raw: bytes) -> bool:
        """Tell whether a placeholder of this call stands in JSON."""
        if b"[" not in raw:
            return False
        text = raw.decode("utf-8", "replace")
        return any(found.group() in self._values for found in _SHAPE.finditer(text))

    def cut(self, text: str) -> int:
        """Return where in a text a placeholder begins that its end may cut in two; its length where none does."""
        at = text.rfind("[")
        if at >= 0 and "]" not in (tail := text[at:]) and any(made.startswith(tail) for made in list(self._values)):
            return at
        return len(text)
