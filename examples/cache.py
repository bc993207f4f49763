"""A cache: what was asked before is answered from a store, plain or as a stream.

Run it from a clone of the repository:

    python examples/cache.py                   offline
    python examples/cache.py local/smollm2     a small real model on this machine
"""

import sys
import tempfile

import antiphon
from antiphon import Cache, Signal, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


def tell(signal: Signal) -> None:
    if signal.name.startswith("cache."):
        print(" ", signal.name)


with tempfile.TemporaryDirectory() as folder:
    # In a file, or on Redis, for all processes; without `state_store` in this process's memory.
    chain = presets.responses.before("retry", Cache(state_store=f"sqlite:///{folder}/answers.db", ttl_s=600))
    with antiphon.Client(chain.bind(model=model, max_output_tokens=16), hooks=[tell]) as client:
        first = client.responses("Say hello.")
        again = client.responses("Say hello.")
        print("the same:", again.output_text == first.output_text)
        print("asked:", len(again.meta.attempts), again.meta.notes)

        with client.responses("Say hello.", stream=True) as stream:
            print("streamed:", "".join(stream.text) == first.output_text)

        client.responses("Say hello.", use_cache="refresh")
