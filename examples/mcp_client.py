"""Tools of MCP servers, called directly: a program on pipes, then the same over HTTP, in async code.

Run it from a clone of the repository, with the official SDK installed (`pip install mcp`), which the server is written
with; this library does not need it.

    python examples/mcp_client.py
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from antiphon.mcp import McpServerError, connect

SERVER = str(Path(__file__).parent / "servers" / "weather.py")


@contextlib.contextmanager
def running_over_http() -> Generator[str, None, None]:
    """Run the server over HTTP for the time of a `with` block; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with subprocess.Popen([sys.executable, "-P", SERVER, str(port)], stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.kill()


def over_pipes() -> None:
    # The program is started here, and ended with the block.
    with connect({"command": sys.executable, "args": ["-P", SERVER]}, name="weather") as server:
        for tool in server.list_tools():
            print("-", tool.name, "|", tool.description)
        print(server.call_tool("weather", {"city": "Rome"}).text)
        print(server.call_tool("mean", {"temperatures": [20, 22, 27]}).structured)
        print("an error:", server.call_tool("mean", {"temperatures": "hot"}).is_error)
        print("speaks", server.protocol_version)


async def over_http(url: str) -> None:
    async with connect(url, name="weather", tool_timeout_s=10) as server:
        cities = ["Oslo", "Rome", "Lima"]
        results = await asyncio.gather(*(server.acall_tool("weather", {"city": city}) for city in cities))
        print(*(result.text for result in results), sep="\n")
        try:
            await server.arequest("no/such/method")
        except McpServerError as error:
            print("refused:", error.rpc_code)


def wait_for(url: str) -> None:
    """Wait until the server listens."""
    host, _, port = url.split("/")[2].partition(":")
    for _ in range(600):
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port))).close()
            return
        time.sleep(0.05)


with running_over_http() as address:
    over_pipes()
    wait_for(address)
    asyncio.run(over_http(address))
