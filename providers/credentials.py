"""Which key and which address a call uses, and that a key goes to its own host only."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from ..pipeline.errors import InvalidParameter, MissingKey
from ..pipeline.secret import Secret
from .catalog import Provider


class Access(msgspec.Struct, frozen=True):
    """The address and the key of one call.

    Args:
        base_url: without trailing slash.
        api_key: None for a host that gets none.
        note: why no key is sent, when there might have been one.
    """

    base_url: str
    api_key: Secret | None
    note: str | None = None


def find_access(row: Provider, options: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Access:
    """Return address and key: the call's own first, then the environment's, then the row's.

    A key from the environment goes only to the row's own host, or to the address that the matching environment
    variable names: an address given in the call never receives it.

    Raises:
        MissingKey: the host needs a key and there is none.
        InvalidParameter: no address, or one that is no http(s) address.
    """
    given, key = options.get("api_base") or options.get("base_url"), options.get("api_key")
    from_env = None if given and key is not None else _first(row.base_env, environ)
    base_url = clean_base(str(given or from_env or row.base_url), row.name, next(iter(row.base_env), None))
    if key is not None:
        return Access(base_url, _secret(key() if callable(key) else key, "api_key", row.name))
    trusted = not given or _host(base_url) in {_host(base) for base in (row.base_url, from_env) if base}
    name = next((name for name in row.key_env if environ.get(name, "").strip()), None)
    if name is not None and trusted:
        return Access(base_url, _secret(environ[name], name, row.name))
    if row.key_required and trusted:
        raise MissingKey(
            f"no API key for {row.name}",
            provider=row.name,
            hint=f"set {' or '.join(row.key_env)}, or pass api_key=; "
            'model="scripted/echo" answers offline, "local/smollm2" on this machine',
        )
    note = f"{name} was not sent: {_host(base_url)} is not the host it is for; pass api_key=" if name else None
    return Access(base_url, None, note)


def find_headers(row: Provider, environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    """Return the headers that the environment sets for a provider, e.g. the organization."""
    return tuple([(name, value) for name, env in row.header_env.items() if (value := environ.get(env, "").strip())])


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    for name in names:
        if value := environ.get(name, "").strip():
            return value
    return None


@functools.lru_cache(maxsize=256)
def clean_base(base_url: str, provider: str, env: str | None = None) -> str:
    """Return an address to which paths can be added; a pasted endpoint is cut back to its base.

    Raises:
        InvalidParameter: no address, or not http(s), or one that carries credentials.
    """
    if not base_url:
        raise InvalidParameter(
            f"{provider} has no address of its own",
            param="api_base",
            hint='pass api_base="https://host/v1"' + (f", or set {env}" if env else ""),
        )
    parts = _split(base_url.strip())
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidParameter(
            "api_base is no http(s) address", param="api_base", hint='write it whole: "https://host/v1"'
        )
    if parts.username or parts.password:
        raise InvalidParameter("api_base carries credentials", param="api_base", hint="pass the key as api_key=")
    if parts.query or parts.fragment:
        raise InvalidParameter(
            "api_base carries a query", param="api_base", hint="pass query parameters as extra_query={...}"
        )
    path = parts.path.rstrip("/")
    for endpoint in ("/responses", "/chat/completions"):
        path = path.removesuffix(endpoint)
    return f"{parts.scheme}://{parts.netloc}{path}"


def _split(url: str) -> SplitResult | None:
    """Return a URL's parts, or None for one that nobody can send to: wrong port or brackets, spaces within."""
    if any(char.isspace() or not char.isprintable() for char in url):
        return None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  read for its check
    except ValueError:
        return None
    return parts


def _host(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{parts.port or {'https': 443}.get(parts.scheme, 80)}"


def _secret(value: object, name: str, provider: str) -> Secret:
    text = value.reveal() if isinstance(value, Secret) else value
    if isinstance(text, str) and text == text.strip() != "":
        return value if isinstance(value, Secret) else Secret(text)
    if not isinstance(text, str) or not text.strip():
        raise MissingKey(f"{name} is empty", provider=provider, hint="pass the key, or a function that returns it")
    return Secret(text.strip())
