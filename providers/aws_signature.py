"""Signatures of AWS requests, version 4. No I/O, no clock: what goes in decides what comes out.

Source: AWS General Reference, Signing AWS API requests; the rules for paths and headers as botocore 1.44 has them
(`SigV4Auth`), with which the tests compare; read 2026-11.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import quote

import msgspec

from ..pipeline.credential import PENDING
from ..pipeline.http import HttpRequest
from ..pipeline.network.address import parse_url
from ..pipeline.secret import Secret

_NOT_SIGNED = frozenset(
    {
        *("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        *("transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id", "baggage", "traceparent", "tracestate"),
        *("authorization", "accept-encoding", "content-length"),
    }
)
"""Headers that proxies, observers and transports may change or add; the service asks for none of them to be signed."""


class AwsCredentials(msgspec.Struct, frozen=True):
    """What signs requests to AWS.

    Args:
        access_key_id: who signs; not secret.
        secret_access_key: never sent. Text becomes a `Secret`.
        session_token: of temporary credentials; sent along. Text becomes a `Secret`.
    """

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None = None

    def __post_init__(self) -> None:
        for name in ("secret_access_key", "session_token"):
            if isinstance(value := getattr(self, name), str):
                msgspec.structs.force_setattr(self, name, Secret(value))


def sign(request: HttpRequest, credentials: AwsCredentials, region: str, service: str, now: float) -> HttpRequest:
    """Return the request with its signature in the header `authorization`.

    A header that waits for a credential is replaced.

    Args:
        service: its name in signatures, e.g. "bedrock".
        now: seconds since 1970; the service takes a signature for about five minutes.

    Raises:
        InvalidParameter: the URL cannot be sent.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    address = parse_url(request.url)  # as the transport sends it
    path, _, query = address.target.decode().partition("?")
    headers = [pair for pair in request.headers if pair[1] is not PENDING and pair[0].lower() not in _OWN]
    headers.append(("x-amz-date", stamp))
    if credentials.session_token is not None:
        headers.append(("x-amz-security-token", credentials.session_token))
    signed = _signed_headers(headers, address.authority.decode())
    names = ";".join(sorted(signed))
    canonical = "\n".join(
        [
            request.method.upper(),
            # Once more: the service compares with the path as it came, in which "%" is a letter like others.
            quote(_normal(path), safe="/-_.~"),
            _canonical_query(query),
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            hashlib.sha256(request.body or b"").hexdigest(),
        ]
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    told = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_access_key.reveal()}".encode()
    for part in (stamp[:8], region, service, "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, told).hex()
    proof = f"AWS4-HMAC-SHA256 Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, "
    headers.append(("authorization", Secret(f"{proof}Signature={signature}")))
    return msgspec.structs.replace(request, headers=tuple(headers))


_OWN = frozenset({"authorization", "x-amz-date", "x-amz-security-token"})


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _signed_headers(headers: list[tuple[str, str | Secret]], host: str) -> dict[str, str]:
    found: dict[str, list[str]] = {"host": [host]}
    for name, value in headers:
        lower = name.lower()
        if lower == "host":
            found[lower] = [_text(value)]
        elif lower not in _NOT_SIGNED:
            found.setdefault(lower, []).append(_text(value))
    return {name: ",".join(values) for name, values in found.items()}


def _text(value: str | Secret) -> str:
    return " ".join((value.reveal() if isinstance(value, Secret) else value).split())


def _canonical_query(query: str) -> str:
    """Return the query in order of names and values, which are compared as they are sent, escaped."""
    if not query:
        return ""
    pairs = [part.partition("=")[::2] for part in query.split("&")]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _normal(path: str) -> str:
    """Return a path without empty and dotted parts; its last slash stays."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    ends = "/" if path.endswith("/") and parts else ""
    return f"/{'/'.join(parts)}{ends}"
