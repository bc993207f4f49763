"""Which addresses may be connected to, so that a call cannot make this process reach into its own network.

A name is looked up before a connection is made, and all that it leads to is checked. What this cannot see: a name that
leads elsewhere a moment later when the connection looks it up again, and what a proxy makes of the name. A firewall is
the stronger fence.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

import msgspec

from ..pipeline.network.address import Address, is_loopback, parse_url
from .errors import McpAddressRefused

if TYPE_CHECKING:
    from ..pipeline.runtimes.runtime import Runtime

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(msgspec.Struct, frozen=True):
    """How far connections may reach.

    Args:
        private: addresses that the internet does not route: private, link-local, a cloud's metadata service. With
            them, `http:` is allowed everywhere.
        loopback: this machine.
    """

    private: bool = False
    loopback: bool = True

    def check_url(self, url: str) -> Address:
        """Check what can be seen in the URL alone, and return it taken apart.

        Raises:
            McpAddressRefused: it is not allowed.
            InvalidParameter: it is no http(s) URL, or has credentials in it.
        """
        address = parse_url(url)
        number = _number(address.host)
        if number is not None:
            self._check(address, number)
        elif is_loopback(address.host) and not self.loopback:
            raise _refused(address, "leads to this machine", _OF_THIS_MACHINE)
        if address.scheme == "http" and not self.private and not is_loopback(address.host):
            raise _refused(address, "is not encrypted", "use https://")
        return address

    async def check(self, url: str, runtime: Runtime) -> None:
        """Check the URL, and all that its host's name leads to. Raises as `check_url`.

        A name that is not known is left for the connection to complain about.
        """
        address = self.check_url(url)
        if (self.private and self.loopback) or _number(address.host) is not None:
            return
        try:
            found = await runtime.call(socket.getaddrinfo, address.host, address.port, 0, socket.SOCK_STREAM)
        except OSError:
            return
        for number in {str(entry[4][0]) for entry in found}:
            self._check(address, ipaddress.ip_address(number.partition("%")[0]))

    def _check(self, address: Address, number: IpAddress) -> None:
        if isinstance(number, ipaddress.IPv6Address):
            number = number.ipv4_mapped or _embedded(number) or number
        if number.is_loopback or number.is_unspecified:
            if not self.loopback:
                raise _refused(address, "leads to this machine", _OF_THIS_MACHINE)
        elif not self.private and (not number.is_global or number.is_multicast):
            raise _refused(address, "leads to an address that is not public")


def _embedded(number: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address inside of a 6to4 or NAT64 one."""
    if number.sixtofour is not None:
        return number.sixtofour
    if number in _NAT64:
        return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    return None


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _number(host: str) -> IpAddress | None:
    """Return a host that is a number; in the short forms that C libraries take (127.1, 2130706433) as well."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    if ":" in host or not host or host[-1] not in "0123456789abcdefABCDEF" or not host[0].isdigit():
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


_OF_THIS_MACHINE = "register the server by a name, or allow this machine with allow_loopback=True"


def _refused(address: Address, why: str, hint: str | None = None) -> McpAddressRefused:
    return McpAddressRefused(
        f"the MCP server at {address.where} {why}",
        param="server_url",
        hint=hint or "register the server by a name, or allow it with allow_private=True",
    )
