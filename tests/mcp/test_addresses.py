"""Where connections may lead."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from conftest import Mode
from mcp_calls import connected

from antiphon import InvalidParameter
from antiphon.mcp import McpAddressRefused
from antiphon.mcp.addresses import Reach

STRICT = Reach()
INWARD = [
    "https://10.0.0.1/mcp",
    "https://192.168.1.5/mcp",
    "https://172.16.0.1/mcp",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/mcp",
    "https://[fe80::1]/mcp",
    "https://[fd00:ec2::254]/mcp",
    "https://[::ffff:10.0.0.1]/mcp",
    "https://[64:ff9b::a00:1]/mcp",
    "https://[2002:a00:1::]/mcp",
    "https://167772161/mcp",
    "https://0x0a000001/mcp",
    "https://10.1/mcp",
    "https://224.0.0.1/mcp",
]


@pytest.mark.parametrize("url", INWARD)
def test_inward_addresses_are_refused(url: str) -> None:
    with pytest.raises(McpAddressRefused, match="leads to an address that is not public"):
        STRICT.check_url(url)


@pytest.mark.parametrize("url", [url for url in INWARD if "224." not in url])
def test_inward_addresses_can_be_allowed(url: str) -> None:
    assert Reach(private=True).check_url(url).scheme == "https"


def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(McpAddressRefused, match="is not encrypted"):
        STRICT.check_url("http://example.com/mcp")
    assert STRICT.check_url("http://localhost:8000/mcp").port == 8000
    assert STRICT.check_url("http://127.0.0.1:8000/mcp").port == 8000
    assert STRICT.check_url("https://example.com/mcp").host == "example.com"
    assert Reach(private=True).check_url("http://mcp-server:8000/mcp").port == 8000


@pytest.mark.parametrize(
    "url",
    ["http://localhost/mcp", "http://127.0.0.1/mcp", "https://[::1]/mcp", "https://2130706433/mcp", "https://0.0.0.0/"],
)
def test_this_machine_can_be_refused(url: str) -> None:
    with pytest.raises(McpAddressRefused, match="leads to this machine"):
        Reach(loopback=False).check_url(url)


def test_what_is_no_url_is_an_error_of_its_own() -> None:
    with pytest.raises(InvalidParameter):
        STRICT.check_url("https://user:secret@example.com/mcp")


def test_a_name_that_leads_inward_is_refused_before_anything_is_sent(mode: Mode, run: Any) -> None:
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, 443)
    except OSError:
        pytest.skip("this machine's own name is not known here")

    async def body() -> None:
        with pytest.raises(McpAddressRefused, match="leads to"):
            async with connected(mode, f"https://{name}/mcp", allow_private=False, allow_loopback=False):
                pass

    run(body)
