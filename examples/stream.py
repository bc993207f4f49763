"""Streaming: the text as it comes, the events behind it, and the end.

Run it from a clone of the repository:

    python examples/stream.py                   offline
    python examples/stream.py local/smollm2     a small real model on this machine
"""

import asyncio
import sys

import antiphon

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
prompt = "Count from one to five."


def text_only() -> None:
    with antiphon.responses(prompt, model=model, stream=True, max_output_tokens=32) as stream:
        for text in stream.text:
            print(text, end="", flush=True)
    print(f"\n{stream.outcome.kind if stream.outcome else 'open'} after {stream.meta.duration_s:.3f} s")


async def every_event() -> None:
    stream = await antiphon.aresponses(prompt, model=model, stream=True, max_output_tokens=32)
    counts: dict[str, int] = {}
    async with stream:  # leaving early closes the connection, which stops the generation
        async for event in stream:
            counts[event.type] = counts.get(event.type, 0) + 1
    for kind, count in counts.items():
        print(f"{count:>3} × {kind}")
    await antiphon.aclose()  # an event loop's connections are closed in that loop


text_only()
asyncio.run(every_event())
