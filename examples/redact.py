"""Personal data that the host does not get: it reads placeholders, and the answer has the values again.

Run it from a clone of the repository:

    python examples/redact.py                   offline
    python examples/redact.py local/smollm2     a small real model on this machine
"""

import sys

from antiphon import Redact, Request, before, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


@before
def show(request: Request) -> None:
    """Print what stages further in, and so the host, get to see."""
    print("the host reads:", request.param("input"))


chain = presets.responses.before("retry", Redact(patterns={"customer": r"\bC-\d{4}\b"}), show)

with chain.stream("Repeat: C-1234, ada@example.org, 4111 1111 1111 1111.", model=model, max_output_tokens=64) as stream:
    print("the answer:    ", end="")
    for text in stream.text:
        print(text, end="", flush=True)
    print()
print(stream.meta.notes)
