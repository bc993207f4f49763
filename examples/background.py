"""A response in the background: begun, followed, waited for; at hosts that have no background of their own too.

Run it from a clone of the repository:

    python examples/background.py                   offline
    python examples/background.py local/smollm2     a small real model on this machine
"""

import sys

import antiphon
from antiphon import ResponseSettled, Signal

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


settled: list[str] = []


def note(signal: Signal) -> None:
    """Take note of the end; it is told by the thread that did the work."""
    if isinstance(signal, ResponseSettled):
        settled.append(signal.outcome)


# Keep the client open until the work is done: it does it, in a thread, or in a task of the event loop.
with antiphon.Client(hooks=[note]) as client:
    begun = client.responses("Count from one to five.", model, background=True, max_output_tokens=32)
    print("begun:", begun.status)

    # Follow it from its beginning, as often as you like; any process that shares the store can.
    with client.get_responses(begun.id, stream=True) as stream:
        text = "".join(stream.text)
    ended = client.poll_responses(begun.id, interval_s=0.05)
    print("followed:", text == ended.output_text, ended.status)

    # What has ended cannot be cancelled any more; it stays as it is.
    print("cancelled:", client.cancel_responses(begun.id).status)
    print("deleted:", client.delete_responses(begun.id).deleted)
    try:
        client.get_responses(begun.id)
    except antiphon.NotFoundError as error:
        print(type(error).__name__)

print("settled:", *settled)
