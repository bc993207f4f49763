"""A relay: your server passes a stream on to its own clients as server-sent events, with the standard library alone.

Run it from a clone of the repository:

    python examples/sse_relay.py                   offline
    python examples/sse_relay.py local/smollm2     a small real model on this machine
"""

import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import antiphon

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
client = antiphon.Client()


class Relay(BaseHTTPRequestHandler):
    """GET /?question streams the answer. Each request runs in a thread; the client is shared by all."""

    def do_GET(self) -> None:
        question = unquote(self.path.partition("?")[2])
        try:
            # An error before the first content is raised here, so it still has a status of its own.
            stream = client.responses(question, model, stream=True, max_output_tokens=32)
        except antiphon.AntiphonError as error:
            self.send_error(502, type(error).__name__)
            return
        with stream:  # when the reader goes away, writing fails, and the block closes the call at the host
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for event in stream:
                self.wfile.write(b"event: %s\ndata: %s\n\n" % (event.type.encode(), event.raw))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


with client, ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
    threading.Thread(target=server.serve_forever).start()
    url = f"http://127.0.0.1:{server.server_port}/?Count%20from%20one%20to%20five."
    with urllib.request.urlopen(url) as answer:
        lines = [line.decode().strip() for line in answer]
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    print(answer.headers["content-type"], len(kinds), "events, from", kinds[0], "to", kinds[-1])
    server.shutdown()
