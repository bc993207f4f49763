"""Stopping a call: leave a stream, cancel a task, end a block of time. Each is one end, and nothing stays open.

Run it from a clone of the repository:

    python examples/cancellation.py                   offline
    python examples/cancellation.py local/smollm2     a small real model on this machine
"""

import asyncio
import sys

import antiphon
from antiphon import CallEnded, Handler, Reply, Request, Signal, presets, stage

model = sys.argv[1] if len(sys.argv) > 1 else "scripted/echo"


@stage
async def slow(request: Request, call_next: Handler) -> Reply:
    await request.context.runtime.sleep(60)
    return await call_next(request)


def tell(signal: Signal) -> None:
    if isinstance(signal, CallEnded):
        print(f"  the call has ended: {signal.kind}")


async def main() -> None:
    async with antiphon.Client(hooks=[tell]) as client:
        print("a stream that is left:")
        async with await client.aresponses("Count to nine.", model, stream=True, max_output_tokens=32) as stream:
            async for text in stream.text:
                print(f"  {text}")
                break

    async with antiphon.Client(presets.responses.before("retry", slow), hooks=[tell]) as client:
        print("a task that is cancelled:")
        task = asyncio.create_task(client.aresponses("Hi", model))
        await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        print("a block that runs out of time:")
        try:
            async with asyncio.timeout(0.02):
                await client.aresponses("Hi", model)
        except TimeoutError as error:
            print(f"  {type(error).__name__}")


asyncio.run(main())
