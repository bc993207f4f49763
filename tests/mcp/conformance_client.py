"""The client that the official conformance suite drives: `python -P conformance_client.py URL`.

The suite (npm: @modelcontextprotocol/conformance) starts a server for one scenario, starts this with its address as
the last argument, and judges what the server saw. MCP_CONFORMANCE_SCENARIO names the scenario,
MCP_CONFORMANCE_CONTEXT holds what it wants to be sent, as JSON. ANTIPHON_MODE is "sync", "asyncio" or "trio".

    C=node_modules/@modelcontextprotocol/conformance/dist/index.js
    node $C client --command "python -P tests/mcp/conformance_client.py" --scenario tools_call \
        --spec-version 2026-07-28 -o out
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import jwt

from antiphon.mcp import ClientCredentials, McpClient, McpError, ToolInfo, connect
from antiphon.pipeline.runtimes.driver import drive

MODE = os.environ.get("ANTIPHON_MODE", "sync")


class Either:
    """The client's methods in the mode that is asked for."""

    def __init__(self, client: McpClient) -> None:
        self.client = client

    async def tools(self) -> tuple[ToolInfo, ...]:
        return self.client.list_tools() if MODE == "sync" else await self.client.alist_tools()

    async def call(self, name: str, arguments: dict[str, Any]) -> None:
        try:
            if MODE == "sync":
                result = self.client.call_tool(name, arguments)
            else:
                result = await self.client.acall_tool(name, arguments)
            print(f"{name}: {result}")
        except McpError as error:
            print(f"{name}: {type(error).__name__}: {error}")


def arguments_for(tool: ToolInfo) -> dict[str, Any]:
    """Make up arguments for what a tool's schema requires."""
    samples: dict[str, Any] = {"string": "test", "integer": 1, "number": 2, "boolean": True, "object": {}, "array": []}
    properties: dict[str, Any] = tool.input_schema.get("properties", {})
    return {name: samples.get(properties[name].get("type"), "test") for name in tool.input_schema.get("required", [])}


async def call_all(client: Either) -> None:
    """List the tools and call each of them."""
    for tool in await client.tools():
        await client.call(tool.name, arguments_for(tool))


async def add(client: Either) -> None:
    await client.tools()
    await client.call("add_numbers", {"a": 5, "b": 3})


async def list_only(client: Either) -> None:
    await client.tools()


async def as_told(client: Either) -> None:
    """Call what the suite says."""
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    await client.tools()
    for call in context.get("toolCalls", []):
        await client.call(call["name"], call.get("arguments", {}))


async def give_back(client: Either) -> None:
    """Send a tool's schema back as it was listed."""
    tools = {tool.name: tool for tool in await client.tools()}
    await client.call("json_schema_echo", {"schema": tools["json_schema_2020_12_tool"].input_schema})


SCENARIOS: dict[str, Callable[[Either], Awaitable[None]]] = {
    "initialize": list_only,
    "tools_call": add,
    "http-custom-headers": as_told,
    "json-schema-2020-12-preservation": give_back,
}


def account(told: dict[str, str]) -> ClientCredentials:
    """Return who the suite says that we are, by a secret or by a key that signs."""
    me = told["client_id"]
    if "client_secret" in told:
        return ClientCredentials(client_id=me, client_secret=told["client_secret"])

    def assertion(audience: str) -> str:
        now = int(time.time())
        claims = {"iss": me, "sub": me, "aud": audience, "iat": now, "exp": now + 60, "jti": os.urandom(8).hex()}
        return jwt.encode(claims, told["private_key_pem"], told["signing_algorithm"])

    return ClientCredentials(client_id=me, assertion=assertion)


async def main(url: str) -> None:
    name = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    scenario = SCENARIOS.get(name, call_all)
    auth = account(json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])) if name.startswith("auth/") else None
    client = connect(url, elicit=lambda params: {"action": "accept", "content": {}}, tool_timeout_s=20, auth=auth)
    if MODE == "sync":
        with client:
            await scenario(Either(client))
    else:
        async with client:
            await scenario(Either(client))


if __name__ == "__main__":
    if MODE == "sync":
        drive(main(sys.argv[-1]))
    else:
        anyio.run(main, sys.argv[-1], backend=MODE)
