"""A stage of your own in ten lines: it wraps the rest of the chain, and its settings are its fields.

Run it from a clone of the repository:

    python examples/custom_stage.py                   offline
    python examples/custom_stage.py local/smollm2     a small real model on this machine
"""

import sys

from antiphon import Handler, Reply, Request, Stage, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


class Instruct(Stage):
    """Give every call the same instructions."""

    text: str

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        return await call_next(request.with_params(instructions=self.text))


# Outside Retry it runs once a call; inside, it would run for every attempt.
chain = presets.responses.before("retry", Instruct("Answer with one word."))
print(chain)

# The same stage serves sync and async, plain and streamed calls.
print("plain:   ", chain.invoke("What is the capital of France?", model=model, max_output_tokens=24).output_text)
with chain.stream("What is the capital of France?", model=model, max_output_tokens=24) as stream:
    print("streamed:", "".join(stream.text))

# What would be sent, without sending it:
explanation = chain.explain("What is the capital of France?", model=model)
if explanation.request is not None:
    print("sends:   ", explanation.request.body)
