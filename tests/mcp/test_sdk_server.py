"""Real servers on the official SDK, over all transports, in both eras."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import Mode
from mcp_calls import Caller, connected, free_port, wait_for_port

from antiphon.mcp import McpServerError, McpTimeoutError

SCRIPT = str(Path(__file__).parent / "sdk_server.py")
STDIO = {"command": sys.executable, "args": ["-P", SCRIPT, "stdio"]}
LEGACY = "2025-11-25"


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """Run the SDK's server in a process of its own; return its addresses by transport."""
    ports = free_port(), free_port()
    process = subprocess.Popen(
        [sys.executable, "-P", SCRIPT, "http", *map(str, ports)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for port in ports:
            wait_for_port(port)
        yield {"http": f"http://127.0.0.1:{ports[0]}/mcp", "sse": f"http://127.0.0.1:{ports[1]}/sse"}
    finally:
        process.kill()
        process.wait()


async def all_of_it(mode: Mode, server: Caller) -> None:
    """Use what the server offers."""
    assert await server.names() == ["add", "say", "boom", "slow", "die", "count"]
    result = await server.call("add", {"a": 2, "b": 3})
    assert (result.text, result.structured, result.is_error) == ("5", {"result": 5}, False)
    failed = await server.call("boom")
    assert failed.is_error
    long = "é" * 200_000
    assert (await server.call("say", {"text": long})).text == long
    seen: list[Any] = []
    assert (await server.call("count", {"upto": 3}, on_progress=lambda *told: seen.append(told))).text == "counted"
    assert seen == [(1, 3, "at 1"), (2, 3, "at 2"), (3, 3, "at 3")]
    with pytest.raises(McpTimeoutError):
        await server.call("slow", {"seconds": 0.5}, timeout_s=0.1)
    if mode.is_async:
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(server.add)
    await server.ping()
    with pytest.raises(McpServerError):
        await server.request("no/such/method")


@pytest.mark.parametrize("protocol", ["auto", LEGACY])
def test_the_sdk_over_streamable_http(mode: Mode, run: Any, urls: dict[str, str], protocol: str) -> None:
    async def body() -> None:
        async with connected(mode, urls["http"], protocol=protocol) as server:
            assert server.client.protocol_version == ("2026-07-28" if protocol == "auto" else LEGACY)
            await all_of_it(mode, server)

    run(body)


def test_the_sdk_over_the_older_transport(mode: Mode, run: Any, urls: dict[str, str]) -> None:
    async def body() -> None:
        async with connected(mode, urls["sse"]) as server:
            assert server.client.protocol_version == LEGACY
            await all_of_it(mode, server)

    run(body)


@pytest.mark.slow  # it takes seconds to start
@pytest.mark.parametrize("protocol", ["auto", LEGACY])
def test_the_sdk_over_pipes(mode: Mode, run: Any, protocol: str) -> None:
    async def body() -> None:
        async with connected(mode, STDIO, protocol=protocol) as server:
            assert server.client.protocol_version == ("2026-07-28" if protocol == "auto" else LEGACY)
            await all_of_it(mode, server)

    run(body)
