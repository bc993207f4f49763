"""A conversation that outgrows what it may have: its oldest turns go, and the caller is told.

Run it from a clone of the repository:

    python examples/long_conversation.py                   offline
    python examples/long_conversation.py local/smollm2     a small real model on this machine
"""

import sys

from antiphon import Client, CompactHistory, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

# By "summary" in the place of "drop", the model would sum up what goes.
chain = presets.responses.before("retry", CompactHistory(60, by="drop"))

with Client(chain) as client:
    previous = None
    for question in (
        "Name a bird.",
        "Name a fish, and say where in the sea it lives.",
        "Name a tree.",
        "And a colour?",
    ):
        response = client.responses(question, model, previous_response_id=previous, max_output_tokens=24)
        previous = response.id
        print(f"{question} {response.output_text}")
        for dropped in response.dropped:
            print(f"  {dropped.name}: {dropped.reason}")
