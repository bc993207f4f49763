"""Typed errors, split by what you can do about them, and what is repeated before you see one.

Run it from a clone of the repository:

    python examples/errors.py                   offline
    python examples/errors.py local/smollm2     the last call by a small real model on this machine
"""

import sys

import antiphon
from antiphon.testing import scripted

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

# Fix the call: nothing was sent.
try:
    antiphon.responses("Hi", model=model, temprature=0)  # type: ignore[call-overload]
except antiphon.CallError as error:
    print(f"{type(error).__name__}: {error}\n")

# A passing failure is repeated, after the wait that the host asks for. These hosts answer from a script.
busy = {"status": 429, "headers": {"retry-after-ms": "20"}, "body": {"error": {"message": "slow down"}}}
with scripted(busy, "here you are") as client:
    response = client.responses("Hi", "openai/gpt-5")
    attempts = response.meta.attempts
    print(response.output_text, "after", [f"{attempt.status} {attempt.outcome}" for attempt in attempts], "\n")

# One that stays is raised as the last attempt's error, with the facts of all.
with scripted(busy) as client:
    try:
        client.responses("Hi", "openai/gpt-5", num_retries=1)
    except antiphon.RateLimitError as error:
        print(f"{type(error).__name__}: {error}\n{error.attempts} attempts, wait {error.retry_after_s} s\n")

# One that a repeat would not mend is raised at once.
with scripted({"status": 401, "body": {"error": {"message": "wrong key", "code": "invalid_api_key"}}}) as client:
    try:
        client.responses("Hi", "openai/gpt-5")
    except antiphon.APIStatusError as error:
        print(f"{type(error).__name__}: {error}\n{error.attempts} attempt\n")

print(antiphon.responses("Say hello.", model=model, max_output_tokens=16).output_text)
