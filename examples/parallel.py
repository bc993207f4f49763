"""Many calls side by side, and only so many at once.

Run it from a clone of the repository:

    python examples/parallel.py                   offline
    python examples/parallel.py local/smollm2     a small real model on this machine
"""

import asyncio
import sys

import antiphon
from antiphon import ConcurrencyLimit, Handler, Reply, Request, Response, Stage, presets

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"
now, most = 0, 0


class Gauge(Stage):
    """Note how many calls are inside at once."""

    async def __call__(self, request: Request, call_next: Handler) -> Reply:
        global now, most
        now += 1
        most = max(most, now)
        await request.context.runtime.sleep(0.01)
        reply = await call_next(request)
        now -= 1
        return reply


chain = presets.responses.before("retry", ConcurrencyLimit(2), Gauge()).bind(model=model, max_output_tokens=16)
questions = [f"Say {number}." for number in ("one", "two", "three", "four", "five", "six")]

# In threads: answers, or errors, in the order of the questions.
with antiphon.Client(chain) as client:
    answers = client.chain.batch([*questions, 7], concurrency=6, on_error="return")
    for answer in answers:
        print(answer.output_text if isinstance(answer, Response) else type(answer).__name__)
print("at once, in threads:", most)


# On an event loop: tasks, which may be yours.
async def main() -> None:
    async with antiphon.Client(chain) as client:
        answers = await asyncio.gather(*(client.aresponses(question) for question in questions))
        print(len(answers), "answers")


now, most = 0, 0
asyncio.run(main())
print("at once, in tasks:", most)
