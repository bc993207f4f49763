"""MCP servers by name: one that is a program on pipes, and one over HTTP; their tools in one call.

Run it from a clone of the repository:

    python examples/mcp_servers.py                   offline, the model's part from a script
    python examples/mcp_servers.py local/smollm2     a small real model on this machine
"""

import subprocess
import sys
from pathlib import Path

import antiphon
from antiphon import Handler, Reply, Request, Response, presets, stage
from antiphon.testing import function_call, message

model = sys.argv[1] if len(sys.argv) > 1 else None
SERVERS = Path(__file__).parent / "servers"

calls = [
    function_call(f"{name}__get_weather", {"city": city}, city) for name, city in (("pipes", "Rome"), ("web", "Oslo"))
]
turns = iter([calls, [message("Sunny in both.")]])


@stage(terminal=True)
async def script(request: Request, call_next: Handler) -> Reply:
    """Stand in for the model alone, so that the servers are reached as ever."""
    return Response.new(id="resp_1", created_at=1, model="script", status="completed", output=next(turns))


# Somebody else's server, which runs already.
with subprocess.Popen([sys.executable, str(SERVERS / "bare_http.py")], stdout=subprocess.PIPE, text=True) as other:
    assert other.stdout is not None
    port = other.stdout.readline().strip()

    named = {
        "pipes": {"command": sys.executable, "args": [str(SERVERS / "bare.py")]},  # started and ended by the client
        "web": {"url": f"http://127.0.0.1:{port}/mcp", "allowed_tools": ["get_weather"], "tool_timeout_s": 10},
    }
    tools = [{"type": "mcp", "server_label": name, "require_approval": "never"} for name in named]
    chain = presets.responses if model else presets.responses.replace("dispatch", script).bind(api_key="none")
    with antiphon.Client(chain, mcp_servers=named) as client:
        response = client.responses(
            "What is the weather in Rome?", model or "openai/gpt-5", tools=tools, max_output_tokens=64
        )
    for item in response.output:
        if item.type == "mcp_list_tools":
            print(f"{item.server_label} offers {', '.join(tool.name for tool in item.tools)}")
        elif item.type == "mcp_call":
            print(f"{item.server_label}: {item.arguments} → {item.output}")
    print(response.output_text)
    other.kill()
