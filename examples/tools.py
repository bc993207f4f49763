"""Tools that run inside the call: a Python function, and an MCP server that is a process of its own.

Run it from a clone of the repository:

    python examples/tools.py                   offline, from a script
    python examples/tools.py local/smollm2     a small real model on this machine
"""

import sys
from pathlib import Path

import antiphon
from antiphon.testing import function_call, scripted

model = sys.argv[1] if len(sys.argv) > 1 else None


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def approve(request: antiphon.ApprovalRequest) -> bool:
    """Let the model read, and nothing else."""
    return request.tool.annotations.get("readOnlyHint") is True


def ended(signal: antiphon.Signal) -> None:
    if isinstance(signal, antiphon.ToolEnded):
        print(f"  [{signal.server or 'here'}: {signal.tool} {signal.outcome}]")


# Started when it is first needed, and stopped with the client.
server = {"command": sys.executable, "args": [str(Path(__file__).parent / "servers" / "bare.py")]}
weather = {"type": "mcp", "server_label": "weather", "server_url": "antiphon/weather"}

if model is None:
    first = {
        "output": [function_call("add", {"a": 1, "b": 2}, "1"), function_call("get_weather", {"city": "Rome"}, "2")]
    }
    client: antiphon.Client = scripted(first, "3, and sunny.", mcp_servers={"weather": server}, hooks=[ended])
else:
    client = antiphon.Client(mcp_servers={"weather": server}, hooks=[ended])

with client:
    response = client.responses(
        "What is the weather in Rome?",
        model or "openai/gpt-5",
        tools=[add, weather] if model is None else [weather],
        approve=approve,
        temperature=0,
        max_output_tokens=64,
    )
for item in response.output:
    print("-", item.type)
print(response.output_text)
