"""What the HTTP requests of all dialects have in common: headers, queries, further fields of the body."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from ...pipeline.credential import PENDING, header_of
from ...pipeline.errors import InvalidParameter
from ...pipeline.request import Target
from ...pipeline.secret import Secret, is_credential


def headers_of(
    target: Target, extra: dict[str, Any] | None, has_body: bool, streamed: bool, stream_type: str = "text/event-stream"
) -> tuple[tuple[str, str | Secret], ...]:
    """Return the headers of a request; `extra` ones win over all others, and one that is None leaves it out."""
    key: tuple[tuple[str, Secret], ...] = ()
    if target.api_key is not None:
        key = (header_of(target.auth, target.api_key),)
    elif target.credential is not None:
        key = (("authorization" if target.auth == "bearer" else target.auth, PENDING),)
    accept = ("accept", stream_type if streamed else "application/json")
    headers = (accept, *(_WITH_BODY if has_body else _WITHOUT_BODY), *key, *target.headers)
    if not extra:
        return headers
    replaced = {name.lower() for name in extra}
    return (
        *(pair for pair in headers if pair[0].lower() not in replaced),
        *((name, _header(name, value)) for name, value in extra.items() if value is not None),
    )


_WITHOUT_BODY = (("user-agent", "antiphon/0.1"),)
_WITH_BODY = (*_WITHOUT_BODY, ("content-type", "application/json"))


def _header(name: str, value: object) -> str | Secret:
    if isinstance(value, Secret):
        return value
    return Secret(str(value)) if is_credential(name) else str(value)


def query_of(extra: dict[str, Any] | None) -> str:
    """Return a query with its question mark, "" for none; None is left out, and flags are as JSON has them.

    Raises:
        InvalidParameter: a text in it that has no bytes, since it holds half a character.
    """
    given = {name: _flag(value) for name, value in (extra or {}).items() if value is not None}
    try:
        return f"?{urlencode(given, doseq=True)}" if given else ""
    except UnicodeEncodeError as error:
        raise InvalidParameter(f"extra_query cannot be encoded: {error}", param="extra_query") from error


def _flag(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def merged(body: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Return a body with further fields; of an object that both have, the fields are put together."""
    both = dict(body)
    for name, value in extra.items():
        known = both.get(name)
        both[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both
