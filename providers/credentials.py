"""Which key and which address a call uses, and that a key goes to its own host only."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from ..pipeline.errors import InvalidParameter, MissingKey
from ..pipeline.secret import Secret
from .rows import Auth, Provider


class Access(msgspec.Struct, frozen=True):
    """The address and the key of one call.

    Args:
        base_url: without trailing slash.
        api_key: None for a host that gets none.
        note: why no key is sent, when there might have been one.
        auth: how the key is sent, as in `Provider`.
    """

    base_url: str
    api_key: Secret | None
    note: str | None = None
    auth: Auth = "bearer"


def find_access(row: Provider, options: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Access:
    """Return address and key: the call's own first, then the environment's, then the row's.

    A key from the environment goes only to the row's own host, or to the address that the matching environment
    variable names: an address given in the call never receives it.

    Raises:
        MissingKey: the host needs a key and there is none.
        InvalidParameter: no address, or one that is no http(s) address.
    """
    given, key = options.get("api_base") or options.get("base_url"), options.get("api_key")
    _, from_env = (None, "") if given and key is not None else _first_set(row.base_env, environ)
    if row.bare_base and from_env and "://" not in from_env:
        from_env = _completed(from_env, row.base_url)
    base = given or from_env or (row.base_url if "{" not in row.base_url else _filled(row, environ))
    base_url = clean_base(str(base), row.name, row.base_env, row.base_path)
    if key is not None:
        secret = _secret(key() if callable(key) else key, "api_key", row.name)
        return Access(base_url, secret) if row.auth == "bearer" else _key_or_token(base_url, secret, row)
    trusted = not given or _host(base_url) in {_host(base) for base in (row.base_url, from_env) if base}
    name, found = _first_set(row.key_env + row.token_env, environ)
    if name is not None and trusted:
        secret = Secret(found)
        if row.auth == "bearer" or name in row.token_env:
            return Access(base_url, secret)
        return _key_or_token(base_url, secret, row)
    if row.key_required and trusted:
        names = " or ".join(row.key_env)
        raise MissingKey(
            f"no API key for {row.name}",
            provider=row.name,
            hint=f"{f'set {names}, or ' if names else ''}pass api_key=; "
            'model="scripted/echo" answers offline, "local/smollm2" on this machine',
        )
    note = f"{name} was not sent: {_host(base_url)} is not the host it is for; pass api_key=" if name else None
    return Access(base_url, None, note)


def find_headers(row: Provider, environ: Mapping[str, str] = os.environ) -> tuple[tuple[str, str], ...]:
    """Return the headers that the environment sets for a provider, e.g. the organization."""
    return tuple([(name, value) for name, env in row.header_env.items() if (value := environ.get(env, "").strip())])


def _first_set(names: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the name and the value of the first variable that is set; None and "" when none is.

    They are looked up anew for every call, since programs set them late; a variable that is not set costs most.
    """
    for name in names:
        if value := environ.get(name, "").strip():
            return name, value
    return None, ""


def _key_or_token(base_url: str, secret: Secret, row: Provider) -> Access:
    """Return the access of a host that takes a key in a header of its own, or a bearer token."""
    scheme, _, token = secret.reveal().partition(" ")
    if scheme == "Bearer":
        return Access(base_url, _secret(token, "api_key", row.name))
    return Access(base_url, secret, None, row.auth)


def _completed(host: str, like: str) -> str:
    """Return an address for a host that was written without scheme; scheme and port are those of `like`."""
    usual, parts = urlsplit(like), _split(f"//{host}")
    port = "" if parts is None or parts.port or usual.port is None else f":{usual.port}"
    name, slash, path = host.partition("/")
    return f"{usual.scheme or 'https'}://{name.rstrip(':')}{port}{slash}{path}"


def _filled(row: Provider, environ: Mapping[str, str]) -> str:
    """Return the row's address with the values of the environment variables that it names in braces."""

    def value(found: re.Match[str]) -> str:
        names = tuple(found[1].split("|"))
        if text := _first_set(names, environ)[1]:
            return quote(text, safe="")
        raise InvalidParameter(
            f"the address of {row.name} needs {' or '.join(names)}, which is not set",
            param="api_base",
            hint=f"set {names[0]}, or pass the whole address as api_base=",
        )

    return re.sub(r"\{([\w|]+)\}", value, row.base_url)


@functools.lru_cache(maxsize=256)
def clean_base(base_url: str, provider: str, env: tuple[str, ...] = (), base_path: str = "") -> str:
    """Return an address to which paths can be added; a pasted endpoint is cut back to its base.

    Args:
        env: environment variables that may hold it, for the message.
        base_path: what an address without any path gets, e.g. "/v1".

    Raises:
        InvalidParameter: no address, or not http(s), or one that carries credentials.
    """
    if not base_url:
        raise InvalidParameter(
            f"{provider} has no address of its own",
            param="api_base",
            hint='pass api_base="https://host/v1"' + (f", or set {env[0]}" if env else ""),
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
    for endpoint in ("/responses", "/chat/completions", "/messages"):
        path = path.removesuffix(endpoint)
    if base_path and path == f"{base_path}/openai":
        path = base_path  # Google's address for OpenAI's clients, to which the chat dialect adds its own path
    return f"{parts.scheme}://{parts.netloc}{path or base_path}"


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
