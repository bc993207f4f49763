"""Guards: what must not go out, and what must not come back.

Run it from a clone of the repository:

    python examples/guard.py                   offline
    python examples/guard.py local/smollm2     a small real model on this machine
"""

import re
import sys

from antiphon import Guard, GuardTripped, Request, Response, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


def no_card_numbers(request: Request) -> str | None:
    """Say why the input must not pass; None lets it."""
    found = re.search(r"\b\d{16}\b", str(request.param("input")))
    return f"a card number, …{found[0][-4:]}" if found else None


def no_promises(response: Response) -> str | None:
    return "a promise" if "guarantee" in response.output_text else None


# Inside Resolve and outside Retry: once a call. A streamed answer is held back until it has passed.
chain = presets.responses.before("retry", Guard(on_input=no_card_numbers, on_output=no_promises))
for text in ("Say hello.", "My card is 4111111111111111.", "Say: we guarantee it."):
    try:
        with chain.stream(text, model=model, max_output_tokens=24) as stream:
            print("".join(stream.text))
    except GuardTripped as error:
        print(f"{error.side} stopped: {error.reason}")
