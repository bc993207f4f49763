"""A conversation by name: the next turn says only what is new, whoever answers it.

Run it from a clone of the repository:

    python examples/conversation.py                   offline
    python examples/conversation.py local/smollm2     a small real model on this machine
"""

import sys

import antiphon

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

with antiphon.Client() as client:
    client.responses("My name is Ada.", model, conversation="support-42", max_output_tokens=24)
    client.responses("I like cats.", model, conversation="support-42", max_output_tokens=24)

    # Another model goes on: it is sent all that was said. `scripted/…` stands for another host here.
    third = client.responses("What was my name?", "scripted/echo", conversation="support-42")
    for item in client.list_input_items(third.id, order="asc"):
        if item.type == "message":
            print(f"{item.role}: {item.text}")

    # A branch: go on from any response by its id, as often as you like; the conversation does not see it.
    branch = client.responses("Start again.", model, previous_response_id=third.id, max_output_tokens=24)
    print("branch after", len(client.list_input_items(branch.id, limit=100).data) - 1, "items")
