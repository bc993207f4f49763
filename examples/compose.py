"""Composing chains: a chain is a value, so every change makes a new one.

Run it from a clone of the repository:

    python examples/compose.py                   offline
    python examples/compose.py local/smollm2     a small real model on this machine
"""

import sys

import antiphon
from antiphon import Chain, Dispatch, Request, Resolve, Response, Retry, Transform, Validate, after, before, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


@before
def brief(request: Request) -> Request:
    return request.with_params(instructions="Be brief.")


@after
def count(request: Request, response: Response) -> None:
    print(f"  ({len(response.output_text.split())} words)")


# A fragment has no terminal stage; it is there to be nested.
checks = Chain([Validate(), brief], name="checks")
chain = Chain([checks, count, Resolve(), Retry(attempts=5), Transform(), Dispatch()], name="mine")
print(chain)

# `a | b` wraps a around b: the left one is the outer one.
print(brief | presets.responses)

# Surgery by name.
print(presets.responses.with_(retry={"attempts": 1}).without("log").after("validate", count).named("surgery"))

# Bound parameters are defaults; a client brings connections of its own and closes them.
with antiphon.Client(chain.bind(model=model, max_output_tokens=24)) as client:
    print(client.responses("Say hello.").output_text)

    # Many inputs side by side; answers, or errors, in the order of the inputs.
    for answer in client.chain.batch(["Name a bird.", "Name a fish."], concurrency=2, on_error="return"):
        print(answer.output_text if isinstance(answer, Response) else repr(answer))
