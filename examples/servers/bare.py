"""A small MCP server over standard input and output, in plain Python: one tool, no package.

`examples/demo.py` starts it, so that a model on this machine calls a real MCP tool. Servers are better written with a
package for them, as `weather.py` beside it; this one shows how little the protocol asks for: a JSON message a line.
"""

import json
import sys
from typing import Any

TOOL = {
    "name": "get_weather",
    "description": "Say what the weather is like in a city.",
    "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "annotations": {"readOnlyHint": True},
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of a request; None for a method that this server does not have."""
    match method:
        case "initialize":
            return {
                "protocolVersion": params.get("protocolVersion", "2025-11-25"),
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "weather", "version": "1"},
            }
        case "ping":
            return {}
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            city = params.get("arguments", {}).get("city", "the city")
            return {"content": [{"type": "text", "text": f"It is sunny in {city}, and 21 degrees."}]}
        case _:
            return None


def reply_to(message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the JSON-RPC answer to a message; None where it asks for none."""
    if "id" not in message or "method" not in message:
        return None
    result = answer(message["method"], message.get("params") or {})
    told = {"result": result} if result is not None else {"error": {"code": -32601, "message": "unknown method"}}
    return {"jsonrpc": "2.0", "id": message["id"], **told}


if __name__ == "__main__":
    for line in sys.stdin:
        if (reply := reply_to(json.loads(line))) is not None:
            print(json.dumps(reply), flush=True)
