"""A provider of your own: a row of data, no code. Here its host is a small server of the standard library.

Run it from a clone of the repository:

    python examples/custom_provider.py                   offline
    python examples/custom_provider.py local/smollm2     and the last call by a small real model on this machine
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import antiphon
from antiphon.testing import message

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


class Host(BaseHTTPRequestHandler):
    """A host of the Responses API, as small as can be."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        print("host got:", self.path, self.headers["authorization"], asked)
        body = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": asked["model"]}
        data = json.dumps({**body, "output": [message(f"You said {asked['input']!r}.")]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


with HTTPServer(("127.0.0.1", 0), Host) as server:
    threading.Thread(target=server.serve_forever).start()
    os.environ["ACME_KEY"] = "from-the-environment"  # goes to this row's host only
    antiphon.providers.register(
        {
            "name": "acme",
            "base_url": f"http://127.0.0.1:{server.server_port}/v1",
            "key_env": ["ACME_KEY"],
            "dialects": ["responses"],
            "unsupported": ["truncation"],  # reported as dropped instead of sent
            "source": "this example",
            "checked": "2026-11-27",
        }
    )
    response = antiphon.responses("Hi", "acme/large", truncation="auto")
    print(response.output_text, [dropped.name for dropped in response.meta.dropped])
    server.shutdown()

print(antiphon.responses("Say hello.", model, max_output_tokens=16).output_text)
