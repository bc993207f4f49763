"""Time limits: the whole call, the connection, the first event, silence, a tool. Here the host says nothing at all.

Run it from a clone of the repository:

    python examples/timeouts.py                   offline
    python examples/timeouts.py local/smollm2     the last call by a small real model on this machine
"""

import socket
import sys
from typing import Any

import antiphon
from antiphon import Timeouts

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

CALLS: dict[str, dict[str, Any]] = {
    "a plain call": {},
    "a stream, tried twice": {"stream": True, "num_retries": 1, "timeout": Timeouts(total=2, first_event=0.05)},
    "a limit of this call": {"timeout": 0.02},
}

# A host that takes connections and never answers.
with socket.create_server(("127.0.0.1", 0)) as silent:
    host: dict[str, Any] = {"api_base": f"http://127.0.0.1:{silent.getsockname()[1]}/v1", "api_key": "none"}

    with antiphon.Client(timeouts=Timeouts(total=0.3, first_event=0.05)) as client:
        for name, call in CALLS.items():
            try:
                client.responses("Hi", "openai/gpt-5", **host, **call)
            except antiphon.APITimeoutError as error:
                print(f"{name}: limit {error.limit}, {error.limit_s:g} s, attempts {error.attempts}")

# The first call of a local model starts it, which takes its time: so much for the whole, so much for silence.
with antiphon.Client(timeouts=Timeouts(total=300, idle=30, tool=5)) as client:
    print(client.responses("Say hello.", model, max_output_tokens=16).output_text)
