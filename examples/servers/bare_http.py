"""The server of `bare.py` over HTTP, in plain Python: a JSON message in, a JSON message out.

python examples/servers/bare_http.py        prints its port, and serves at http://127.0.0.1:PORT/mcp
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # where PYTHONSAFEPATH has left it out

from bare import reply_to


class Mcp(BaseHTTPRequestHandler):
    """Streamable HTTP without streams: every answer is one JSON body."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = reply_to(message)
        data = b"" if reply is None else json.dumps(reply).encode()
        self.send_response(200 if data else 202)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.send_error(405)  # nothing is said unasked

    do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The server of the standard library, but that a client that goes away is no news."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Mcp) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
