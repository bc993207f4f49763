"""What the HTTP requests of all dialects have in common: headers, queries, further fields of the body."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from ...pipeline.credential import PENDING, header_of
from ...pipeline.request import Target
from ...pipeline.secret import Secret, is_credential

_USER_AGENT = "antiphon/0.1"


def headers_of(
    target: Target, extra: dict[str, Any] | None, has_body: bool, streamed: bool, stream_type: str = "text/event-stream"
) -> tuple[tuple[str, str | Secret], ...]:
    """Return the headers of a request; `extra` ones win over all others."""
    headers: list[tuple[str, str | Secret]] = [
        ("accept", stream_type if streamed else "application/json"),
        ("user-agent", _USER_AGENT),
    ]
    if has_body:
        headers += (("content-type", "application/json"),)
    if target.api_key is not None:
        headers += (header_of(target.auth, target.api_key)[:2],)
    elif target.credential is not None:
        headers += (("authorization" if target.auth == "bearer" else target.auth, PENDING),)
    headers += target.headers
    if extra:
        replaced = {name.lower() for name in extra}
        headers = [pair for pair in headers if pair[0].lower() not in replaced]
        headers.extend((name, _header(name, value)) for name, value in extra.items())
    return tuple(headers)


def _header(name: str, value: object) -> str | Secret:
    if isinstance(value, Secret):
        return value
    return Secret(str(value)) if is_credential(name) else str(value)


def query_of(extra: dict[str, Any] | None) -> str:
    """Return a query with its question mark, "" for none."""
    return f"?{urlencode(extra, doseq=True)}" if extra else ""


def merged(body: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """Return a body with further fields; of an object that both have, the fields are put together."""
    both = dict(body)
    for name, value in extra.items():
        known = both.get(name)
        both[name] = merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return both
