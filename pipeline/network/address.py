"""Where a request goes: its URL taken apart, and the proxy in between."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

import msgspec

from ..errors import InvalidParameter, SetupError
from ..wording import quoted

DEFAULT_PORTS = {"http": 80, "https": 443}
_PROXY_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_NOT_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_PROXY_HINT = 'http://, https:// and socks5:// are known, e.g. "http://proxy.example:3128"'
_KEPT = "/?:@!$&'()*+,;=-._~%[]|"


class Address(msgspec.Struct, frozen=True):
    """A URL, ready to be sent to.

    Args:
        scheme: "http" or "https".
        host: name or IP address in ASCII, without brackets.
        port: always set.
        target: path and query as they are sent.
        authority: the `host` header.
        where: "host:port", for messages; never has a query or a credential.
    """

    scheme: str
    host: str
    port: int
    target: bytes
    authority: bytes
    where: str

    @property
    def key(self) -> tuple[str, str, int]:
        """What a connection must agree in to be reused."""
        return self.scheme, self.host, self.port


class ProxyAddress(msgspec.Struct, frozen=True):
    """A proxy. Only `url`, `user` and `password` are sent; only `where` is shown.

    Args:
        url: without credentials, e.g. "http://proxy.example:3128".
        where: "host:port".
        user: None when the proxy asks for no credentials.
        password: may be empty.
    """

    url: str
    where: str
    user: str | None = None
    password: str = ""

    def __repr__(self) -> str:
        return f"ProxyAddress({self.where!r})"


@lru_cache(maxsize=512)
def parse_url(url: str) -> Address:
    """Take an absolute http or https URL apart.

    Raises:
        InvalidParameter: not such a URL, control characters or spaces in it, or a credential. The URL is not shown,
            for it may hold one.
    """
    if _NOT_IN_URL.search(url):
        raise InvalidParameter("the host's URL has spaces or control characters in it")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidParameter("the host's URL has a wrong port or wrong brackets") from error
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise InvalidParameter(
            f"the host's URL has the scheme {quoted(parts.scheme)} and {'a' if host else 'no'} host; "
            "http(s)://host/… is expected"
        )
    if parts.username is not None:
        raise InvalidParameter(
            "the host's URL has a user name in it", hint="pass the key as api_key=, or in extra_headers="
        )
    try:
        name = host.encode("idna").decode("ascii")  # as looking it up would, which has no other error for such names
    except UnicodeError as error:
        raise InvalidParameter("the host's URL has a host that is no valid name") from error
    shown = f"[{name}]" if ":" in name else name
    default = DEFAULT_PORTS[parts.scheme]
    target = quote(parts.path or "/", safe=_KEPT)
    if parts.query:
        target += "?" + quote(parts.query, safe=_KEPT)
    return Address(
        scheme=parts.scheme,
        host=name,
        port=port or default,
        target=target.encode("ascii"),
        authority=(shown if port in (None, default) else f"{shown}:{port}").encode("ascii"),
        where=f"{shown}:{port or default}",
    )


def parse_proxy(url: str) -> ProxyAddress:
    """Read a proxy's URL, e.g. "http://user:secret@proxy.example:3128"; "http://" may be left out.

    Raises:
        SetupError: it cannot be read. It is not shown.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SetupError("the proxy's URL has a wrong port or wrong brackets", hint=_PROXY_HINT) from error
    if parts.scheme not in _PROXY_PORTS or not host or _NOT_IN_URL.search(url) or not host.isascii():
        raise SetupError(
            f"the proxy's URL has the scheme {quoted(parts.scheme)} and {'a' if host else 'no'} host",
            hint=_PROXY_HINT,
        )
    shown = f"[{host}]" if ":" in host else host
    where = f"{shown}:{port or _PROXY_PORTS[parts.scheme]}"
    user = None if parts.username is None else unquote(parts.username)
    return ProxyAddress(f"{parts.scheme}://{where}", where, user, unquote(parts.password or ""))


def environment_proxies() -> dict[str, str]:
    """Return the environment's proxies by scheme (and the system's, if it keeps any); "no" lists who needs none."""
    if sys.platform not in ("darwin", "win32") and not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}  # spares the import, which is a tenth of a second on a slow machine
    from urllib.request import getproxies

    return getproxies()


def choose_proxy(address: Address, proxies: Mapping[str, str]) -> ProxyAddress | None:
    """Return the proxy for `address` out of `environment_proxies()`; none for this machine itself.

    Raises:
        SetupError: the proxy's URL cannot be read.
    """
    url = proxies.get(address.scheme) or proxies.get("all")
    if not url or is_loopback(address.host) or is_exempt(address, proxies.get("no", "")):
        return None
    if sys.platform in ("darwin", "win32"):
        from urllib.request import proxy_bypass  # the system's own list of exceptions

        if proxy_bypass(address.host):
            return None
    return parse_proxy(url)


def is_loopback(host: str) -> bool:
    """Tell whether `host` is this machine by its name or number."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    number = _number(host)
    return number is not None and number.is_loopback


def is_exempt(address: Address, no_proxy: str) -> bool:
    """Tell whether NO_PROXY lists `address`.

    Args:
        no_proxy: comma-separated; "*", names (with their sub-domains), "name:port", IP addresses and networks.
    """
    number = _number(address.host)
    for entry in no_proxy.split(","):
        entry = entry.strip().lower()
        if not entry:
            continue
        if entry == "*":
            return True
        if number is not None:
            network = _network(entry)
            if network is not None and number in network:
                return True
        name, _, port = entry.rpartition(":")
        if name and port.isdecimal() and _network(entry) is None:
            if int(port) != address.port:
                continue
            entry = name
        entry = entry.strip("[]").removeprefix("*").lstrip(".")
        if entry and (address.host == entry or address.host.endswith("." + entry)):
            return True
    return False


def is_number(host: str) -> bool:
    """Tell whether a host is an IP address already, so that there is no name to look up."""
    return _number(host) is not None


def _number(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
