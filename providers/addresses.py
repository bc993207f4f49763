"""Where a host is: addresses as people write them, and those that depend on a region, an account or a format."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from ..pipeline.errors import InvalidParameter
from ..pipeline.request import Target
from .rows import Place, Provider


class Address(msgspec.Struct, frozen=True):
    """Where one call goes.

    Args:
        base_url: without trailing slash.
        is_own: whether it is the row's own host, or the one that the row's variable names: keys of the environment go
            there and nowhere else. Not looked at where the call brings its own key.
        values: what the address depends on, by the names of the row's places.
    """

    base_url: str
    is_own: bool
    values: Mapping[str, str] = {}


def find_address(
    row: Provider,
    options: Mapping[str, Any],
    environ: Mapping[str, str] = os.environ,
    *,
    dialect: str = "",
    model: str = "",
    otherwise: Mapping[str, str] | None = None,
) -> Address:
    """Return the address of a call: the call's own first, then the environment's, then the row's.

    Args:
        otherwise: values of places that neither call nor environment name.

    Raises:
        InvalidParameter: no address, or one that is no http(s) address, or a value that the row's needs is missing.
    """
    given = options.get("api_base") or options.get("base_url")
    # Where the call brings its own key and address nothing else is looked for, and nobody asks whose host it is.
    brings_both = bool(given) and options.get("api_key") is not None
    _, from_env = (None, "") if brings_both else first_set(row.base_env, environ)
    if row.bare_base and from_env and "://" not in from_env:
        from_env = _completed(from_env, row.base_url)
    path = _base_path(row, dialect or row.dialects[0], model)
    if not row.places:
        base = given or from_env or (row.base_url if "{" not in row.base_url else _filled(row.base_url, row, environ))
        base_url = clean_base(str(base), row.name, row.base_env, path, _paths(row))
        own_hosts = () if brings_both or not given else {_host(own) for own in (row.base_url, from_env) if own}
        return Address(base_url, not given or (bool(own_hosts) and _host(base_url) in own_hosts))
    written = str(given or from_env or "")
    values = {**(otherwise or {}), **_values(row, options, environ, written, model)}
    own = _special(row, values)
    base = written or _filled(own, row, environ, values)
    if not written and "%" in urlsplit(base).netloc:
        raise InvalidParameter(
            f"the address of {row.name} would be {base}, which is no address of a host",
            param="api_base",
            hint="look at the values that it is made of, or pass the whole address as api_base=",
        )
    if "{" in path and not _split_path(base):
        path = _filled(path, row, environ, values)
    base_url = clean_base(base, row.name, row.base_env, path, _paths(row))
    host = _host(base_url)
    is_own = not given or bool(from_env and host == _host(from_env)) or _region_in(row, base_url) is not None
    return Address(base_url, is_own, values)


def _values(
    row: Provider, options: Mapping[str, Any], environ: Mapping[str, str], written: str, model: str
) -> dict[str, str]:
    """Return the values that are known; the call's win, then what model and address say, then the environment's."""
    said = _region_in(row, written) or {}
    if model.startswith("arn:") and model.count(":") >= 5:
        said = {**said, "region": model.split(":")[3]}
    found: dict[str, str] = {}
    for name, place in row.places.items():
        given = options.get(place.option)
        value = said.get(name) if name in said else given or first_set(place.env, environ)[1] or place.default
        if value:
            found[name] = str(value)
    return found


def _special(row: Provider, values: Mapping[str, str]) -> str:
    for name, place in row.places.items():
        if (base := place.bases.get(values.get(name, ""))) is not None:
            return base
    return row.base_url


def _region_in(row: Provider, url: str) -> dict[str, str] | None:
    """Return the values that the host of an address holds, None when the host is not of the row's form.

    Only a place can stand in a host, and all hosts of its form belong to the vendor; names of accounts are no places.
    """
    parts = _split(url)
    if parts is None or parts.hostname is None:
        return None
    for base in (row.base_url, *(base for place in row.places.values() for base in place.bases.values())):
        own = urlsplit(base)
        form = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[a-z0-9-]+)", re.escape(own.netloc.lower()))
        found = re.fullmatch(form, parts.hostname.rstrip("."))
        if found and _port(parts) == _port(own) and parts.scheme == own.scheme:
            return found.groupdict()
    return None


def first_set(names: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the name and the value of the first variable that is set; None and "" when none is.

    They are looked up anew for every call, since programs set them late; a variable that is not set costs most.
    """
    for name in names:
        if value := environ.get(name, "").strip():
            return name, value
    return None, ""


def _completed(host: str, like: str) -> str:
    """Return an address for a host that was written without scheme; scheme and port are those of `like`."""
    usual, parts = urlsplit(like), _split(f"//{host}")
    port = "" if parts is None or parts.port or usual.port is None else f":{usual.port}"
    name, slash, path = host.partition("/")
    return f"{usual.scheme or 'https'}://{name.rstrip(':')}{port}{slash}{path}"


def _filled(text: str, row: Provider, environ: Mapping[str, str], values: Mapping[str, str] | None = None) -> str:
    """Return an address with the values of the places and environment variables that it names in braces."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        place: Place | None = row.places.get(name)
        if written := ((values or {}).get(name) if place else environ.get(name, "").strip()):
            return quote(written, safe="")
        if place is None:
            raise InvalidParameter(
                f"the address of {row.name} needs {name}, which is not set",
                param="api_base",
                hint=f"set {name}, or pass the whole address as api_base=",
            )
        raise InvalidParameter(
            f"the address of {row.name} needs a {name}",
            param=place.option,
            hint=f"pass {place.option}=, or set {' or '.join(place.env)}",
        )

    return re.sub(r"\{(\w+)\}", value, text)


def _base_path(row: Provider, dialect: str, model: str) -> str:
    if (path := row.base_paths.get(dialect)) is not None:
        return path
    if not model:  # a call on a stored response
        return row.base_path
    return next((path for start, path in row.model_paths.items() if model.startswith(start)), row.base_path)


def _paths(row: Provider) -> tuple[str, ...]:
    return (*row.base_paths.values(), *row.model_paths.values(), row.base_path) if row.base_paths else ()


@functools.lru_cache(maxsize=256)
def clean_base(
    base_url: str, provider: str, env: tuple[str, ...] = (), base_path: str = "", other_paths: tuple[str, ...] = ()
) -> str:
    """Return an address to which paths can be added; a pasted endpoint is cut back to its base.

    Args:
        env: environment variables that may hold it, for the message.
        base_path: what an address without any path gets, e.g. "/v1".
        other_paths: paths that stand for none, since they are the ones of the host's other formats.

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
    if path in other_paths:
        path = base_path
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


def _split_path(url: str) -> str:
    parts = _split(url.strip())
    return parts.path.rstrip("/") if parts else ""


def _port(parts: SplitResult) -> int:
    return parts.port or {"https": 443}.get(parts.scheme, 80)


def _host(base_url: str) -> str:
    """Return what has to be alike for two addresses to be of one host."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{_port(parts)}"


def lasting_base(row: Provider, target: Target) -> str:
    """Return what stands for a target's base address in a recording: itself, but for a model that is started here.

    Such a model listens at another port every time; its name lasts.
    """
    return target.base_url if row.launcher != "local" else f"local://{quote(PurePath(target.model).name)}"
