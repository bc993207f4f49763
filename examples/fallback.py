"""Another model when one fails, with everything of its own: host, key, format, limits.

Run it from a clone of the repository:

    python examples/fallback.py                   offline
    python examples/fallback.py local/smollm2     a small real model on this machine is the last resort
"""

import sys
from typing import Any

from antiphon import Fallback, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

# Nothing listens at the first address, and the second provider has no key here.
last_resort = {"model": model, "max_output_tokens": 24}
chain = presets.responses.with_(retry={"attempts": 1}).before("resolve", Fallback(["openai/gpt-5-mini", last_resort]))

call: dict[str, Any] = {"model": "openai/gpt-5", "api_base": "http://127.0.0.1:9/v1", "api_key": "none"}
response = chain.invoke("Say hello.", **call)
print(response.output_text)
print("asked:", ", ".join(f"{attempt.provider} ({attempt.outcome})" for attempt in response.meta.attempts))

with chain.stream("Count to three.", **call) as stream:
    for text in stream.text:
        print(text, end="", flush=True)
print()
