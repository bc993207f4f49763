"""What is repeated, how often, after which wait; and who is told. The hosts here answer from a script.

Run it from a clone of the repository:

    python examples/retries.py                   offline
    python examples/retries.py local/smollm2     the last call by a small real model on this machine
"""

import sys
from typing import Any

import antiphon
from antiphon import RetryScheduled, Signal, presets
from antiphon.testing import scripted

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


def told(signal: Signal) -> None:
    if isinstance(signal, RetryScheduled):
        print(f"  again after {signal.error}")


def failing(status: int, **headers: str) -> dict[str, Any]:
    return {"status": status, "headers": headers, "body": {"error": {"message": f"says {status}"}}}


# Five attempts; waits that double from 10 ms, 0.1 s at most. What the host asks for comes first, up to its own bound.
patient = presets.responses.with_(retry={"attempts": 5, "base_delay_s": 0.01, "max_delay_s": 0.1})
print("passing failures:")
with scripted(failing(503), failing(429, **{"retry-after-ms": "5"}), "At last.", chain=patient, hooks=[told]) as client:
    print(" ", client.responses("Hi", "openai/gpt-5").output_text)

print("what a repeat would not mend:")
with scripted(failing(400), chain=patient, hooks=[told]) as client:
    try:
        client.responses("Hi", "openai/gpt-5")
    except antiphon.BadRequestError as error:
        print(f"  {error.message}, {error.attempts} attempt")

print("no repeats in this call:")
with scripted(failing(503), chain=patient, hooks=[told]) as client:
    try:
        client.responses("Hi", "openai/gpt-5", num_retries=0)
    except antiphon.OverloadedError as error:
        print(f"  {error.message}, {error.attempts} attempt")

print(antiphon.responses("Say hello.", model, max_output_tokens=16).output_text)
