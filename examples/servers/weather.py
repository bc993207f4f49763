"""A small MCP server, written with the official SDK (`pip install mcp`).

python examples/servers/weather.py            over its standard input and output
python examples/servers/weather.py 8000       over HTTP, at http://127.0.0.1:8000/mcp
"""

import sys

from mcp.server import MCPServer

server = MCPServer("weather", log_level="ERROR")


@server.tool()
def weather(city: str) -> str:
    """Say what the weather is like in a city."""
    return f"It is sunny in {city}."


@server.tool()
def mean(temperatures: list[float]) -> float:
    """Return the mean of some temperatures, degrees Celsius."""
    return sum(temperatures) / len(temperatures)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", port=int(sys.argv[1]))
    else:
        server.run("stdio")
