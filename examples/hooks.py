"""Hooks in five lines: plain functions that learn of a call's start, its attempts and its one end.

Run it from a clone of the repository:

    python examples/hooks.py                   offline
    python examples/hooks.py local/smollm2     a small real model on this machine
"""

import sys

import antiphon

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


def tell(signal: antiphon.Signal) -> None:
    print(f"  {signal.name}")


def bill(end: antiphon.CallEnded) -> None:
    tokens = end.usage.total_tokens if end.usage else 0
    print(f"  {end.kind} after {end.meta.duration_s:.3f} s, {tokens} tokens, {len(end.meta.attempts)} attempt")


print("every signal of one call:")
antiphon.responses("Say hello.", model=model, max_output_tokens=16, hooks=[tell])

print("the end of every call of a chain, streams that are left early included:")
chain = antiphon.presets.responses.before("validate", antiphon.Observe(on_call_end=bill))
chain.invoke("Say hello.", model=model, max_output_tokens=16)
with chain.stream("Say hello.", model=model, max_output_tokens=16) as stream:
    next(stream)
