"""A conversation at a host that keeps nothing, and a response made in the background.

Run it from a clone of the repository:

    python examples/state.py                   offline: a scripted host that says the input again
    python examples/state.py local/smollm2     a small real model on this machine, whose server keeps nothing either
"""

import sys
import tempfile

import antiphon

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"

with tempfile.TemporaryDirectory() as folder:
    url = f"sqlite:///{folder}/responses.db"

    # Two turns. The second one says only what is new.
    with antiphon.Client(state_store=url) as client:
        first = client.responses("My name is Ada.", model, max_output_tokens=40)
        second = client.responses("What is my name?", model, max_output_tokens=40, previous_response_id=first.id)
        print("second answer:", second.output_text)

    # Another client, which could be another process, finds them in the store.
    with antiphon.Client(state_store=url) as client:
        for item in client.list_input_items(second.id, order="asc"):
            if item.type == "message":
                print(f"  {item.role}: {item.text}")

        # In the background: back at once, and there to be polled, or streamed from its beginning.
        begun = client.responses(
            "Count from one to five.", model, max_output_tokens=40, background=True, previous_response_id=second.id
        )
        print("begun:", begun.status)
        with client.get_responses(begun.id, stream=True) as stream:
            for text in stream.text:
                print(text, end="", flush=True)
        print()
        print("ended:", client.poll_responses(begun.id, interval_s=0.1).status)
