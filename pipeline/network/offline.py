"""A switch that keeps this process off the network: no request leaves while it is on. For tests."""

from __future__ import annotations

import ipaddress
from collections.abc import Generator
from contextlib import contextmanager

from ..errors import NetworkForbidden
from .address import Address

blocks: list[frozenset[str]] = []
"""The hosts that each `no_network` in force lets through; the transports look here before each request."""


@contextmanager
def no_network(*allow: str) -> Generator[None]:
    """Make every request of this library to another machine a `NetworkForbidden`, in all threads of this process.

    Nothing is sent then, nor is a name looked up. This machine's own addresses (127.0.0.0/8, ::1, "localhost") are let
    through. It does not concern transports that answer in this process (scripts, recordings), and sees neither the
    requests of other libraries, such as the logins of clouds, nor those of programs that are started.

    Args:
        allow: further hosts that are let through, e.g. "build-machine.lan".
    """
    block = frozenset(allow)
    blocks.append(block)
    try:
        yield
    finally:
        blocks.remove(block)


def refuse_network(address: Address) -> None:
    """Refuse a request to this address unless every block in force lets it through.

    Raises:
        NetworkForbidden: one does not.
    """
    if is_here(address.host) or all(address.host in allowed for allowed in blocks):
        return
    raise NetworkForbidden(
        f"a request to {address.where} was about to be sent while the network is forbidden",
        hint="answer it by antiphon.testing.scripted(...) or a cassette, or let the host through by no_network(host)",
    )


def is_here(host: str) -> bool:
    """Tell whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
