"""The form that a call wants its answer in (`text.format`), and the words for hosts that have no field for it."""

from __future__ import annotations

from typing import Any, Final

from ...pipeline.errors import UnsupportedParameter
from ...pipeline.wording import quoted
from .values import json_text, plain

_KINDS: Final = ("text", "json_object", "json_schema")
_WORDS: Final = "Answer with one JSON object and nothing else, without a code fence."


def read_format(given: object, who: str) -> dict[str, Any] | None:
    """Return the form of an answer; None for free text.

    Args:
        who: has no other forms, for the message.

    Raises:
        InvalidParameter: no object.
        UnsupportedParameter: a form that only the Responses API has.
    """
    form = plain(given, "text.format")
    kind = form.get("type")
    if kind not in _KINDS:
        raise UnsupportedParameter(
            f"text.format has type {quoted(kind)}, which {who} not have",
            param="text",
            hint=f"known: {', '.join(_KINDS)}",
        )
    return None if kind == "text" else form


def in_words(form: dict[str, Any]) -> str:
    """Return the words that ask for a form."""
    if form["type"] == "json_object":
        return _WORDS
    return f"{_WORDS} It must fit this JSON schema:\n{json_text(form.get('schema') or {})}"
